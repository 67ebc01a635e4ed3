# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's agent for ports that no agent sees: what a port says is enforced again when it has changed.

Neutron's SR-IOV agent is blind to a VF inside a container (sriov §0.1), so its driver enforces port security, trust, link
state and rates, and goes on doing so. Neutron calls per round: 1 for all ports of the host, 1 more where any of them has a
QoS policy; none where no such driver is enabled.
"""

from __future__ import annotations

import logging

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.interfaces import Drivers, Enforcer, Neutron
from kuryr_libnetwork.services.locks import KeyedLocks

LOG = logging.getLogger(__name__)


class PortWatch:
    def __init__(self, neutron: Neutron, drivers: Drivers, locks: KeyedLocks, host: str) -> None:
        self._neutron = neutron
        self._drivers = drivers
        self._locks = locks
        self._host = host
        self._told: dict[str, str] = {}

    def round(self) -> None:
        enforcers = [driver for driver in self._drivers.all() if isinstance(driver, Enforcer)]
        if not enforcers:
            return
        ports = self._neutron.find_ports(**{"binding:host_id": self._host})
        for driver in enforcers:
            driver.observe(ports)
            for port in ports:
                if port.vnic_type in driver.vnic_types:
                    self._tell(port.id, self._refresh(driver, port.id))

    def _refresh(self, driver: Enforcer, port_id: str) -> str:
        """What is wrong: one port that cannot be set up is no reason to leave the others."""
        try:
            with self._locks.hold("port", port_id):
                driver.refresh(port_id)
        except KuryrError as error:
            return str(error)
        return ""

    def _tell(self, port_id: str, wrong: str) -> None:
        """Once, not in every round."""
        if wrong and self._told.get(port_id) != wrong:
            LOG.warning("not everything that port %s says is enforced: %s", port_id, wrong)
        self._told = {key: text for key, text in self._told.items() if key != port_id} | (
            {port_id: wrong} if wrong else {}
        )
