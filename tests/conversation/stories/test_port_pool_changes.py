# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A port pool whose ports others change, or whose ports do not work: no container gets such a port."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import LinkError
from tests.conversation.faults.trials import V4
from tests.world.pools import COOLING, POOL, Everything, calls, cool, docker, pooled, port_of, restarted, rig, spares
from tests.world.rig import DirectDocker, Rig

__all__ = ["docker", "rig"]


@pytest.mark.parametrize(
    "change",
    [
        {"security_groups": []},
        {"admin_state_up": False},
        {"allowed_address_pairs": [{"ip_address": "10.1.0.200"}]},
        {"device_id": "somebody", "device_owner": "compute:nova"},
        {"device_id": "somebody"},
        {"binding:host_id": "h2"},
        {"name": "mine"},
    ],
)
def test_a_port_that_was_changed_in_neutron_is_given_to_nobody(
    rig: Rig, docker: DirectDocker, change: dict[str, Any]
) -> None:
    """A container would have a port without groups, or one that a virtual machine has."""
    network = pooled(rig, docker)
    spoiled = min(spares(rig), key=lambda spare: spare.since).port_id
    rig.neutron.update_port(spoiled, change)
    rig.services.reconciler.round()
    rig.fill()
    assert spoiled not in {spare.port_id for spare in spares(rig)}
    boxes = [docker.run(network) for _ in range(3)]
    assert spoiled not in {port_of(rig, box).id for box in boxes}
    assert spoiled not in {row.port_id for row in rig.ovs.owned()}
    taken = "device_id" in change or "binding:host_id" in change
    assert bool(rig.neutron.find_ports(id=spoiled)) is taken  # somebody else's by now: left alone


def test_a_port_that_was_deleted_in_neutron_is_given_to_nobody(rig: Rig, docker: DirectDocker) -> None:
    """A container would start without a network."""
    network = pooled(rig, docker)
    gone = min(spares(rig), key=lambda spare: spare.since).port_id
    rig.neutron.delete_port(gone)
    rig.ovs.without_flows.add(gone)  # ovn-controller sees it at once
    box = docker.run(network)
    assert port_of(rig, box).id != gone
    rig.services.reconciler.round()
    rig.fill()
    assert gone not in {spare.port_id for spare in spares(rig)} | {row.port_id for row in rig.ovs.owned()}


def test_a_released_port_that_was_changed_is_deleted(rig: Rig, docker: DirectDocker) -> None:
    """The next container would get what an administrator gave the one before it."""
    network = pooled(rig, docker)
    box = docker.run(network)
    port = port_of(rig, box)
    rig.neutron.update_port(port.id, {"allowed_address_pairs": [{"ip_address": "10.1.0.200"}]})
    docker.rm(box)
    cool(rig)
    assert rig.neutron.find_ports(id=port.id) == []
    assert len(spares(rig, "ready")) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": "machine", "device_owner": "compute:nova"},
        {"device_id": "machine", "name": "mine"},
        {"binding:host_id": "h2"},
    ],
)
@pytest.mark.parametrize(("size", "seconds"), [("2", COOLING), ("auto", 3601.0)], ids=["wanted", "not-wanted"])
def test_a_released_port_that_somebody_takes_over_is_left_to_him(
    rig: Rig, docker: DirectDocker, change: dict[str, Any], size: str, seconds: float
) -> None:
    """His port would be given another device and name, or be deleted."""
    network = pooled(rig, docker, size)
    box = docker.run(network)
    port = port_of(rig, box)
    docker.rm(box)
    rig.neutron.update_port(port.id, change)
    before = rig.neutron.find_ports(id=port.id)
    cool(rig, seconds)
    assert rig.neutron.find_ports(id=port.id) == before
    assert port.id not in {spare.port_id for spare in spares(rig)} | {row.port_id for row in rig.ovs.owned()}


def test_whoever_takes_a_released_port_over_in_the_last_moment_keeps_it(rig: Rig, docker: DirectDocker) -> None:
    """Between the look and the change his device would be overwritten."""
    network = pooled(rig, docker)
    box = docker.run(network)
    port = port_of(rig, box)
    docker.rm(box)
    taken: list[str] = []

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "after neutron.find_ports" and not taken:
            taken.append(name)
            rig.neutron.update_port(port.id, {"device_id": "machine", "device_owner": "compute:nova"})

    rig.outside.hook = hook
    cool(rig)
    rig.outside.hook = None
    cool(rig, 10)
    assert taken
    assert rig.neutron.find_ports(id=port.id)[0].device_id == "machine"
    assert port.id not in {spare.port_id for spare in spares(rig)}


