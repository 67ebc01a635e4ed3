# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``macvtap``: the VF stays on the host, and a macvtap in passthru mode on it moves into the container.

The macvtap disappears with the container's namespace; the VF cannot get lost. ``/dev/tapN`` is not passed on.
"""

from __future__ import annotations

from collections.abc import Sequence

from kuryr_libnetwork.binding.hw_veb import VfBinding
from kuryr_libnetwork.errors import DeviceError
from kuryr_libnetwork.interfaces.sriov import Netdevs
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.rules import names


class MacvtapBinding:
    name = "macvtap"

    def __init__(self, netdevs: Netdevs, function: VfBinding) -> None:
        self._netdevs = netdevs
        self._function = function

    def hand_over(self, lease: DeviceLease, mtu: int) -> None:
        """Set the VF up with the port's MAC, under its own name, and put the macvtap on it."""
        if lease.original_netdev is None:
            raise DeviceError(f"VF {lease.pci_address} has no network device on this host for a macvtap")
        parent = lease.original_netdev.name
        self._function.hand_over(lease, mtu, parent)
        self._netdevs.delete(lease.temporary_name)
        self._netdevs.create_macvtap(parent, lease.temporary_name, mtu, names.alias(lease.port_id))

    def give_back(self, lease: DeviceLease, sandboxes: Sequence[str]) -> str:
        self._netdevs.delete(lease.temporary_name)
        return self._function.give_back(lease, sandboxes)
