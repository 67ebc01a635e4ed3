# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A driver in user space that gets as far as a VF of an 82576 can without a network: it asks the card for its MAC.

``python3 - ROOT GROUP SLOT``: the folder below which the device files are, the IOMMU group, the PCI address. Prints one
JSON object. The numbers are those of linux/vfio.h, linux/pci_regs.h, and of the driver igbvf (mbx.h, vf.c).
"""

import ctypes
import fcntl
import json
import mmap
import os
import struct
import sys
import time

SET_IOMMU, GROUP_GET_STATUS, GROUP_SET_CONTAINER, GROUP_GET_DEVICE_FD = 0x3B66, 0x3B67, 0x3B68, 0x3B6A
DEVICE_GET_REGION_INFO, IOMMU_MAP_DMA = 0x3B6C, 0x3B71
TYPE1V2, VIABLE, READ_WRITE = 3, 1, 3
BAR0, CONFIGURATION = 0, 7
COMMAND, MEMORY_AND_MASTER = 0x04, 0x06
MAILBOX, MESSAGE = 0xC40, 0x800
REQUEST, ACKNOWLEDGED, VF_HAS_IT, FROM_PF = 0x01, 0x02, 0x04, 0x10
RESET, SUCCESS = 0x01, 0x8000_0000
SECONDS = 30.0


class Region:
    """A part of the device: its configuration space, or its registers."""

    def __init__(self, device: int, index: int) -> None:
        self._device = device
        asked = bytearray(struct.pack("IIIIQQ", 32, 0, index, 0, 0, 0))
        fcntl.ioctl(device, DEVICE_GET_REGION_INFO, asked)
        self._start = struct.unpack("IIIIQQ", asked)[5]

    def read(self, offset: int, form: str = "I") -> int:
        return int(struct.unpack(form, os.pread(self._device, struct.calcsize(form), self._start + offset))[0])

    def write(self, offset: int, value: int, form: str = "I") -> None:
        os.pwrite(self._device, struct.pack(form, value), self._start + offset)


def opened(root: str, group: str, slot: str) -> int:
    container, member = (os.open(f"{root}/dev/vfio/{name}", os.O_RDWR) for name in ("vfio", group))
    status = bytearray(struct.pack("II", 8, 0))
    fcntl.ioctl(member, GROUP_GET_STATUS, status)
    if not struct.unpack("II", status)[1] & VIABLE:
        sys.exit(f"group {group} has devices that are not bound to vfio-pci")
    fcntl.ioctl(member, GROUP_SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
    page = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    fcntl.ioctl(container, IOMMU_MAP_DMA, struct.pack("IIQQQ", 32, READ_WRITE, address, 0, mmap.PAGESIZE))
    return int(fcntl.ioctl(member, GROUP_GET_DEVICE_FD, bytearray(slot.encode() + b"\0")))


def told_mac(registers: Region) -> str:
    """Send "reset" to the PF's driver; its answer has the MAC that was set for this VF."""
    wait_for(registers, VF_HAS_IT, again=VF_HAS_IT)
    registers.write(MESSAGE, RESET)
    registers.write(MAILBOX, REQUEST)
    wait_for(registers, FROM_PF)
    wait_for(registers, VF_HAS_IT, again=VF_HAS_IT)
    answer, low, high = (registers.read(MESSAGE + 4 * word) for word in range(3))
    registers.write(MAILBOX, ACKNOWLEDGED)
    if answer != RESET | SUCCESS:
        sys.exit(f"the PF's driver answered {answer:#x}")
    return struct.pack("<II", low, high)[:6].hex(":")


def wait_for(registers: Region, bit: int, again: int = 0) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        if again:
            registers.write(MAILBOX, again)
        if registers.read(MAILBOX) & bit:
            return
        if time.monotonic() > deadline:
            sys.exit(f"the card's mailbox did not show {bit:#x} within {SECONDS:.0f} s")


def main(root: str, group: str, slot: str) -> None:
    device = opened(root, group, slot)
    configuration, registers = Region(device, CONFIGURATION), Region(device, BAR0)
    configuration.write(COMMAND, MEMORY_AND_MASTER, "H")
    found = {
        "vendor": configuration.read(0, "H"),
        "device": configuration.read(2, "H"),
        "mac": told_mac(registers),
    }
    print(json.dumps(found))


main(*sys.argv[1:])
