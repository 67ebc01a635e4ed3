# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How large a port pool is, and what it does when Neutron is away, busy or full."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronConflict, NeutronUnavailable, NoFreeAddress
from kuryr_libnetwork.model.settings import PortPoolSettings
from tests.conversation.faults.trials import V4, is_labelled
from tests.world.dockerside import PluginError
from tests.world.pools import COOLING, POOL, away, back, calls, cool, docker, pooled, port_of, restarted, rig, spares
from tests.world.rig import DirectDocker, Rig

__all__ = ["docker", "rig"]


def test_ports_that_cool_one_after_the_other_are_looked_at_together(rig: Rig, docker: DirectDocker) -> None:
    """Each container that goes would cost two calls more."""
    network = pooled(rig, docker, "8")
    boxes = [docker.run(network) for _ in range(8)]
    for box in boxes:
        docker.rm(box)
        rig.now += 1
    rig.now += COOLING - 9
    calls(rig)
    for _ in range(20):
        rig.now += 1
        rig.services.pool_filler.work()
    made = calls(rig)
    assert made.count("find_ports") <= 3
    assert made.count("update_port") >= 2
    assert spares(rig, "cooling") == []


def test_sizes_change_while_the_service_runs(rig: Rig, docker: DirectDocker) -> None:
    """An operator whose quota runs out would have to restart the service on every host."""
    pooled(rig, docker, "8")
    assert len(spares(rig, "ready")) == 8
    rig.services.resize(PortPoolSettings(default=3, max_per_host=2, cooling=COOLING))
    rig.now += 3600
    rig.fill()
    assert len(spares(rig)) == 2
    docker.network_create("10.99.0.0/24")
    assert sorted(str(network.port_pool) for network in rig.journal.networks.all()) == ["3", "8"]
    rig.services.resize(PortPoolSettings(cooling=COOLING))
    rig.fill()
    assert len(spares(rig, "ready")) == 8


def test_containers_start_and_end_while_neutron_is_away(rig: Rig, docker: DirectDocker) -> None:
    """An outage of Neutron would be one of every host."""
    network = pooled(rig, docker)
    away(rig)
    boxes = [docker.run(network) for _ in range(2)]
    with pytest.raises(PluginError):
        docker.run(network)
    docker.rm(boxes[0])
    restarted(rig)
    rig.fill()
    rig.now += COOLING
    rig.fill()
    back(rig)
    cool(rig)
    rig.services.reconciler.round()
    cool(rig)
    assert len(spares(rig, "ready")) >= 2
    assert is_labelled(port_of(rig, boxes[1]), boxes[1].endpoint_id)


def test_spares_make_way_for_a_container_when_the_subnet_is_full(rig: Rig, docker: DirectDocker) -> None:
    """The pool of one network would take the last addresses from the containers of another."""
    tenant = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(tenant.id, V4)
    says = {"neutron.net.uuid": tenant.id}
    one = docker.network_create(V4, options={POOL: "2", **says})
    other = docker.network_create(V4, options=says)
    docker.rm(docker.run(one))
    rig.fill()
    while True:  # everybody else's ports
        try:
            rig.neutron.create_port({"network_id": tenant.id, "fixed_ips": [{"subnet_id": subnet.id}]})
        except NoFreeAddress:
            break
    idle = len(spares(rig))
    docker.beside = lambda: None
    calls(rig)
    boxes = [docker.run(other)]
    assert calls(rig) == ["create_port", "delete_port", "create_port"]
    boxes += [docker.run(other) for _ in range(idle - 1)]
    assert spares(rig) == []
    with pytest.raises(PluginError, match="No more IP addresses"):
        docker.run(other)
    rig.fill()
    assert spares(rig) == []  # nothing is made for two minutes
    docker.rm(boxes[0])
    cool(rig)
    assert len(spares(rig)) == 1


