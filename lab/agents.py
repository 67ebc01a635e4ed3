# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's agents on a host of a lab with ML2/OVS: one for Open vSwitch on each, and one for DHCP on the first."""

import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import broker, openstack, people
from lab.backend import Backend
from lab.host import place
from lab.paths import HostPaths, LabPaths
from lab.process import Program, Registry, wait_until
from lab.releases import Release

# One file for the agents and their privileged helpers, which have no sudo and need none.
_CONF = """\
[DEFAULT]
host = {host.name}
transport_url = {transport_url}
state_path = {state}
interface_driver = openvswitch

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
_HELPERS = (
    "privsep",
    "privsep_conntrack",
    "privsep_dhcp_release",
    "privsep_link",
    "privsep_namespace",
    "privsep_ovs_vsctl",
)


@dataclass(frozen=True)
class Agent:
    """``program``: its command. ``kind``: what Neutron calls it. ``before``: what makes room for it."""

    program: str
    kind: str
    before: tuple[str, ...] = ()


# The DHCP agent makes network namespaces and leaves a dnsmasq in each. Names and processes end with its own.
DHCP = Agent(
    "neutron-dhcp-agent",
    "DHCP agent",
    (
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-c", 'mount -t tmpfs tmpfs /run/netns && exec "$@"', "sh"),
    ),
)


def of(host: HostPaths, backend: Backend) -> tuple[Agent, ...]:
    """Those that a host has."""
    if backend.is_ovn:
        return ()
    return (Agent(backend.agent, backend.agent_type), *((DHCP,) if host.number == 1 else ()))


def start(paths: LabPaths, host: HostPaths, registry: Registry, backend: Backend, release: Release) -> None:
    """Those that do not run, and wait until Neutron has heard of all.

    One after the other: the DHCP agent's first question is lost, and waited for, where nobody listens yet. That
    somebody does is known from the other agent's report.
    """
    admin = openstack.session(paths.netns, people.ADMIN)
    programs = release.venv(paths) / "bin"
    for agent in of(host, backend):
        name = f"{host.name}-{agent.program}"
        if not registry.running(name):
            file = host.state / "agents" / "agents.ini"
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_conf(programs, host, backend, file)
            argv = (*agent.before, str(programs / agent.program), "--config-file", str(file))
            env = {"OVS_RUNDIR": str(host.ovs_run)}
            # Asked to end, one was still there 45 s later.
            registry.start(Program(name, argv, place(host, registry), paths.log(name), env, signal.SIGKILL))
        record = registry.get(name)
        if record is not None:
            query = f"/v2.0/agents?host={host.name}&agent_type={agent.kind.replace(' ', '%20')}"
            wait_until(partial(_all_alive, admin, query), record, 60)


def _all_alive(admin: openstack.Session, query: str) -> bool:
    found = admin.neutron("GET", query)["agents"]
    return bool(found) and all(each["alive"] for each in found)


def _write_conf(programs: Path, host: HostPaths, backend: Backend, file: Path) -> None:
    helper = f"helper_command = {programs}/privsep-helper --config-file {file}\n"
    common = _CONF.format(host=host, state=file.parent, backend=backend, transport_url=broker.transport_url())
    file.write_text(common + "".join(f"\n[{section}]\n{helper}" for section in _HELPERS))
