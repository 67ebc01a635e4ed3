# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Neutron's agents of this host are alive: without them Neutron binds no port here."""

from __future__ import annotations

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.services.background.findings import Findings


class AgentWatch:
    def __init__(self, neutron: Neutron, findings: Findings, host: str) -> None:
        self._neutron = neutron
        self._findings = findings
        self._host = host
        self._shows_agents = False

    def round(self) -> None:
        """One Neutron call; until it has shown an agent, two. None for a user to whom Neutron shows no agents."""
        account = self._neutron.account()
        shown = account is None or account.is_admin
        here = self._neutron.find_agents(host=self._host) if shown else []
        if shown and not self._shows_agents:  # no agent may also mean that this user is shown none at all
            self._shows_agents = bool(here) or bool(self._neutron.find_agents())
        self._findings.note_agents(here if shown and self._shows_agents else None)
