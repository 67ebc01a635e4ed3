# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Hosts that do the same thing at the same time must not keep Neutron from its work (``./dev simulate``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from bench.cloud.figures import figures_of, waits, workers_needed
from bench.cloud.neutron import Served
from bench.cloud.scenarios import INTERVAL, Phase, Shape, World, rack, whole_cloud

SHAPE = Shape(hosts=12, containers=6, networks=2, rack=4, workers=100)


def quiet(text: str) -> None:
    del text


@pytest.fixture(scope="module")
def phases() -> Sequence[Phase]:
    return list(whole_cloud(SHAPE, quiet))


def test_a_restart_reads_nothing_of_other_hosts(phases: Sequence[Phase]) -> None:
    """After an upgrade of all services each would read what all others have: containers would wait for hours."""
    restart = phases[0]
    assert max(each.rows for each in restart.served) <= SHAPE.containers
    asked = Counter(each.method for each in restart.served)
    assert asked["find_subnetpools"] == SHAPE.hosts  # its own pools, for the claims on them


def test_a_lost_journal_is_no_reason_for_all_to_look_at_once() -> None:
    """A rack that was installed anew would read the whole cloud at the same moment."""
    world = World(SHAPE, quiet)
    for host in world.hosts:
        host.lose_journal()
    world.start(world.hosts, 1.0)
    world.clock.run(900.0)
    looks = [each.at for each in world.cloud.served if each.method == "find_subnetpools" and each.rows > 4]
    world.clock.end()
    assert len(looks) >= SHAPE.hosts
    assert max(Counter(int(at / INTERVAL) for at in looks).values()) < SHAPE.hosts


def test_neutron_is_not_met_by_a_herd_when_it_comes_back(phases: Sequence[Phase]) -> None:
    """It would go away again."""
    _, steady, away, after = phases
    assert all(each.refused for each in away.served)
    assert figures_of(away).calls <= figures_of(steady).calls
    assert figures_of(after).peak <= 2 * figures_of(steady).peak


def test_a_rack_boots_with_three_calls_for_each_container() -> None:
    """The old port goes, the new one comes and is labelled; whatever is beyond that delays all hosts."""
    found = rack(SHAPE, quiet)
    count = SHAPE.rack * SHAPE.containers
    asked = Counter(each.method for each in found.served)
    assert (asked["delete_port"], asked["create_port"], asked["update_port"]) == (count, count, count)
    assert "failed" not in found.note


def served(at: float, took: float) -> Served:
    return Served(at, "find_ports", 0.0, took, 0)


def test_how_many_workers_it_takes() -> None:
    """The figure in docs/benchmarks.md would be wrong."""
    calls = [served(0.0, 1.0), served(0.0, 1.0), served(0.5, 1.0), served(3.0, 1.0)]
    assert waits(calls, 1) == [0.0, 1.0, 1.5, 0.0]
    assert waits(calls, 2) == [0.0, 0.0, 0.5, 0.0]
    assert workers_needed(calls) == 2
