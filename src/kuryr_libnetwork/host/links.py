# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network interfaces by rtnetlink; the only module that knows pyroute2, and the only one that knows its errors."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket as socket_module
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.model import Link, VethSpec

IFF_UP = 1
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
_REASONS = {
    errno.EPERM: "not permitted; the service needs CAP_NET_ADMIN",
    errno.EOPNOTSUPP: "the kernel has no support for it (is the veth module there?)",
}


class KernelLinks:
    """Implements :class:`~kuryr_libnetwork.interfaces.Links`: one netlink socket per operation, none shared.

    pyroute2 takes a tenth of a second to import, so that waits for the first use.
    """

    def get(self, name: str) -> Link | None:
        with self._socket(f"look at interface {name}") as socket:
            return _find(socket, name)

    def find_by_alias(self, alias: str) -> list[Link]:
        with self._socket("list the interfaces") as socket:
            return [_link(message) for message in socket.get_links() if message.get_attr("IFLA_IFALIAS") == alias]

    def create_veth(self, spec: VethSpec) -> None:
        with self._socket(f"make the interfaces {spec.host_name} and {spec.container_name}") as socket:
            peer = {"ifname": spec.container_name, "mtu": spec.mtu, "address": spec.mac}
            socket.link("add", ifname=spec.host_name, kind="veth", mtu=spec.mtu, peer=peer)
            finished = False
            try:
                socket.link("set", index=_index(socket, spec.container_name), ifalias=spec.alias)
                if not spec.tx_checksum:
                    _finish_checksums(spec.container_name)
                socket.link("set", index=_index(socket, spec.host_name), ifalias=spec.alias, state="up")
                finished = True
            finally:
                if not finished:
                    _delete(socket, spec.host_name)

    def delete(self, name: str) -> bool:
        with self._socket(f"delete interface {name}") as socket:
            return _delete(socket, name)

    @contextmanager
    def _socket(self, task: str) -> Iterator[Any]:
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            with IPRoute() as socket:
                yield socket
        except NetlinkError as error:
            raise _translated(task, error.code, error) from error
        except OSError as error:
            raise _translated(task, error.errno or 0, error) from error


def _translated(task: str, code: int, error: Exception) -> LinkError:
    text = f"cannot {task}: {_REASONS.get(code) or (os.strerror(code) if code else error)}"
    return {errno.ENODEV: LinkNotFound, errno.EEXIST: LinkExists}.get(code, LinkError)(text)


def _find(socket: Any, name: str) -> Link | None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        found = socket.link("get", ifname=name)
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    link = _link(found[0]) if found else None
    return link if link and link.name == name else None  # the kernel finds interfaces by their altnames, too


def _index(socket: Any, name: str) -> int:
    return int(socket.link("get", ifname=name)[0]["index"])


def _delete(socket: Any, name: str) -> bool:
    """By the index of the name: the kernel never takes an index for another interface while both exist."""
    from pyroute2.netlink.exceptions import NetlinkError

    link = _find(socket, name)
    if link is None:
        return False
    try:
        socket.link("del", index=link.index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
        return False
    return True


def _finish_checksums(name: str) -> None:
    """Turn tx checksum offloading off (include/uapi/linux/ethtool.h, ``ethtool_value``)."""
    value = array.array("I", [ETHTOOL_STXCSUM, 0])
    request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
    with socket_module.socket(socket_module.AF_INET, socket_module.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, request)


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=(info.get_attr("IFLA_INFO_KIND") if info else "") or "",
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & IFF_UP),
        alias=message.get_attr("IFLA_IFALIAS") or "",
    )
