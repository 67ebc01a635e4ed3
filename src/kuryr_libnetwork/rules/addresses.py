# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses and CIDRs: one canonical spelling, and the choices about gateways and routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping

from kuryr_libnetwork.errors import InvalidOption, InvalidRequest
from kuryr_libnetwork.model.neutron import AddressSpan, HostRoute
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.text import shown

NO_GATEWAY = {4: "0.0.0.0", 6: "::"}  # noqa: S104  - a placeholder in an answer to Docker, no listener
"""What Docker is told if a subnet has no gateway, because it does not accept an empty answer.

The same as upstream's (docs/notes/upstream.md, "Gateways").
"""


def canonical_cidr(text: str) -> str:
    """``10.0.0.7/24`` becomes ``10.0.0.0/24``, IPv6 is compressed, and IPv4 mapped into IPv6 becomes IPv4, as in Go."""
    try:
        network = ipaddress.ip_network(_without_zone(text), strict=False)
    except ValueError as error:
        raise InvalidRequest(f"pool '{shown(text)}' is not a CIDR: {shown(error, 160)}") from None
    first = _unmapped(network.network_address)
    return f"{first}/{network.prefixlen - (network.max_prefixlen - first.max_prefixlen)}"


def canonical_ip(text: str) -> str:
    """The compressed form of an address, without a prefix length. Mapped IPv4 becomes IPv4, as in a CIDR."""
    try:
        return str(_unmapped(ipaddress.ip_interface(_without_zone(text)).ip))
    except ValueError as error:
        raise InvalidRequest(f"address '{shown(text)}' is not an IP address: {shown(error, 160)}") from None


def version_of(cidr_or_ip: str) -> IpVersion:
    return 6 if ":" in cidr_or_ip else 4


def with_length(ip: str, cidr: str) -> str:
    """The address with the prefix length of its pool, as Docker configures it on the interface.

    A stand-in gets the full length: with a shorter one it would collide with the stand-in of another interface.
    """
    return f"{ip}/128" if is_stand_in(ip) else f"{ip}/{ipaddress.ip_network(cidr).prefixlen}"


def contains(cidr: str, ip: str) -> bool:
    return ipaddress.ip_address(ip) in ipaddress.ip_network(cidr)


def may_overlap(cidr: str, other: str) -> bool:
    """Whether two CIDRs have addresses in common; ``True`` if one of them is not a CIDR."""
    try:
        one, two = ipaddress.ip_network(canonical_cidr(cidr)), ipaddress.ip_network(canonical_cidr(other))
    except InvalidRequest:
        return True
    return one.overlaps(two)


def first_address(cidr: str) -> str:
    """The gateway that Neutron would choose: the first address after the network's own."""
    network = ipaddress.ip_network(cidr)
    return str(network[1] if network.num_addresses > 1 else network[0])


def no_gateway_answer(version: IpVersion) -> str:
    return f"{NO_GATEWAY[version]}/0"


STAND_INS = "febf:6b75:7279::/64"
"""Link-local addresses for containers without IPv6: within fe80::/10, but outside fe80::/64, which is routed to every
link.
"""


def stand_in(mac: str) -> str:
    """What Docker is told when it wants an IPv6 address and the container's port has none.

    Docker accepts no empty answer, and configures whatever it is told. Neutron drops traffic from this address, and
    Docker never releases it (:func:`docker_releases`). It is derived from the MAC, because a container may be on
    several networks.
    """
    network = ipaddress.ip_network(STAND_INS)
    return str(network[int(mac.replace(":", ""), 16)])


def is_stand_in(ip: str) -> bool:
    return contains(STAND_INS, ip)


def docker_releases(ip: str) -> bool:
    """Whether Docker releases an address: of IPv6 only global unicast (docs/notes/docker-plugin.md, "Addresses")."""
    address = ipaddress.ip_address(ip)
    if address.version == 4:
        return True
    return not (address.is_link_local or address.is_multicast or address.is_loopback or address.is_unspecified)


def is_default(cidr: str) -> bool:
    return cidr.endswith("/0")


