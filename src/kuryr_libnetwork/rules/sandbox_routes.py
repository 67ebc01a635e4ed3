# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which routes a container on several networks gets, and when.

The kernel refuses a second route to the same destination, and Docker refuses a subnet that overlaps a route which is
already there: the container would not start, or not get the second network. So Docker is told each destination once.
We add the remaining routes once all interfaces are in place, with a higher metric than the existing ones, so that they
take over if those go. Source: docs/notes/docker-plugin.md, "Several networks".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kuryr_libnetwork.model.links import SandboxRoute, SandboxView
from kuryr_libnetwork.model.records import EndpointRecord, NetworkRecord, RouteRecord
from kuryr_libnetwork.protocol.messages import JoinResponse, StaticRoute
from kuryr_libnetwork.rules.addresses import canonical_cidr, canonical_ip, is_default, may_overlap, version_of

BEHIND = 1025
"""The lowest metric of our own routes: above 0, Docker's for IPv4, and 1024, the kernel's for IPv6."""
ANY = {4: "0.0.0.0/0", 6: "::/0"}


class Fitted(NamedTuple):
    """What Docker is told, the routes among it, and the routes that are kept back."""

    answer: JoinResponse
    routes: tuple[RouteRecord, ...]
    kept_back: tuple[RouteRecord, ...]


def fitted(
    answer: JoinResponse, taken: Collection[str], may_come: Iterable[str] = (), advertised: Collection[str] = ()
) -> Fitted:
    """What to tell Docker, so that it learns each destination only once.

    ``taken``: the destinations that the container has routes to. ``may_come``: subnets that it may get later, when no
    route could be removed to make room; gateways are told nevertheless. If the route to a gateway outside of its subnet
    is kept back, so are the gateway and the routes through it. ``advertised``: gateways that a router advertises to the
    container. Their default route would be a second one, or an error if the router was faster ("failed to set IPv6
    gateway: file exists").
    """
    told: list[StaticRoute] = []
    kept: list[RouteRecord] = []
    coming = list(may_come)
    lost: set[str] = set()
    for route in sorted(answer.static_routes, key=lambda route: route.next_hop != ""):
        where = canonical_cidr(route.destination)
        comes = route.next_hop and any(may_overlap(where, cidr) for cidr in coming)
        if where in taken or comes or _ip(route.next_hop) in lost:
            kept.append(_record(route))
            lost |= set() if route.next_hop else {canonical_ip(where)}
        else:
            told.append(route)
    gateways = (answer.gateway, answer.gateway_ipv6)
    ours = lost | set(advertised)
    gone = [_ip(each) for each in gateways if _ip(each) in ours]
    kept += [RouteRecord(destination=ANY[version_of(each)], next_hop=each) for each in gone]
    left = ["" if _ip(each) in ours else each for each in gateways]
    fit = replace(answer, static_routes=told, gateway=left[0], gateway_ipv6=left[1])
    return Fitted(fit, tuple(_record(route) for route in told), tuple(kept))


def subnets_of_addresses(endpoint: EndpointRecord) -> list[str]:
    """The subnets that the kernel routes to because of the endpoint's addresses."""
    return [canonical_cidr(text) for text in (endpoint.address, endpoint.address_ipv6) if text]


def taken_by(others: Iterable[EndpointRecord], view: SandboxView) -> set[str]:
    """The destinations of a container with these endpoints and, if it runs, these routes."""
    found = {route.destination for route in view.routes if not is_default(route.destination)}
    for each in others:
        found |= {route.destination for route in each.routes} | set(subnets_of_addresses(each))
    return found


def neighbours(endpoint: EndpointRecord, all_of_host: Iterable[EndpointRecord]) -> list[EndpointRecord]:
    """The other endpoints of its container, oldest first."""
    same = [
        each
        for each in all_of_host
        if each.sandbox_key == endpoint.sandbox_key != "" and each.endpoint_id != endpoint.endpoint_id
    ]
    return sorted((each for each in same if each.state == "ready"), key=lambda each: each.created_at)


