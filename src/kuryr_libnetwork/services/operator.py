# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the operators' commands ask of the running service, because it alone writes the journal and changes leased
devices.
"""

from __future__ import annotations

from kuryr_libnetwork.errors import Conflict, DeviceError, UnknownObject
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.protocol.messages import Empty, ReleaseDeviceRequest
from kuryr_libnetwork.rules.devices import release_refusal
from kuryr_libnetwork.rules.pci import required_pci
from kuryr_libnetwork.services.state.locks import KeyedLocks


class Operator:
    """``Kuryr.*``."""

    def __init__(self, journal: Journal, drivers: Drivers, locks: KeyedLocks) -> None:
        self._journal = journal
        self._drivers = drivers
        self._locks = locks

    def release_device(self, request: ReleaseDeviceRequest) -> Empty:
        """Give back a device that no container uses, or retry one in quarantine. Raises with what is still wrong."""
        address = required_pci("PCI", request.pci_address)
        lease = self._journal.devices.get(address)
        if lease is None:
            raise UnknownObject(f"there is no lease of {address}")
        with self._locks.hold("port", lease.port_id):
            lease = self._journal.devices.get(address)
            reason = release_refusal(lease, self._journal.endpoints.all())
            if reason:
                raise Conflict(f"{address} is not released: {reason}")
            for driver in self._drivers.all():
                for plug in driver.strays():
                    if plug.pci_address == address:
                        driver.unplug(plug)
            left = self._journal.devices.get(address)
        if left is not None:
            raise DeviceError(f"{address} stays in quarantine: {left.reason}")
        return Empty()
