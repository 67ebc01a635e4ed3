# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers in a virtual machine, told from Docker's side, with Neutron's calls counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronChanged, NeutronUnavailable
from kuryr_libnetwork.model.neutron import AddressPair
from tests.world.dockerside import PluginError
from tests.world.machine import FOREIGN_VLAN, IFACE, Inside
from tests.world.machine_world import FOREIGN, World

# -- nested ----------------------------------------------------------------------------------------------------------


def test_macvlan_on_the_machines_network() -> None:
    """The main job of ``nested``: the cloud would drop the container's frames, or somebody else's pair get lost."""
    world = World("macvlan")
    with world.at_most(7 + 1):
        net = world.network()
    with world.at_most(2 + 2):
        box = world.docker.run(net)
    port = world.port_of(box)
    assert (port.network_id, port.device_owner, port.host_id) == (world.home.id, "compute:kuryr", "")
    assert world.pairs() == {FOREIGN, AddressPair(ip_address=box.ip, mac_address=port.mac_address)}
    assert box.mac == port.mac_address
    assert box.interface["SrcName"] == f"t_c{port.id}"[:14]
    with world.at_most(1 + 2):
        world.docker.rm(box)
    assert world.pairs() == {FOREIGN}
    with world.at_most(4):
        world.docker.network_rm(net)
    assert world.rig.links.delete(IFACE)
    world.rig.nothing_left()


def test_ipvlan_has_the_machines_mac() -> None:
    """Docker would set a MAC, which an ipvlan interface refuses: no container could start."""
    world = World("ipvlan")
    net = world.network()
    with world.at_most(2 + 2):
        box = world.docker.run(net)
    assert box.mac == ""
    assert world.pairs() == {FOREIGN, AddressPair(ip_address=box.ip, mac_address=world.vm.mac_address)}
    with world.at_most(1 + 2):
        world.docker.rm(box)
    assert world.pairs() == {FOREIGN}


def test_ipvlan_cannot_have_a_mac_of_its_own() -> None:
    """``--mac-address`` would be ignored."""
    world = World("ipvlan")
    net = world.network()
    with pytest.raises(PluginError, match=r"--mac-address=02:42:ac:11:00:02: an ipvlan interface has the MAC of its"):
        world.docker.run(net, mac="02:42:ac:11:00:02")
    assert world.pairs() == {FOREIGN}
    assert world.rig.neutron.user_ports() == [world.vm]


def test_ovn_allows_no_other_mac() -> None:
    """The container would start and get no frame; and something would be left of the attempt."""
    world = World("macvlan", vrrp_pairs_only=True)
    net = world.network()
    with pytest.raises(
        PluginError, match=r"bound by ML2/OVN.*set \[binding\] default_driver and enabled_drivers to ipvlan"
    ):
        world.docker.run(net)
    world.rig.settle()
    assert (world.pairs(), world.rig.links.names()) == ({FOREIGN}, [IFACE])
    assert world.rig.neutron.user_ports() == [world.vm]


def test_too_many_pairs_say_what_to_do() -> None:
    """The tenth container of a machine fails: the user would not know that an option of Neutron is the limit."""
    world = World("ipvlan")
    net = world.network()
    for _ in range(9):
        world.docker.run(net)
    with pytest.raises(PluginError, match=r"exceeds the maximum 10.*raise max_allowed_address_pair"):
        world.docker.run(net)
    assert len(world.pairs()) == 10


@pytest.mark.parametrize("option", ["uuid", "name"])
def test_another_network_is_refused_when_the_docker_network_is_made(option: str) -> None:
    """The network would be made, tagged, and be of no use."""
    world = World("macvlan")
    other = world.rig.neutron.seed_network(name="other")
    world.rig.neutron.seed_subnet(other.id, "10.5.0.0/24")
    value = other.id if option == "uuid" else "other"
    with pytest.raises(PluginError, match=f"neutron.net.{option}={value}: the containers of this virtual machine"):
        world.network(**{option: value})
    assert world.rig.neutron.find_networks(id=other.id)[0].tags == ()


def test_a_network_of_before_is_refused_when_the_container_starts() -> None:
    """After a change of the port driver containers would start and reach nothing."""
    world = World("macvlan")
    world.rig.inside = None
    world.rig.revive()
    net = world.docker.network_create("10.5.0.0/24")
    world.rig.inside = "macvlan"
    world.rig.revive()
    with pytest.raises(PluginError, match="nested serves that network only"):
        world.docker.run(net)
    assert world.pairs() == {FOREIGN}


