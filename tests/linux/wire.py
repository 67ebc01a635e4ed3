# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Raw frames: what a container with its usual rights (``NET_RAW``) can send, and what it hears."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from kuryr_libnetwork.host.announcements import checksum
from tests.linux.namespace import Namespace

ETH_P_ALL = 3
PACKET_OUTGOING = 4
PACKET_AUXDATA, SOL_PACKET, TP_STATUS_VLAN_VALID = 8, 263, 1 << 4
EVERYBODY = "ff:ff:ff:ff:ff:ff"
PATIENCE = 10.0
"""Seconds to wait for a frame that should come."""


class Wire:
    """An interface of a namespace, seen by a packet socket. ``frames``: all that came so far, but those it sent
    itself.
    """

    def __init__(self, inside: Namespace, name: str) -> None:
        self._socket = inside.run(_packets, name)
        self._frames: list[bytes] = []

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def hears(self, wanted: Callable[[bytes], bool]) -> bool:
        """Wait for a frame that fits, VLAN tag included; ``False`` when none comes in time."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame, outgoing = _received(self._socket)
            except TimeoutError:
                break
            self._frames += [] if outgoing else [frame]
            if not outgoing and wanted(frame):
                return True
        return False

    def frames(self) -> list[bytes]:
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, outgoing = _received(self._socket)
                self._frames += [] if outgoing else [frame]
        return self._frames

    def close(self) -> None:
        self._socket.close()


def _packets(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    opened.bind((name, ETH_P_ALL))
    opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # an interface that is still down is an error first
    return opened


def _received(opened: socket.socket) -> tuple[bytes, bool]:
    """The kernel removes a frame's VLAN tag and reports it separately (``struct tpacket_auxdata``)."""
    frame, told, _, source = opened.recvmsg(65536, 256)
    for level, kind, data in told:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tag, protocol = struct.unpack("=IIIHHHH", data)
            if status & TP_STATUS_VLAN_VALID:
                frame = frame[:12] + struct.pack("!HH", protocol, tag) + frame[12:]
    return frame, source[2] == PACKET_OUTGOING


def hardware(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(target: str, source: str, protocol: int, content: bytes) -> bytes:
    return (hardware(target) + hardware(source) + struct.pack("!H", protocol) + content).ljust(60, b"\0")


def tagged(vlan: int, frame: bytes) -> bytes:
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]


def arp(mac: str, address: str, asked: str, target: str = EVERYBODY) -> bytes:
    """An ARP request for ``asked``."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    body = hardware(mac) + IPv4Address(address).packed + bytes(6) + IPv4Address(asked).packed
    return ethernet(target, mac, 0x0806, head + body)


def udp(target: str, mac: str, addresses: tuple[str, str], port: int, data: bytes) -> bytes:
    """A datagram from the first address to the second one, to ``port``; IPv4 or IPv6."""
    source, destination = addresses
    segment = struct.pack("!HHHH", 4242, port, 8 + len(data), 0) + data
    if ":" in source:
        return ethernet(target, mac, 0x86DD, ipv6(source, destination, 17, segment, 6))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 17, 0)
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    head = head[:10] + struct.pack("!H", checksum(head + ends)) + ends
    return ethernet(target, mac, 0x0800, head + segment)


def ping(target: str, mac: str, addresses: tuple[str, str]) -> bytes:
    source, destination = addresses
    rest = struct.pack("!HH", 7, 1)
    if ":" in source:
        return ethernet(target, mac, 0x86DD, ipv6(source, destination, 58, b"\x80\0\0\0" + rest, 2))
    message = b"\x08\0" + struct.pack("!H", checksum(b"\x08\0\0\0" + rest)) + rest
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 1, 0, 64, 1, 0)
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    head = head[:10] + struct.pack("!H", checksum(head + ends)) + ends
    return ethernet(target, mac, 0x0800, head + message)


def solicitation(mac: str, source: str, asked: str) -> bytes:
    """Neighbour solicitation (RFC 4861, section 4.3), to the asked address's own group."""
    target = IPv6Address(asked).packed
    group = IPv6Address(IPv6Address("ff02::1:ff00:0").packed[:13] + target[13:])
    message = struct.pack("!BBHI", 135, 0, 0, 0) + target + b"\x01\x01" + hardware(mac)
    return ethernet(group_mac(str(group)), mac, 0x86DD, ipv6(source, str(group), 58, message, 2, hops=255))


def advertisement(mac: str, source: str, prefix: str) -> bytes:
    """Router advertisement (RFC 4861, section 4.2): a default router, and a prefix /64 for addresses of one's own."""
    head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + IPv6Address(prefix).packed
    message = head + option + b"\x01\x01" + hardware(mac)
    return ethernet(group_mac("ff02::1"), mac, 0x86DD, ipv6(source, "ff02::1", 58, message, 2, hops=255))


def ipv6(source: str, destination: str, protocol: int, message: bytes, at: int, hops: int = 64) -> bytes:
    """``at``: the checksum's offset in the message."""
    ends = IPv6Address(source).packed + IPv6Address(destination).packed
    padded = message + b"\0" * (len(message) % 2)
    found = checksum(ends + struct.pack("!II", len(message), protocol) + padded)
    message = message[:at] + struct.pack("!H", found or 0xFFFF) + message[at + 2 :]
    return struct.pack("!IHBB", 6 << 28, len(message), protocol, hops) + ends + message


def group_mac(group: str) -> str:
    return ":".join(f"{byte:02x}" for byte in b"\x33\x33" + IPv6Address(group).packed[-4:])


def link_local(mac: str) -> str:
    """The interface identifier that the kernel derives from a MAC (RFC 4291, appendix A)."""
    octets = hardware(mac)
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]))


def is_igmp(frame: bytes) -> bool:
    """That a program has joined a group of IPv4, which the kernel tells on the program's own word."""
    return frame[12:14] == b"\x08\0" and frame[23] == socket.IPPROTO_IGMP
