# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever the kernel answers, or refuses to take, is one of our errors."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from pyroute2.netlink.exceptions import NetlinkDecodeError, NetlinkDumpInterrupted, NetlinkError

from kuryr_libnetwork.errors import LinkError, LinkNotFound
from kuryr_libnetwork.host import dumps, namespaces
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.host.netlink import DUMPS, listed, netlink


class Dump:
    """A list that changes ``times`` times while it is read."""

    def __init__(self, times: int) -> None:
        self.asked = 0
        self._times = times

    def __call__(self) -> list[int]:
        self.asked += 1
        if self.asked <= self._times:
            raise NetlinkDumpInterrupted
        return [1, 2]


def test_a_list_that_changed_while_it_was_read_is_read_again() -> None:
    """While others make interfaces, some would be missing in the list, or a container fail."""
    dump = Dump(DUMPS - 1)
    assert listed(dump) == [1, 2]
    assert dump.asked == DUMPS


def test_a_list_that_always_changes_is_given_up() -> None:
    """The service would ask for ever."""
    dump = Dump(100)
    with pytest.raises(LinkError, match="cannot list: the kernel's list changed"), netlink("list"):
        listed(dump)
    assert dump.asked == DUMPS


@pytest.mark.parametrize(
    "error",
    [
        NetlinkDecodeError(struct.error("unpack requires a buffer of 4 bytes")),
        struct.error("'I' format requires 0 <= number <= 4294967295"),
        OSError("strange"),
        KeyError("index"),
        IndexError("list index out of range"),
        AttributeError("'NoneType' object has no attribute 'get_attr'"),
        TypeError("'NoneType' object is not subscriptable"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        NetlinkError(22),
    ],
)
def test_a_malformed_message_is_one_of_our_errors(error: Exception) -> None:
    """Docker would read "internal error"."""
    with pytest.raises(LinkError, match=r"^cannot look: .") as caught, netlink("look"):
        raise error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\xff" * 40, b"\0\0\0\0" + b"\x01" * 36, b"\x10\0\0\0" + b"\0" * 5])
def test_messages_of_no_length_end(data: bytes) -> None:
    """One such message would keep a thread busy for ever."""
    found = list(dumps.messages(data))
    assert len(found) <= 3
    for *_, content in found:
        assert len(dumps.attributes_of(content)) <= len(content)


class Route:
    """A socket of the kernel's that answers a list with these parts."""

    def __init__(self, *parts: bytes) -> None:
        self._left = list(parts)

    def recv(self, _: int) -> bytes:
        return self._left.pop(0)


def message(kind: int, flags: int = 0, body: bytes = b"\0" * 4) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def contents(*parts: bytes) -> list[bytes]:
    return list(dumps.contents(cast("socket.socket", Route(*parts))))


def test_a_list_ends_with_its_end() -> None:
    """Interfaces of the second part would look as if they were gone."""
    parts = message(dumps.RTM_GETLINK, body=b"one\0"), message(dumps.RTM_GETLINK, body=b"two\0")
    assert contents(parts[0], parts[1] + message(dumps.NLMSG_DONE)) == [b"one\0", b"two\0"]


def test_a_list_that_was_interrupted_is_not_believed() -> None:
    """Interfaces would be missing in it, and their containers look dead."""
    with pytest.raises(InterruptedError):
        contents(message(dumps.RTM_GETLINK, dumps.NLM_F_DUMP_INTR) + message(dumps.NLMSG_DONE))


def test_a_list_that_the_kernel_refuses() -> None:
    """An error would be read as an empty list: every container would look dead."""
    with pytest.raises(PermissionError):
        contents(message(dumps.NLMSG_ERROR, body=struct.pack("=i", -1)))


class Socket:
    """The kernel's messages, whatever they are."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages

    def link(self, *_: object, **__: object) -> list[Any]:
        return self._messages

    get_links = get_addr = get_routes = link


class Message(dict[str, Any]):
    def __init__(self, attributes: dict[str, Any], **fields: Any) -> None:
        super().__init__(fields)
        self._attributes = attributes

    def get_attr(self, name: str) -> Any:
        return self._attributes.get(name)


@pytest.mark.parametrize(
    "messages",
    [
        [None],
        [Message({})],
        [Message({"IFLA_IFNAME": "vf0"})],
        [Message({"IFLA_IFNAME": "vf0", "IFLA_LINKINFO": "x", "IFA_LOCAL": "no address"}, index=1, flags=None)],
        [Message({"IFLA_IFNAME": "vf0", "IFLA_AF_SPEC": 5}, index="x", flags=0)],
    ],
)
def test_messages_that_lack_what_is_asked_for(messages: list[Any]) -> None:
    """Docker would read "internal error", or the background stop at one odd interface."""

    @contextmanager
    def connect(task: str) -> Iterator[Any]:
        with netlink(task):
            yield Socket(messages)

    netdevs = KernelNetdevs(connect=connect)
    looks: list[Callable[[], object]] = [
        lambda: netdevs.state("vf0"),
        lambda: netdevs.uses(["vf0"]),
        lambda: netdevs.in_use("vf0"),
        lambda: netdevs.carries_default_route(["vf0"]),
        lambda: netdevs.set_up("vf0"),
    ]
    errors = []
    for look in looks:
        try:
            look()
        except LinkError as error:
            errors.append(str(error))
    assert errors
    assert all(text.startswith("cannot ") and text.isprintable() for text in errors)


def test_a_sandbox_that_no_file_can_be_called() -> None:
    """Docker names the sandbox; for a zero byte in the name, Python's own error would reach Docker."""
    with pytest.raises(LinkNotFound):
        namespaces.run_inside("/run/docker/netns/\0", lambda: None)
