# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What nobody uses any more, and when that is certain."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from kuryr_libnetwork.rules.leftovers import Suspect, kept_for, overdue, remember, suspects, trusted
from tests.unit.values import DOCKER_ID, ENDPOINT, ENDPOINT_ID, LEASE, OTHER_ID, POOL, POOL_ID, PORT_ID, RECORD

IN_USE = replace(LEASE, endpoint_id=ENDPOINT_ID)
SEES_ALL = EngineView(network_ids=frozenset({DOCKER_ID}), endpoint_ids=frozenset({ENDPOINT_ID}))
SEES_NOTHING = EngineView(network_ids=frozenset(), endpoint_ids=frozenset())
kinds = st.sampled_from(["lease", "endpoint", "network", "pool"])
all_suspects = st.tuples(kinds, st.sampled_from("abc"))


def find(
    *,
    networks: tuple[str, ...] = (DOCKER_ID,),
    state: str = "ready",
    endpoints: bool = True,
    lease: str = ENDPOINT_ID,
    view: EngineView | None = None,
) -> set[Suspect]:
    return suspects(
        networks=[replace(RECORD, docker_id=docker_id) for docker_id in networks],
        endpoints=[replace(ENDPOINT, state=state)] if endpoints else [],
        leases=[replace(IN_USE, endpoint_id=lease)],
        pools=[POOL],
        view=view,
    )


def test_what_is_in_use_is_no_suspect() -> None:
    """A running container would lose its port."""
    assert find() == set()
    assert find(view=SEES_ALL) == set()


def test_an_engine_that_knows_none_of_ours_is_not_believed() -> None:
    """With the socket of another engine in kuryr.conf every container would be cut off."""
    assert find(view=SEES_NOTHING) == set()
    assert not trusted(None, [RECORD])
    assert not trusted(SEES_ALL, [])
    assert not trusted(SEES_ALL, [replace(RECORD, docker_id=OTHER_ID)])
    assert trusted(SEES_ALL, [replace(RECORD, docker_id=OTHER_ID), RECORD])


def test_what_docker_forgot_is_a_suspect() -> None:
    """Interfaces and networks would stay for ever after a crash of Docker."""
    forgot_endpoint = replace(SEES_ALL, endpoint_ids=frozenset())
    assert find(view=forgot_endpoint) == {("endpoint", ENDPOINT_ID)}
    assert find(networks=(DOCKER_ID, OTHER_ID), view=SEES_ALL) == {("network", OTHER_ID)}


def test_leases_without_a_living_endpoint_are_suspects() -> None:
    """A port would leak when CreateEndpoint never came, or its record was lost."""
    assert find(lease="") == {("lease", PORT_ID)}
    assert find(endpoints=False) == {("lease", PORT_ID)}


def test_unused_pools_are_suspects() -> None:
    """A subnetpool would leak when CreateNetwork never came."""
    assert find(networks=()) == {("pool", POOL_ID)}


def test_endpoints_half_made_or_half_gone_are_suspects() -> None:
    """An interface would stay on the host after this service was killed."""
    assert find(state="creating") == find(state="deleting") == {("endpoint", ENDPOINT_ID)}


@given(st.dictionaries(all_suspects, st.floats(0, 100)), st.sets(all_suspects), st.floats(100, 200))
def test_a_suspect_keeps_the_time_it_became_one(seen: dict[Suspect, float], now: set[Suspect], at: float) -> None:
    """The grace time would start again with each look, or count a time in which the thing was in use."""
    after = remember(seen, now, at)
    assert set(after) == now
    assert all(since == seen.get(suspect, at) for suspect, since in after.items())


@given(st.dictionaries(all_suspects, st.floats(0, 100)), st.floats(0, 100))
def test_only_the_overdue_are_convicted(seen: dict[Suspect, float], grace: float) -> None:
    """What a call under way is just making would be removed."""
    assert set(overdue(seen, 100.0, grace)) == {suspect for suspect, since in seen.items() if 100.0 - since >= grace}


def test_removal_goes_from_the_inside_out() -> None:
    """Neutron would refuse: a network with ports cannot be removed, nor a pool with subnets."""
    seen = dict.fromkeys([("pool", "d"), ("network", "c"), ("lease", "b"), ("endpoint", "z"), ("endpoint", "a")], 0.0)
    assert overdue(seen, 9.0, 9.0) == [
        ("endpoint", "a"),
        ("endpoint", "z"),
        ("lease", "b"),
        ("network", "c"),
        ("pool", "d"),
    ]


@pytest.mark.parametrize(
    ("cidrs", "kept"),
    [
        (("10.1.0.0/24",), "a"),
        (("10.1.0.7/24",), "a"),
        (("10.1.0.0/16",), "ab"),
        (("10.2.0.0/24",), ""),
        (("10.2.0.0/24", "fd00::/64"), "c"),
        ((), "abc"),
        (("",), "abc"),
        (("no CIDR", "10.2.0.0/24"), "abc"),
    ],
)
def test_the_pools_of_a_network_that_was_not_found_are_kept(cidrs: tuple[str, ...], kept: str) -> None:
    """After a lost journal its pool would be removed, or one network that cannot be told keep those of all others for
    ever.
    """
    pools = [
        replace(POOL, pool_id=name, cidr=cidr)
        for name, cidr in (("a", "10.1.0.0/24"), ("b", "10.1.1.0/28"), ("c", "fd00::/48"))
    ]
    assert kept_for([NetworkWord(cidrs=cidrs)], pools) == {("pool", name) for name in kept}
    assert kept_for([], pools) == set()
