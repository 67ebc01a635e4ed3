# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What SR-IOV ports need of this host: PCI functions, what the PF enforces for its VFs, and their network devices.

As everywhere in :mod:`kuryr_libnetwork.interfaces`, many threads may call at once, and the errors are our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.model.sriov import (
    DeviceUse,
    LinkAttributes,
    NetdevState,
    PhysicalFunction,
    VfCounters,
    VfSettings,
    VirtualFunction,
)


class PciFunctions(Protocol):
    """PFs and VFs in sysfs. Addresses are lower case with domain."""

    def physical_functions(self) -> list[PhysicalFunction]:
        """All network PFs that can have VFs (``sriov_totalvfs`` > 0), by address."""
        ...

    def virtual_functions(self, pf_address: str) -> list[VirtualFunction]:
        """The VFs of a PF, by index."""
        ...

    def virtual_function(self, pci_address: str) -> VirtualFunction | None:
        """``None`` if it does not exist or is not a VF."""
        ...

    def physical_function(self, pci_address: str) -> PhysicalFunction | None: ...

    def unbind(self, vf_address: str) -> None:
        """Unbind the VF from its driver, which removes its network device wherever it is; refuses all but VFs."""
        ...

    def bind(self, vf_address: str, driver: str, timeout: float) -> str:
        """Bind the VF to a driver and wait for its network device; answers its name, "" with a user-space driver."""
        ...

    def set_num_vfs(self, pf_address: str, count: int) -> None:
        """Create ``count`` VFs, after removing all (the kernel demands it). The caller ensures that none is in use."""
        ...


class VfControl(Protocol):
    """Settings of VFs at their PF (rtnetlink; the PF's device must be in our network namespace)."""

    def read(self, pf_netdev: str, index: int) -> VfSettings: ...

    def apply(self, pf_netdev: str, index: int, wanted: VfSettings) -> VfSettings:
        """Set what differs, one attribute per message; answers the settings as read back afterwards.

        Order: VLAN, MAC, trust, spoofchk, rates, link state. What the driver does not support (EOPNOTSUPP) is skipped
        only if the wanted value is the default (spoofchk and trust off, link state auto, no rate). On an error what was
        set is reverted, and :class:`~kuryr_libnetwork.errors.LinkError` names attribute, value and reason.
        """
        ...


class VfStatistics(Protocol):
    """What PFs count for their VFs (rtnetlink; the PF's device must be in our network namespace)."""

    def read(self, pf_netdev: str) -> dict[int, VfCounters]:
        """The counters by the number of the VF. Drivers that count nothing for VFs report zeros."""
        ...


class Netdevs(Protocol):
    """Network devices, in our namespace or that of a container. A ``sandbox`` is the path of a network namespace."""

    def state(self, name: str) -> NetdevState | None: ...

    def in_use(self, name: str) -> str:
        """Why a device must not be touched ("up", "has address …", "is in bridge …", "carries a default
        route"), or "".
        """
        ...

    def uses(self, names: Iterable[str]) -> dict[str, DeviceUse]:
        """The same for many devices in one query; a device that does not exist is left out."""
        ...

    def carries_default_route(self, names: Iterable[str]) -> bool: ...

    def configure(
        self,
        name: str,
        *,
        new_name: str = "",
        mac: str = "",
        mtu: int = 0,
        host_ip: HostIp | None = None,
        attributes: LinkAttributes | None = None,
        up: bool = False,
        patient: bool = True,
    ) -> None:
        """Set down, then set name, attributes, MAC (read back), MTU and the host's IP on it; then set up, if asked.

        An alternative name that another device has by now is skipped.
        ``patient``: a refused MAC is tried again for two seconds, for drivers that ask the PF first.
        """
        ...

    def set_up(self, name: str) -> None:
        """Set a PF up for its VFs, without giving the host an IP there."""
        ...

    def wait_carrier(self, name: str, timeout: float) -> bool: ...

    def fetch_from_sandbox(self, pci_address: str, sandboxes: Sequence[str], name: str) -> bool:
        """Find the device of a PCI function in one of the sandboxes, set it down, and move it here under ``name``
        alone.

        ``False`` when it is in none of them. By ``IFLA_PARENT_DEV_NAME`` (kernel 5.14), never by its name.
        """
        ...

    def create_macvtap(self, parent: str, name: str, mtu: int, alias: str) -> None:
        """A macvtap in passthru mode on a VF; it takes the VF's MAC. The VF must be up. The host has no IP on it."""
        ...

    def create_vlan(self, parent: str, name: str, vlan: int, mtu: int, alias: str) -> None: ...

    def delete(self, name: str) -> bool: ...

    def announce(self, sandbox: str, mac: str, addresses: Iterable[str]) -> bool:
        """Send gratuitous ARP and unsolicited neighbour advertisements from inside a container.

        They leave through the device with that MAC; ``False`` if there is none, or it has no carrier yet.
        """
        ...
