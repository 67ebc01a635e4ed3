# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One spelling of addresses and CIDRs, and the choices about gateways, ranges and routes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import InvalidOption, InvalidRequest
from kuryr_libnetwork.model.neutron import AddressSpan, HostRoute
from kuryr_libnetwork.rules import addresses
from kuryr_libnetwork.rules.addresses import (
    allocation_pools,
    canonical_cidr,
    canonical_ip,
    contains,
    docker_releases,
    is_stand_in,
    range_in,
    spans_within,
    stand_in,
    usable_routes,
    with_length,
)
from tests.unit.values import macs

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6).filter(lambda ip: not (isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped))
ips = v4 | v6
small_cidrs = st.one_of(st.tuples(v4, st.integers(24, 32)), st.tuples(v6, st.integers(120, 128))).map(
    lambda pair: canonical_cidr(f"{pair[0]}/{pair[1]}")
)


@st.composite
def spellings(draw: st.DrawFn) -> tuple[Ip, int]:
    ip = draw(ips)
    return ip, draw(st.integers(0, ip.max_prefixlen))


def route(destination: str, nexthop: str = "10.0.0.254") -> HostRoute:
    return HostRoute(destination=destination, nexthop=nexthop)


# -- spelling ----------------------------------------------------------------------------------------------------


@given(spellings())
def test_a_canonical_cidr_stays_as_it_is(pair: tuple[Ip, int]) -> None:
    """A pool would be looked up by another name than it was made with."""
    once = canonical_cidr(f"{pair[0]}/{pair[1]}")
    assert canonical_cidr(once) == once


@given(spellings())
def test_equal_networks_have_one_spelling(pair: tuple[Ip, int]) -> None:
    """Two pools would be made for one CIDR: one for each way to write it."""
    ip, length = pair
    network = ipaddress.ip_network(f"{ip}/{length}", strict=False)
    written = {f"{ip}/{length}", f"{ip.exploded.upper()}/{length}", f"{network[-1]}/{length}", network.with_netmask}
    assert {canonical_cidr(text) for text in written if "/" in text and not _v6_netmask(text)} == {str(network)}


def _v6_netmask(text: str) -> bool:
    return ":" in text.partition("/")[2]


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_ipv4_mapped_into_ipv6_is_ipv4(ip: ipaddress.IPv4Address, length: int) -> None:
    """Docker, written in Go, would say 10.0.0.5 where we keep ::ffff:a00:5, and never meet us."""
    assert canonical_ip(f"::ffff:{ip}") == str(ip)
    assert canonical_ip(f"::ffff:{ip}/{96 + length}") == str(ip)
    assert canonical_cidr(f"::ffff:{ip}/{96 + length}") == canonical_cidr(f"{ip}/{length}")


def test_less_than_all_mapped_addresses_stay_ipv6() -> None:
    """A wide IPv6 network would turn into nonsense of IPv4."""
    assert canonical_cidr("::ffff:10.0.0.0/80") == "::/80"
    assert addresses.version_of(canonical_cidr("::ffff:10.0.0.0/95")) == 6


@given(ips, st.integers(0, 32))
def test_an_address_drops_its_length(ip: Ip, length: int) -> None:
    """An address from Docker, which comes with a length, would not be found among Neutron's."""
    assert canonical_ip(f"{ip}/{length}") == canonical_ip(ip.exploded) == str(ip)


@pytest.mark.parametrize("text", ["", "web", "10.0.0.0/33", "10.0.0", "2001:db8::/129", "fe80::%eth0/64", "10.0.0.0/a"])
def test_what_is_no_cidr_is_refused_in_one_line(text: str) -> None:
    """A malformed pool would end in a stack trace."""
    with pytest.raises(InvalidRequest, match=r"^pool .* is not a CIDR: .+$"):
        canonical_cidr(text)


@pytest.mark.parametrize("text", ["", "web", "10.0.0.256", "10.0.0.1/33", "2001:db8::g", "fe80::1%eth0"])
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    """A malformed address would end in a stack trace, and one with a zone in Neutron's words."""
    with pytest.raises(InvalidRequest, match=r"^address .* is not an IP address: .+$"):
        canonical_ip(text)


@given(spellings())
def test_the_family_shows_in_the_text(pair: tuple[Ip, int]) -> None:
    """IPv6 would be asked from an IPv4 pool."""
    assert addresses.version_of(str(pair[0])) == pair[0].version
    assert addresses.version_of(canonical_cidr(f"{pair[0]}/{pair[1]}")) == pair[0].version


# -- addresses of a pool -----------------------------------------------------------------------------------------


@given(spellings())
def test_an_answer_has_the_length_of_its_pool(pair: tuple[Ip, int]) -> None:
    """Docker would configure the container's address with a netmask that is not the network's."""
    cidr = canonical_cidr(f"{pair[0]}/{pair[1]}")
    answer = ipaddress.ip_interface(addresses.with_length(str(pair[0]), cidr))
    assert answer.ip == pair[0]
    assert str(answer.network) == cidr


