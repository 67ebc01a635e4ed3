# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The answers to Docker about an endpoint."""

from __future__ import annotations

import re

from kuryr_libnetwork.errors import InvalidOption, InvalidRequest
from kuryr_libnetwork.model.records import EndpointRecord, NetworkRecord, SubnetRecord
from kuryr_libnetwork.protocol.messages import InterfaceName, JoinResponse, StaticRoute
from kuryr_libnetwork.rules.addresses import canonical_ip, contains, is_default, usable_routes
from kuryr_libnetwork.rules.networks import subnet_for
from kuryr_libnetwork.text import shown

ROUTE_BY_NEXT_HOP = 0
ROUTE_ON_LINK = 1


MAC_BYTES = 6
_OCTET = re.compile(r"[0-9a-fA-F]{2}")
LONGEST_PATH = 4095
"""Bytes; ``PATH_MAX`` with the zero at its end."""


def refuse_no_path(sandbox: str) -> None:
    """A ``SandboxKey`` that names no place. In which folder it is depends on how the engine is run, and the file may
    come later.

    Engines: ``EXEC_ROOT/netns/ID``, as a rule ``/var/run/docker/netns/ID``; rootless and in containers elsewhere.
    """
    if not sandbox:
        return
    parts = sandbox.split("/")
    if parts[0] or {".", ".."} & set(parts) or "\0" in sandbox or len(sandbox.encode()) > LONGEST_PATH:
        raise InvalidRequest(
            f"SandboxKey '{shown(sandbox)}' is not the path of a network namespace: absolute, without '..'"
        )


def refuse_no_mac(mac: str) -> None:
    """``--mac-address`` that no interface can have. Go also reads such of 8 and of 20 bytes, as other networks have
    them.
    """
    octets = mac.replace("-", ":").split(":")
    if len(octets) != MAC_BYTES or not all(_OCTET.fullmatch(octet) for octet in octets):
        raise InvalidOption("--mac-address", mac, "must be six bytes, such as fa:16:3e:00:00:01")
    if int(octets[0], 16) & 1:
        raise InvalidOption("--mac-address", mac, "is a multicast address; the first byte must be even")
    if not any(int(octet, 16) for octet in octets):
        raise InvalidOption("--mac-address", mac, "is no address of an interface")


def subnets_of(network: NetworkRecord, endpoint: EndpointRecord) -> list[SubnetRecord]:
    """The subnets in which the endpoint has an address.

    Not simply those of its families: a record rebuilt from Neutron may name subnets of other Docker networks as well.
    """
    found = (subnet_for(network, canonical_ip(text)) for text in (endpoint.address, endpoint.address_ipv6) if text)
    return [subnet for subnet in found if subnet is not None]


def join_answer(network: NetworkRecord, endpoint: EndpointRecord, dst_prefix: str, ifname: str) -> JoinResponse:
    """Interface, gateways and routes of a container.

    ``DisableGatewayService`` is always set: without it Docker adds a NATed second way out through docker_gwbridge when
    we give no gateway. An internal network gets neither gateway nor routes: Docker does not enforce ``--internal`` for
    remote drivers. A gateway outside of its subnet, as Neutron allows, is reachable by a route of its own. A container
    that has the gateway's address, or a next hop's, is itself the router: a route to itself would be refused by the
    kernel, and the container not start. A VF on a driver for user space has no interface to be moved, nor anything to
    route by. Source: docs/notes/docker-plugin.md, "Gateways and routes".
    """
    if endpoint.plug is None:
        raise InvalidRequest(f"endpoint {endpoint.endpoint_id[:12]} has no interface")
    if not endpoint.plug.container_ifname:
        return JoinResponse(disable_gateway_service=True)
    subnets = [] if network.internal else subnets_of(network, endpoint)
    own = {canonical_ip(text) for text in (endpoint.address, endpoint.address_ipv6) if text}
    ways = {each.ip_version: default_gateway(each) for each in subnets}
    gateways = {version: gateway for version, gateway in ways.items() if gateway not in own}
    routes = [route for subnet in subnets for route in _routes(subnet) if route.next_hop not in own]
    return JoinResponse(
        interface_name=InterfaceName(src_name=endpoint.plug.container_ifname, dst_prefix=dst_prefix, dst_name=ifname),
        gateway=gateways.get(4, ""),
        gateway_ipv6=gateways.get(6, ""),
        static_routes=routes,
        disable_gateway_service=True,
    )


def unnamed(name: str, prefix: str) -> str:
    """What the user is told who wants a name for an interface, which no engine to 29.7 gives one of a plugin's.

    Source: docs/notes/docker-plugin.md, "Names of interfaces".
    """
    return (
        f"Docker Engine to 29.7 does not give the name {shown(name)} to the interface of a network plugin: in the "
        f"container it is {prefix}0, {prefix}1 and so on ([binding] veth_dst_prefix = {prefix}). Look for it by its "
        "MAC or address. Later engines are told the name and give it"
    )


def default_gateway(subnet: SubnetRecord) -> str:
    """The next hop of a subnet's default route; "" if it has none.

    The host route to 0.0.0.0/0 or ::/0 of a subnet without gateway counts as one: engines before 28 install no other
    default route, and to later ones a static default route of a second network is an error.
    """
    if subnet.gateway_ip:
        return subnet.gateway_ip
    usable = usable_routes(subnet.host_routes, has_gateway=False, on_link=(subnet.cidr,))
    return next((canonical_ip(route.nexthop) for route in usable if is_default(route.destination)), "")


def advertised_gateways(network: NetworkRecord, endpoint: EndpointRecord) -> set[str]:
    """The gateways that a Neutron router advertises to the container itself."""
    return {default_gateway(each) for each in subnets_of(network, endpoint) if each.advertised} - {""}


def _routes(subnet: SubnetRecord) -> list[StaticRoute]:
    gateway = default_gateway(subnet)
    to_gateway = [] if not gateway or contains(subnet.cidr, gateway) else [_host_cidr(gateway)]
    usable = usable_routes(subnet.host_routes, has_gateway=bool(gateway), on_link=(subnet.cidr, *to_gateway))
    return [
        *(StaticRoute(destination=cidr, route_type=ROUTE_ON_LINK) for cidr in to_gateway),
        *(
            StaticRoute(destination=route.destination, route_type=ROUTE_BY_NEXT_HOP, next_hop=route.nexthop)
            for route in usable
        ),
    ]


def _host_cidr(ip: str) -> str:
    return f"{ip}/{128 if ':' in ip else 32}"
