# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Value types of SR-IOV: physical functions (PF), virtual functions (VF), what can be set on them, and their leases.

A function is known by its PCI address, never by the name of its network device: names change, and a device that comes
back from a dead container has the container's. Addresses are lower case with domain (``0000:01:10.4``).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.model.value import Value

LinkState = Literal["auto", "enable", "disable"]
USER_SPACE_DRIVERS = frozenset({"vfio-pci", "uio_pci_generic", "igb_uio"})
"""They give a function to a program (DPDK), or to a virtual machine: it has no network device then."""


REFUSES_FOR_GOOD = frozenset({"igbvf", "ixgbevf"})
"""Drivers of VFs that refuse, at once, every MAC but the one they were bound with: only a rebind helps.

Source: docs/notes/sriov.md, "Drivers that refuse".
"""


VF_DRIVERS = {
    "igb": "igbvf",
    "ixgbe": "ixgbevf",
    "i40e": "iavf",
    "ice": "iavf",
    "cxgb4": "cxgb4vf",
    "rvu_nicpf": "rvu_nicvf",
    "nicpf": "nicvf",
    "liquidio": "liquidio_vf",
    "octeon_ep": "octeon_ep_vf",
}
"""The driver of VFs for that of their PF, where they are two; most others have one for both."""


def in_user_space(driver: str) -> bool:
    return driver in USER_SPACE_DRIVERS


class PhysicalFunction(Value, frozen=True):
    """A PF as sysfs shows it. ``netdevs``: its own devices in our network namespace, the first port's before others;
    ``netdev_elsewhere``: it has one in another. ``representors``: devices that stand for its VFs, in switchdev mode
    only.

    ``total_vfs``: what the device can have; ``num_vfs``: what it has. ``numa_node`` is -1 where there is none.
    """

    pci_address: str
    vendor_id: str
    device_id: str
    driver: str
    netdevs: tuple[str, ...]
    total_vfs: int
    num_vfs: int
    numa_node: int = -1
    netdev_elsewhere: bool = False
    representors: tuple[str, ...] = ()


class VirtualFunction(Value, frozen=True):
    """A VF as sysfs shows it. ``index`` is its number at the PF (netlink's ``vf``).

    ``netdevs`` empty with ``netdev_elsewhere``: the device is in a container; without: it has no network driver.
    """

    pci_address: str
    pf_address: str
    index: int
    vendor_id: str
    device_id: str
    driver: str
    netdevs: tuple[str, ...]
    numa_node: int = -1
    netdev_elsewhere: bool = False

    @property
    def pci_vendor_info(self) -> str:
        """As Neutron's ``binding:profile`` spells it: ``8086:10ca``."""
        return f"{self.vendor_id}:{self.device_id}"


class VfSettings(Value, frozen=True):
    """What the PF's driver enforces for a VF (rtnetlink, ``IFLA_VFINFO_LIST``).

    ``mac`` is the administrative MAC. Rates in Mbit/s, 0: no limit. ``None``: the driver does not know the attribute.
    """

    mac: str
    vlan: int = 0
    qos: int = 0
    spoofchk: bool | None = None
    trust: bool | None = None
    link_state: LinkState | None = None
    min_tx_rate: int | None = None
    max_tx_rate: int | None = None


class LinkAttributes(Value, frozen=True):
    """What rtnetlink sets on a network device besides its name, MAC, MTU and IP. ``None``: the kernel does not know it.

    ``flags``: those that a user sets, but not UP. ``xdp``: whether a program is attached.
    """

    flags: int
    tx_queue_length: int | None = None
    alias: str = ""
    group: int | None = None
    broadcast: str | None = None
    link_mode: int | None = None
    gso_max_size: int | None = None
    gso_max_segs: int | None = None
    gro_max_size: int | None = None
    xdp: bool = False
    altnames: tuple[str, ...] = ()


class NetdevState(Value, frozen=True):
    """A VF's or PF's network device as it was: name, effective MAC, MTU, whether it was up, the host's own IP on it.

    ``host_ip`` and ``attributes`` are ``None`` in journals that do not know them.
    """

    name: str
    mac: str
    mtu: int
    up: bool
    host_ip: HostIp | None = None
    attributes: LinkAttributes | None = None

    def is_again(self, found: NetdevState | None) -> bool:
        """Whether the device is as it was, as far as that is known. Alternative names are udev's, at any time."""
        return found is not None and self._comparable(self) == self._comparable(found)

    def _comparable(self, state: NetdevState) -> NetdevState:
        known = state.attributes if self.attributes is not None else None
        return msgspec.structs.replace(
            state,
            host_ip=state.host_ip if self.host_ip is not None else None,
            attributes=known and msgspec.structs.replace(known, altnames=()),
        )


class DeviceUse(Value, frozen=True):
    """Why a network device must not be touched ("": nothing speaks against it), and whether a default route is
    on it.
    """

    reason: str = ""
    default_route: bool = False


LeaseState = Literal["taking", "leased", "returning", "quarantined"]


class DeviceLease(Value, frozen=True):
    """A VF or PF in use for a container (key: ``pci_address``), with all that is needed to put it back.

    ``taking``: intent written, changes may have begun. ``returning``: to be restored, may be in any namespace under any
    name. ``quarantined``: could not be verified clean; ``reason`` says why; not given out again. ``original_settings``
    is ``None`` for a whole PF. ``used``: a container may have had the device. ``generation`` tells a late release from
    the present lease. ``driver``: the one it had when it was taken. ``may_be_trusted``: what ``device_spec`` said of it
    then; ``None``: nothing. ``rebuilt``: of a device found set up for a port
    after the journal was lost, whose original state nobody knows.
    """

    pci_address: str
    pf_address: str
    index: int
    port_id: str
    vnic_type: str
    state: LeaseState
    generation: str
    driver: str = ""
    rebuilt: bool = False
    used: bool = False
    physical_network: str = ""
    may_be_trusted: bool | None = None
    endpoint_id: str = ""
    temporary_name: str = ""
    original_netdev: NetdevState | None = None
    original_settings: VfSettings | None = None
    wanted: VfSettings | None = None
    sandbox_key: str = ""
    reason: str = ""
    created_at: float = 0.0


class DeviceRequest(Value, frozen=True):
    """What a container's device must be: from the port's profile, or from options (``kuryr.pf``,
    ``kuryr.pci_slot`` …).
    """

    vnic_type: str
    physical_network: str
    pci_slot: str = ""
    pf_name: str = ""
    numa_node: int | None = None


class Candidate(Value, frozen=True):
    """A VF that might be given out, with what speaks against it (empty: nothing)."""

    vf: VirtualFunction
    pf: PhysicalFunction
    held_by: str = ""
    reasons: tuple[str, ...] = ()


def unchanged(found: VfSettings, wanted: VfSettings) -> bool:
    """Whether what was read back is what was asked for; attributes that the driver does not know are left out."""
    pairs = zip(msgspec.structs.astuple(found), msgspec.structs.astuple(wanted), strict=True)
    return all(left == right for left, right in pairs if left is not None and right is not None)
