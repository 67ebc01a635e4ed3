# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Of several hosts that want one port of a user's, exactly one gets it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.adoption import CLAIM, CLAIM_MINUTES, CLAIMANT
from kuryr_libnetwork.rules.identity import id_tags, pool_tags
from kuryr_libnetwork.rules.ownership import OwnSubnetPool
from tests.fakes.neutron import TENANT
from tests.unit.values import (
    DOCKER_ID,
    ENDPOINT_ID,
    NET,
    OTHER_ID,
    OTHER_NET,
    OURS,
    PORT,
    PORT_ID,
    SUBNETPOOL,
    docker_ids,
    hex_ids,
    own_pool,
    uuids,
)

NOW = 1_764_000_000.0
LIFE = CLAIM_MINUTES * 60
OTHER_PORT = "1" + PORT_ID[1:]
times = st.floats(0, 1e11)
two_endpoints = st.tuples(hex_ids, hex_ids).filter(lambda ids: ids[0][:24] != ids[1][:24])
user_tags = st.lists(st.sampled_from(["blue", "kuryr", "kuryr.claims", *pool_tags(DOCKER_ID, NET)]), unique=True)


def claimed(*claims: tuple[str, str, float]) -> OwnSubnetPool:
    """A pool of ours with these claims: port, endpoint, since when."""
    return own_pool(tags=tuple(dict.fromkeys(tag for claim in claims for tag in rules.claim_tags(*claim))))


def seen(*pools: OwnSubnetPool, by: str = ENDPOINT_ID, port_id: str = PORT_ID, now: float = NOW) -> set[str]:
    return rules.rivals(pools, port_id, [by], now)


# -- seeing each other ---------------------------------------------------------------------------------------------


@given(uuids, docker_ids, times)
def test_claims_fit_into_neutron(port_id: str, endpoint_id: str, now: float) -> None:
    """Neutron would refuse the tags, and no port of a user's could be used."""
    tags = rules.claim_tags(port_id, endpoint_id, now)
    assert all(len(tag) <= 60 for tag in tags)
    assert tags[0] == CLAIM + port_id


@given(
    uuids,
    two_endpoints,
    times,
    st.integers(-LIFE + 60, LIFE - 60),
    st.tuples(st.integers(0, 59), st.integers(0, 59)),
    st.booleans(),
    user_tags,
)
def test_two_claimants_never_both_see_no_rival(
    port_id: str,
    ids: tuple[str, str],
    since: float,
    apart: int,
    takes: tuple[int, int],
    together: bool,
    users: list[str],
) -> None:
    """Both hosts would bind the port, and the container of the first would lose it: also where their clocks differ."""
    first, second = sorted(ids)
    begins = since + LIFE, since + LIFE + apart
    tags = [rules.claim_tags(port_id, *claim) for claim in zip((first, second), begins, strict=True)]
    if together:
        pools = [own_pool(tags=tuple(dict.fromkeys((*users, *tags[0], *tags[1]))))]
    else:
        pools = [own_pool(tags=(*users, *tags[0])), own_pool(tags=(*tags[1], *users))]
    seen_first = rules.rivals(pools, port_id, [first], begins[0] + takes[0])
    seen_second = rules.rivals(iter(pools), port_id, iter([second]), begins[1] + takes[1])
    assert (seen_first, seen_second) == ({second[:24]}, {first[:24]})
    assert rules.must_wait(seen_first, PORT, first)
    with pytest.raises(PortNotAdoptable, match=f"is being taken for endpoint {first[:12]} of another host"):
        rules.must_wait(seen_second, PORT, second)


@given(st.lists(hex_ids, min_size=2, max_size=5, unique_by=lambda endpoint_id: endpoint_id[:24]))
def test_of_many_hosts_exactly_one_does_not_give_way(ids: list[str]) -> None:
    """Several would get the port, or none."""
    pools = [claimed((PORT_ID, endpoint_id, NOW)) for endpoint_id in ids]
    stayed = set[str]()
    for endpoint_id in ids:
        try:
            rules.must_wait(seen(*pools, by=endpoint_id), PORT, endpoint_id)
        except PortNotAdoptable:
            continue
        stayed.add(endpoint_id)
    assert stayed == {min(ids)}


