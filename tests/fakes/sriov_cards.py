# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Shared by the SR-IOV fakes: functions, network devices, and the containers that have them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.model.sriov import LinkAttributes, VfSettings
from tests.fakes.host import NAME_LENGTH, NEW
from tests.fakes.sriov_profiles import Profile

HOME = ""
ZERO = "00:00:00:00:00:00"
FIRST_VF, VF_STRIDE = 128, 2
NEW_LINK = LinkAttributes(flags=0x1000, tx_queue_length=1000, group=0, broadcast="ff:ff:ff:ff:ff:ff", link_mode=0)
AS_MADE = "on"


@dataclass
class Device:
    """A network device. ``sandbox``: the namespace it is in. ``used``: what ``in_use`` says of it beyond "is up".

    ``host_ip``: as the kernel makes it, for a device that is new here or comes from another namespace. ``attributes``:
    all but the altnames. ``offloads``: what only ethtool knows.
    """

    index: int
    name: str
    mac: str
    pci: str = ""
    mtu: int = 1500
    up: bool = False
    sandbox: str = HOME
    kind: str = ""
    parent: int = 0
    alias: str = ""
    vlan: int = 0
    altnames: set[str] = field(default_factory=set)
    used: str = ""
    default_route: bool = False
    host_ip: HostIp = NEW
    attributes: LinkAttributes = NEW_LINK
    offloads: str = AS_MADE


@dataclass
class Function:
    """A PF (``parent`` empty) or VF."""

    address: str
    profile: Profile
    name: str
    parent: str = ""
    index: int = -1
    driver: str = ""
    numa_node: int = -1
    representors: tuple[str, ...] = ()
    admin_mac: str = ZERO
    learned_mac: str = ""
    settings: VfSettings = field(default_factory=lambda: VfSettings(mac=ZERO))


class Cards:
    """All cards of a host, and whose network devices they are."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.functions: dict[str, Function] = {}
        self.devices: dict[int, Device] = {}
        self.carrier_after: dict[str, int] = {}
        self.announced: list[tuple[str, str, str]] = []
        self.exposed: set[str] = set()
        """The devices that the service set up while the host's own IP was on them."""
        self._last_index = 1

    # -- what the host's operator and Docker do --

    def add_pf(self, profile: Profile, vfs: int, address: str, name: str, numa_node: int = -1) -> None:
        pf = Function(address=address, profile=profile, name=name, driver=profile.pf_driver, numa_node=numa_node)
        self.functions[address] = pf
        self.add_device(name, pci=address, up=True)
        self.create_vfs(pf, vfs)

    def add_device(self, name: str, **more: Any) -> Device:
        with self.lock:
            self._last_index += 1
            low = f"{self._last_index:04x}"
            device = Device(index=self._last_index, name=name, mac=f"52:54:00:00:{low[:2]}:{low[2:]}")
            for key, value in more.items():
                setattr(device, key, value)
            self.devices[device.index] = device
            return device

    def move(self, name: str, sandbox: str, inside: str) -> None:
        """What Docker does at ``docker run``: into the container, renamed, up."""
        with self.lock:
            device = self.at_home(name)
            device.sandbox, device.name, device.up, device.host_ip = sandbox, inside, True, NEW

    def move_on(self, sandbox: str, other: str) -> None:
        """Somebody moves a container's device to another namespace."""
        with self.lock:
            for device in self.devices.values():
                if device.sandbox == sandbox:
                    device.sandbox = other

    def destroy_sandbox(self, sandbox: str) -> None:
        """The container dies: PCI devices come back under their present name, or ``dev<index>``; others vanish."""
        with self.lock:
            for device in [device for device in self.devices.values() if device.sandbox == sandbox]:
                if not device.pci:
                    del self.devices[device.index]
                    continue
                taken = self.find(device.name) is not None
                device.name = f"dev{device.index}" if taken else device.name
                device.sandbox, device.up, device.host_ip = HOME, False, NEW

    def of(self, pci_address: str) -> Device:
        """The device of a function, wherever it is."""
        return next(device for device in self.devices.values() if device.pci == pci_address)

    def vf_address(self, index: int, pf_address: str = "0000:01:00.0") -> str:
        return next(f.address for f in self.functions.values() if (f.parent, f.index) == (pf_address, index))

    # -- what the views have in common --

    def find(self, name: str) -> Device | None:
        return next((d for d in self.devices.values() if d.sandbox == HOME and d.name == name), None)

    def at_home(self, name: str) -> Device:
        device = self.find(name)
        if device is None:
            raise LinkNotFound(f"cannot find device {name}: No such device")
        return device

    def check_name(self, device: Device | None, name: str) -> None:
        if not 0 < len(name) <= NAME_LENGTH:
            raise LinkError(f"{name} cannot be the name of a device")
        others = (other for other in self.devices.values() if other.sandbox == HOME and other is not device)
        if any(name == other.name or name in other.altnames for other in others):
            raise LinkExists(f"cannot name a device {name}: File exists")

    def remove(self, device: Device) -> None:
        for index in [d.index for d in self.devices.values() if device.index in (d.index, d.parent)]:
            self.devices.pop(index, None)

    def create_vfs(self, pf: Function, count: int) -> None:
        domain, bus, rest = pf.address.split(":")
        slot, function = rest.split(".")
        first = (int(bus, 16) << 8) + (int(slot, 16) << 3) + int(function) + FIRST_VF
        for index in range(count):
            number = first + index * VF_STRIDE
            address = f"{domain}:{number >> 8:02x}:{number >> 3 & 31:02x}.{number & 7}"
            vf = Function(address, pf.profile, f"{pf.name}v{index}", pf.address, index, numa_node=pf.numa_node)
            self.functions[address] = vf
            vf.settings = _fresh(pf.profile)
            self.give_driver(vf)

    def give_driver(self, vf: Function) -> str:
        """A new device: the default name or the next free one, and the MAC that the PF knows."""
        vf.driver = vf.profile.vf_driver
        device = self.add_device(
            vf.name if self.find(vf.name) is None else f"eth{self._last_index + 1}", pci=vf.address
        )
        if vf.admin_mac != ZERO:
            device.mac = vf.admin_mac
        elif vf.profile.learns_mac:
            vf.learned_mac = device.mac
        return device.name


def _fresh(profile: Profile) -> VfSettings:
    """New settings as drivers report them: ``None`` for unknown attributes, but 0 for an unknown link state or rate."""
    return VfSettings(
        mac=ZERO,
        spoofchk=True if profile.spoofchk else None,
        trust=False if profile.trust else None,
        link_state="auto",
        min_tx_rate=0,
        max_tx_rate=0,
    )
