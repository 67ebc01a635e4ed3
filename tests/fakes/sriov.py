# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""SR-IOV cards in memory, each as its family of drivers behaves.

A :class:`FakeNic` is a host; the service sees its ``pci``, ``control`` and ``netdevs``. Failures:
``nic.pci.fail_next("bind", error)`` and so on, as with the other fakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from kuryr_libnetwork.errors import DeviceError, LinkError, LinkNotFound
from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.model.sriov import (
    DeviceUse,
    LinkAttributes,
    NetdevState,
    PhysicalFunction,
    VfCounters,
    VfSettings,
    VirtualFunction,
    in_user_space,
    unchanged,
)
from kuryr_libnetwork.rules.host_ip import SILENT, is_silent, to_change
from tests.fakes.host import MTU_RANGE, NEW, Failing
from tests.fakes.sriov_cards import HOME, ZERO, Cards, Device, Function
from tests.fakes.sriov_profiles import IGB, Profile

MAC_RETRIES = 20
MAX_VLAN, MAX_QOS = 4094, 7


class FakePci(Failing):
    """Implements ``PciFunctions``."""

    def __init__(self, nic: Cards) -> None:
        super().__init__()
        self.lock = nic.lock
        self._nic = nic

    def physical_functions(self) -> list[PhysicalFunction]:
        with self.called("physical_functions"):
            addresses = sorted(f.address for f in self._nic.functions.values() if not f.parent)
            return [self._physical(self._nic.functions[address]) for address in addresses]

    def physical_function(self, pci_address: str) -> PhysicalFunction | None:
        with self.called("physical_function"):
            pf = self._nic.functions.get(pci_address.lower())
            return self._physical(pf) if pf and not pf.parent else None

    def virtual_functions(self, pf_address: str) -> list[VirtualFunction]:
        with self.called("virtual_functions"):
            found = [f for f in self._nic.functions.values() if f.parent and f.parent == pf_address.lower()]
            return [self._virtual(vf) for vf in sorted(found, key=lambda vf: vf.index)]

    def virtual_function(self, pci_address: str) -> VirtualFunction | None:
        with self.called("virtual_function"):
            vf = self._nic.functions.get(pci_address.lower())
            return self._virtual(vf) if vf and vf.parent else None

    def unbind(self, vf_address: str) -> None:
        with self.called("unbind"):
            vf = self._vf(vf_address)
            vf.driver = ""
            for device in [device for device in self._nic.devices.values() if device.pci == vf.address]:
                self._nic.remove(device)

    def bind(self, vf_address: str, driver: str, timeout: float) -> str:
        with self.called("bind"):
            vf = self._vf(vf_address)
            if in_user_space(driver):
                vf.driver = driver
                return ""
            if driver != vf.profile.vf_driver:
                raise DeviceError(f"cannot bind VF {vf.address}: the kernel has no driver {driver} loaded")
            here, elsewhere = self._where(vf.address)
            if not vf.driver:
                return self._nic.give_driver(vf)
            if elsewhere or not here:
                raise DeviceError(f"VF {vf.address} has no network device after {timeout:g} s with driver {driver}")
            return here[0]

    def set_num_vfs(self, pf_address: str, count: int) -> None:
        with self.called("set_num_vfs"):
            pf = self._nic.functions.get(pf_address.lower())
            if pf is None or pf.parent:
                raise DeviceError(f"PCI function {pf_address} cannot have VFs")
            if not 0 <= count <= pf.profile.total_vfs:
                raise DeviceError(f"PF {pf.address} can have 0 to {pf.profile.total_vfs} VFs, not {count}")
            vfs = [f.address for f in self._nic.functions.values() if f.parent == pf.address]
            if count == len(vfs):
                return
            for address in vfs:
                self.unbind(address)
                del self._nic.functions[address]
            self._nic.create_vfs(pf, count)

    def _vf(self, address: str) -> Function:
        function = self._nic.functions.get(address.lower())
        if function is None:
            raise DeviceError(f"there is no network function {address} on the PCI bus")
        if not function.parent:
            raise DeviceError(f"PCI function {address} is no VF; its driver is left alone")
        return function

    def _where(self, address: str) -> tuple[tuple[str, ...], bool]:
        devices = [device for device in self._nic.devices.values() if device.pci == address]
        here = tuple(sorted(device.name for device in devices if device.sandbox == HOME))
        return here, bool(devices) and not here

    def _physical(self, pf: Function) -> PhysicalFunction:
        here, elsewhere = self._where(pf.address)
        return PhysicalFunction(
            pci_address=pf.address,
            vendor_id=pf.profile.vendor_id,
            device_id=pf.profile.pf_device,
            driver=pf.driver,
            netdevs=here,
            total_vfs=pf.profile.total_vfs,
            num_vfs=sum(f.parent == pf.address for f in self._nic.functions.values()),
            numa_node=pf.numa_node,
            netdev_elsewhere=elsewhere,
            representors=pf.representors,
        )

    def _virtual(self, vf: Function) -> VirtualFunction:
        here, elsewhere = self._where(vf.address)
        return VirtualFunction(
            pci_address=vf.address,
            pf_address=vf.parent,
            index=vf.index,
            vendor_id=vf.profile.vendor_id,
            device_id=vf.profile.vf_device,
            driver=vf.driver,
            netdevs=here,
            numa_node=vf.numa_node,
            netdev_elsewhere=elsewhere,
        )


