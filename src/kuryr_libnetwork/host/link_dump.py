# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Lists all interfaces at once, decoded directly from the kernel's messages.

pyroute2 takes half a millisecond and some 40 KB for each interface, which a host with thousands of containers would pay
in every round of the background; only about ten values of each interface are needed here. The layout is that of
include/uapi/linux: rtnetlink.h, if_link.h, ip.h, ipv6.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.dumps import attributes_of
from kuryr_libnetwork.host.netlink import told_as
from kuryr_libnetwork.model.links import HostIp, Link

MOST = 1_000_000
"""In practice no bound: containers do not decide how many interfaces the host has."""
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_IFALIAS = 1, 3, 4, 18, 20
IFLA_AF_SPEC, IFLA_EXT_MASK, IFLA_LINK_NETNSID = 26, 29, 37
IFLA_INFO_KIND, IFLA_INET_CONF, IFLA_INET6_CONF, IFLA_INET6_ADDR_GEN_MODE = 1, 1, 2, 8
RTEXT_FILTER_SKIP_STATS = 8
RP_FILTER, ARP_IGNORE = 7, 18
ACCEPT_RA, DISABLE_IPV6 = 3, 26
"""Positions in the kernel's lists of settings."""
IFF_UP = 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg
_INTERFACE = struct.Struct("=BxHiII")  # struct ifinfomsg


def all_links(task: str) -> list[Link]:
    """All interfaces of this namespace. Raises :class:`~kuryr_libnetwork.errors.LinkError`, which names ``task``."""
    asked = _INTERFACE.pack(0, 0, 0, 0, 0) + dumps.attribute(IFLA_EXT_MASK, struct.pack("=I", RTEXT_FILTER_SKIP_STATS))
    with told_as(task):
        return [_link(entry) for entry in dumps.dump(dumps.RTM_GETLINK, asked, MOST)]


def link_with(address: str, task: str) -> Link | None:
    """The interface of this namespace that has this IP address; raises as :func:`all_links` does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wanted = socket.inet_pton(family, address)
    with told_as(task):
        found = dumps.dump(dumps.RTM_GETADDR, _ADDRESS.pack(family, 0, 0, 0, 0), MOST)
        indexes = {
            _ADDRESS.unpack_from(entry.fixed)[4]
            for entry in found
            if wanted in (entry.attributes.get(IFA_LOCAL), entry.attributes.get(IFA_ADDRESS))
        }
    return next((link for link in all_links(task) if link.index in indexes), None)


def _link(entry: dumps.Entry) -> Link:
    _, _, index, flags, _ = _INTERFACE.unpack_from(entry.fixed)
    said = entry.attributes
    info = attributes_of(said.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=dumps.text(said[IFLA_IFNAME]),
        kind=dumps.text(info.get(IFLA_INFO_KIND, b"")),
        mac=said.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(said[IFLA_MTU]) if IFLA_MTU in said else 0,
        up=bool(flags & IFF_UP),
        alias=dumps.text(said.get(IFLA_IFALIAS, b"")),
        peer_away=IFLA_LINK_NETNSID in said,
        host_ip=_host_ip(attributes_of(said.get(IFLA_AF_SPEC, b""))),
    )


def _host_ip(families: Mapping[int, bytes]) -> HostIp:
    """The host's own IP; absent for a family that is off, or needs a larger MTU."""
    four = attributes_of(families.get(socket.AF_INET, b"")).get(IFLA_INET_CONF)
    six = attributes_of(families.get(socket.AF_INET6, b""))
    settings, mode = six.get(IFLA_INET6_CONF), six.get(IFLA_INET6_ADDR_GEN_MODE)
    return HostIp(
        rp_filter=_number(four, RP_FILTER) if four else None,
        arp_ignore=_number(four, ARP_IGNORE) if four else None,
        addr_gen_mode=mode[0] if mode else None,
        disable_ipv6=_number(settings, DISABLE_IPV6) if settings else None,
        accept_ra=_number(settings, ACCEPT_RA) if settings else None,
    )


def _number(data: bytes, place: int = 0) -> int:
    return int(struct.unpack_from("=i", data, 4 * place)[0])