def test_who_has_no_rival_need_not_wait() -> None:
    """Each container on a port of a user's would wait for nobody."""
    assert not rules.must_wait(set(), PORT, ENDPOINT_ID)
    assert seen() == seen(claimed((PORT_ID, ENDPOINT_ID, NOW))) == set()


def test_who_gives_way_is_told_for_whom_and_how_long() -> None:
    """The user would read that a port is taken, and wait for a host that is gone for ever."""
    with pytest.raises(PortNotAdoptable) as refused:
        rules.must_wait(["0" * 24, "1" * 24], PORT, ENDPOINT_ID)
    assert str(refused.value) == (
        f"port {PORT_ID} is being taken for endpoint {'0' * 12} and {'1' * 12} of another host; should that host be "
        f"gone, try again in {CLAIM_MINUTES} minutes"
    )


def test_a_host_is_no_rival_of_its_own() -> None:
    """A container that is started again at once would wait for the claim of its last start."""
    pool = claimed((PORT_ID, OTHER_ID, NOW), (PORT_ID, ENDPOINT_ID, NOW))
    assert rules.rivals([pool], PORT_ID, [ENDPOINT_ID, OTHER_ID], NOW) == set()
    assert rules.rivals([pool], PORT_ID, [ENDPOINT_ID], NOW) == {OTHER_ID[:24]}
    assert rules.rivals([pool], PORT_ID, [], NOW) == {OTHER_ID[:24], ENDPOINT_ID[:24]}


@pytest.mark.parametrize(
    ("age", "counts"), [(-LIFE, True), (0, True), (LIFE - 60, True), (LIFE + 60, False), (10 * LIFE, False)]
)
def test_a_claim_of_a_host_that_died_ends(age: int, counts: bool) -> None:
    """The port could never be used again; or a host that is about to bind it would not be seen."""
    assert bool(seen(claimed((PORT_ID, OTHER_ID, NOW - age)))) is counts


@pytest.mark.parametrize(
    "tag",
    [
        CLAIM + PORT_ID,
        CLAIMANT,
        CLAIMANT + PORT_ID[:8],
        f"{CLAIMANT}{PORT_ID[:8]}:",
        f"{CLAIMANT}{PORT_ID[:8]}:{OTHER_ID[:24]}",
        f"{CLAIMANT}{PORT_ID[:8]}:{OTHER_ID[:24]}:",
        f"{CLAIMANT}{PORT_ID[:8]}:{OTHER_ID[:24]}:soon",
        f"{CLAIMANT}{PORT_ID[:8]}:{OTHER_ID[:24]}:1:{int(NOW):x}",
        f"{CLAIMANT}{OTHER_PORT[:8]}:{OTHER_ID[:24]}:{int(NOW):x}",
        *id_tags(OTHER_ID),
    ],
)
def test_what_is_no_whole_claim_counts_for_nothing(tag: str) -> None:
    """One tag of an operator's hand would keep a port from everybody for ever."""
    assert seen(own_pool(tags=(tag,))) == set()


def test_a_tenant_can_claim_nothing() -> None:
    """He would keep every port from its owner's containers by tags on a pool of his."""
    tags = rules.claim_tags(PORT_ID, OTHER_ID, NOW)
    assert seen(own_pool(tags=tags)) == {OTHER_ID[:24]}
    assert OURS.subnetpool(replace(SUBNETPOOL, tags=tags, project_id=TENANT)) is None


# -- taken off again -----------------------------------------------------------------------------------------------


def test_a_finished_claim_is_taken_off() -> None:
    """The pool would be full of tags after some containers."""
    pool = claimed((PORT_ID, ENDPOINT_ID, NOW), (OTHER_NET, OTHER_ID, NOW))
    mine = rules.claim_tags(PORT_ID, ENDPOINT_ID, NOW)
    assert sorted(rules.finished_claims(pool, [ENDPOINT_ID], NOW)) == sorted(mine)
    assert rules.finished_claims(pool, [], NOW) == []
    assert sorted(rules.finished_claims(pool, iter([ENDPOINT_ID, OTHER_ID]), NOW)) == sorted(pool.tags)


