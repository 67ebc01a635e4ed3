# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a port can be bound and is up, and what to say when it is not."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from kuryr_libnetwork.model.neutron import Agent, Port
from kuryr_libnetwork.rules.vifs import OVN, bound_drivers

UNBOUND = {"unbound", "binding_failed"}
"""``binding:vif_type`` of a port that is on no host, or that no mechanism driver could bind."""
NIC_SWITCH = "NIC Switch agent"
VSWITCHES = ("OVN Controller agent", "OVN Controller Gateway agent", "Open vSwitch agent", "Linux bridge agent")
SHOWN_HOSTS = 3
"""How many names of other hosts a line shows."""
ACTIVE = "ACTIVE"
DOWN = "DOWN"
LATE = 60.0
"""Seconds after which an agent has seen an interface, also while it computes the flows of a large cloud."""
SHOWN_PORTS = 3
GONE = "gone"
"""Instead of a status: somebody has deleted the port."""
_DHCP_AGENT = "the DHCP agent of the network (enable_dhcp)"


def binding_agents(vnic_type: str, agents: Sequence[Agent]) -> list[Agent]:
    """Those of a host's agents whose being alive Neutron demands for a binding; all of them where it has none
    of these.
    """
    kinds = VSWITCHES if vnic_type == "normal" else (NIC_SWITCH,)
    return [agent for agent in agents if agent.agent_type in kinds] or list(agents)


def is_awaited(vnic_type: str, agents: Sequence[Agent]) -> bool:
    """Whether a binding may have failed only because the agent has not reported yet, or not lately."""
    asked = binding_agents(vnic_type, agents)
    return bool(asked) and not any(agent.alive for agent in asked)


def why_unbound(port: Port, host: str, agents: Sequence[Agent] | None, waited: float = 0) -> str:
    """One line on a failed binding: what Neutron says, and the likely cause.

    ``agents``: ``None``: not known. ``waited``: the seconds for which an agent was, or may have been, awaited.
    """
    head = f"Neutron could not bind port {port.id} to host {host!r} (vif_type {port.vif_type})"
    after = f", also after {waited:g} s ([neutron] agent_alive_timeout)" if waited else ""
    if agents is None:
        return (
            f"{head}{after}: is an agent alive on a host of exactly this name ([DEFAULT] host), and the network's "
            "physical network mapped there? Agents are shown to the role admin only: 'openstack network agent list'"
        )
    if not agents:
        return (
            f"{head}: Neutron knows no agent or chassis on a host of this name; compare [DEFAULT] host with "
            "'openstack network agent list'"
        )
    asked = binding_agents(port.vnic_type, agents)
    alive = [agent for agent in asked if agent.alive]
    names = ", ".join(sorted({agent.agent_type for agent in alive or asked}))
    if alive:
        return f"{head}: {names} is alive; is the network's physical network mapped on this host?"
    return f"{head}: {names} on this host is not alive{after}"


def unknown_host(host: str, agents: Sequence[Agent]) -> str:
    """One line where none of the cloud's ``agents`` is on this host; "" where one is, or none is shown."""
    hosts = sorted({agent.host for agent in agents})
    if not hosts or host in hosts:
        return ""
    similar = difflib.get_close_matches(host, hosts, SHOWN_HOSTS, 0.3)
    shown = similar or hosts[:SHOWN_HOSTS]
    return (
        f"Neutron knows no agent or chassis on host {host!r}, so no container gets a port here: set [DEFAULT] host to "
        f"the name that 'openstack network agent list' shows for this machine; {_known(len(hosts))} known, such as "
        f"{', '.join(shown)}"
    )


def is_settled(status: str) -> bool:
    """Whether waiting longer cannot change this status."""
    return status in {ACTIVE, GONE}


def left_down(ports: Sequence[Port]) -> str:
    """One line where Neutron's agent has not taken up ports of containers that have been connected for long; else "".

    Of what is in Open vSwitch alone it is known that an agent reports it. One that stops later leaves what it has done.
    """
    down = [port.id for port in ports if port.status == DOWN and port.admin_state_up and port.vif_type == "ovs"]
    if not down:
        return ""
    more = f" and {len(down) - SHOWN_PORTS} more" if len(down) > SHOWN_PORTS else ""
    return (
        f"Neutron still has port {', '.join(sorted(down)[:SHOWN_PORTS])}{more} DOWN, {LATE:.0f} s after a container "
        "got it and Open vSwitch connected it, so it may have no network: look whether Neutron's agent of this host "
        "(ovn-controller, or neutron-openvswitch-agent) is at work"
    )


def why_inactive(port: Port, status: str, seconds: float, host: str, agents: Sequence[Agent] | None) -> str:
    """One line on a port that was not reported as up in time. ``agents``: those of this host; ``None``: not known."""
    if status == GONE:
        return f"port {port.id} was deleted while it was plugged"
    head = (
        f"port {port.id} is {status}, not ACTIVE, {seconds:.0f} s after it was plugged ([neutron] vif_plugging_timeout)"
    )
    if agents is None:
        also = f", and {_DHCP_AGENT}" if _waits_for_dhcp(port) else ""
        return (
            f"{head}; is an agent alive on host {host!r}{also}? Agents are shown to the role admin only: "
            "'openstack network agent list'"
        )
    if not agents:
        return (
            f"{head}; Neutron knows no agent or chassis on a host named {host!r}; compare [DEFAULT] host with "
            "'openstack network agent list'"
        )
    states = {agent.agent_type: "alive" if agent.alive else "not alive" for agent in agents}
    shown = ", ".join(f"{kind} is {state}" for kind, state in sorted(states.items()))
    told = f"{head}; on host {host!r}, as far as Neutron knows, {shown}"
    return f"{told}; is {_DHCP_AGENT} alive?" if _waits_for_dhcp(port) and all(a.alive for a in agents) else told


def _waits_for_dhcp(port: Port) -> bool:
    """Neutron may wait for the DHCP agent of the port's network as well, on whatever host that runs; with OVN there is
    none.
    """
    return OVN not in bound_drivers(port)


def _known(number: int) -> str:
    return "1 host is" if number == 1 else f"{number} hosts are"
