# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Interfaces in other network namespaces, seen from ours.

The kernel numbers a namespace when an interface moves there, and answers for it by that number: nobody has to enter it,
or to know where Docker keeps it. These are the two messages as they are (include/uapi/linux/rtnetlink.h,
net_namespace.h, if_link.h), for no call of pyroute2 sends them in all of its releases.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host.netlink import translated

RTM_GETLINK, RTM_GETNSID = 18, 90
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NETNSA_NSID = 1
IFLA_IFALIAS, IFLA_TARGET_NETNSID = 20, 46
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_FAMILY_ONLY = 4  # struct rtgenmsg, padded
_INTERFACE = 16  # struct ifinfomsg
_BUFFER = 1 << 18
_TYPE = 0x3FFF  # without the flags for nested and byte order

_TASK = "look at the interfaces of other network namespaces"


def aliases_elsewhere() -> frozenset[str]:
    """The ifalias of every interface of every namespace that ours knows by a number."""
    found: set[str] = set()
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as route:
            route.bind((0, 0))
            for number in _numbers(route):
                found |= _aliases(route, number)
    except OSError as error:
        raise translated(_TASK, error.errno or 0, error) from error
    except struct.error as error:
        raise LinkError(f"cannot {_TASK}: a message of the kernel is malformed: {error}") from error
    return frozenset(found)


def _numbers(route: socket.socket) -> list[int]:
    messages = _dump(route, RTM_GETNSID, b"\0" * _FAMILY_ONLY)
    attributes = [_attributes(message[_FAMILY_ONLY:]) for message in messages]
    return [struct.unpack("=i", each[NETNSA_NSID])[0] for each in attributes if NETNSA_NSID in each]


def _aliases(route: socket.socket, number: int) -> set[str]:
    asked = b"\0" * _INTERFACE + _ATTRIBUTE.pack(8, IFLA_TARGET_NETNSID) + struct.pack("=i", number)
    try:
        attributes = [_attributes(message[_INTERFACE:]) for message in _dump(route, RTM_GETLINK, asked)]
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # the namespace has just gone
            return set()
        raise
    return {each[IFLA_IFALIAS].rstrip(b"\0").decode(errors="replace") for each in attributes if IFLA_IFALIAS in each}


def _dump(route: socket.socket, kind: int, body: bytes) -> list[bytes]:
    """The bodies of all messages of the answer."""
    route.send(_HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 0, 0) + body)
    found: list[bytes] = []
    while True:
        for answered, content in _messages(route.recv(_BUFFER)):
            code = -struct.unpack_from("=i", content)[0] if answered in (NLMSG_ERROR, NLMSG_DONE) else 0
            if code > 0:
                raise OSError(code, os.strerror(code))
            if answered == NLMSG_DONE:
                return found
            found.append(content)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[_aligned(max(length, _HEADER.size)) :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(max(length, _ATTRIBUTE.size)) :]
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