def test_spares_make_way_for_a_container_when_the_quota_is_full(rig: Rig, docker: DirectDocker) -> None:
    """The pool of one network would keep the containers of all others from starting."""
    pooled(rig, docker)
    other = docker.network_create("10.2.0.0/24")
    error = NeutronConflict("Quota exceeded for resources: ['port'].")
    error.kind = "OverQuota"
    rig.neutron.fail_next("create_port", error)
    before = len(spares(rig))
    docker.beside = lambda: None
    calls(rig)
    docker.run(other)
    assert calls(rig) == ["create_port", "delete_port", "create_port"]
    assert len(spares(rig)) == before - 1
    rig.fill()
    assert len(spares(rig)) == before - 1  # the pool waits for two minutes
    cool(rig)
    assert len(spares(rig)) in (before - 1, before)
    assert len(spares(rig)) >= 2


def test_a_restart_does_not_make_a_pool_larger(rig: Rig, docker: DirectDocker) -> None:
    """An upgrade would have each host make as many ports as it has containers, and use up the quota."""
    network = docker.network_create(V4, options={POOL: "auto"})
    for _ in range(6):
        docker.run(network)
        rig.fill()
        rig.now += 600
    ready = len(spares(rig, "ready"))
    assert [spare.state for spare in spares(rig)].count("used") == 5
    restarted(rig)
    rig.fill()
    assert len(spares(rig, "ready")) == ready == rig.port_pool.min_auto


def test_the_operators_default(rig: Rig, docker: DirectDocker) -> None:
    """Every user would have to name the option, or could not refuse it."""
    rig.port_pool = PortPoolSettings(default="auto")
    rig.revive()
    network = docker.network_create(V4)
    without = docker.network_create("10.2.0.0/24", options={POOL: "0"})
    assert [each.port_pool for each in rig.journal.networks.all()] == ["auto", 0]
    docker.run(network)
    docker.run(without)
    rig.fill()
    assert {spare.docker_network_id for spare in spares(rig)} == {network.network_id}


def test_auto_is_as_large_as_the_last_burst_and_empty_after_an_idle_hour(rig: Rig, docker: DirectDocker) -> None:
    """Twenty containers at once would wait as without a pool; or ports be kept for nobody."""
    network = docker.network_create(V4, options={POOL: "auto"})
    boxes = [docker.run(network) for _ in range(8)]
    rig.fill()
    assert len(spares(rig, "ready")) == 8
    for box in boxes:
        docker.rm(box)
    calls(rig)
    docker.beside = lambda: None
    boxes = [docker.run(network) for _ in range(8)]
    assert calls(rig) == []
    for box in boxes:
        docker.rm(box)
    rig.now += 3601
    for _ in range(3):
        rig.fill()
    assert spares(rig) == []


def test_limits_are_those_of_all_pools_together(rig: Rig, docker: DirectDocker) -> None:
    """Many networks would use up the quota with ports that nobody uses."""
    rig.port_pool = PortPoolSettings(max_per_network=4, max_per_host=6)
    rig.revive()
    for number in (1, 2, 3):
        docker.run(docker.network_create(f"10.{number}.0.0/24", options={POOL: "50"}))
    rig.fill()
    assert len(spares(rig)) == 6


def test_cooling_ports_leave_room_in_all_pools(rig: Rig, docker: DirectDocker) -> None:
    """On a host whose containers come and go, released ports would fill the limit, and none be ready for anybody."""
    rig.port_pool = PortPoolSettings(max_per_network=4, max_per_host=6)
    rig.revive()
    networks = [docker.network_create(f"10.{number}.0.0/24", options={POOL: "2"}) for number in (1, 2)]
    for network in networks:
        docker.rm(docker.run(network))
    rig.fill()
    docker.beside = lambda: None
    boxes = [docker.run(network) for network in networks for _ in range(2)]
    assert spares(rig, "ready") == []
    for box in boxes:
        docker.rm(box)
    rig.fill()
    assert (len(spares(rig, "ready")), len(spares(rig, "cooling"))) == (4, 2)