def test_a_port_stays_named_while_anybody_claims_it() -> None:
    """The claim that is left would not be found any more, and two hosts would get the port."""
    pool = claimed((PORT_ID, ENDPOINT_ID, NOW), (PORT_ID, OTHER_ID, NOW))
    assert rules.finished_claims(pool, [ENDPOINT_ID], NOW) == [rules.claim_tags(PORT_ID, ENDPOINT_ID, NOW)[1]]


def test_what_does_not_count_any_more_is_taken_off() -> None:
    """What hosts that died have left would fill the pool."""
    old = claimed((PORT_ID, OTHER_ID, NOW - LIFE - 60))
    assert sorted(rules.finished_claims(old, [], NOW)) == sorted(old.tags)
    broken = (CLAIMANT, f"{CLAIMANT}{PORT_ID[:8]}:x:soon", CLAIM + PORT_ID, CLAIM)
    assert sorted(rules.finished_claims(own_pool(tags=broken), [], NOW)) == sorted(broken)


claims = st.lists(
    st.tuples(
        st.sampled_from([PORT_ID, OTHER_PORT, OTHER_NET, PORT_ID[:8] + OTHER_NET[8:]]),
        st.sampled_from([letter * 64 for letter in "abcdef"]),
        st.sampled_from([NOW - 2 * LIFE, NOW - LIFE + 60, NOW, NOW + 60]),
    ),
    max_size=8,
)


@given(claims, st.sets(st.sampled_from([letter * 64 for letter in "abcdef"])), user_tags, st.randoms())
def test_the_claims_of_others_stand_as_before(
    told: list[tuple[str, str, float]], finished: set[str], users: list[str], shuffle: Random
) -> None:
    """A host would tidy up the claim of another one, or of another container, and both get the port; or a tag of ours
    go.
    """
    tags = [*dict.fromkeys([*users, *claimed(*told).tags])]
    shuffle.shuffle(tags)
    pool = own_pool(tags=tuple(tags))
    gone = rules.finished_claims(pool, finished, NOW)
    left = own_pool(tags=tuple(tag for tag in tags if tag not in gone))
    assert all(tag.startswith((CLAIM, CLAIMANT)) for tag in gone)
    assert len(set(gone)) == len(gone)
    for port_id in {port_id for port_id, _, _ in told}:
        still = rules.rivals([pool], port_id, finished, NOW)
        assert rules.rivals([left], port_id, [], NOW) == still
        assert CLAIM + port_id in left.tags or not any(
            (port, endpoint[:24] in still, since > NOW - LIFE) == (port_id, True, True)
            for port, endpoint, since in told
        )
    assert rules.finished_claims(left, finished, NOW) == []


@given(two_endpoints)
def test_a_claim_that_is_taken_off_is_seen_no_more(ids: tuple[str, str]) -> None:
    """The host that waits would wait until its user gives up."""
    mine, other = ids
    pool = claimed((PORT_ID, mine, NOW), (PORT_ID, other, NOW))
    gone = rules.finished_claims(pool, [other], NOW)
    assert seen(own_pool(tags=tuple(set(pool.tags) - set(gone))), by=mine) == set()


def test_a_claim_of_a_time_to_come_is_told() -> None:
    """A host whose clock was years ahead, and that died, would keep a port from all others for years."""
    late = claimed((PORT_ID, OTHER_ID, NOW + 2 * LIFE))
    pools = [late, claimed((PORT_ID, ENDPOINT_ID, NOW + LIFE / 2), (OTHER_PORT, OTHER_ID, NOW + 2 * LIFE))]
    found = rules.claims_to_come(pools, PORT_ID, NOW)
    assert found == {tag for tag in late.tags if tag.startswith(CLAIMANT)}
    assert rules.rivals(pools, PORT_ID, [], NOW) == {OTHER_ID[:24], ENDPOINT_ID[:24]}
    assert rules.rivals(pools, PORT_ID, [], NOW, found) == {ENDPOINT_ID[:24]}
