# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ, and the Neutron process that receives the agents' reports through it: for SR-IOV machines and ML2/OVS."""

import signal

from lab import http
from lab.paths import CLOUD_ADDRESS, LabPaths
from lab.process import Place, Program, Registry, wait_until
from lab.releases import Release

RABBITMQ, RPC_SERVER = "rabbitmq", "neutron-rpc-server"
PORT = 5672

_CONF = f"""\
listeners.tcp.1 = {CLOUD_ADDRESS}:{PORT}
loopback_users = none
"""


def transport_url() -> str:
    """Good for the cloud's namespace, and for a guest behind QEMU's user network."""
    return f"rabbit://guest:guest@{CLOUD_ADDRESS}:{PORT}/"


def start_rabbitmq(paths: LabPaths, registry: Registry) -> None:
    if not registry.running(RABBITMQ):
        state = paths.state / RABBITMQ
        state.mkdir(parents=True, exist_ok=True)
        (state / "rabbitmq.conf").write_text(_CONF)
        (state / "enabled_plugins").write_text("[].\n")
        env = {
            "HOME": str(state),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"{paths.name}@localhost",
            "RABBITMQ_CONFIG_FILE": str(state / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(state / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(state / "mnesia"),
            "RABBITMQ_LOG_BASE": str(state / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(state / "pid"),
            # Erlang's schedulers busy-wait by default, which a small machine cannot afford.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        argv = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)
        # Its queues are deleted with the lab, so no orderly shutdown is needed.
        program = Program(RABBITMQ, argv, Place(paths.netns), paths.log(RABBITMQ), env, signal.SIGKILL)
        registry.start(program)
    record = registry.get(RABBITMQ)
    if record is not None:
        wait_until(lambda: _accepts(paths), record, 90)


def _accepts(paths: LabPaths) -> bool:
    try:
        http.inside(paths.netns, (CLOUD_ADDRESS, PORT), 5)().close()
    except OSError:
        return False
    return True


def start_rpc_server(paths: LabPaths, registry: Registry, release: Release) -> None:
    """A process of its own, because the API under uWSGI receives no reports."""
    if release.under_uwsgi and not registry.running(RPC_SERVER):
        argv = (str(release.venv(paths) / "bin" / RPC_SERVER), "--config-file", str(paths.neutron_conf))
        registry.start(Program(RPC_SERVER, argv, Place(paths.netns), paths.log(RPC_SERVER), {}, signal.SIGKILL))
