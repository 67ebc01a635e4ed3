# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The chain that every host needs, from kuryr.conf to the bridge that ordinary ports are plugged into."""

from __future__ import annotations

import re

from kuryr_libnetwork.cli.host.doctor_facts import DoctorFacts, agent_of
from kuryr_libnetwork.cli.host.findings import Finding, ok, unchecked, wrong
from kuryr_libnetwork.rules.plugging import unknown_host

CRASHING = ((29, 0, 0), (29, 0, 2))
"""First and last engine release that crashes with any remote network driver (docs/notes/docker-plugin.md)."""
DEFAULT_BRIDGE = "br-int"


def is_virtual(facts: DoctorFacts) -> bool:
    """Whether ordinary ports are plugged into a bridge of this host; in a virtual machine they are not."""
    names = {name.rpartition(".")[2] for name in facts.settings.plugin.enabled_port_drivers}
    return "veth" in names


def service(facts: DoctorFacts) -> Finding:
    link = "the service"
    if facts.service is None:
        if facts.settings.admin.socket is None:
            return unchecked(link, "[admin] socket is empty")
        return wrong(link, facts.service_error, "systemctl status kuryr-libnetwork.service")
    if facts.service.ready:
        return ok(link, "ready")
    return wrong(link, "; ".join(facts.service.reasons), "docs/runbook.md, KuryrNotReady")


def docker(facts: DoctorFacts) -> Finding:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", facts.docker)
    if match is None:
        return unchecked("Docker", "it does not tell its version")
    if CRASHING[0] <= tuple(map(int, match.groups())) <= CRASHING[1]:
        return wrong("Docker", facts.docker, "these releases crash with any network plugin: update to 29.0.3 or later")
    return ok("Docker", facts.docker)


def agent(facts: DoctorFacts) -> Finding:
    link, host, cloud = "Neutron's agent", facts.settings.plugin.host, facts.cloud
    if cloud.error or cloud.agents_error:
        return unchecked(link, cloud.agents_error or "Neutron did not answer")
    if not cloud.vswitches:
        shown = cloud.account is None or cloud.account.is_admin
        hint = "Neutron shows none" if shown else "agents are shown to the role admin only"
        return unchecked(link, f"{hint}: openstack network agent list --host {host}")
    here = agent_of(host, cloud.vswitches)
    if here is None and agent_of(host, cloud.agents) is not None:
        return unchecked(link, f"none on host {host} except SR-IOV's: containers can have VFs here, but no other ports")
    if here is None:
        return wrong(link, f"none on host {host}", unknown_host(host, cloud.vswitches))
    if not here.alive:
        return wrong(
            link, f"{here.agent_type} is not alive on {host}", "start it; look at its log and at its way to Neutron"
        )
    if not here.admin_state_up:
        return wrong(link, f"{here.agent_type} is disabled", f"openstack network agent set --enable {here.id}")
    return ok(link, f"{here.agent_type} is alive on {host}")


def open_vswitch(facts: DoctorFacts) -> Finding:
    link, here = "Open vSwitch", agent_of(facts.settings.plugin.host, facts.cloud.vswitches)
    if here is not None and here.agent_type == "Linux bridge agent":
        return unchecked(link, "Neutron's agent uses bridges of Linux")
    if not facts.bridges_error:
        return ok(link, facts.settings.ovs.ovsdb_connection)
    if here is None:
        return unchecked(link, f"{facts.bridges_error} (harmless if Neutron's agent does not use it)")
    return wrong(link, facts.bridges_error, "systemctl status openvswitch-switch; check [ovs] ovsdb_connection")


def bridge(facts: DoctorFacts) -> Finding:
    link, here = "integration bridge", agent_of(facts.settings.plugin.host, facts.cloud.vswitches)
    if facts.bridges_error or not facts.bridges:
        return unchecked(link, "no bridge of Open vSwitch is known")
    told = here.configurations.get("integration_bridge") if here is not None else None
    name = told if isinstance(told, str) and told else DEFAULT_BRIDGE
    if name in facts.bridges:
        return ok(link, name)
    found = ", ".join(facts.bridges)
    if told is None:
        return unchecked(link, f"there is no {name}; there are {found}: Neutron names the bridge with each port")
    return wrong(link, f"there is no {name}; there are {found}", "the agent makes it when it starts: look at its log")
