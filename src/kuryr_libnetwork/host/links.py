# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network interfaces by rtnetlink: veth pairs that connect containers to a switch or bridge, and child interfaces."""

from __future__ import annotations

import array
import fcntl
import socket as socket_module
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from kuryr_libnetwork.host.elsewhere import aliases_elsewhere
from kuryr_libnetwork.host.host_ip import host_ip, set_host_ip
from kuryr_libnetwork.host.link_dump import all_links
from kuryr_libnetwork.host.netlink import delete, find, listed, netlink
from kuryr_libnetwork.model.links import ChildSpec, Link, VethSpec
from kuryr_libnetwork.rules.host_ip import ROUTED, SILENT
from kuryr_libnetwork.undo import Undo

IFF_UP = 1
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
IPVLAN_MODE_L2 = 0
"""include/uapi/linux/if_link.h."""


class KernelLinks:
    """Implements :class:`~kuryr_libnetwork.interfaces.host.Links`."""

    def get(self, name: str) -> Link | None:
        with netlink(f"look at interface {name}") as socket:
            return _find(socket, name)

    def find_by_alias(self, alias: str) -> list[Link]:
        return [link for link in self.all() if link.alias == alias]

    def create_veth(self, spec: VethSpec) -> None:
        with netlink(f"make the interfaces {spec.host_name} and {spec.container_name}") as socket:
            peer = {"ifname": spec.container_name, "mtu": spec.mtu} | ({"address": spec.mac} if spec.mac else {})
            socket.link("add", ifname=spec.host_name, kind="veth", mtu=spec.mtu, peer=peer)
            with self._undoing(spec.host_name):
                container, host = _index(socket, spec.container_name), _index(socket, spec.host_name)
                socket.link("set", index=container, ifalias=spec.alias)
                set_host_ip(socket, container, SILENT)  # it stays on the host until Docker moves it
                if not spec.tx_checksum:
                    _finish_checksums(spec.container_name)
                set_host_ip(socket, host, ROUTED if spec.routed else SILENT)
                socket.link("set", index=host, ifalias=spec.alias, state="up")

    def create_bridge(self, name: str, alias: str) -> None:
        with netlink(f"make the bridge {name}") as socket:
            socket.link("add", ifname=name, kind="bridge", br_forward_delay=0, br_stp_state=0, br_mcast_snooping=0)
            with self._undoing(name):
                index = _index(socket, name)
                set_host_ip(socket, index, SILENT)
                socket.link("set", index=index, ifalias=alias, state="up")

    def add_to_bridge(self, name: str, bridge: str) -> None:
        with netlink(f"put interface {name} into bridge {bridge}") as socket:
            index, master = _index(socket, name), _index(socket, bridge)
            if _message(socket, name).get_attr("IFLA_MASTER") != master:
                socket.link("set", index=index, master=master)
            socket.link("set", index=index, state="up")

    def members(self, bridge: str) -> list[str]:
        with netlink(f"look into bridge {bridge}") as socket:
            found = find(socket, bridge)
            members = listed(lambda: socket.get_links(master=found["index"])) if found is not None else []
            return [message.get_attr("IFLA_IFNAME") for message in members]

    def create_child(self, spec: ChildSpec) -> None:
        with netlink(f"make the {spec.kind} {spec.name} on {spec.parent}") as socket:
            mac = {"address": spec.mac} if spec.mac else {}
            below = _index(socket, spec.parent)
            socket.link("add", ifname=spec.name, link=below, mtu=spec.mtu, kind=spec.kind, **mac, **_mode(spec))
            with self._undoing(spec.name):
                index = _index(socket, spec.name)
                set_host_ip(socket, index, SILENT)
                socket.link("set", index=index, ifalias=spec.alias)

    def silence(self, name: str) -> None:
        with netlink(f"turn the host's own IP off on interface {name}") as socket:
            set_host_ip(socket, _index(socket, name), SILENT)

    def all(self) -> list[Link]:
        return all_links("list the interfaces")

    def addresses(self, name: str) -> list[str]:
        with netlink(f"look at the addresses of {name}") as socket:
            index = _index(socket, name)
            found = [each for each in listed(lambda: socket.get_addr(index=index)) if each["index"] == index]
            return [each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS") for each in found]

    def aliases_elsewhere(self) -> frozenset[str]:
        return aliases_elsewhere()

    def delete(self, name: str) -> bool:
        with netlink(f"delete interface {name}") as socket:
            return delete(socket, name)

    @contextmanager
    def _undoing(self, name: str) -> Iterator[None]:
        """Delete an interface that was just created, if its set-up in the body fails."""
        with Undo() as undo:
            undo.add(f"delete interface {name}", partial(self.delete, name))
            yield


def _find(socket: Any, name: str) -> Link | None:
    message = find(socket, name)
    return None if message is None else _link(message)


def _index(socket: Any, name: str) -> int:
    return int(_message(socket, name)["index"])


def _message(socket: Any, name: str) -> Any:
    return socket.link("get", ifname=name)[0]


def _mode(spec: ChildSpec) -> dict[str, Any]:
    modes: dict[str, dict[str, Any]] = {
        "macvlan": {"macvlan_mode": "bridge"},
        "ipvlan": {"ipvlan_mode": IPVLAN_MODE_L2},
        "vlan": {"vlan_id": spec.vlan},
    }
    return modes[spec.kind]


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
        host_ip=host_ip(message),
    )
