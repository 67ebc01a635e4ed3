# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's agent for Open vSwitch on a host of the lab."""

import signal

from lab import broker, openstack, people
from lab.backend import Backend
from lab.host import place
from lab.paths import HostPaths, LabPaths
from lab.process import Program, Registry, wait_until

# One file for the agent and its privileged helpers, which have no sudo and need none.
_CONF = """\
[DEFAULT]
host = {host.name}
transport_url = {transport_url}
state_path = {state}

[oslo_concurrency]
lock_path = {state}/lock

[agent]
root_helper =
report_interval = 10
tunnel_types = {backend.tunnel}
polling_interval = 1

[ovs]
integration_bridge = br-int
datapath_type = netdev
ovsdb_connection = unix:{host.ovsdb_socket}
of_listen_address = 127.0.0.1
local_ip = {host.tunnel_address}
bridge_mappings = physnet1:br-phy

[securitygroup]
firewall_driver = {backend.firewall}
"""
_HELPERS = ("privsep", "privsep_ovs_vsctl", "privsep_namespace", "privsep_conntrack", "privsep_link")


def start(paths: LabPaths, host: HostPaths, registry: Registry, backend: Backend) -> None:
    """Does not wait for its first report."""
    name = f"{host.name}-{backend.agent}"
    if registry.running(name):
        return
    state = host.state / "agent"
    state.mkdir(parents=True, exist_ok=True)
    file = state / "agent.ini"
    helper = f"helper_command = {paths.neutron_venv}/bin/privsep-helper --config-file {file}\n"
    common = _CONF.format(host=host, state=state, backend=backend, transport_url=broker.transport_url())
    file.write_text(common + "".join(f"\n[{section}]\n{helper}" for section in _HELPERS))
    argv = (str(paths.neutron_venv / "bin" / backend.agent), "--config-file", str(file))
    env = {"OVS_RUNDIR": str(host.ovs_run)}
    # Asked to end, it was still there 45 s later.
    registry.start(Program(name, argv, place(host, registry), paths.log(name), env, signal.SIGKILL))


def wait_until_alive(paths: LabPaths, host: HostPaths, registry: Registry, backend: Backend) -> None:
    record = registry.get(f"{host.name}-{backend.agent}")
    if record is not None:
        admin = openstack.session(paths.netns, people.ADMIN)
        query = f"/v2.0/agents?host={host.name}&agent_type={backend.agent_type.replace(' ', '%20')}"
        wait_until(lambda: any(each["alive"] for each in admin.neutron("GET", query)["agents"]), record, 60)