def test_after_a_lost_journal_one_port_that_cannot_be_used_does_not_stop_the_pool(
    rig: Rig, docker: DirectDocker
) -> None:
    """The pool would never be filled again, because of a port that somebody has given a kind without a driver."""
    pooled(rig, docker)
    spoiled = spares(rig)[0].port_id
    rig.neutron.store.get("ports", spoiled)["binding:vnic_type"] = "direct"
    restarted(rig, lose_journal=True)
    for _ in range(2):
        rig.services.reconciler.round()
        rig.fill()
    cool(rig)
    assert len(spares(rig, "ready")) >= 2
    assert spoiled not in {spare.port_id for spare in spares(rig)}


def test_another_hosts_pool_is_not_touched(rig: Rig, docker: DirectDocker) -> None:
    """Two hosts on one Neutron network would take or delete each other's ports."""
    network = pooled(rig, docker)
    other = Rig(rig.neutron, host="h2")
    rig.neutron.store.alive_hosts.add("h2")
    there = DirectDocker(other)
    neutron_id = rig.journal.networks.all()[0].neutron_id
    theirs = there.network_create(V4, options={POOL: "2", "neutron.net.uuid": neutron_id})
    there.rm(there.run(theirs))
    other.fill()
    mine, yours = ({spare.port_id for spare in spares(each)} for each in (rig, other))
    for each in (rig, other):
        restarted(each, lose_journal=True)
    for _ in range(3):
        for each in (rig, other):
            each.services.reconciler.round()
            each.fill()
    for each, before in ((rig, mine), (other, yours)):
        assert {spare.port_id for spare in spares(each)} >= before
        assert {spare.port.host_id for spare in spares(each)} == {each.host}
    docker.network_rm(network)
    assert {port.id for port in rig.neutron.user_ports()} == {spare.port_id for spare in spares(other)}


def test_a_port_that_never_works_is_replaced(rig: Rig, docker: DirectDocker) -> None:
    """The pool would wait for it for ever."""
    network = docker.network_create(V4, options={POOL: "1"})
    docker.rm(docker.run(network))
    rig.ovs.without_flows = Everything()
    rig.fill()
    (spare,) = spares(rig, "making")
    rig.now += 61
    rig.fill()
    assert [each.port_id for each in spares(rig)] == []
    rig.ovs.without_flows = set()
    rig.now += 121
    rig.fill()
    (other,) = spares(rig, "ready")
    assert other.port_id != spare.port_id


def test_a_pool_is_filled_soon_after_the_host_is_mended(rig: Rig, docker: DirectDocker) -> None:
    """A bridge that was missing for a while would cost the pool for an hour more."""
    network = docker.network_create(V4, options={POOL: "1"})
    docker.rm(docker.run(network))

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "links.create_veth":
            raise LinkError("refused")

    rig.outside.hook = hook
    for _ in range(60):
        rig.now += 60
        rig.services.pool_filler.work()
    assert len(spares(rig, "making")) == 1
    rig.outside.hook = None
    rig.now += 5
    rig.fill()
    assert len(spares(rig, "ready")) == 1


def test_a_network_gets_another_mtu(rig: Rig, docker: DirectDocker) -> None:
    """Containers from the pool would send packets that are lost on the way."""
    pooled(rig, docker)
    (network,) = rig.neutron.find_networks()
    rig.neutron.store.get("networks", network.id)["mtu"] = 1300
    rig.services.reconciler.round()
    rig.fill()
    ready = [f"tap{spare.port_id}"[:14] for spare in spares(rig, "ready")]
    assert len(ready) == 2
    links = {link.name: link.mtu for link in rig.links.all()}
    assert {links[name] for name in ready} == {1300}


def test_ports_that_do_not_work_any_more_are_replaced(rig: Rig, docker: DirectDocker) -> None:
    """After Open vSwitch's database was lost the pool would stay full, and give no port to anybody."""
    network = pooled(rig, docker)
    for row in rig.ovs.owned():
        rig.ovs.unplug(row.port_id)
    calls(rig)
    docker.rm(docker.run(network))
    assert calls(rig)[0] == "create_port"
    rig.fill()
    for _ in range(4):
        rig.now += 61
        rig.fill()
    assert len(spares(rig, "ready")) == 2
    docker.beside = lambda: None
    calls(rig)
    docker.run(network)
    assert calls(rig) == []


def test_ports_that_work_again_are_used_again(rig: Rig, docker: DirectDocker) -> None:
    """A restart of ovn-controller would cost the ports of all pools."""
    pooled(rig, docker)
    before = {spare.port_id for spare in spares(rig, "ready")}
    rig.ovs.without_flows = set(before)
    rig.fill()
    assert {spare.port_id for spare in spares(rig, "making")} == before
    rig.ovs.without_flows = set()
    rig.fill()
    assert {spare.port_id for spare in spares(rig, "ready")} == before
