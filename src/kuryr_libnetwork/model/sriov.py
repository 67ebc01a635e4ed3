# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Value types of SR-IOV: physical functions (PF), virtual functions (VF), what can be set on them, and their leases.

A function is identified by its PCI address, never by the name of its network device: names change, and a device that
comes back from a dead container still has its name from there. Addresses are lower case with domain (``0000:01:10.4``).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.model.value import Value

LinkState = Literal["auto", "enable", "disable"]
USER_SPACE_DRIVERS = frozenset({"vfio-pci", "uio_pci_generic", "igb_uio"})
"""Drivers that give a function to a program (DPDK) or a virtual machine; it then has no network device."""


REFUSES_FOR_GOOD = frozenset({"igbvf", "ixgbevf"})
"""VF drivers that refuse every MAC but the one they were bound with: only a rebind can change it.

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
"""The VF driver for each PF driver that has a separate one; most drivers serve both."""


def in_user_space(driver: str) -> bool:
    return driver in USER_SPACE_DRIVERS


DIRECT, MACVTAP = "direct", "macvtap"
"""``vnic_type`` of ports that have a VF."""


class PhysicalFunction(Value, frozen=True):
    """A PF as sysfs shows it. ``netdevs``: its own devices in our network namespace, the first port's first;
    ``netdev_elsewhere``: it has one in another namespace. ``representors``: its VFs' representors (switchdev mode).

    ``total_vfs``: how many VFs it supports; ``num_vfs``: how many it has. ``numa_node`` is -1 if there is none.
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

    Empty ``netdevs``: with ``netdev_elsewhere`` the device is in a container, without it has no network driver.
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


class VfCounters(Value, frozen=True):
    """What the PF's driver has counted for a VF since it was created (rtnetlink, ``IFLA_VF_STATS``)."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


class LinkAttributes(Value, frozen=True):
    """What rtnetlink can set on a network device besides name, MAC, MTU and IP. ``None``: the kernel does not know it.

    ``flags``: those that a user can set, except UP. ``xdp``: whether a program is attached.
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
    """The state of a VF's or PF's network device: name, effective MAC, MTU, whether it is up, the host's IP on it.

    ``host_ip`` and ``attributes`` are ``None`` in records of older journals.
    """

    name: str
    mac: str
    mtu: int
    up: bool
    host_ip: HostIp | None = None
    attributes: LinkAttributes | None = None

    def is_again(self, found: NetdevState | None) -> bool:
        """Whether ``found`` equals this state as far as known. Ignores alternative names, which udev may change."""
        return found is not None and self._comparable(self) == self._comparable(found)

    def _comparable(self, state: NetdevState) -> NetdevState:
        known = state.attributes if self.attributes is not None else None
        return msgspec.structs.replace(
            state,
            host_ip=state.host_ip if self.host_ip is not None else None,
            attributes=known and msgspec.structs.replace(known, altnames=()),
        )


class DeviceUse(Value, frozen=True):
    """Why a network device must not be touched ("" if it may be), and whether it carries a default route."""

    reason: str = ""
    default_route: bool = False


LeaseState = Literal["taking", "leased", "returning", "quarantined"]


class DeviceLease(Value, frozen=True):
    """A VF or PF in use for a container (key: ``pci_address``), with all that is needed to give it back.

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
    """What a container's device must be, by the port's profile or by options (``kuryr.pf``, ``kuryr.pci_slot`` …)."""

    vnic_type: str
    physical_network: str
    pci_slot: str = ""
    pf_name: str = ""
    numa_node: int | None = None


class Candidate(Value, frozen=True):
    """A VF that might be given out, with the reasons against it (empty: none)."""

    vf: VirtualFunction
    pf: PhysicalFunction
    held_by: str = ""
    reasons: tuple[str, ...] = ()


def unchanged(found: VfSettings, wanted: VfSettings) -> bool:
    """Whether the settings read back are the wanted ones; attributes that the driver does not know are ignored."""
    pairs = zip(msgspec.structs.astuple(found), msgspec.structs.astuple(wanted), strict=True)
    return all(left == right for left, right in pairs if left is not None and right is not None)
