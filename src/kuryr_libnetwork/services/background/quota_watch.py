# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How much of its quota in Neutron the service's project has left: without it no container starts."""

from __future__ import annotations

from collections.abc import Callable

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.services.background.findings import Findings

PERIOD = 300.0
"""Seconds between two looks; the first one comes after as many, for a start has better to do."""


class QuotaWatch:
    """``clock``: seconds, of a clock that is never set."""

    def __init__(self, neutron: Neutron, findings: Findings, clock: Callable[[], float]) -> None:
        self._neutron = neutron
        self._findings = findings
        self._clock = clock
        self._looked = clock()

    def round(self) -> None:
        """One Neutron call, each :data:`PERIOD`; none in a cloud without projects."""
        if self._clock() - self._looked < PERIOD:
            return
        self._looked = self._clock()
        project = self._neutron.project_id()
        found = self._neutron.quota(project) if project else {}
        self._findings.note_quota({kind: quota.free for kind, quota in found.items() if quota.free is not None})
