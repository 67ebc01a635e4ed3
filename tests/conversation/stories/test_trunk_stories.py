# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers in a virtual machine, each in a VLAN of its trunk."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.model.neutron import SubPort
from tests.world.dockerside import PluginError
from tests.world.machine import FOREIGN_VLAN, IFACE
from tests.world.machine_world import World


def test_a_vlan_of_the_trunk_on_any_network() -> None:
    """The main job of ``vlan``: a container would get no VLAN, or somebody else's, who would see its traffic."""
    world = World("vlan")
    net = world.docker.network_create("10.9.0.0/24")
    with world.at_most(2 + 2):
        box = world.docker.run(net)
    port = world.port_of(box)
    assert world.trunk().sub_ports[1:] == (SubPort(port_id=port.id, segmentation_id=FOREIGN_VLAN + 1),)
    assert (port.device_owner, port.vif_type, port.host_id) == ("trunk:subport", "ovs", "")
    assert box.mac == port.mac_address
    with world.at_most(1 + 1):
        world.docker.rm(box)
    assert world.vlans() == [FOREIGN_VLAN]
    again = world.docker.run(net)
    assert world.vlans() == [FOREIGN_VLAN, FOREIGN_VLAN + 1]
    world.docker.rm(again)
    world.docker.network_rm(net)
    assert world.vlans() == [FOREIGN_VLAN]


def test_exposed_ports_of_a_port_on_a_trunk() -> None:
    """``--expose`` would have no effect, or cost more calls than on other hosts."""
    world = World("vlan")
    net = world.docker.network_create("10.9.0.0/24")
    with world.at_most(2 + 2 + 2):
        box = world.docker.run(net, expose=[(6, 80)])
    assert len(world.port_of(box).security_groups) == 2
    world.docker.rm(box)
    assert world.rig.neutron.called("delete_security_group")


def test_a_mac_is_set_before_the_trunk() -> None:
    """Neutron changes no MAC of a port on a trunk: ``--mac-address`` would fail."""
    world = World("vlan")
    net = world.docker.network_create("10.9.0.0/24")
    with world.at_most(2 + 3):
        box = world.docker.run(net, mac="02:42:ac:11:00:02")
    assert world.port_of(box).mac_address == "02:42:ac:11:00:02"


def test_somebody_else_takes_the_vlan() -> None:
    """The container would fail although there are thousands of other VLANs."""
    world = World("vlan")
    net = world.docker.network_create("10.9.0.0/24")
    his = world.rig.neutron.seed_port(world.home.id)

    def interfere(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "add_subport":
            world.rig.neutron.hook = lambda *_: None
            world.rig.neutron.add_subport(world.trunk().id, SubPort(port_id=his.id, segmentation_id=2))

    world.rig.neutron.hook = interfere
    world.docker.run(net)
    assert world.vlans() == [1, 2, 3]


def test_an_answer_of_the_trunk_is_lost_and_the_port_is_on_it() -> None:
    """The port would stay on the trunk: Neutron refuses to delete it for ever."""
    world = World("vlan")
    net = world.docker.network_create("10.9.0.0/24")
    world.rig.neutron.fail_next("add_subport", NeutronUnavailable("no answer"), after=True)
    with pytest.raises(PluginError, match="no answer"):
        world.docker.run(net)
    assert world.vlans() == [FOREIGN_VLAN]
    world.docker.run(net)
    assert world.vlans() == [1, 2]


def test_no_trunk_says_how_to_make_one() -> None:
    """The user would get an internal error about a missing attribute."""
    world = World("vlan")
    world.rig.neutron.drop_trunk(world.trunk().id)
    net = world.docker.network_create("10.9.0.0/24")
    with pytest.raises(PluginError, match=rf"port {world.vm.id} .* openstack network trunk create --parent-port"):
        world.docker.run(net)
    world.rig.settle()
    assert [port.name for port in world.rig.neutron.user_ports()] == ["vm", "not-ours"]


def test_a_network_with_a_larger_mtu_than_the_machines_interface() -> None:
    """The user would read only the kernel's "Invalid argument", and the VLAN would stay taken."""
    world = World("vlan")
    net = world.docker.network_create("10.9.0.0/24")
    world.rig.links.delete(IFACE)
    world.rig.links.add(IFACE, mac=world.vm.mac_address, mtu=1400, up=True)
    with pytest.raises(PluginError, match="interface ens3 has MTU 1400, and the container's network 1442"):
        world.docker.run(net)
    assert world.vlans() == [FOREIGN_VLAN]
