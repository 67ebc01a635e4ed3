# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How many ports a port pool keeps ready."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import KuryrError, NeutronConflict, NeutronRefused, NeutronUnavailable, NoFreeAddress
from kuryr_libnetwork.model.records import PoolSize
from kuryr_libnetwork.model.settings import PortPoolSettings
from kuryr_libnetwork.rules.pool_pauses import OVER_QUOTA, Pause, pause_after
from kuryr_libnetwork.rules.pool_size import PoolCount, high_mark, may_cool, may_wait, target, to_make, to_remove

SETTINGS = PortPoolSettings(min_auto=2, max_per_network=20, max_per_host=30)
BURST = [float(age) for age in range(20)]


@pytest.mark.parametrize(
    ("size", "starts", "known", "wanted"),
    [
        (5, [], False, 0),
        (5, [], True, 5),
        (5, [4000.0], True, 5),
        (50, [1.0], True, 20),
        (0, [1.0], True, 0),
        ("auto", [], True, 0),
        ("auto", [10.0], True, 2),
        ("auto", BURST, True, 20),
        ("auto", [age + 3000 for age in BURST], True, 20),
        ("auto", [age + 3595 for age in BURST], True, 5),
        ("auto", [age + 3600 for age in BURST], True, 0),
        ("auto", [0.0, 61.0, 122.0, 183.0], True, 2),
        ("auto", [0.0, 30.0, 60.0, 61.0], True, 3),
        ("auto", [float(age) / 10 for age in range(100)], True, 20),
    ],
)
def test_the_size_follows_the_latest_bursts(size: PoolSize, starts: list[float], known: bool, wanted: int) -> None:
    """Twenty containers at once would wait as if there were no pool, or ports be kept for nobody."""
    assert target(size, starts, SETTINGS, known=known) == wanted


@pytest.mark.parametrize(
    ("wanted", "count", "on_host", "made"),
    [
        (5, PoolCount(), 0, 5),
        (5, PoolCount(making=1, ready=2), 3, 2),
        (5, PoolCount(ready=5), 5, 0),
        (5, PoolCount(ready=2, cooling=18), 20, 0),
        (5, PoolCount(ready=2, cooling=16), 18, 2),
        (5, PoolCount(), 28, 2),
        (5, PoolCount(), 31, 0),
    ],
)
def test_how_many_are_made(wanted: int, count: PoolCount, on_host: int, made: int) -> None:
    """Pools would use up the quota, or count as ready what nobody may have yet."""
    assert to_make(wanted, count, on_host, SETTINGS) == made


@pytest.mark.parametrize(
    ("ready", "idle", "waits"), [(5, 0.5, True), (4, 0.5, False), (5, 1.0, False), (0, 0.0, False), (9, 0.0, True)]
)
def test_a_pool_that_is_full_enough_lets_containers_start_first(ready: int, idle: float, waits: bool) -> None:
    """Containers that start at once would wait for the host and Neutron, which make ports for later ones."""
    assert may_wait(10, PoolCount(ready=ready), idle) is waits


@pytest.mark.parametrize(
    ("wanted", "count", "on_host", "kept"),
    [
        (5, PoolCount(ready=5), 5, True),
        (5, PoolCount(ready=5, cooling=14), 19, True),
        (5, PoolCount(ready=5, cooling=15), 20, False),
        (5, PoolCount(cooling=15), 15, False),
        (20, PoolCount(), 0, False),
        (0, PoolCount(), 0, False),
        (5, PoolCount(ready=5), 30, False),
    ],
)
def test_which_released_ports_are_kept(wanted: int, count: PoolCount, on_host: int, kept: bool) -> None:
    """Cooling ports would take the room of those that are to be ready."""
    assert may_cool(wanted, count, on_host, SETTINGS) is kept


@pytest.mark.parametrize(
    ("wanted", "ready", "idle", "removed"),
    [(8, 10, 9999.0, 0), (8, 11, 179.0, 0), (8, 11, 180.0, 3), (0, 1, 180.0, 1), (1, 2, 180.0, 0), (0, 0, 9999.0, 0)],
)
def test_a_pool_shrinks_late_and_from_well_above_its_size(wanted: int, ready: int, idle: float, removed: int) -> None:
    """Ports would be made and deleted in turn."""
    assert to_remove(wanted, PoolCount(ready=ready), idle) == removed


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_nothing_is_made_and_removed_in_turn(wanted: int, making: int, ready: int, cooling: int, more: int) -> None:
    """Neutron would be busy for ever with ports that nobody uses."""
    wanted = min(wanted, SETTINGS.max_per_network)
    count = PoolCount(making=making, ready=ready, cooling=cooling)
    made = to_make(wanted, count, count.idle + more, SETTINGS)
    assert not (made and to_remove(wanted, count, 9999.0))
    after = PoolCount(ready=ready + making + made, cooling=cooling)
    assert not made or (after.idle <= SETTINGS.max_per_network and not to_remove(wanted, after, 9999.0))
    assert high_mark(wanted) >= wanted


def quota() -> NeutronConflict:
    error = NeutronConflict("Quota exceeded for resources: ['port'].")
    error.kind = OVER_QUOTA
    return error


def busy(seconds: float) -> NeutronUnavailable:
    return NeutronUnavailable("busy", seconds)


@pytest.mark.parametrize(
    ("error", "failures", "pause"),
    [
        (NoFreeAddress("full"), 1, Pause(seconds=120, everywhere=False)),
        (quota(), 1, Pause(seconds=120, everywhere=True)),
        (NeutronUnavailable("away"), 1, Pause(seconds=7.5, everywhere=True)),
        (NeutronUnavailable("away"), 3, Pause(seconds=30, everywhere=True)),
        (NeutronUnavailable("away"), 99, Pause(seconds=180, everywhere=True)),
        (busy(300), 1, Pause(seconds=450, everywhere=True)),
        (NeutronRefused("no"), 1, Pause(seconds=15, everywhere=False)),
        (NeutronConflict("other"), 4, Pause(seconds=60, everywhere=False)),
    ],
)
def test_how_long_nothing_is_made_after_a_failure(error: KuryrError, failures: int, pause: Pause) -> None:
    """A thousand hosts would ask a Neutron that has just come back at the same moment."""
    assert pause_after(error, failures, 0.5) == pause