@given(spellings())
def test_a_pool_contains_its_own_addresses(pair: tuple[Ip, int]) -> None:
    """A valid ``--ip`` would be refused."""
    assert contains(canonical_cidr(f"{pair[0]}/{pair[1]}"), str(pair[0]))


def test_a_pool_contains_no_others() -> None:
    """An address of another network or family would go to Neutron, whose refusal is hard to read."""
    assert not contains("10.0.0.0/24", "10.0.1.0")
    assert not contains("0.0.0.0/0", "2001:db8::1")
    assert not contains("::/0", "10.0.0.1")


@pytest.mark.parametrize(
    ("cidr", "first"),
    [
        ("10.0.0.0/24", "10.0.0.1"),
        ("10.0.0.0/30", "10.0.0.1"),
        ("10.0.0.2/31", "10.0.0.3"),
        ("10.0.0.7/32", "10.0.0.7"),
        ("2001:db8::/64", "2001:db8::1"),
        ("2001:db8::7/128", "2001:db8::7"),
    ],
)
def test_the_gateway_is_neutrons_choice(cidr: str, first: str) -> None:
    """Without ``--gateway`` Docker and Neutron would believe in different gateways; a /32 would crash."""
    assert addresses.first_address(cidr) == first


def test_no_gateway_has_a_placeholder() -> None:
    """Docker accepts no empty gateway from an IPAM driver: the network could not be created."""
    assert addresses.no_gateway_answer(4) == "0.0.0.0/0"
    assert addresses.no_gateway_answer(6) == "::/0"


# -- allocation pools --------------------------------------------------------------------------------------------


def usable(cidr: str) -> set[str]:
    """What Neutron's validate_allocation_pools accepts."""
    network = ipaddress.ip_network(cidr)
    every = [str(ip) for ip in network]
    if network.version == 6:
        return set(every[1:])
    return set(every[1:-1] if network.prefixlen <= 30 else every)


def covered(pools: list[dict[str, str]]) -> list[str]:
    found = []
    for pool in pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        assert int(start) <= int(end)
        found += [str(start + offset) for offset in range(int(end) - int(start) + 1)]
    return found


@given(small_cidrs, st.data())
def test_allocation_covers_all_but_what_is_reserved(cidr: str, data: st.DataObject) -> None:
    """Neutron would give an auxiliary address to a container, waste free ones, or refuse the subnet."""
    inside = st.integers(0, ipaddress.ip_network(cidr).num_addresses - 1).map(
        lambda n: str(ipaddress.ip_network(cidr)[n])
    )
    reserved = data.draw(st.lists(inside | ips.map(str) | st.just(""), max_size=8))
    found = covered(allocation_pools(cidr, reserved))
    assert len(found) == len(set(found))
    assert set(found) == usable(cidr) - set(reserved)


def test_allocation_around_the_ends() -> None:
    """A gateway at the end of the range would leave a range of no addresses, which Neutron refuses."""
    assert allocation_pools("10.0.0.0/24", ["10.0.0.254"]) == [{"start": "10.0.0.1", "end": "10.0.0.253"}]
    assert allocation_pools("10.0.0.0/24", ["10.0.0.1"]) == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert allocation_pools("10.0.0.0/24", ["10.0.0.0", "10.0.0.255"]) == allocation_pools("10.0.0.0/24", [])
    assert allocation_pools("10.0.0.0/24", ["10.0.1.7", "2001:db8::1"]) == allocation_pools("10.0.0.0/24", [])
    assert allocation_pools("10.0.0.0/29", (f"10.0.0.{n}" for n in range(8))) == []


def test_allocation_of_very_small_and_very_large_subnets() -> None:
    """A point-to-point subnet would have no address, and a /64 would be counted one by one."""
    assert allocation_pools("10.0.0.2/31", ["10.0.0.3"]) == [{"start": "10.0.0.2", "end": "10.0.0.2"}]
    assert allocation_pools("10.0.0.2/32", []) == [{"start": "10.0.0.2", "end": "10.0.0.2"}]
    assert allocation_pools("2001:db8::2/127", []) == [{"start": "2001:db8::3", "end": "2001:db8::3"}]
    assert allocation_pools("2001:db8::2/128", []) == []
    assert allocation_pools("2001:db8::/64", ["2001:db8::1"]) == [
        {"start": "2001:db8::2", "end": "2001:db8::ffff:ffff:ffff:ffff"}
    ]


