# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network interfaces by rtnetlink: the pairs that join containers to Open vSwitch."""

from __future__ import annotations

import array
import fcntl
import socket as socket_module
import struct
from typing import Any

from kuryr_libnetwork.host.netlink import delete, find, netlink
from kuryr_libnetwork.model import Link, VethSpec

IFF_UP = 1
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17


class KernelLinks:
    """Implements :class:`~kuryr_libnetwork.interfaces.Links`."""

    def get(self, name: str) -> Link | None:
        with netlink(f"look at interface {name}") as socket:
            return _find(socket, name)

    def find_by_alias(self, alias: str) -> list[Link]:
        with netlink("list the interfaces") as socket:
            return [_link(message) for message in socket.get_links() if message.get_attr("IFLA_IFALIAS") == alias]

    def create_veth(self, spec: VethSpec) -> None:
        with netlink(f"make the interfaces {spec.host_name} and {spec.container_name}") as socket:
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
                    delete(socket, spec.host_name)

    def delete(self, name: str) -> bool:
        with netlink(f"delete interface {name}") as socket:
            return delete(socket, name)


def _find(socket: Any, name: str) -> Link | None:
    message = find(socket, name)
    return None if message is None else _link(message)


def _index(socket: Any, name: str) -> int:
    return int(socket.link("get", ifname=name)[0]["index"])


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
        peer_away=message.get_attr("IFLA_LINK_NETNSID") is not None,
    )