class FakeVfControl(Failing):
    """Implements ``VfControl``."""

    def __init__(self, nic: Cards) -> None:
        super().__init__()
        self.lock = nic.lock
        self._nic = nic

    def read(self, pf_netdev: str, index: int) -> VfSettings:
        with self.called("read"):
            return self._shown(self._vf(pf_netdev, index))

    def apply(self, pf_netdev: str, index: int, wanted: VfSettings) -> VfSettings:
        with self.called("apply"):
            vf = self._vf(pf_netdev, index)
            before = self._shown(vf)
            _check(vf, before, wanted)
            given = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
            known = {name: value for name, value in given.items() if getattr(before, name) is not None}
            vf.settings = replace(before, **{name: value for name, value in known.items() if value is not None})
            if wanted.mac.lower() != before.mac:
                self._set_mac(vf, wanted.mac.lower())
            found = self._shown(vf)
            assert unchanged(found, replace(wanted, mac=wanted.mac.lower()))
            return found

    def _set_mac(self, vf: Function, mac: str) -> None:
        vf.admin_mac, vf.learned_mac = mac, ""
        devices = [device for device in self._nic.devices.values() if device.pci == vf.address]
        if vf.profile.follows == "at-once" and mac != ZERO and devices:
            devices[0].mac = mac

    def _shown(self, vf: Function) -> VfSettings:
        return replace(vf.settings, mac=vf.learned_mac or vf.admin_mac)

    def _vf(self, pf_netdev: str, index: int) -> Function:
        pf_address = self._nic.at_home(pf_netdev).pci
        for function in self._nic.functions.values():
            if function.parent == pf_address and function.index == index:
                return function
        raise LinkError(f"PF {pf_netdev} has no VF {index}")


def _check(vf: Function, before: VfSettings, wanted: VfSettings) -> None:
    """Refuse what the driver does not support, before anything is changed."""
    profile = vf.profile
    ranges = 0 <= wanted.vlan <= MAX_VLAN and 0 <= wanted.qos <= (MAX_QOS if wanted.vlan else 0)
    zero = profile.zero_mac or wanted.mac != ZERO or before.mac == ZERO
    wrong = {
        "VLAN and priority": not ranges,
        "MAC": not zero or int(wanted.mac[:2], 16) % 2 == 1,
        "trust": bool(wanted.trust) and not profile.trust,
        "spoofchk": bool(wanted.spoofchk) and not profile.spoofchk,
        "minimum rate": bool(wanted.min_tx_rate) and not profile.min_rate,
        "maximum rate": bool(wanted.max_tx_rate) and not profile.max_rate,
        "link state": wanted.link_state not in (None, "auto") and not profile.link_state,
    }
    refused = [label for label, is_wrong in wrong.items() if is_wrong]
    if refused:
        raise LinkError(f"cannot set {refused[0]} of VF {vf.index} of {vf.parent}: the driver does not take it")


