# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses and CIDRs: one canonical spelling, and the choices about gateways and routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from kuryr_libnetwork.errors import InvalidRequest
from kuryr_libnetwork.model import HostRoute, IpVersion

NO_GATEWAY = {4: "0.0.0.0", 6: "::"}  # noqa: S104  - a placeholder in an answer to Docker, no listener
"""What Docker is told where a subnet has no gateway: it accepts no empty answer (kuryr-compat §5)."""


def canonical_cidr(text: str) -> str:
    """``10.0.0.7/24`` is ``10.0.0.0/24``; IPv6 in its compressed form."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise InvalidRequest(f"pool {text!r} is not a CIDR: {error}") from None


def canonical_ip(text: str) -> str:
    """The compressed form of an address; a prefix length behind it is dropped."""
    try:
        return str(ipaddress.ip_interface(text).ip)
    except ValueError as error:
        raise InvalidRequest(f"address {text!r} is not an IP address: {error}") from None


def version_of(cidr_or_ip: str) -> IpVersion:
    return 6 if ":" in cidr_or_ip else 4


def with_length(ip: str, cidr: str) -> str:
    """The address with the prefix length of its pool, as Docker configures it on the interface."""
    return f"{ip}/{ipaddress.ip_network(cidr).prefixlen}"


def contains(cidr: str, ip: str) -> bool:
    return ipaddress.ip_address(ip) in ipaddress.ip_network(cidr)


def first_address(cidr: str) -> str:
    """The gateway that Neutron would choose: the first address after the network's own."""
    network = ipaddress.ip_network(cidr)
    return str(network[1] if network.num_addresses > 1 else network[0])


def no_gateway_answer(version: IpVersion) -> str:
    return f"{NO_GATEWAY[version]}/0"


def usable_routes(routes: Iterable[HostRoute], *, has_gateway: bool) -> list[HostRoute]:
    """The host routes to give to Docker.

    A default route beside a gateway makes Docker fail with "file exists" (docker-plugin-protocol §7, cilium#26190); an
    empty destination makes dockerd 28 and later panic (§2.1).
    """
    return [
        route
        for route in routes
        if route.destination
        and route.nexthop
        and not (has_gateway and ipaddress.ip_network(route.destination, strict=False).prefixlen == 0)
    ]


def allocation_pools(cidr: str, reserved: Iterable[str]) -> list[dict[str, str]]:
    """Neutron's ``allocation_pools`` for a subnet without the reserved addresses (and, IPv4, the first and the last)."""
    network = ipaddress.ip_network(cidr)
    low = int(network.network_address) + 1
    high = int(network.broadcast_address) - (1 if network.version == 4 else 0)
    address = type(network.network_address)
    pools = []
    taken = sorted(int(ipaddress.ip_address(ip)) for ip in reserved if ip and contains(cidr, ip))
    for stop in [*taken, high + 1]:
        if low < stop:
            pools.append({"start": str(address(low)), "end": str(address(stop - 1))})
        low = max(low, stop + 1)
    return pools
