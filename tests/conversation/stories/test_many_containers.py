# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a host with many containers asks of the world: no more for one container than a host with few."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.world.dockerside import Container
from tests.world.rig import DirectDocker, Rig

FEW, MANY = 2, 40


def counted(rig: Rig) -> Counter[str]:
    """From now on: what is asked of the world outside, by name."""
    asked: Counter[str] = Counter()

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        asked[name] += not name.startswith(("after ", "journal."))

    rig.outside.hook = hook
    return asked


def host(containers: int, *, labelled: bool = True) -> tuple[Rig, DirectDocker, list[Container]]:
    rig = Rig()
    docker = DirectDocker(rig)
    docker.beside = docker.beside if labelled else lambda: None
    network = docker.network_create("10.1.0.0/24")
    return rig, docker, [docker.run(network) for _ in range(containers)]


def a_round(containers: int) -> Counter[str]:
    rig, _, _ = host(containers)
    rig.services.reconciler.round()  # the first one looks after what a former process has left
    asked = counted(rig)
    rig.services.reconciler.round()
    return asked


def test_a_round_of_the_background_asks_once_for_all() -> None:
    """With 3,000 containers a look would take 6,000 sockets, once a minute."""
    few, many = a_round(FEW), a_round(MANY)
    assert many == few
    assert many["links.all"] == 1


def test_a_round_asks_once_after_a_lost_journal() -> None:
    """Ports of living containers of which nobody has told Neutron whose they are would take a list of all interfaces
    each.
    """

    def ask(containers: int) -> dict[str, int]:
        rig, _, _ = host(containers, labelled=False)
        rig.revive(lose_journal=True)
        rig.engine.macs.clear()
        rig.services.reconciler.round()
        asked = counted(rig)
        rig.services.reconciler.round()
        return {name: times for name, times in asked.items() if name.startswith("links.")}

    assert ask(MANY) == ask(FEW)


def test_a_start_and_an_end_ask_no_more() -> None:
    """Each container would start later than the one before."""

    def ask(containers: int) -> Counter[str]:
        rig, docker, boxes = host(containers)
        asked = counted(rig)
        docker.run(boxes[0].network)
        docker.rm(boxes[-1])
        return asked

    assert ask(MANY) == ask(FEW)


@pytest.mark.parametrize("containers", [1, 3])
def test_what_was_seen_at_once_is_right(containers: int) -> None:
    """A container that lives would be taken for a dead one, or the other way round."""
    rig, _, boxes = host(containers)
    rig.settle()
    assert len(rig.journal.endpoints.all()) == containers
    rig.move_out(boxes[0])
    rig.engine.error = None
    rig.engine.networks.clear()
    rig.engine.endpoints.clear()
    rig.engine.engine_id = ""
    rig.settle()
    assert len(rig.journal.endpoints.all()) == containers - 1