def may_come_to(endpoint: EndpointRecord, networks: Iterable[NetworkRecord]) -> list[str]:
    """The subnets of the host's other Docker networks: the container may be connected to any of them."""
    others = (network for network in networks if network.docker_id != endpoint.docker_network_id)
    return [subnet.cidr for network in others for subnet in network.subnets]


def overlap(routes: Iterable[RouteRecord], subnets: Collection[str]) -> bool:
    """Whether a route, but a default one, leads into one of the subnets or beyond it."""
    ways = [route.destination for route in routes if not is_default(route.destination)]
    return any(may_overlap(way, cidr) for way in ways for cidr in subnets)


def in_the_way(endpoint: EndpointRecord, others: Iterable[EndpointRecord]) -> dict[str, tuple[RouteRecord, ...]]:
    """By endpoint id, the other endpoints' routes that prevent Docker from configuring this one's addresses."""
    mine = subnets_of_addresses(endpoint)

    def overlaps(route: RouteRecord) -> bool:
        return not is_default(route.destination) and any(may_overlap(route.destination, cidr) for cidr in mine)

    found = {each.endpoint_id: tuple(filter(overlaps, (*each.routes, *each.kept_back))) for each in others}
    return {endpoint_id: routes for endpoint_id, routes in found.items() if routes}


def kept_back(endpoint: EndpointRecord, routes: Collection[RouteRecord]) -> EndpointRecord:
    """The endpoint, with these of its routes kept back from Docker, for us to add."""
    told = tuple(route for route in endpoint.routes if route not in routes)
    kept = (*endpoint.kept_back, *(route for route in endpoint.routes if route in routes))
    return replace(endpoint, routes=told, kept_back=kept)


def installed(view: SandboxView, routes: Iterable[RouteRecord]) -> list[SandboxRoute]:
    """The container's routes that match these."""
    wanted = {(route.destination, route.next_hop) for route in routes}
    return [route for route in view.routes if (route.destination, route.next_hop) in wanted]


def is_in_place(endpoint: EndpointRecord, view: SandboxView) -> bool:
    """Whether Docker has configured an address on the interface; one is enough, as IPv6 may be off in the container."""
    return _interface(endpoint, view) is not None


def to_add(endpoints: Sequence[EndpointRecord], view: SandboxView) -> list[SandboxRoute]:
    """The routes that were kept back and are still missing, each with a higher metric than all others to its
    destination.

    Leaves out endpoints whose interface is not in the container.
    """
    metrics: dict[str, int] = {}
    for there in view.routes:
        metrics[there.destination] = max(metrics.get(there.destination, 0), there.metric)
    known = {(there.destination, there.next_hop, there.interface) for there in view.routes}
    found = []
    for endpoint in endpoints:
        interface = _interface(endpoint, view)
        if interface is None:
            continue
        for route in endpoint.kept_back:
            if (route.destination, route.next_hop, interface) not in known:
                metric = max(BEHIND, metrics.get(route.destination, 0) + 1)
                metrics[route.destination] = metric
                found.append(_behind(route, interface, metric))
    return found


def described(routes: Iterable[RouteRecord]) -> str:
    return ", ".join(f"{each.destination} via {each.next_hop or 'the link'}" for each in routes)


def _interface(endpoint: EndpointRecord, view: SandboxView) -> int | None:
    given = (canonical_ip(text) for text in (endpoint.address, endpoint.address_ipv6) if text)
    return next((view.addresses[ip] for ip in given if ip in view.addresses), None)


def _record(route: StaticRoute) -> RouteRecord:
    return RouteRecord(destination=canonical_cidr(route.destination), next_hop=_ip(route.next_hop))


def _behind(route: RouteRecord, interface: int, metric: int) -> SandboxRoute:
    return SandboxRoute(destination=route.destination, next_hop=route.next_hop, interface=interface, metric=metric)


def _ip(text: str) -> str:
    return canonical_ip(text) if text else ""
