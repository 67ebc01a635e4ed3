# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Routes in the network namespaces of containers.

The container decides how many there are, so they are read up to a bound; beyond it the look fails.
"""

from __future__ import annotations

import errno
import socket as socket_module
import struct
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.namespaces import run_inside
from kuryr_libnetwork.host.netlink import netlink, refusal, told_as
from kuryr_libnetwork.model.links import SandboxRoute, SandboxView

MAIN_TABLE = 254
UNICAST = 1
SCOPE_LINK, SCOPE_UNIVERSE = 253, 0
FAMILIES = {socket_module.AF_INET: "0.0.0.0/0", socket_module.AF_INET6: "::/0"}
OF_EACH_LINK = ("fe80::/64", "ff00::/8")
GONE = (errno.ESRCH, errno.ENODEV, errno.ENETUNREACH)
IFLA_LINKINFO, IFLA_INFO_KIND = 18, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_TABLE = 1, 4, 5, 6, 15
_ROUTE = struct.Struct("=8BI")
"""struct rtmsg: family, prefix length, length of the source, TOS, table, protocol, scope, type; flags."""
_LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index of the interface, flags, mask of the flags."""
_ADDRESS = struct.Struct("=4BI")
"""struct ifaddrmsg: family, prefix length, flags, scope; index of the interface."""

BRIDGES_ONLY = bytes(dumps.SIZES[dumps.RTM_GETLINK]) + dumps.attribute(
    IFLA_LINKINFO, dumps.attribute(IFLA_INFO_KIND, b"bridge\0")
)


class KernelSandboxes:
    """Implements :class:`~kuryr_libnetwork.interfaces.host.Sandboxes`."""

    def look(self, sandbox: str) -> SandboxView:
        return run_inside(sandbox, _look)

    def subnets_of_bridges(self) -> list[str]:
        return _bridges()

    def add_route(self, sandbox: str, route: SandboxRoute) -> None:
        run_inside(sandbox, partial(_add, route))

    def remove_route(self, sandbox: str, route: SandboxRoute) -> None:
        run_inside(sandbox, partial(_remove, route))


def _look() -> SandboxView:
    with told_as("look at the routes of a container"):
        addresses = dict(map(_address, dumps.dump(dumps.RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0))))
        found = [_route(entry) for family in FAMILIES for entry in _routes(family)]
    own = {_host_cidr(ip) for ip in addresses}
    kept = (route for route in found if route is not None and route.destination not in {*OF_EACH_LINK, *own})
    return SandboxView(routes=tuple(kept), addresses=addresses)


def _routes(family: int) -> list[dumps.Entry]:
    try:
        return dumps.dump(dumps.RTM_GETROUTE, _ROUTE.pack(family, 0, 0, 0, MAIN_TABLE, 0, 0, UNICAST, 0))
    except FileNotFoundError:  # the table has never had a route
        return []


def _bridges() -> list[str]:
    """A container's Join waits for this, so the kernel picks the bridges out of the pairs of all containers."""
    with told_as("look at the bridges of this host"):
        links = dumps.dump(dumps.RTM_GETLINK, BRIDGES_ONLY)
        bridges = {_LINK.unpack(entry.fixed)[2] for entry in links if _kind(entry) == "bridge"}
        addresses = dumps.dump(dumps.RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0))
    found = {_subnet(entry) for entry in addresses if _address(entry)[1] in bridges}
    return sorted(found - set(OF_EACH_LINK))


def _kind(entry: dumps.Entry) -> str:
    return dumps.text(dumps.attributes_of(entry.attributes.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND, b""))


def _subnet(entry: dumps.Entry) -> str:
    _, length, *_ = _ADDRESS.unpack(entry.fixed)
    return str(ip_network(f"{_address(entry)[0]}/{length}", strict=False))


def _add(route: SandboxRoute) -> None:
    with netlink(f"add the route to {route.destination} in a container") as socket:
        socket.route("add", **_words(route))


def _remove(route: SandboxRoute) -> None:
    with netlink(f"remove the route to {route.destination} in a container") as socket:
        refusal(partial(socket.route, "del", **_words(route)), *GONE)


def _words(route: SandboxRoute) -> dict[str, Any]:
    destination = ip_network(route.destination)
    family = socket_module.AF_INET if destination.version == 4 else socket_module.AF_INET6
    hop = {"gateway": route.next_hop} if route.next_hop else {}
    on_link = destination.version == 4 and not route.next_hop
    return {
        "family": family,
        "dst": str(destination),
        "oif": route.interface,
        "priority": route.metric,
        "table": MAIN_TABLE,
        "scope": SCOPE_LINK if on_link else SCOPE_UNIVERSE,
        **hop,
    }


def _route(entry: dumps.Entry) -> SandboxRoute | None:
    """An ordinary route over one interface; ``None`` for others, as multipath routes, which Docker does not set."""
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack(entry.fixed)
    found = entry.attributes
    where, hop = found.get(RTA_DST), found.get(RTA_GATEWAY)
    if _number(found.get(RTA_TABLE), table) != MAIN_TABLE or kind != UNICAST or RTA_OIF not in found:
        return None
    return SandboxRoute(
        destination=f"{ip_address(where)}/{length}" if where else FAMILIES[family],
        next_hop=str(ip_address(hop)) if hop else "",
        interface=_number(found[RTA_OIF], 0),
        metric=_number(found.get(RTA_PRIORITY), 0),
    )


def _number(value: bytes | None, otherwise: int) -> int:
    return otherwise if value is None else int(struct.unpack("=I", value)[0])


def _address(entry: dumps.Entry) -> tuple[str, int]:
    *_, index = _ADDRESS.unpack(entry.fixed)
    found = entry.attributes
    return str(ip_address(found.get(IFA_LOCAL) or found[IFA_ADDRESS])), index


def _host_cidr(ip: str) -> str:
    return f"{ip}/{128 if ':' in ip else 32}"