def test_somebody_else_changes_the_machines_port() -> None:
    """His change would be overwritten, or the container fail (upstream reads, changes and writes without a check)."""
    world = World("ipvlan")
    net = world.network()
    his = AddressPair(ip_address="10.1.0.99", mac_address=world.vm.mac_address)

    def interfere(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "after neutron.find_ports" and "mac_address" in arguments[0]:
            world.rig.outside.hook = None
            now = world.pairs() | {his}
            wanted = [{"ip_address": pair.ip_address, "mac_address": pair.mac_address} for pair in now]
            world.rig.neutron.update_port(world.vm.id, {"allowed_address_pairs": wanted})

    world.rig.outside.hook = interfere
    box = world.docker.run(net)
    assert {FOREIGN, his} < world.pairs()
    world.rig.outside.hook = interfere
    world.docker.rm(box)
    assert world.pairs() == {FOREIGN, his}


def clear_pairs(world: World, *kept: AddressPair) -> None:
    wanted = [{"ip_address": pair.ip_address, "mac_address": pair.mac_address} for pair in kept]
    world.rig.neutron.update_port(world.vm.id, {"allowed_address_pairs": wanted})


def test_pairs_that_somebody_has_removed_come_back() -> None:
    """Containers would lose their network when an operator replaces the list, or two of its changes collide."""
    world = World("ipvlan")
    net = world.network()
    boxes = [world.docker.run(net) for _ in range(2)]
    before = world.pairs()
    his = AddressPair(ip_address="10.1.0.99", mac_address=world.vm.mac_address)
    clear_pairs(world, his)
    world.rig.services.reconciler.round()
    assert world.pairs() == before - {FOREIGN} | {his}
    world.rig.services.reconciler.round()  # the last one after the start that looks for more
    world.docker.rm(boxes[0])
    with world.at_most(6):
        world.rig.services.reconciler.round()
    assert boxes[0].ip not in {pair.ip_address for pair in world.pairs()}


def test_a_container_that_goes_meanwhile_is_not_repaired() -> None:
    """The pair of a dead container would come back, and stay for ever."""
    world = World("ipvlan")
    net = world.network()
    box = world.docker.run(net)
    clear_pairs(world, FOREIGN)
    with ThreadPoolExecutor(1) as thread:

        def go(name: str, arguments: tuple[Any, ...]) -> None:
            if name == "neutron.find_ports" and "mac_address" in arguments[0]:
                world.rig.outside.hook = None
                thread.submit(world.docker.rm, box)

        world.rig.outside.hook = go
        world.rig.services.reconciler.round()
    assert world.pairs() == {FOREIGN}
    assert world.rig.neutron.user_ports() == [world.rig.neutron.port(world.vm.id)]


def test_a_port_that_never_stops_changing() -> None:
    """A call of Docker would never end."""
    world = World("ipvlan")
    net = world.network()

    def interfere(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "update_port" and arguments[0] == world.vm.id:
            raise NeutronChanged("revision")

    world.rig.neutron.hook = interfere
    with pytest.raises(PluginError, match="revision"):
        world.docker.run(net)
    world.rig.neutron.hook = lambda *_: None
    world.rig.settle()
    assert world.pairs() == {FOREIGN}


def test_without_port_security_nothing_has_to_be_allowed() -> None:
    """Neutron refuses pairs on such a port: no container could start."""
    world = World("macvlan")
    world.rig.neutron.change_port(world.vm.id, port_security_enabled=False, allowed_address_pairs=[])
    net = world.network()
    box = world.docker.run(net)
    world.docker.rm(box)
    assert world.pairs() == set()
    assert world.rig.neutron.user_ports() == [world.rig.neutron.port(world.vm.id)]


def test_the_ports_of_all_machines_are_not_listed_every_minute() -> None:
    """With 1,000 machines each of them would read the ports of all others' containers, once a minute."""
    world = World("ipvlan")
    world.docker.run(world.network())

    def listings() -> int:
        world.rig.neutron.calls.clear()
        world.rig.services.reconciler.round()
        asked = [str(call) for call in world.rig.neutron.calls if call[0] == "find_ports"]
        return sum("kuryr-unbound-port" in each and "compute:kuryr" in each for each in asked)

    assert [listings() for _ in range(3)] == [1, 0, 0]


def test_vif_plugging_is_not_waited_for() -> None:
    """With ``vif_plugging_is_fatal`` every container would time out: an unbound port never becomes ACTIVE."""
    world = World("macvlan")
    world.rig.vif_plugging_timeout = 0.01
    world.rig.revive()
    net = world.network()
    with world.at_most(2 + 2):
        world.docker.run(net)


def test_exposed_ports_are_the_machines_affair() -> None:
    """Calls would be spent on a security group that has no effect, and the user would believe the port to be open."""
    world = World("ipvlan")
    net = world.network()
    with world.at_most(2 + 2):
        world.docker.run(net, expose=[(6, 80)])


# -- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["ipvlan", "vlan"])
def test_many_at_once(inside: Inside) -> None:
    """Parallel starts would get one VLAN, overwrite each other's pairs, or leave some behind when they go."""
    world = World(inside)
    net = world.network() if inside == "ipvlan" else world.docker.network_create("10.9.0.0/24")
    with ThreadPoolExecutor(8) as threads:
        boxes = list(threads.map(lambda _: world.docker.run(net), range(8)))
    if inside == "vlan":
        assert sorted(world.vlans()) == list(range(1, 10))
    else:
        assert {pair.ip_address for pair in world.pairs()} == {FOREIGN.ip_address, *(box.ip for box in boxes)}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(world.docker.rm, boxes))
    assert (world.vlans() if inside == "vlan" else world.pairs()) in ([FOREIGN_VLAN], {FOREIGN})


@pytest.mark.parametrize("inside", ["macvlan", "ipvlan", "vlan"])
@pytest.mark.parametrize("journal", ["kept", "lost"])
def test_the_machine_is_rebooted(inside: Inside, journal: str) -> None:
    """All interfaces are gone and Docker knows nothing: pairs and ports on the trunk would stay for ever."""
    world = World(inside)
    net = world.network() if inside != "vlan" else world.docker.network_create("10.9.0.0/24")
    for _ in range(2):
        world.rig.engine.endpoints.discard(world.docker.run(net).endpoint_id)
    world.reboot()
    world.rig.revive(lose_journal=journal == "lost")
    world.rig.settle()
    assert world.pairs() == {FOREIGN}
    assert inside != "vlan" or world.vlans() == [FOREIGN_VLAN]
    assert {port.name for port in world.rig.neutron.user_ports()} <= {"vm", "not-ours"}


@pytest.mark.parametrize("inside", ["macvlan", "ipvlan", "vlan"])
def test_a_living_container_survives_the_loss_of_the_journal(inside: Inside) -> None:
    """A new disk would cost running containers their network."""
    world = World(inside)
    net = world.network() if inside != "vlan" else world.docker.network_create("10.9.0.0/24")
    box = world.docker.run(net)
    before = world.pairs(), world.vlans() if inside == "vlan" else []
    world.rig.revive(lose_journal=True)
    world.rig.settle()
    assert (world.pairs(), world.vlans() if inside == "vlan" else []) == before
    assert world.port_of(box).device_id == box.endpoint_id
    world.docker.rm(box)
    assert world.pairs() == {FOREIGN}
    assert inside != "vlan" or world.vlans() == [FOREIGN_VLAN]


@pytest.mark.parametrize("inside", ["macvlan", "vlan"])
def test_neutron_is_away_when_a_container_goes(inside: Inside) -> None:
    """The interface would stay, or the pair and the VLAN for ever."""
    world = World(inside)
    net = world.network() if inside != "vlan" else world.docker.network_create("10.9.0.0/24")
    box = world.docker.run(net)

    def away(method: str, arguments: tuple[Any, ...]) -> None:
        raise NeutronUnavailable("away")

    world.rig.neutron.hook = away
    world.docker.rm(box)
    assert world.rig.links.names() == [IFACE]
    world.rig.neutron.hook = lambda *_: None
    world.rig.settle()
    assert world.pairs() == {FOREIGN}
    assert inside != "vlan" or world.vlans() == [FOREIGN_VLAN]
    assert {port.name for port in world.rig.neutron.user_ports()} <= {"vm", "not-ours"}


def test_a_container_of_this_host_does_not_lose_its_port_to_another_one() -> None:
    """``--ip`` of a running container's address would take its port."""
    world = World("macvlan")
    net = world.network()
    box = world.docker.run(net)
    world.rig.revive(lose_journal=True)
    with pytest.raises(PluginError, match=r"made for another container|in use by a container"):
        world.docker.run(net, ip=box.ip)
