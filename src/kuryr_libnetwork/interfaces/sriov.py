# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What SR-IOV ports need of this host: PCI functions, what the PF enforces for its VFs, and their network devices.

Like :mod:`kuryr_libnetwork.interfaces`: many threads at once, errors of :mod:`kuryr_libnetwork.errors`.
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
        """``None`` for what does not exist or is no VF."""
        ...

    def physical_function(self, pci_address: str) -> PhysicalFunction | None: ...

    def unbind(self, vf_address: str) -> None:
        """Take the VF from its driver; refuses everything that is no VF. Its network device goes, wherever it is."""
        ...

    def bind(self, vf_address: str, driver: str, timeout: float) -> str:
        """Give the VF to a driver and wait for its network device; answers its name, "" with a driver for user
        space.
        """
        ...

    def set_num_vfs(self, pf_address: str, count: int) -> None:
        """Create ``count`` VFs (through 0, as the kernel demands). The caller knows that none is in use."""
        ...


class VfControl(Protocol):
    """Settings of VFs at their PF (rtnetlink; the PF's device must be in our network namespace)."""

    def read(self, pf_netdev: str, index: int) -> VfSettings: ...

    def apply(self, pf_netdev: str, index: int, wanted: VfSettings) -> VfSettings:
        """Set what differs, one attribute per message, and read it back; answers what was found then.

        Order: VLAN, MAC, trust, spoofchk, rates, link state. What the driver does not know (EOPNOTSUPP) is skipped only
        where the wanted value is the default (spoofchk and trust off, link state auto, no rate). On an error what was
        set is put back, and :class:`~kuryr_libnetwork.errors.LinkError` names attribute, value and reason.
        """
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
        """The same for many at one look; a device that is not there is not in the answer."""
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
        """Set down, then rename, attributes, MAC (read back), MTU, the host's own IP on it; then up, if asked.

        An alternative name that is somebody else's by now is left to him.
        ``patient``: a MAC that is refused is tried again for two seconds, for drivers that ask the PF first.
        """
        ...

    def set_up(self, name: str) -> None:
        """Set a PF up for its VFs, which is no reason for the host to be on its network."""
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
        """Gratuitous ARP and unsolicited neighbour advertisements from inside a container.

        By the device with that MAC; ``False`` while there is none, or it has no carrier yet and they would be lost.
        """
        ...
