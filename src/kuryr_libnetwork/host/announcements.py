# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Frames that tell neighbours the new place of an address: gratuitous ARP, unsolicited neighbour advertisement."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_interface

ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
BROADCAST = b"\xff" * 6
ALL_NODES = IPv6Address("ff02::1")
ICMPV6 = 58
NEIGHBOUR_ADVERTISEMENT = 136
OVERRIDE = 0x20000000
TARGET_LINK_LAYER_ADDRESS = 2


def frame(mac: str, address: str) -> bytes:
    """``address`` may have a prefix length."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    found = ip_interface(address).ip
    return _arp(hardware, found) if isinstance(found, IPv4Address) else _advertisement(hardware, found)


def _arp(hardware: bytes, address: IPv4Address) -> bytes:
    """RFC 5227, section 3: a request with the sender's address as target."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    body = hardware + address.packed + bytes(6) + address.packed
    return (BROADCAST + hardware + struct.pack("!H", ETH_P_ARP) + head + body).ljust(60, b"\0")


def _advertisement(hardware: bytes, address: IPv6Address) -> bytes:
    """RFC 4861, section 7.2.6."""
    option = struct.pack("!BB", TARGET_LINK_LAYER_ADDRESS, 1) + hardware
    body = struct.pack("!I", OVERRIDE) + address.packed + option
    length = 4 + len(body)
    pseudo = address.packed + ALL_NODES.packed + struct.pack("!II", length, ICMPV6)
    kind = struct.pack("!BB", NEIGHBOUR_ADVERTISEMENT, 0)
    message = kind + struct.pack("!H", checksum(pseudo + kind + b"\0\0" + body)) + body
    packet = struct.pack("!IHBB", 6 << 28, length, ICMPV6, 255) + address.packed + ALL_NODES.packed + message
    multicast = b"\x33\x33" + ALL_NODES.packed[-4:]
    return multicast + hardware + struct.pack("!H", ETH_P_IPV6) + packet


def checksum(data: bytes) -> int:
    """RFC 1071, for an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
