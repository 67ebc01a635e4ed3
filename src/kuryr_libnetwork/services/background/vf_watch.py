# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Reapplies the settings of ports that no Neutron agent sees, whenever they change.

Neutron's SR-IOV agent does not see a VF inside a container (docs/notes/sriov.md, "What Neutron's agent cannot see"), so
the port driver enforces port security, trust, link state and rates as long as the port is in use. Neutron calls per
round: 1 for all ports of the host, 1 more if any of them has a QoS policy; none if no such driver is enabled.
"""

from __future__ import annotations

from functools import partial

from kuryr_libnetwork.interfaces.drivers import Drivers, Enforcer, Stocked
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.services.background.findings import Findings
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.locks import KeyedLocks


class VfWatch:
    def __init__(
        self,
        neutron: Neutron,
        drivers: Drivers,
        locks: KeyedLocks,
        attempts: Attempts,
        findings: Findings,
        host: str,
    ) -> None:
        self._findings = findings
        self._neutron = neutron
        self._drivers = drivers
        self._locks = locks
        self._attempts = attempts
        self._host = host

    def round(self) -> None:
        enforcers = [driver for driver in self._drivers.all() if isinstance(driver, Enforcer)]
        if not enforcers:
            return
        ports = self._neutron.find_ports(**{"binding:host_id": self._host})
        for driver in enforcers:
            if not self._attempts.run("look at the ports of this host", partial(driver.note_ports, ports)):
                continue
            for port in ports:
                if port.vnic_type in driver.vnic_types:
                    self._attempts.run(f"enforce all that port {port.id} says", partial(self._refresh, driver, port.id))

        self._attempts.run("count the free VFs of this host", self._count)

    def _count(self) -> None:
        stocks = [driver.free_devices() for driver in self._drivers.all() if isinstance(driver, Stocked)]
        self._findings.note_free_devices({network: count for stock in stocks for network, count in stock.items()})

    def _refresh(self, driver: Enforcer, port_id: str) -> None:
        """Reapply one port's settings. Each port is an attempt of its own: one that fails does not stop the others."""
        with self._locks.hold("port", port_id):
            driver.reapply(port_id)
