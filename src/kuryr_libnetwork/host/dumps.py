# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Reads kernel lists whose length a container decides: links, addresses and routes of its network namespace.

A container with CAP_NET_ADMIN can fill its namespace. pyroute2 returns nothing of a list before it has all of it, so
these lists are read message by message, up to a bound (include/uapi/linux/netlink.h, rtnetlink.h). Each list has a
socket of its own, because what is left unread would be taken for the answer to the next request.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNSID = 18, 22, 26, 90
SIZES = {RTM_GETLINK: 16, RTM_GETADDR: 8, RTM_GETROUTE: 12, RTM_GETNSID: 4}
"""Length of the fixed part before the attributes, in request and answer."""
MOST = 5000
"""Most entries of one list; no ordinary container has more."""
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER = 1 << 18
_TYPE = 0x3FFF  # without the flags for nested and byte order
_TRIES = 5


class TooMany(OSError):
    """The list is longer than the bound."""

    def __init__(self, most: int) -> None:
        super().__init__(errno.E2BIG, f"there are more than {most}, and no more are read")


class Entry(NamedTuple):
    """``fixed``: the part of the message before the attributes."""

    fixed: bytes
    attributes: Mapping[int, bytes]


def dump(kind: int, body: bytes, most: int = MOST) -> list[Entry]:
    """The whole list, requested again if it changed while it was read. Raises :class:`TooMany` beyond the bound.

    ``body``: the request's content; the kernel applies any filter in it (since Linux 4.20).
    """
    for _ in range(_TRIES):
        with suppress(InterruptedError):
            return list(entries(kind, body, most))
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def entries(kind: int, body: bytes, most: int = MOST) -> Iterator[Entry]:
    """The same entries one by one, for a search: only one kernel message at a time is in memory."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as route:
        route.bind((0, 0))
        with suppress(OSError):  # older kernels do not filter, and we do not rely on it
            route.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        route.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body)
        for number, content in enumerate(contents(route)):
            if number == most:
                raise TooMany(most)
            size = SIZES[kind]
            yield Entry(content[:size], attributes_of(content[size:]))


def one(kind: int, body: bytes) -> Entry:
    """The one entry that ``body`` names."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as route:
        route.bind((0, 0))
        route.send(_HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST, 0, 0) + body)
        content = next(contents(route))
        return Entry(content[: SIZES[kind]], attributes_of(content[SIZES[kind] :]))


def contents(route: socket.socket) -> Iterator[bytes]:
    """The content of each message of one answer. Raises ``InterruptedError`` if the list changed while it was read."""
    while True:
        for kind, flags, content in messages(route.recv(_BUFFER)):
            code = -struct.unpack_from("=i", content)[0] if kind in (NLMSG_ERROR, NLMSG_DONE) else 0
            if code > 0:
                raise OSError(code, os.strerror(code))
            if flags & NLM_F_DUMP_INTR:
                raise InterruptedError(errno.EINTR, "the list changed while it was read")
            if kind == NLMSG_DONE:
                return
            yield content


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and content of each message."""
    rest = memoryview(data)
    while len(rest) >= _HEADER.size:
        length, kind, flags, *_ = _HEADER.unpack_from(rest)
        yield kind, flags, bytes(rest[_HEADER.size : length])
        rest = rest[_aligned(max(length, _HEADER.size)) :]


def attributes_of(data: bytes) -> dict[int, bytes]:
    return dict(each_attribute(data))


def each_attribute(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each attribute, for lists whose entries are all of one kind."""
    rest = memoryview(data)
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        yield kind & _TYPE, bytes(rest[_ATTRIBUTE.size : length])
        rest = rest[_aligned(max(length, _ATTRIBUTE.size)) :]


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def text(value: bytes) -> str:
    """A name or alias, which ends in a zero byte."""
    return value.rstrip(b"\0").decode(errors="replace")


def _aligned(length: int) -> int:
    return (length + 3) & ~3
