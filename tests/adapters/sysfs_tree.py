# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A folder that looks like sysfs, and that answers writes as the kernel does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NETWORK = "0x020000"
FIRST_VF, VF_STRIDE = 128, 2


class SysfsTree:
    """``write`` plays the kernel: :class:`~kuryr_libnetwork.host.sysfs.SysfsPci` calls it to write files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices = root / "bus/pci/devices"
        self.drivers = root / "bus/pci/drivers"
        self.writes: list[tuple[str, str]] = []
        self._drivers_of: dict[str, str] = {}
        self._vf_device = ""
        self.devices.mkdir(parents=True)
        (root / "bus/pci/drivers_probe").touch()

    # -- what there is --

    def driver(self, name: str) -> None:
        folder = self.drivers / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bind").touch()
        (folder / "unbind").touch()

    def function(self, address: str, vendor: str, device: str, driver: str = "", net: str = "", **files: str) -> Path:
        folder = self.devices / address
        folder.mkdir()
        content = {"class": NETWORK, "vendor": f"0x{vendor}", "device": f"0x{device}", "driver_override": "(null)"}
        for name, text in (content | files).items():
            (folder / name).write_text(text + "\n")
        if driver:
            self.driver(driver)
            (folder / "driver").symlink_to(f"../../drivers/{driver}")
        if net:
            (folder / "net" / net).mkdir(parents=True)
        return folder

    def pf(self, address: str, total: int, vf_device: str, vf_driver: str, **more: str) -> Path:
        self.driver(vf_driver)
        self._vf_device = vf_device
        self._drivers_of[address] = vf_driver
        counts = {"sriov_totalvfs": str(total), "sriov_numvfs": "0", "sriov_drivers_autoprobe": "1"}
        return self.function(address, **(counts | more))

    def send_away(self, address: str) -> None:
        """The device is in another namespace: the folder stays, empty."""
        for name in (self.devices / address / "net").iterdir():
            name.rmdir()

    # -- what the kernel does --

    def write(self, path: Path, text: str) -> None:
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.writes.append((path.name, text))
        folder = self.devices / text
        match path.name:
            case "sriov_numvfs":
                self._divide(path.parent, int(text))
            case "driver_override":
                path.write_text("(null)\n" if text == "\n" else text + "\n")
            case "unbind":
                self._release(folder)
            case "bind":
                self._bind(folder, path.parent.name)
            case "drivers_probe":
                override = _text(folder / "driver_override")
                usual = self._drivers_of[(folder / "physfn").readlink().name]
                self._bind(folder, usual if override == "(null)" else override)

    def _bind(self, folder: Path, driver: str) -> None:
        override = _text(folder / "driver_override")
        automatic = _text(folder / "physfn" / "sriov_drivers_autoprobe") == "1"
        knows = driver in self._drivers_of.values()  # drivers for user space list no devices
        if override != driver and not (override == "(null)" and automatic and knows):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        (folder / "driver").symlink_to(f"../../drivers/{driver}")
        if knows:
            (folder / "net" / f"fresh{folder.name[-1]}").mkdir(parents=True)

    def _release(self, folder: Path) -> None:
        (folder / "driver").unlink()
        if (folder / "net").exists():
            self.send_away(folder.name)
            (folder / "net").rmdir()

    def _divide(self, pf: Path, count: int) -> None:
        present = int(_text(pf / "sriov_numvfs"))
        if count > int(_text(pf / "sriov_totalvfs")):
            raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
        if count and present:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for index in range(present):
            self._remove(pf, index)
        for index in range(count):
            self._add(pf, index)
        (pf / "sriov_numvfs").write_text(f"{count}\n")

    def _add(self, pf: Path, index: int) -> None:
        number = (int(pf.name[-7:-5], 16) << 8) + FIRST_VF + index * VF_STRIDE
        address = f"{pf.name[:-7]}{number >> 8:02x}:{number >> 3 & 31:02x}.{number & 7}"
        automatic = _text(pf / "sriov_drivers_autoprobe") == "1"
        driver = self._drivers_of[pf.name] if automatic else ""
        net = f"pf0v{index}" if automatic else ""
        vf = self.function(address, _text(pf / "vendor")[2:], self._vf_device, driver, net)
        (vf / "physfn").symlink_to(f"../{pf.name}")
        (pf / f"virtfn{index}").symlink_to(f"../{address}")

    def _remove(self, pf: Path, index: int) -> None:
        link = pf / f"virtfn{index}"
        vf = self.devices / link.readlink().name
        link.unlink()
        for folder, folders, files in os.walk(vf, topdown=False):
            for name in files + folders:
                path = Path(folder, name)
                path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()
        vf.rmdir()


def _text(path: Path) -> str:
    return path.read_text().strip()
