# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which subnetpool Docker will name for a subnet that its user named: only where there is no doubt."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.model.neutron import Subnet
from kuryr_libnetwork.rules.dockers_word import Named, pools_of_named
from kuryr_libnetwork.rules.identity import id_tags, on_network, pool_tags
from kuryr_libnetwork.rules.ownership import OwnSubnet, OwnSubnetPool
from tests.fakes.neutron import TENANT
from tests.unit.values import (
    CIDR6,
    DOCKER_ID,
    NET,
    OTHER_ID,
    OURS,
    POOL6_ID,
    POOL_ID,
    SUBNET,
    SUBNET6,
    SUBNETPOOL,
    own_pool,
    own_subnet,
)

THEIRS = replace(SUBNET, project_id=TENANT)
ELSEWHERE = replace(THEIRS, id="another", network_id="another")
NAMED = Named(docker_id=DOCKER_ID, subnet=THEIRS)
KEY = (DOCKER_ID, THEIRS.id)


def told(
    *named: Named, pools: tuple[OwnSubnetPool, ...] = (own_pool(),), used: tuple[OwnSubnet, ...] = ()
) -> dict[tuple[str, str], str]:
    return dict(pools_of_named(iter(named), pools, iter(used)))


def test_the_one_pool_of_the_cidr_stands_for_it() -> None:
    """Containers on networks that upstream's service made on somebody else's could not start after the upgrade."""
    assert told(NAMED) == {KEY: POOL_ID}
    assert told(NAMED, used=(own_subnet(tags=("web",), cidr="10.9.0.0/24", subnetpool_id="other"),)) == {KEY: POOL_ID}
    six = Named(docker_id=DOCKER_ID, subnet=replace(SUBNET6, cidr="2001:0DB8::/64", project_id=TENANT))
    pool6 = own_pool(id=POOL6_ID, prefixes=(CIDR6,), ip_version=6)
    assert told(NAMED, six, pools=(own_pool(), pool6)) == {KEY: POOL_ID, (DOCKER_ID, SUBNET6.id): POOL6_ID}


def test_all_docker_networks_of_one_subnet_share_its_pool() -> None:
    """Upstream makes one pool for a CIDR: of two Docker networks only one would be taken up."""
    other = replace(NAMED, docker_id=OTHER_ID)
    assert told(NAMED, other) == {KEY: POOL_ID, (OTHER_ID, THEIRS.id): POOL_ID}


def test_the_pool_that_the_user_named_counts() -> None:
    """Docker would name a pool that the journal does not know, and no container start."""
    assert told(replace(NAMED, pool_id="named")) == {KEY: "named"}
    assert told(replace(NAMED, pool_id="named"), pools=()) == {KEY: "named"}


@pytest.mark.parametrize(
    "pools",
    [
        (),
        (own_pool(), own_pool(id=POOL6_ID)),
        (own_pool(prefixes=("10.0.0.0/25",)),),
        (own_pool(prefixes=()),),
        (own_pool(prefixes=(SUBNET.cidr, "10.9.0.0/24")),),
        (own_pool(tags=id_tags(OTHER_ID)),),
        (own_pool(tags=pool_tags(OTHER_ID, NET)),),
        (own_pool(tags=(on_network(NET),)),),
    ],
    ids=["none", "two", "another CIDR", "no prefix", "wider", "anothers", "recorded", "on a network"],
)
def test_where_there_is_a_doubt_nothing_is_told(pools: tuple[OwnSubnetPool, ...]) -> None:
    """A container would get an address of another Docker network's subnet, or its release end another one's."""
    assert told(NAMED, pools=pools) == {}


def test_a_recorded_pool_is_no_doubt() -> None:
    """A Docker network of this service with the same CIDR would keep one of upstream's from being taken up."""
    mine = own_pool(id=POOL6_ID, tags=pool_tags(OTHER_ID, NET))
    assert told(NAMED, pools=(mine, own_pool())) == {KEY: POOL_ID}


@pytest.mark.parametrize("used", [own_subnet(tags=("web", POOL_ID)), own_subnet(subnetpool_id=POOL_ID)])
def test_a_pool_of_a_subnet_of_ours_stands_for_no_other(used: OwnSubnet) -> None:
    """Its Docker network would share a pool with one on a tenant's network, and addresses go to the wrong subnet."""
    assert told(NAMED, used=(used,)) == {}


def test_one_pool_does_not_stand_for_two_subnets() -> None:
    """Upstream's one pool of a CIDR, and two Neutron networks that have it: every second container would be on the
    wrong.
    """
    other = Named(docker_id=OTHER_ID, subnet=ELSEWHERE)
    assert told(NAMED, other) == {}
    assert told(NAMED, replace(other, pool_id="named")) == {(OTHER_ID, ELSEWHERE.id): "named"}


def test_a_pool_of_a_tenants_stands_for_nothing() -> None:
    """A tenant would make it doubtful which pool is meant, or have his own taken, by one more pool of that CIDR."""
    assert OURS.subnetpool(replace(SUBNETPOOL, project_id=TENANT)) is None


subnets = st.sampled_from([THEIRS, ELSEWHERE, replace(THEIRS, id="third", cidr="10.9.0.0/24")])


@given(
    st.lists(st.builds(Named, docker_id=st.sampled_from("abc"), subnet=subnets), max_size=5),
    st.lists(
        st.builds(
            lambda name, cidr, tags: own_pool(id=name, prefixes=(cidr,), tags=tags),
            st.sampled_from("pqr"),
            st.sampled_from(["10.0.0.0/24", "10.9.0.0/24"]),
            st.sampled_from([(), id_tags(DOCKER_ID)]),
        ),
        max_size=3,
        unique_by=lambda pool: pool.id,
    ),
)
def test_no_pool_ever_stands_for_two_subnets(named: list[Named], pools: list[OwnSubnetPool]) -> None:
    """Docker names nothing but the pool: an address of it would be looked for on either subnet."""
    found = told(*named, pools=tuple(pools))
    by_pool: dict[str, set[str]] = {}
    by_id: dict[str, Subnet] = {each.subnet.id: each.subnet for each in named}
    for (_, subnet_id), pool_id in found.items():
        by_pool.setdefault(pool_id, set()).add(subnet_id)
        assert [pool.tags for pool in pools if pool.id == pool_id and by_id[subnet_id].cidr in pool.prefixes] == [()]
    assert all(len(each) == 1 for each in by_pool.values())
