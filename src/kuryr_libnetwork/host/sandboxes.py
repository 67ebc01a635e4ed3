# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Routes in the network namespaces of containers."""

from __future__ import annotations

import errno
import socket as socket_module
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

from kuryr_libnetwork.host.namespaces import run_inside
from kuryr_libnetwork.host.netlink import listed, netlink, refusal
from kuryr_libnetwork.model.links import SandboxRoute, SandboxView

MAIN_TABLE = 254
UNICAST = 1
SCOPE_LINK, SCOPE_UNIVERSE = 253, 0
FAMILIES = {socket_module.AF_INET: "0.0.0.0/0", socket_module.AF_INET6: "::/0"}
OF_EACH_LINK = ("fe80::/64", "ff00::/8")
GONE = (errno.ESRCH, errno.ENODEV, errno.ENETUNREACH)


class KernelSandboxes:
    """Implements :class:`~kuryr_libnetwork.interfaces.host.Sandboxes`."""

    def look(self, sandbox: str) -> SandboxView:
        return run_inside(sandbox, _look)

    def add_route(self, sandbox: str, route: SandboxRoute) -> None:
        run_inside(sandbox, partial(_add, route))

    def remove_route(self, sandbox: str, route: SandboxRoute) -> None:
        run_inside(sandbox, partial(_remove, route))


def _look() -> SandboxView:
    with netlink("look at the routes of a container") as socket:
        addresses = {_address(message): int(message["index"]) for message in listed(socket.get_addr)}
        found = []
        for family in FAMILIES:
            found += listed(partial(socket.get_routes, family=family, table=MAIN_TABLE))
        routes = [_route(message) for message in found if _counts(message)]
    own = {_host_cidr(ip) for ip in addresses}
    kept = (route for route in routes if route.destination not in OF_EACH_LINK and route.destination not in own)
    return SandboxView(routes=tuple(kept), addresses=addresses)


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


def _counts(message: Any) -> bool:
    """An ordinary route on one interface. Routes over several are nobody's whom we know."""
    main = message.get_attr("RTA_TABLE", message["table"]) == MAIN_TABLE
    return main and message["type"] == UNICAST and message.get_attr("RTA_OIF") is not None


def _route(message: Any) -> SandboxRoute:
    where = message.get_attr("RTA_DST")
    return SandboxRoute(
        destination=f"{ip_address(where)}/{message['dst_len']}" if where else FAMILIES[message["family"]],
        next_hop=message.get_attr("RTA_GATEWAY") or "",
        interface=int(message.get_attr("RTA_OIF")),
        metric=int(message.get_attr("RTA_PRIORITY") or 0),
    )


def _address(message: Any) -> str:
    return str(ip_address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")))


def _host_cidr(ip: str) -> str:
    return f"{ip}/{128 if ':' in ip else 32}"
