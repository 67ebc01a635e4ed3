# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How much of its Neutron quota the service's project has left, and how many addresses the subnets have: without either
no container starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from kuryr_libnetwork.errors import NeutronForbidden, NeutronNotFound
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.services.background.findings import Findings

LOG = logging.getLogger(__name__)
PERIOD = 300.0
"""Seconds between two looks, and before the first: the start is not delayed by one."""


class QuotaWatch:
    """``networks``: the Neutron networks that Docker has; ``clock``: monotonic seconds."""

    def __init__(
        self,
        neutron: Neutron,
        findings: Findings,
        networks: Callable[[], Iterable[str]],
        clock: Callable[[], float],
    ) -> None:
        self._neutron = neutron
        self._findings = findings
        self._networks = networks
        self._clock = clock
        self._looked = clock()
        self._shows_addresses = True

    def round(self) -> None:
        """Two Neutron calls in each :data:`PERIOD`; one where there are no projects, or addresses are not shown."""
        if self._clock() - self._looked < PERIOD:
            return
        self._looked = self._clock()
        project = self._neutron.project_id()
        found = self._neutron.quota(project) if project else {}
        self._findings.note_quota({kind: quota.free for kind, quota in found.items() if quota.free is not None})
        if self._shows_addresses:
            self._look_at_addresses()

    def _look_at_addresses(self) -> None:
        try:
            self._findings.note_addresses(self._neutron.free_addresses(self._networks()))
        except (NeutronForbidden, NeutronNotFound):
            self._shows_addresses = False
            self._findings.note_addresses(())
            LOG.info("free addresses are not counted: Neutron shows them to other roles only (network-ip-availability)")
