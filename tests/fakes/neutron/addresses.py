# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Address arithmetic of Neutron's IPAM: prefixes of a pool, allocation pools of a subnet, addresses of a port.

Neutron takes a random free address; this takes the lowest one, so that tests can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

from tests.fakes.neutron.wire import Fault, Resource, bad_request

Prefix = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

AUTO_MODES = ("slaac", "dhcpv6-stateless")


def prefix_of(text: object) -> Prefix:
    try:
        return ip_network(str(text), strict=False)
    except ValueError:
        raise bad_request(f"Invalid input for cidr. Reason: '{text}' is not a valid IP subnet.") from None


def address_of(text: object) -> Address:
    try:
        return ip_address(str(text))
    except ValueError:
        raise bad_request(f"Invalid input for ip_address. Reason: '{text}' is not a valid IP address.") from None


def hosts(prefix: Prefix) -> tuple[int, int]:
    """First and last address for hosts, as numbers."""
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    if prefix.num_addresses <= 2:
        return first, last
    return first + 1, last - 1 if prefix.version == 4 else last


def default_pools(prefix: Prefix, gateway: str | None) -> list[dict[str, str]]:
    """All hosts' addresses but the gateway."""
    first, last = hosts(prefix)
    hole = int(ip_address(gateway)) if gateway and ip_address(gateway) in prefix else None
    spans = [(first, last)] if hole is None else [(first, hole - 1), (hole + 1, last)]
    make = IPv4Address if prefix.version == 4 else IPv6Address
    return [
        {"start": str(make(max(start, first))), "end": str(make(end))}
        for start, end in spans
        if max(start, first) <= end
    ]


def check_pools(pools: Iterable[dict[str, str]], prefix: Prefix, gateway: str | None) -> None:
    first, last = hosts(prefix)
    for pool in pools:
        start, end = int(address_of(pool["start"])), int(address_of(pool["end"]))
        span = f"{pool['start']}-{pool['end']}"
        if start > end:
            raise bad_request(f"The allocation pool {span} is not valid.", "InvalidAllocationPool")
        if start < first or end > last:
            text = f"The allocation pool {span} spans beyond the subnet cidr {prefix}."
            raise bad_request(text, "OutOfBoundsAllocationPool")
        if gateway and start <= int(ip_address(gateway)) <= end:
            text = f"Gateway ip {gateway} conflicts with allocation pool {span}."
            raise Fault(409, "GatewayConflictWithAllocationPools", text)


def candidates(subnet: Resource) -> Iterator[str]:
    """The addresses from which Neutron chooses, lowest first."""
    make = IPv4Address if subnet["ip_version"] == 4 else IPv6Address
    for pool in subnet["allocation_pools"]:
        for number in range(int(ip_address(pool["start"])), int(ip_address(pool["end"])) + 1):
            yield str(make(number))


def eui64(cidr: str, mac: str) -> str:
    """The address that a host with this MAC gives itself."""
    octets = bytes.fromhex(mac.replace(":", ""))
    host = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ip_network(cidr)[int.from_bytes(host, "big")])


def free_prefix(prefixes: Iterable[str], used: Iterable[str], length: int) -> Prefix | None:
    """The first prefix of that length which nothing of ``used`` overlaps."""
    taken = [ip_network(each) for each in used]
    for text in prefixes:
        whole = ip_network(text)
        if whole.prefixlen > length:
            continue
        for part in whole.subnets(new_prefix=length):
            if not any(part.overlaps(each) for each in taken):
                return part
    return None


def inside(prefix: Prefix, outer: Iterable[str]) -> bool:
    for text in outer:
        whole = ip_network(text)
        if whole.version == prefix.version and whole.supernet_of(prefix):  # type: ignore[arg-type]
            return True
    return False


def overlaps(prefix: Prefix, others: Iterable[str]) -> bool:
    return any(prefix.overlaps(ip_network(text)) for text in others)


def compact(prefixes: Iterable[Prefix]) -> list[str]:
    """The smallest list of prefixes with the same addresses."""
    v4 = [prefix for prefix in prefixes if isinstance(prefix, IPv4Network)]
    v6 = [prefix for prefix in prefixes if isinstance(prefix, IPv6Network)]
    return [*map(str, collapse_addresses(v4)), *map(str, collapse_addresses(v6))]


def default_gateway(prefix: Prefix) -> Address:
    """Neutron's choice of a gateway; for IPv6 the routers' anycast address (seen in release 29)."""
    return prefix.network_address + 1 if prefix.version == 4 else prefix.network_address
