# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A port pool's ports while containers come and go, the pool is filled, and the network is removed, all at once."""

from __future__ import annotations

from functools import partial

import pytest

from tests.conversation.faults.test_concurrency import boxes_of, rm, run
from tests.world.rig import DirectDocker, Rig
from tests.world.threads import Call, Pause, at_once, interleaved

CROWD = 12
POOL = "kuryr.port_pool"


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def check(rig: Rig, leased: int) -> None:
    """Each port is known once: by a lease, or as a spare."""
    leases = {lease.port_id for lease in rig.journal.leases.all()}
    spares = {spare.port_id: spare.state for spare in rig.journal.spares.all()}
    assert len(leases) == leased
    assert leases & {port_id for port_id, state in spares.items() if state != "used"} == set()
    assert {port_id for port_id, state in spares.items() if state == "used"} <= leases
    assert {port.id for port in rig.neutron.user_ports()} == leases | set(spares)


def test_no_port_is_two_containers(rig: Rig, docker: DirectDocker) -> None:
    """Two containers that start in the same moment would have one address."""
    net = docker.network_create(options={POOL: str(CROWD)})
    docker.rm(docker.run(net))
    rig.fill()
    with interleaved(rig.outside):
        for _ in range(3):
            boxes = boxes_of(at_once([*[partial(run, rig, net)] * CROWD]))
            assert len({box.ip for box in boxes}) == CROWD
            check(rig, CROWD)
            filling = Call(rig.fill)
            going = at_once([partial(rm, rig, box) for box in boxes])
            filling.wait()
            boxes_of(going)
            check(rig, 0)
            rig.now += 131
            rig.fill()
            check(rig, 0)
    docker.network_rm(net)
    rig.settle()
    assert rig.neutron.user_ports() == []


def test_coming_and_going_while_the_pool_is_filled(rig: Rig, docker: DirectDocker) -> None:
    """The filler would remove what a container has just taken, or make ready what one still has."""
    net = docker.network_create(options={POOL: "4"})
    boxes = [docker.run(net) for _ in range(CROWD)]
    with interleaved(rig.outside):
        for _ in range(4):
            works = [
                *[partial(rm, rig, box) for box in boxes],
                *[partial(run, rig, net)] * CROWD,
            ]
            filling = Call(rig.fill)
            boxes = boxes_of(at_once(works))
            filling.wait()
            assert len({box.ip for box in boxes}) == CROWD
            check(rig, CROWD)
            rig.now += 131
    for box in boxes:
        docker.rm(box)
    docker.network_rm(net)
    rig.settle()
    assert rig.neutron.user_ports() == []
    assert rig.ovs.owned() == []


def test_a_network_is_removed_while_its_pool_is_filled(rig: Rig, docker: DirectDocker) -> None:
    """A port that was just being made would keep the Neutron network for ever."""
    net = docker.network_create(options={POOL: "3"})
    docker.rm(docker.run(net))
    with Pause(rig.outside, "after neutron.create_port") as pause:
        filling = Call(rig.fill)
        pause.reached()
        removing = Call(partial(docker.network_rm, net))
        pause.go()
        removing.wait()
        filling.wait()
    rig.fill()
    rig.settle()
    assert rig.neutron.user_ports() == []
    assert rig.neutron.find_networks() == []
    assert rig.journal.spares.all() == []


def test_a_port_is_taken_while_the_background_looks(rig: Rig, docker: DirectDocker) -> None:
    """The look would take a port for changed because a container has got it meanwhile."""
    net = docker.network_create(options={POOL: "2"})
    docker.rm(docker.run(net))
    rig.fill()
    with Pause(rig.outside, "after neutron.find_ports") as pause:
        looking = Call(rig.services.pool_filler.look)
        pause.reached()
        boxes = [docker.run(net) for _ in range(2)]
        pause.go()
        looking.wait()
    rig.fill()
    check(rig, 2)
    assert {port.id for port in rig.neutron.user_ports()} >= {lease.port_id for lease in rig.journal.leases.all()}
    assert len({box.ip for box in boxes}) == 2


def test_the_filler_changes_its_ports_while_the_network_is_removed(rig: Rig, docker: DirectDocker) -> None:
    """Those that were just made ready would stay, and keep the Neutron network for ever."""
    net = docker.network_create(options={POOL: "8"})
    docker.rm(docker.run(net))
    rig.fill()
    turns: list[str] = []

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if name == "neutron.delete_port" and not turns:
            turns.append(name)
            rig.ovs.without_flows = {spare.port_id for spare in rig.journal.spares.all() if spare.state == "ready"}
            rig.services.pool_filler.work()

    rig.outside.hook = hook
    docker.network_rm(net)
    rig.outside.hook = None
    assert turns
    assert rig.neutron.user_ports() == []
    assert rig.neutron.find_networks() == []
    assert rig.journal.spares.all() == []