def usable_routes(routes: Iterable[HostRoute], *, has_gateway: bool, on_link: Collection[str] = ()) -> list[HostRoute]:
    """The host routes to give to Docker. These are left out, because the container would not start with them:

    1. An empty destination makes dockerd 28 and later panic. The kernel answers "file exists" to 2. a default route
    beside a gateway, 3. a second route to the same destination (Neutron accepts it), and 4. a route to the subnet
    itself. 5. A next hop that is not reachable through the interface: in none of the CIDRs ``on_link`` (not checked if
    empty). Source: docs/notes/docker-plugin.md, "Gateways and routes".
    """
    usable: dict[str, HostRoute] = {}
    for route in routes:
        if not route.destination or not route.nexthop:
            continue
        destination = canonical_cidr(route.destination)
        beside_gateway = has_gateway and is_default(destination)
        if beside_gateway or destination in on_link or not _reachable(route.nexthop, on_link):
            continue
        usable.setdefault(destination, route)
    return list(usable.values())


def range_in(cidr: str, text: str) -> str:
    """``--ip-range`` in canonical form, "" if it is the whole subnet; refuses one that is not within the subnet."""
    inner = canonical_cidr(text)
    outer, part = ipaddress.ip_network(cidr), ipaddress.ip_network(inner)
    if outer.version != part.version or part.network_address not in outer or part.prefixlen < outer.prefixlen:
        raise InvalidOption("--ip-range", text, f"is not within --subnet {cidr}")
    return "" if inner == cidr else inner


def spans_within(spans: Iterable[AddressSpan], ip_range: str) -> bool:
    """Whether all addresses that Neutron would choose are within the range."""
    return all(contains(ip_range, span.start) and contains(ip_range, span.end) for span in spans)


def check_gateway(cidr: str, gateway: str) -> None:
    """Refuse what Neutron would refuse later, naming the user's option."""
    network = ipaddress.ip_network(cidr)
    if network.version == 6 or network.prefixlen > 30:
        return
    names = {str(network.network_address): "the network's own", str(network.broadcast_address): "the broadcast"}
    if gateway in names:
        raise InvalidOption("--gateway", gateway, f"is {names[gateway]} address of {cidr}")


def allocation_pools(cidr: str, reserved: Iterable[str], within: str = "") -> list[dict[str, str]]:
    """Neutron's ``allocation_pools`` for a subnet, or the range ``within`` it, without the reserved addresses.

    Neutron accepts neither the subnet's first address nor, for IPv4, its last one, except in a /31 or /32
    (validate_allocation_pools).
    """
    network = ipaddress.ip_network(cidr)
    point_to_point = network.version == 4 and network.prefixlen > 30
    low = int(network.network_address) + (0 if point_to_point else 1)
    high = int(network.broadcast_address) - (1 if network.version == 4 and not point_to_point else 0)
    if within:
        part = ipaddress.ip_network(within)
        low, high = max(low, int(part.network_address)), min(high, int(part.broadcast_address))
    address = type(network.network_address)
    pools = []
    taken = sorted(int(ipaddress.ip_address(ip)) for ip in reserved if ip and contains(cidr, ip))
    for stop in [*taken, high + 1]:
        last = min(stop - 1, high)
        if low <= last:
            pools.append({"start": str(address(low)), "end": str(address(last))})
        low = max(low, stop + 1)
    return pools


def outside(spans: Iterable[Mapping[str, str]], part: str) -> list[dict[str, str]]:
    """The spans without the addresses of the CIDR ``part``, which lies within them."""
    hole = ipaddress.ip_network(part)
    address, low, high = type(hole.network_address), int(hole.network_address), int(hole.broadcast_address)
    found = []
    for span in spans:
        start, end = int(ipaddress.ip_address(span["start"])), int(ipaddress.ip_address(span["end"]))
        for first, last in ((start, min(end, low - 1)), (max(start, high + 1), end)):
            if first <= last:
                found.append({"start": str(address(first)), "end": str(address(last))})
    return found


def size_of(spans: Iterable[Mapping[str, str]]) -> int:
    """How many addresses the spans have together."""
    ends = ((ipaddress.ip_address(span["start"]), ipaddress.ip_address(span["end"])) for span in spans)
    return sum(int(end) - int(start) + 1 for start, end in ends)


def _without_zone(text: str) -> str:
    if "%" in text:
        raise ValueError("a zone has no meaning on other hosts")
    return text


def is_loopback(host: str) -> bool:
    """Whether a host, given by address or by name, can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


def _unmapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _reachable(next_hop: str, on_link: Collection[str]) -> bool:
    ip = ipaddress.ip_address(next_hop)
    return not on_link or (ip.version == 6 and ip.is_link_local) or any(contains(cidr, next_hop) for cidr in on_link)
