# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker is answered about an endpoint."""

from __future__ import annotations

from kuryr_libnetwork.docker.messages import InterfaceName, JoinResponse, StaticRoute
from kuryr_libnetwork.errors import InvalidRequest
from kuryr_libnetwork.model import EndpointRecord, NetworkRecord, SubnetRecord
from kuryr_libnetwork.rules.addresses import usable_routes

ROUTE_BY_NEXT_HOP = 0


def subnets_of(network: NetworkRecord, endpoint: EndpointRecord) -> list[SubnetRecord]:
    """The subnets of the families in which the endpoint has an address."""
    versions = {4} if endpoint.address else set()
    versions |= {6} if endpoint.address_ipv6 else set()
    return [subnet for subnet in network.subnets if subnet.ip_version in versions]


def join_answer(network: NetworkRecord, endpoint: EndpointRecord, dst_prefix: str, ifname: str) -> JoinResponse:
    """Interface, gateways and routes of a container.

    ``DisableGatewayService`` is always set: without it Docker adds a NATed second way out through docker_gwbridge when
    we give no gateway (docker-plugin-protocol §2.3). An internal network gets neither gateway nor routes: Docker does
    not enforce ``--internal`` for remote drivers.
    """
    if endpoint.plug is None:
        raise InvalidRequest(f"endpoint {endpoint.endpoint_id[:12]} has no interface")
    subnets = [] if network.internal else subnets_of(network, endpoint)
    gateways = {subnet.ip_version: subnet.gateway_ip for subnet in subnets if subnet.gateway_ip}
    routes = [
        StaticRoute(destination=route.destination, route_type=ROUTE_BY_NEXT_HOP, next_hop=route.nexthop)
        for subnet in subnets
        for route in usable_routes(subnet.host_routes, has_gateway=subnet.ip_version in gateways)
    ]
    return JoinResponse(
        interface_name=InterfaceName(src_name=endpoint.plug.container_ifname, dst_prefix=dst_prefix, dst_name=ifname),
        gateway=gateways.get(4, ""),
        gateway_ipv6=gateways.get(6, ""),
        static_routes=routes,
        disable_gateway_service=True,
    )
