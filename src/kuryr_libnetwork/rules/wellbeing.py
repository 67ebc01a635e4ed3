# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the service lives, and whether it can connect containers now.

Live: nothing in it hangs; what hangs is mended by a new process, and by nothing else. Ready: all that a container needs
is there. A service that is not ready is left alone, and its operator is told what is missing, most urgent first.
"""

from __future__ import annotations

from collections.abc import Sequence

from kuryr_libnetwork.model.neutron import Agent
from kuryr_libnetwork.model.observed import NEUTRON, OVS
from kuryr_libnetwork.model.overview import Contact, Wellbeing
from kuryr_libnetwork.model.value import Value

AGENTS = (
    "OVN Controller agent",
    "OVN Controller Gateway agent",
    "Open vSwitch agent",
    "Linux bridge agent",
    "NIC Switch agent",
)
"""Those without which Neutron binds no port to a host."""
_NAMES = {NEUTRON: "Neutron", OVS: "Open vSwitch"}


class Facts(Value, frozen=True):
    """``hangs``: what does not move, in words. ``serving``: Docker's calls are taken. ``journal``: why it cannot be
    written, "" if it can. ``contacts``: by party. ``agents``: of this host in Neutron, ``None``: not known.
    ``silence``: seconds for which nobody may have asked Neutron, 0: any time.
    """

    host: str
    hangs: tuple[str, ...] = ()
    serving: bool = True
    journal: str = ""
    contacts: dict[str, Contact] = {}
    agents: tuple[Agent, ...] | None = None
    silence: float = 0.0


def judge(facts: Facts) -> Wellbeing:
    reasons = [*facts.hangs, *_missing(facts)]
    return Wellbeing(live=not facts.hangs, ready=not reasons, reasons=tuple(reasons))


def _missing(facts: Facts) -> list[str]:
    reasons = [] if facts.serving else ["Docker's calls are not taken"]
    if facts.journal:
        reasons.append(facts.journal)
    reasons += _of_neutron(facts)
    if (contact := facts.contacts.get(OVS)) is not None and contact.is_lost:
        reasons.append(_lost(OVS, contact))
    return reasons + _of_agents(facts.host, facts.agents)


def _of_neutron(facts: Facts) -> list[str]:
    contact = facts.contacts.get(NEUTRON, Contact())
    if contact.is_lost:
        return [_lost(NEUTRON, contact)]
    if contact.answered is None:
        return ["Neutron has not answered yet"]
    if facts.silence and contact.answered > facts.silence:
        return [f"Neutron has not answered for {contact.answered:.0f} s"]
    return []


def _lost(party: str, contact: Contact) -> str:
    since = "since the start" if contact.answered is None else f"for {contact.answered:.0f} s"
    return f"{_NAMES[party]} has not answered {since}: {contact.error}"


def _of_agents(host: str, agents: Sequence[Agent] | None) -> list[str]:
    if agents is None:
        return []
    if not agents:
        return [f"Neutron knows no agent on host {host!r}; compare [DEFAULT] host with 'openstack network agent list'"]
    asked = [agent for agent in agents if agent.agent_type in AGENTS]
    dead = sorted({agent.agent_type for agent in asked if not agent.alive})
    return [f"{', '.join(dead)} of host {host!r} is not alive, says Neutron"] if dead else []