def test_what_is_wanted_is_within_the_limit(rig: Rig, docker: DirectDocker) -> None:
    """The metrics, and the alert on them, would miss ports that are never made."""
    rig.port_pool = PortPoolSettings(max_per_network=4, max_per_host=6)
    rig.revive()
    for number in (1, 2, 3):
        docker.run(docker.network_create(f"10.{number}.0.0/24", options={POOL: "4"}))
    rig.fill()
    assert rig.services.overview.counts().spares_wanted == len(spares(rig, "ready")) == 6


def test_an_operator_turns_all_pools_off(rig: Rig, docker: DirectDocker) -> None:
    """Whoever has to free the quota for good, or goes back to an earlier release, could not: pools are the users'."""
    network = pooled(rig, docker)
    box = docker.run(network)
    rig.port_pool = PortPoolSettings(max_per_host=0)
    rig.revive()
    rig.fill()
    docker.rm(box)
    cool(rig, 300)
    docker.rm(docker.run(network))
    cool(rig, 300)
    assert spares(rig) == []
    assert rig.neutron.user_ports() == []


def test_neutron_is_not_asked_again_and_again_while_it_is_away(rig: Rig, docker: DirectDocker) -> None:
    """A thousand hosts would knock at a Neutron that is just coming back, each several times a second."""
    network = pooled(rig, docker)
    boxes = [docker.run(network) for _ in range(2)]
    for box in boxes:
        docker.rm(box)
    asked: list[str] = []

    def hook(method: str, arguments: tuple[Any, ...]) -> None:
        asked.append(method)
        raise NeutronUnavailable("Neutron is away")

    rig.now += COOLING
    rig.neutron.hook = hook
    for _ in range(200):  # 40 s of a thread that looks five times a second
        rig.services.pool_filler.work()
        rig.now += 0.2
    assert len(asked) <= 4
    back(rig)
    cool(rig, 300)
    assert len(spares(rig, "ready")) >= 2


def test_neutron_is_asked_again_when_it_says_so(rig: Rig, docker: DirectDocker) -> None:
    """A thousand hosts would knock at a Neutron that has said that it is busy, and for how long."""
    network = pooled(rig, docker)
    docker.beside = lambda: None
    docker.run(network)
    rig.neutron.fail_next("create_port", NeutronUnavailable("HTTP 503", 300.0))
    rig.fill()
    calls(rig)
    for _ in range(29):
        rig.now += 10
        rig.services.pool_filler.work()
    assert calls(rig) == []
    cool(rig, 400)
    assert len(spares(rig, "ready")) == 2


def test_no_pause_is_shortened_by_another(rig: Rig, docker: DirectDocker) -> None:
    """After a full quota the hosts would ask again as soon as Neutron has once given no answer."""
    rig.port_pool = PortPoolSettings(max_per_network=2)  # no room for a port that cools
    rig.revive()
    network = pooled(rig, docker)
    docker.beside = lambda: None
    box = docker.run(network)
    error = NeutronConflict("Quota exceeded for resources: ['port'].")
    error.kind = "OverQuota"
    rig.neutron.fail_next("create_port", error)
    rig.fill()
    docker.rm(box)
    away(rig)
    rig.fill()
    back(rig)
    calls(rig)
    for _ in range(10):
        rig.now += 10
        rig.services.pool_filler.work()
    assert set(calls(rig)) == {"delete_port"}


def test_many_containers_one_after_the_other(rig: Rig, docker: DirectDocker) -> None:
    """Ports would be made and deleted in turn, or the limits be exceeded."""
    network = pooled(rig, docker, "5")
    made: list[int] = []
    for number in range(200):
        rig.now += 10
        docker.rm(docker.run(network))
        rig.fill()
        idle = [spare for spare in spares(rig) if spare.state != "leaving"]
        assert len(idle) <= rig.port_pool.max_per_network
        if number >= 50:
            made += [1 for name in calls(rig) if name in ("create_port", "delete_port")]
        else:
            calls(rig)
    assert sum(made) <= 4  # each container costs labels, and labels again