class FakeNetdevs(Failing):
    """Implements ``Netdevs``."""

    def __init__(self, nic: Cards) -> None:
        super().__init__()
        self.lock = nic.lock
        self._nic = nic

    def state(self, name: str) -> NetdevState | None:
        with self.called("state"):
            found = self._nic.find(name)
            if found is None:
                return None
            return NetdevState(
                name=found.name,
                mac=found.mac,
                mtu=found.mtu,
                up=found.up,
                host_ip=found.host_ip,
                attributes=replace(found.attributes, altnames=tuple(sorted(found.altnames))),
            )

    def in_use(self, name: str) -> str:
        with self.called("in_use"):
            return self._use_of(self._nic.at_home(name))

    def _use_of(self, device: Device) -> str:
        on_top = next((d for d in self._nic.devices.values() if d.parent == device.index), None)
        carried = f"carries {on_top.kind} {on_top.name}" if on_top and on_top.sandbox == HOME else ""
        route = "carries a default route" if device.default_route else ""
        return device.used or carried or route or ("is up" if device.up else "")

    def uses(self, names: Iterable[str]) -> dict[str, DeviceUse]:
        with self.called("uses"):
            there = [device for device in (self._nic.find(name) for name in names) if device]
            return {
                device.name: DeviceUse(reason=self._use_of(device), default_route=device.default_route)
                for device in there
            }

    def carries_default_route(self, names: Iterable[str]) -> bool:
        with self.called("carries_default_route"):
            found = [self._nic.find(name) for name in names]
            return any(device.default_route for device in found if device)

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
        with self.called("configure"):
            device = self._nic.at_home(name)
            device.up = False
            if new_name:
                self._nic.check_name(device, new_name)
                device.altnames.discard(new_name)
                device.name = new_name
            if attributes is not None:
                self._set_attributes(device, attributes)
            if mac:
                self._set_mac(device, mac.lower(), MAC_RETRIES if patient else 1)
            if mtu:
                if mtu not in MTU_RANGE:
                    raise LinkError(f"cannot set the MTU of device {name} to {mtu}: Invalid argument")
                device.mtu = mtu
            if host_ip is not None:
                device.host_ip = replace(device.host_ip, **to_change(device.host_ip, host_ip))
            if up:
                self._set_up(device)

    def _set_attributes(self, device: Device, wanted: LinkAttributes) -> None:
        device.attributes = replace(wanted, altnames=())
        others = [d for d in self._nic.devices.values() if d.sandbox == HOME and d is not device]
        taken = {name for other in others for name in (other.name, *other.altnames)}
        device.altnames = set(wanted.altnames) - taken

    def _set_up(self, device: Device) -> None:
        device.up = True
        if not is_silent(device.host_ip):
            self._nic.exposed.add(device.name)

    def _set_mac(self, device: Device, mac: str, tries: int) -> None:
        function = self._nic.functions.get(device.pci)
        if function and function.parent and mac != device.mac:
            guarded = function.profile.guards_mac and not function.settings.trust
            if guarded and function.admin_mac not in (ZERO, mac):
                raise LinkError(f"cannot set the MAC of device {device.name} to {mac}: Cannot assign requested address")
            if function.profile.mac_tries > tries:
                raise LinkError(f"the MAC of device {device.name} is {device.mac} after it was set to {mac}")
            if function.profile.learns_mac and (function.admin_mac == ZERO or function.settings.trust):
                function.learned_mac = mac
        device.mac = mac

    def set_up(self, name: str) -> None:
        with self.called("set_up"):
            device = self._nic.at_home(name)
            device.host_ip = SILENT
            self._set_up(device)

    def wait_carrier(self, name: str, timeout: float) -> bool:
        """A VF has a carrier while it and its PF are up; ``carrier_after``: how many calls answer "none" first."""
        with self.called("wait_carrier"):
            device = self._nic.at_home(name)
            left = self._nic.carrier_after.get(name, 0)
            self._nic.carrier_after[name] = max(0, left - 1)
            function = self._nic.functions.get(device.pci)
            pf = self._nic.of(function.parent) if function and function.parent else device
            return device.up and pf.up and not left

    def fetch_from_sandbox(self, pci_address: str, sandboxes: Sequence[str], name: str) -> bool:
        with self.called("fetch_from_sandbox"):
            for device in self._nic.devices.values():
                if device.pci == pci_address and device.sandbox != HOME and device.sandbox in sandboxes:
                    self._move_home(device, name)
                    return True
            return False

    def _move_home(self, device: Device, name: str) -> None:
        """As in the kernel: a new name is refused after the move, unless the present name is taken, too."""
        if self._nic.find(device.name) is not None:
            self._nic.check_name(device, name)
        device.sandbox, device.up, device.host_ip = HOME, False, NEW
        device.altnames.clear()
        self._nic.check_name(device, name)
        device.name = name

    def create_macvtap(self, parent: str, name: str, mtu: int, alias: str) -> None:
        with self.called("create_macvtap"):
            self._create(parent, name, mtu, alias, "macvtap", 0)

    def create_vlan(self, parent: str, name: str, vlan: int, mtu: int, alias: str) -> None:
        with self.called("create_vlan"):
            self._create(parent, name, mtu, alias, "vlan", vlan)

    def _create(self, parent: str, name: str, mtu: int, alias: str, kind: str, vlan: int) -> None:
        below = self._nic.at_home(parent)
        self._nic.check_name(None, name)
        if mtu > below.mtu:
            raise LinkError(f"cannot make {kind} {name} on {parent}: its MTU is {below.mtu}")
        if kind == "macvtap" and any(d.parent == below.index for d in self._nic.devices.values()):
            raise LinkError(f"cannot make {kind} {name} on {parent}: Device or resource busy")
        more = {
            "mac": below.mac,
            "mtu": mtu,
            "kind": kind,
            "parent": below.index,
            "alias": alias,
            "vlan": vlan,
            "host_ip": SILENT,
        }
        self._nic.add_device(name, **more)

    def delete(self, name: str) -> bool:
        with self.called("delete"):
            device = self._nic.find(name)
            if device is None:
                return False
            if device.pci:
                raise LinkError(f"cannot delete device {name}: Operation not supported")
            self._nic.remove(device)
            return True

    def announce(self, sandbox: str, mac: str, addresses: Iterable[str]) -> bool:
        """A sandbox exists as soon as something has moved into it."""
        with self.called("announce"):
            inside = [device for device in self._nic.devices.values() if device.sandbox == sandbox]
            if not inside:
                raise LinkNotFound(f"cannot enter the network namespace {sandbox}: No such file or directory")
            ready = any(device.mac == mac.lower() and device.up for device in inside)
            self._nic.announced += [(sandbox, mac, address) for address in addresses if ready]
            return ready


