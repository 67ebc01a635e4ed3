# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the PFs of this host have counted for their VFs, and which container has each."""

from __future__ import annotations

import logging

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.sriov import PciFunctions, VfStatistics
from kuryr_libnetwork.model.overview import VfReport, VfTraffic
from kuryr_libnetwork.model.sriov import PhysicalFunction
from kuryr_libnetwork.rules import vf_traffic as rules
from kuryr_libnetwork.services.background.findings import Findings

LOG = logging.getLogger(__name__)


class TrafficOfVfs:
    def __init__(self, pci: PciFunctions, statistics: VfStatistics, journal: Journal, findings: Findings) -> None:
        self._pci = pci
        self._statistics = statistics
        self._journal = journal
        self._findings = findings

    def report(self) -> VfReport:
        """One question to the kernel for each PF that has VFs. A PF that does not answer is left out."""
        journal = self._journal
        try:
            pfs = self._pci.physical_functions()
        except KuryrError as error:
            LOG.debug("no counters of VFs: %s", error)
            pfs = []
        uses = rules.use_rows(
            pfs,
            journal.devices.all(),
            journal.endpoints.all(),
            {each.docker_id: each.neutron_id for each in journal.networks.all()},
            self._findings.containers(),
        )
        traffic = [row for pf in pfs if pf.num_vfs and pf.netdevs for row in self._of(pf)]
        return VfReport(uses=tuple(uses), traffic=tuple(traffic))

    def _of(self, pf: PhysicalFunction) -> list[VfTraffic]:
        try:
            counted = self._statistics.read(pf.netdevs[0])
            return rules.traffic_rows(pf, self._pci.virtual_functions(pf.pci_address), counted)
        except KuryrError as error:
            LOG.debug("no counters of the VFs of %s: %s", pf.netdevs[0], error)
            return []
