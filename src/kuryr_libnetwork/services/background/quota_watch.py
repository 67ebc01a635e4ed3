# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How much of its Neutron quota the service's project has left: when it is used up, no container starts."""

from __future__ import annotations

from collections.abc import Callable

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.services.background.findings import Findings

PERIOD = 300.0
"""Seconds between two looks, and before the first: the start is not delayed by one."""


class QuotaWatch:
    """``clock``: monotonic seconds."""

    def __init__(self, neutron: Neutron, findings: Findings, clock: Callable[[], float]) -> None:
        self._neutron = neutron
        self._findings = findings
        self._clock = clock
        self._looked = clock()

    def round(self) -> None:
        """One Neutron call in each :data:`PERIOD`; none in a cloud without projects."""
        if self._clock() - self._looked < PERIOD:
            return
        self._looked = self._clock()
        project = self._neutron.project_id()
        found = self._neutron.quota(project) if project else {}
        self._findings.note_quota({kind: quota.free for kind, quota in found.items() if quota.free is not None})
