# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a plugged port is up, and what to say when it does not come up (``[neutron] vif_plugging_is_fatal``)."""

from __future__ import annotations

from collections.abc import Sequence

from kuryr_libnetwork.model import Agent

ACTIVE = "ACTIVE"
GONE = "gone"
"""Instead of a status: somebody has deleted the port."""


def is_settled(status: str) -> bool:
    """Whether there is nothing more to wait for."""
    return status in {ACTIVE, GONE}


def why_inactive(port_id: str, status: str, seconds: float, host: str, agents: Sequence[Agent] | None) -> str:
    """One line on a port that was not reported as up in time. ``agents``: those of this host; ``None``: not known."""
    if status == GONE:
        return f"port {port_id} was deleted while it was plugged"
    head = (
        f"port {port_id} is {status}, not ACTIVE, {seconds:.0f} s after it was plugged ([neutron] vif_plugging_timeout)"
    )
    if agents is None:
        return f"{head}; Neutron does not list the agents of host {host!r}"
    if not agents:
        return (
            f"{head}; Neutron knows no agent or chassis on a host named {host!r}; compare [DEFAULT] host with "
            "'openstack network agent list'"
        )
    states = {agent.agent_type: "alive" if agent.alive else "not alive" for agent in agents}
    shown = ", ".join(f"{kind} is {state}" for kind, state in sorted(states.items()))
    return f"{head}; on host {host!r}, as far as Neutron knows, {shown}"
