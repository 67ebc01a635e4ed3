# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The virtual machine's own interface, and the Neutron port behind it."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.errors import Busy, LinkError, LinkNotFound, ParentPortError
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.port_driver.machine import Machine
from tests.fakes.host import FakeLinks
from tests.fakes.neutron import FakeNeutron


class World:
    def __init__(self) -> None:
        self.neutron = FakeNeutron()
        self.links = FakeLinks()
        self.network = self.neutron.seed_network()
        self.neutron.seed_subnet(self.network.id, "10.1.0.0/24")
        self.vm = self.attach("ens3", self.network.id)

    def attach(self, name: str, network_id: str) -> Port:
        port = self.neutron.seed_port(network_id, device_id="vm")
        self.links.add(name, mac=port.mac_address, up=True)
        return port

    def machine(self, link_iface: str = "", wait: float = 5) -> Machine:
        return Machine(self.links, self.neutron, link_iface, wait)


@pytest.fixture
def world() -> World:
    return World()


def test_the_named_interface_costs_no_call(world: World) -> None:
    """Every container would cost a call more."""
    assert world.machine("ens3").interface().name == "ens3"
    assert world.neutron.calls == []


def test_a_wrong_name_is_said(world: World) -> None:
    """A typing error would look like a failure of the cloud."""
    with pytest.raises(LinkNotFound, match=r"\[binding\] link_iface = ens9: there is no such interface"):
        world.machine("ens9").interface()


def test_an_interface_that_is_down_carries_nothing(world: World) -> None:
    """A container would start without a network; cleaning up is still possible."""
    world.links.add("ens4", up=False)
    with pytest.raises(LinkError, match=r"ens4.* is down"):
        world.machine("ens4").interface(usable=True)
    assert world.machine("ens4").interface().name == "ens4"


def test_the_only_interface_with_a_port_is_found_once(world: World) -> None:
    """``link_iface`` would have to be set on every machine, or be looked for again for every container."""
    world.links.add("docker0", mac="02:42:00:00:00:01", up=True)
    machine = world.machine()
    assert machine.interface().name == machine.interface().name == "ens3"
    assert len(world.neutron.called("find_ports")) == 1


def test_two_candidates_have_to_be_told_apart(world: World) -> None:
    """Containers would stand on whichever interface comes first."""
    world.attach("ens4", world.network.id)
    with pytest.raises(
        ParentPortError, match=r"link_iface is not set, and several interfaces of this host \(ens3, ens4\)"
    ):
        world.machine().interface()


def test_an_interface_that_was_replaced_is_found_again(world: World) -> None:
    """After another port was attached to the machine, no container could start before a restart of the service."""
    machine = world.machine()
    machine.interface()
    world.links.delete("ens3")
    world.attach("ens7", world.network.id)
    assert machine.interface().name == "ens7"


def test_the_port_of_this_machine_among_equal_macs(world: World) -> None:
    """MACs repeat in other networks: the pairs would go to somebody else's port."""
    other = world.neutron.seed_network()
    world.neutron.seed_subnet(other.id, "10.2.0.0/24")
    world.neutron.seed_port(other.id, mac_address=world.vm.mac_address)
    machine = world.machine("ens3")
    with pytest.raises(ParentPortError, match="several Neutron ports"):
        machine.port(machine.interface())
    world.links.addresses_of["ens3"] = [world.vm.fixed_ips[0].ip_address]
    assert machine.port(machine.interface()).id == world.vm.id


def test_a_port_is_found_by_the_mac_of_an_interface_that_is_gone(world: World) -> None:
    """What containers had on the machine's former port would stay there for ever."""
    machine = world.machine("ens3")
    before = machine.interface()
    world.links.delete("ens3")
    assert machine.port(before).id == world.vm.id


def test_a_wait_for_others_has_an_end(world: World) -> None:
    """A call of Docker would hang behind one that hangs."""
    machine = world.machine("ens3", wait=0.01)
    with machine.alone(), pytest.raises(Busy, match="being changed"), machine.alone():
        pass
    with machine.alone():
        pass
