# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Free prefixes of a subnetpool, free addresses of a range."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.errors import Conflict, InvalidRequest, NoFreeAddress
from kuryr_libnetwork.rules.prefixes import MOST_UNUSED, allocate, default_pool, free_address, free_prefix
from tests.fakes.neutron import TENANT
from tests.unit.values import CIDR, CIDR6, SUBNETPOOL, USED, USED6

OPTION = "default_subnetpool_v4"
WIDE = replace(SUBNETPOOL, name="kuryr", prefixes=("10.0.0.0/16",), default_prefixlen="24")
inside = st.tuples(st.integers(0, 23), st.integers(21, 30)).map(
    lambda pair: str(
        ipaddress.ip_network((int(ipaddress.ip_address("10.7.0.0")) + pair[0] * 64, pair[1]), strict=False)
    )
)


def test_the_operators_pool_is_the_default() -> None:
    """``docker network create`` without ``--subnet`` would fail although the operator provided a pool."""
    assert default_pool("kuryr", OPTION, 4, [SUBNETPOOL]) == SUBNETPOOL


def test_no_usable_default_pool_says_what_to_do() -> None:
    """The user would not learn that ``--subnet`` helps, or which option of kuryr.conf is meant."""
    with pytest.raises(InvalidRequest) as none:
        default_pool("kuryr", OPTION, 4, [])
    assert str(none.value) == (
        "no --subnet given, and the service's project has no subnetpool 'kuryr' ([neutron] default_subnetpool_v4); "
        "give --subnet and --gateway, or have the operator make the pool, or name one of another project there by its "
        "id"
    )
    with pytest.raises(Conflict) as several:
        default_pool("kuryr", OPTION, 4, [replace(SUBNETPOOL, id="b"), replace(WIDE, id="a")])
    assert str(several.value) == (
        "the service's project has 2 subnetpools named 'kuryr': a and b; give --subnet, or have the operator set "
        "[neutron] default_subnetpool_v4 to the id of one"
    )
    with pytest.raises(InvalidRequest, match=r"'kuryr' \(\[neutron\] default_subnetpool_v4\) has no IPv6 addresses"):
        default_pool("kuryr", OPTION, 6, [SUBNETPOOL])


def test_the_operator_may_name_a_pool_of_another_project_by_its_id() -> None:
    """A pool that the cloud's administrators share with all projects could not be the default one."""
    shared = replace(SUBNETPOOL, shared=True, project_id=TENANT)
    assert default_pool(shared.id, OPTION, 4, [shared]) == shared


def test_each_network_gets_a_prefix_of_the_pools_own_length() -> None:
    """The first network would take the whole of the operator's pool, as with upstream."""
    assert allocate(WIDE, [], 0) == "10.0.0.0/24"
    assert allocate(WIDE, ["10.0.0.0/24", "10.0.1.0/25"], 0) == "10.0.2.0/24"


def test_a_pool_without_a_default_length_is_given_whole() -> None:
    """Neutron's least length, 8, is what such a pool shows: no network could be made from it."""
    assert allocate(replace(SUBNETPOOL, default_prefixlen="8"), [], 0) == CIDR
    with pytest.raises(Conflict, match=r"subnetpool .* \(10\.0\.0\.0/24\) has no free prefix left; give --subnet"):
        allocate(SUBNETPOOL, ["10.0.0.128/30"], 0)
    with pytest.raises(Conflict, match=r"\(no prefix\) has no free prefix left; give --subnet"):
        allocate(replace(SUBNETPOOL, prefixes=()), [], 0)


def test_docker_does_not_ask_for_ever() -> None:
    """Old engines would ask for another prefix of a large pool thousands of times, as each overlaps a route."""
    assert allocate(WIDE, [], MOST_UNUSED - 1) == "10.0.0.0/24"
    with pytest.raises(Conflict, match="each overlaps a route of this host; give --subnet"):
        allocate(WIDE, [], MOST_UNUSED)


def test_the_next_prefix_of_the_pool_is_used() -> None:
    """A pool whose first prefix is full would count as full."""
    prefixes = ("10.0.0.0/25", "192.0.2.0/24", "2001:db8::/32")
    assert free_prefix(prefixes, 25, ["10.0.0.0/26"]) == "192.0.2.0/25"
    assert free_prefix(prefixes, 25, ["10.0.0.0/8", "192.0.0.0/16"]) == "2001:db8::/32"
    assert free_prefix(("2001:db8::/32",), 64, ["2001:db8::/33", "10.0.0.0/8"]) == "2001:db8:8000::/64"
    assert free_prefix((), 24, []) is None


@given(st.lists(inside, max_size=12), st.integers(22, 28))
def test_a_free_prefix_overlaps_nothing(taken: list[str], length: int) -> None:
    """Neutron would refuse the subnet, or two networks get overlapping ones; a free prefix would be overlooked."""
    whole = ipaddress.ip_network("10.7.0.0/22")
    others = [ipaddress.ip_network(text) for text in taken]
    free = [part for part in whole.subnets(new_prefix=length) if not any(part.overlaps(other) for other in others)]
    assert free_prefix([str(whole)], length, taken) == (str(free[0]) if free else None)


def test_prefixes_can_be_left_out() -> None:
    """Hosts that met on one prefix would meet again on the next, or the last one never be given."""
    assert allocate(WIDE, ["10.0.0.0/24"], 0, skip=2) == "10.0.3.0/24"
    small = replace(SUBNETPOOL, prefixes=("10.0.0.0/23",), default_prefixlen="24")
    assert allocate(small, ["10.0.0.0/24"], 0, skip=3) == "10.0.1.0/24"


def first(count: int) -> int:
    return 0


def last(count: int) -> int:
    return count - 1


def test_a_free_address_of_the_range() -> None:
    """A container would get an address outside of --ip-range, the gateway's, or one that is in use."""
    ranged = replace(USED, ip_range="10.0.0.0/30")
    assert free_address(ranged, ["10.0.0.77"], first) == "10.0.0.2"
    assert free_address(replace(USED6, ip_range="2001:db8::/126"), ["2001:db8::2"], first) == "2001:db8::3"
    with pytest.raises(NoFreeAddress, match=r"--ip-range 10\.0\.0\.0/30 has no free address left"):
        free_address(ranged, ["10.0.0.2", "10.0.0.3"], first)
    assert USED6.cidr == CIDR6


def test_every_free_address_of_the_range_can_be_chosen() -> None:
    """Hosts that start containers at the same time would all choose the same address."""
    ranged = replace(USED, ip_range="10.0.0.64/29")
    taken = ["10.0.0.64", "10.0.0.67", "10.0.0.68"]
    counts: list[int] = []

    def number(index: int) -> str:
        def choose(count: int) -> int:
            counts.append(count)
            return index

        return free_address(ranged, taken, choose)

    assert [number(index) for index in range(5)] == [f"10.0.0.{n}" for n in (65, 66, 69, 70, 71)]
    assert set(counts) == {5}
    assert free_address(ranged, taken, last) == "10.0.0.71"