def test_allocation_within_a_range() -> None:
    """A container would get an address outside of --ip-range, or the gateway's."""
    assert allocation_pools("10.0.0.0/24", ["10.0.0.66"], "10.0.0.64/29") == [
        {"start": "10.0.0.64", "end": "10.0.0.65"},
        {"start": "10.0.0.67", "end": "10.0.0.71"},
    ]
    assert allocation_pools("10.0.0.0/24", ["10.0.0.200"], "10.0.0.0/25") == [
        {"start": "10.0.0.1", "end": "10.0.0.127"}
    ]
    assert allocation_pools("10.0.0.0/24", ["10.0.0.4"], "10.0.0.4/32") == []


@pytest.mark.parametrize("text", ["10.0.1.0/25", "10.0.0.0/23", "2001:db8::/64"])
def test_a_range_outside_is_refused(text: str) -> None:
    """Containers would get addresses that their subnet does not have."""
    with pytest.raises(InvalidOption, match=r"--ip-range=.*: is not within --subnet 10\.0\.0\.0/24"):
        range_in("10.0.0.0/24", text)


def test_a_range_that_is_the_subnet_is_none() -> None:
    """Each address would be looked for one by one, for nothing."""
    assert range_in("10.0.0.0/24", "10.0.0.9/24") == ""
    assert range_in("10.0.0.0/24", "10.0.0.65/26") == "10.0.0.64/26"


def test_whether_neutron_keeps_to_a_range() -> None:
    """Neutron would be left to choose an address outside of --ip-range."""
    spans = [AddressSpan(start="10.0.0.64", end="10.0.0.70"), AddressSpan(start="10.0.0.80", end="10.0.0.127")]
    assert spans_within(spans, "10.0.0.64/26")
    assert not spans_within([*spans, AddressSpan(start="10.0.0.100", end="10.0.0.128")], "10.0.0.64/26")
    assert not spans_within([AddressSpan(start="10.0.0.63", end="10.0.0.64")], "10.0.0.64/26")


# -- routes ------------------------------------------------------------------------------------------------------


def test_a_default_route_beside_a_gateway_is_dropped() -> None:
    """The start of the container would fail with "file exists"."""
    default, default6 = route("0.0.0.0/0"), route("::/0", "2001:db8::fe")
    half = route("0.0.0.0/1")
    assert usable_routes([default, default6, half], has_gateway=True) == [half]
    assert usable_routes([default, half], has_gateway=False) == [default, half]


def test_routes_without_an_end_are_dropped() -> None:
    """dockerd 28 and later would panic."""
    assert usable_routes([route(""), route("10.9.0.0/16", "")], has_gateway=False) == []


def test_one_route_for_each_destination() -> None:
    """Neutron accepts two next hops for one destination; the start of the container would fail with "file exists"."""
    first, again = route("10.9.0.0/16"), route("10.9.0.7/16", "10.0.0.253")
    assert usable_routes([first, again], has_gateway=True) == [first]


def test_a_route_to_the_subnet_itself_is_dropped() -> None:
    """The kernel has that route already; the start of the container would fail with "file exists"."""
    assert usable_routes([route("10.0.0.0/24")], has_gateway=True, on_link=["10.0.0.0/24"]) == []


def test_a_next_hop_must_be_reachable() -> None:
    """The start of the container would fail with "network is unreachable"."""
    near, far, through = route("10.9.0.0/16"), route("10.8.0.0/16", "10.1.0.1"), route("10.7.0.0/16", "192.0.2.1")
    local = route("2001:db8:9::/48", "fe80::1")
    on_link = ["10.0.0.0/24", "192.0.2.1/32"]
    assert usable_routes([near, far, through, local], has_gateway=True, on_link=on_link) == [near, through, local]
    assert usable_routes([far], has_gateway=True) == [far]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("ip6-localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_only_this_host_itself_is_loopback(host: str, loopback: bool) -> None:
    """A service without TLS would be open to the network."""
    assert addresses.is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("ip", "released"),
    [
        ("10.0.0.5", True),
        ("169.254.0.5", True),
        ("2001:db8::5", True),
        ("fd00::5", True),
        ("fe81::5", False),
        ("ff02::5", False),
    ],
)
def test_which_addresses_docker_gives_back(ip: str, released: bool) -> None:
    """A port would stay when its container has gone, or go while Docker still holds an address of it."""
    assert docker_releases(ip) is released


@given(macs)
def test_a_stand_in_is_nobodys_and_docker_never_gives_it_back(mac: str) -> None:
    """A container without IPv6 would have an address of somebody else, or one of its networks collide with another."""
    ip = stand_in(mac)
    assert is_stand_in(ip)
    assert not docker_releases(ip)
    assert not contains("fe80::/64", ip)
    assert with_length(ip, "2001:db8::/64") == f"{ip}/128"
    assert (stand_in("fa:16:3e:00:00:01") == ip) is (mac == "fa:16:3e:00:00:01")
    assert not is_stand_in("10.0.0.5")