class FakeVfStatistics(Failing):
    """Implements ``VfStatistics``. ``counted``: by PF and number of the VF; zeros, as of most drivers, where it is
    empty.
    """

    def __init__(self, nic: Cards) -> None:
        super().__init__()
        self.lock = nic.lock
        self._nic = nic
        self.counted: dict[tuple[str, int], VfCounters] = {}
        self.asked: list[str] = []

    def read(self, pf_netdev: str) -> dict[int, VfCounters]:
        self.asked.append(pf_netdev)
        with self.called("read"):
            device = next((each for each in self._nic.devices.values() if each.name == pf_netdev), None)
            if device is None or device.sandbox != HOME:
                raise LinkNotFound(f"cannot read the counters of the VFs of {pf_netdev}: No such device")
            vfs = [each for each in self._nic.functions.values() if each.parent and each.parent == device.pci]
            return {each.index: self.counted.get((pf_netdev, each.index), VfCounters()) for each in vfs}


class FakeNic(Cards):
    """A host that has one card at first."""

    def __init__(self, profile: Profile = IGB, vfs: int = 4, address: str = "0000:01:00.0", name: str = "pf0") -> None:
        super().__init__()
        self.pci = FakePci(self)
        self.control = FakeVfControl(self)
        self.netdevs = FakeNetdevs(self)
        self.statistics = FakeVfStatistics(self)
        self.add_pf(profile, vfs, address, name)
