# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""PCI functions by sysfs: what they are, which driver they have, and how many VFs there are.

The folder ``net`` of a function shows the network devices of the namespace that sysfs was mounted in: absent without a
network driver, empty while the device is in another namespace. The PCI path works wherever the device is.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kuryr_libnetwork.errors import DeviceError
from kuryr_libnetwork.health import described
from kuryr_libnetwork.model.sriov import PhysicalFunction, VirtualFunction, in_user_space
from kuryr_libnetwork.rules.pci import ADDRESS
from kuryr_libnetwork.rules.pf_devices import PortOfPf, own_devices, representors

DRIVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NETWORK_CLASS = "0x02"
NO_OVERRIDE = "(null)"
WRITE_LIMIT = 120.0
"""Seconds; with faulty firmware the kernel takes minutes to create VFs."""
POLL = 0.05

LOG = logging.getLogger(__name__)
Write = Callable[[Path, str], None]


def normal_address(text: str) -> str:
    """The PCI address in lower case, or "" for any other text; nothing else from outside gets into a path here."""
    lower = text.lower()
    return lower if ADDRESS.fullmatch(lower) else ""


def write_file(path: Path, text: str) -> None:
    """Write to an existing file in a single ``write``, because sysfs takes a value in one piece."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


class SysfsPci:
    """Implements :class:`~kuryr_libnetwork.interfaces.sriov.PciFunctions`.

    A write may hang in the kernel, where no signal reaches it. So each has a thread of its own: the caller gets an
    error after ``write_limit`` seconds. A second write of the same kind for the same function waits for the first one,
    and fails at once if that has hung for longer than the limit. Writes for different functions do not delay each
    other, although all VFs of a driver share its file ``bind``.
    """

    def __init__(self, root: Path = Path("/sys"), write: Write = write_file, write_limit: float = WRITE_LIMIT) -> None:
        self._devices = root / "bus/pci/devices"
        self._drivers = root / "bus/pci/drivers"
        self._probe = root / "bus/pci/drivers_probe"
        self._writes = _BoundedWrites(write, write_limit)

    # -- what there is --

    def physical_functions(self) -> list[PhysicalFunction]:
        found = [self.physical_function(name) for name in _listed(self._devices) or []]
        return sorted((pf for pf in found if pf), key=lambda pf: pf.pci_address)

    def physical_function(self, pci_address: str) -> PhysicalFunction | None:
        folder = self._function(pci_address)
        if folder is None or _target(folder / "physfn"):
            return None
        total = _number(folder / "sriov_totalvfs", 0)
        if total <= 0:
            return None
        names = _listed(folder / "net")
        ports = _ports(folder / "net", names or ())
        return PhysicalFunction(
            pci_address=folder.name,
            vendor_id=_id(folder / "vendor"),
            device_id=_id(folder / "device"),
            driver=_target(folder / "driver"),
            netdevs=own_devices(ports),
            total_vfs=total,
            num_vfs=_number(folder / "sriov_numvfs", 0),
            numa_node=_number(folder / "numa_node", -1),
            netdev_elsewhere=names == [],
            representors=representors(ports),
        )

    def virtual_functions(self, pf_address: str) -> list[VirtualFunction]:
        folder = self._function(pf_address)
        indexes = _indexes(folder) if folder else {}
        found = [self._virtual(address, index) for address, index in indexes.items()]
        return sorted((vf for vf in found if vf), key=lambda vf: vf.index)

    def virtual_function(self, pci_address: str) -> VirtualFunction | None:
        folder = self._function(pci_address)
        parent = self._function(_target(folder / "physfn")) if folder else None
        index = _indexes(parent).get(folder.name) if folder and parent else None
        return None if index is None or folder is None else self._virtual(folder.name, index)

    def _virtual(self, address: str, index: int) -> VirtualFunction | None:
        folder = self._function(address)
        if folder is None or not _target(folder / "physfn"):
            return None
        netdevs = _listed(folder / "net")
        return VirtualFunction(
            pci_address=folder.name,
            pf_address=normal_address(_target(folder / "physfn")),
            index=index,
            vendor_id=_id(folder / "vendor"),
            device_id=_id(folder / "device"),
            driver=_target(folder / "driver"),
            netdevs=tuple(netdevs or ()),
            numa_node=_number(folder / "numa_node", -1),
            netdev_elsewhere=netdevs == [],
        )

    def _function(self, address: str) -> Path | None:
        """The folder of a network function; ``None`` if it does not exist."""
        normal = normal_address(address)
        folder = self._devices / normal
        return folder if normal and _read(folder / "class").startswith(NETWORK_CLASS) else None

    # -- drivers --

    def unbind(self, vf_address: str) -> None:
        folder = self._vf(vf_address)
        if _target(folder / "driver"):
            self._writes.do(folder / "driver" / "unbind", folder.name)

    def bind(self, vf_address: str, driver: str, timeout: float) -> str:
        folder = self._vf(vf_address)
        if not DRIVER_NAME.fullmatch(driver) or not (self._drivers / driver).is_dir():
            raise DeviceError(
                f"cannot bind VF {folder.name}: the kernel has no driver {driver} loaded (modprobe {driver})"
            )
        present = _target(folder / "driver")
        if present and present != driver:
            raise DeviceError(f"cannot bind VF {folder.name} to driver {driver}: it is bound to {present}")
        deadline = time.monotonic() + timeout
        if not present:
            self._give(folder, driver)
        if in_user_space(driver):
            return ""
        while not (names := _listed(folder / "net")):
            if time.monotonic() >= deadline:
                raise DeviceError(f"VF {folder.name} has no network device after {timeout:g} s with driver {driver}")
            time.sleep(POLL)
        return names[0]

    def _give(self, folder: Path, driver: str) -> None:
        """Bind a function to a driver. Without ``sriov_drivers_autoprobe`` the kernel binds a VF only to the driver
        that ``driver_override`` names. Drivers for user space match no devices by themselves, so they always need it.
        """
        before = _read(folder / "driver_override") or NO_OVERRIDE
        automatic = _read(folder / "physfn" / "sriov_drivers_autoprobe") != "0" and not in_user_space(driver)
        if before == NO_OVERRIDE and automatic:
            self._writes.do(self._drivers / driver / "bind", folder.name, folder.name)
        else:
            self._writes.do(folder / "driver_override", driver)
            try:
                self._writes.do(self._probe, folder.name, folder.name)
            finally:
                self._writes.do(folder / "driver_override", "\n" if before in (NO_OVERRIDE, driver) else before)
        if _target(folder / "driver") != driver:
            hint = "; is the IOMMU on? (kuryr doctor)" if driver == "vfio-pci" else ""
            raise DeviceError(f"driver {driver} did not take VF {folder.name}{hint}")

    def _vf(self, address: str) -> Path:
        folder = self._function(address)
        if folder is None:
            raise DeviceError(f"there is no network function {address} on the PCI bus")
        if not _target(folder / "physfn"):
            raise DeviceError(f"PCI function {folder.name} is no VF; its driver is left alone")
        return folder

    # -- number of VFs --

    def set_num_vfs(self, pf_address: str, count: int) -> None:
        pf = self.physical_function(pf_address)
        if pf is None:
            raise DeviceError(f"PCI function {pf_address} cannot have VFs")
        if not 0 <= count <= pf.total_vfs:
            raise DeviceError(f"PF {pf.pci_address} can have 0 to {pf.total_vfs} VFs, not {count}")
        if count == pf.num_vfs:
            return
        file = self._devices / pf.pci_address / "sriov_numvfs"
        if pf.num_vfs:
            self._writes.do(file, "0")
        if count:
            self._writes.do(file, str(count))
        if (now := _number(file, 0)) != count:
            raise DeviceError(f"PF {pf.pci_address} has {now} VFs where {count} were asked for")


class _BoundedWrites:
    def __init__(self, write: Write, limit: float) -> None:
        self._write = write
        self._limit = limit
        self._changed = threading.Condition()
        self._running: dict[tuple[Path, str], float] = {}
        """When the limit of each write ends, by its file and function."""

    def do(self, path: Path, text: str, function: str = "") -> None:
        """``function``: the address of the function, if several functions share the file."""
        key = (path, function)
        self._begin(key)
        began = time.monotonic()
        outcome: list[Exception] = []
        thread = threading.Thread(target=self._run, args=(key, text, outcome), name="sysfs-write", daemon=True)
        thread.start()
        thread.join(self._limit)
        LOG.debug("write %r to %s: %.1f ms", text.strip(), path, (time.monotonic() - began) * 1000)
        if thread.is_alive():
            raise DeviceError(f"the kernel did not finish writing {text.strip()!r} to {path} in {self._limit:g} s")
        for error in outcome:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else described(error)
            raise DeviceError(f"cannot write {text.strip()!r} to {path}: {reason}") from error

    def _begin(self, key: tuple[Path, str]) -> None:
        with self._changed:
            while key in self._running:
                left = self._running[key] - time.monotonic()
                if left <= 0:
                    about = f" for {key[1]}" if key[1] else ""
                    raise DeviceError(f"the kernel still works on an earlier write to {key[0]}{about}")
                self._changed.wait(left)
            self._running[key] = time.monotonic() + self._limit

    def _run(self, key: tuple[Path, str], text: str, outcome: list[Exception]) -> None:
        try:
            self._write(key[0], text)
        except Exception as error:  # noqa: BLE001  # a thread's boundary: the caller gets it
            outcome.append(error)
        finally:
            with self._changed:
                del self._running[key]
                self._changed.notify_all()


def _read(path: Path) -> str:
    """The value of an attribute; "" if it does not exist, or its device has just gone."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path, missing: int) -> int:
    text = _read(path)
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else missing


def _id(path: Path) -> str:
    return _read(path).lower().removeprefix("0x")


def _target(path: Path) -> str:
    """The last name of a symbolic link's target; "" if there is no link."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def _listed(folder: Path) -> list[str] | None:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return None


def _ports(folder: Path, names: Sequence[str]) -> list[PortOfPf]:
    """The PF's ports; read only if there are several, because that takes the kernel's lock of all network devices."""
    if len(names) < 2:
        return [PortOfPf(name=name) for name in names]
    return [
        PortOfPf(
            name=name,
            phys_port_name=_read(folder / name / "phys_port_name"),
            dev_port=_number(folder / name / "dev_port", 0),
        )
        for name in names
    ]


def _indexes(pf: Path) -> dict[str, int]:
    """The index of each VF, by its PCI address."""
    names = (re.fullmatch(r"virtfn([0-9]+)", name) for name in _listed(pf) or [])
    pairs = ((normal_address(_target(pf / match[0])), int(match[1])) for match in names if match)
    return {address: index for address, index in pairs if address}
