# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers in a virtual machine: h2 has an interface that is plugged into h1's Open vSwitch as a port of Neutron.

A kernel without ipvlan or VLANs refuses to make the interface; what that leaves behind is tested then. The kernel of
the virtual machine in tests/sriov/test_virtual_machine.py has both.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.api import Host, Lab
from lab.process import run
from tests.cloud.machine import IFACE, Machine, peer, started
from tests.cloud.user import User, unique_cidr


class Veth:
    """A card in h2's namespace: there is no virtual machine, but from outside it looks like one."""

    tap = "machine-ens3"

    def __init__(self, guest: Host) -> None:
        self._netns = guest.paths.netns

    def attach(self, netns: str) -> None:
        run(["ip", "-n", netns, "link", "add", self.tap, "type", "veth", "peer", "name", IFACE, "netns", self._netns])

    def detach(self, netns: str) -> None:
        run(["ip", "-n", netns, "link", "del", self.tap])


@pytest.fixture
def machine(user: User, h1: Host, h2: Host) -> Iterator[Machine]:
    machine = Machine(user, h1, h2, Veth(h2), str(h2.paths.kuryr_conf))
    try:
        machine.boot()
        yield machine
    finally:
        user.tidy_docker()
        machine.end()


NOT_PLUGGED = "with ML2/OVS the machine of a trunk is on a bridge of its own, which is not played here"


@pytest.fixture
def trunk(user: User, machine: Machine) -> str:
    return str(user.make("trunk", port_id=machine.port["id"])["id"])


def test_ipvlan_reaches_an_ordinary_container(user: User, machine: Machine, h1: Host, h2: Host, lab: Lab) -> None:
    """The cloud would drop what containers of a virtual machine send, or not know where they are."""
    machine.service("nested", "ipvlan")
    net = user.network(h2, f"--subnet={machine.cidr}")
    at = lab.neutron_log_position()
    box = started(user, h2, net)
    calls = [f"{call.method} {call.uri}" for call in lab.neutron_calls(at) if call.address == h2.address]
    if not box:
        assert machine.pairs() == []
        assert len(user.ports(network_id=machine.network["id"], device_owner="compute:kuryr")) == 0
        pytest.skip("this kernel has no ipvlan; the pair and the port are gone again")
    assert len(calls) <= 4, calls
    pair = {"ip_address": user.address(h2, box, net), "mac_address": machine.port["mac_address"]}
    assert machine.pairs() == [pair]
    other, other_net = peer(user, h1, machine.cidr, machine.network["id"])
    user.ping(h1, other, user.address(h2, box, net))
    user.ping(h2, box, user.address(h1, other, other_net))
    user.rm(h2, box)
    assert machine.pairs() == []


@pytest.mark.ovn("the agent of ML2/OVS lets any MAC pass")
def test_macvlan_is_refused_with_ovn(user: User, machine: Machine, h2: Host) -> None:
    """The container would start, answer to ARP, and get no frame (seen with OVN 23.03)."""
    machine.service("nested", "macvlan")
    net = user.network(h2, f"--subnet={machine.cidr}")
    said = user.refused(h2, "run", "--rm", "--net", net, "busybox", "true")
    assert "bound by ML2/OVN" in said
    assert "default_driver and enabled_drivers to ipvlan" in said
    assert machine.pairs() == []
    assert {port["name"] for port in user.ports(network_id=machine.network["id"])} <= {"machine", ""}


def test_another_network_is_refused(user: User, machine: Machine, h2: Host) -> None:
    """Containers would start on a network that their machine is not on."""
    machine.service("nested", "ipvlan")
    other = user.make("network", name="other")
    words = [f"--subnet={unique_cidr()}", "-o", f"neutron.net.uuid={other['id']}"]
    said = user.refused(h2, "network", "create", "-d", "kuryr", "--ipam-driver=kuryr", *words, "bad")
    assert f"can only be on its own network, {machine.network['id']}" in said
    assert user.get("network", other["id"])["tags"] == []


@pytest.mark.ovn(NOT_PLUGGED)
@pytest.mark.usefixtures("service_admin")
def test_a_vlan_of_the_trunk(user: User, machine: Machine, trunk: str, h1: Host, h2: Host, lab: Lab) -> None:
    """Containers of a virtual machine could be on its own network only, or a VLAN be lost with each of them."""
    machine.service("vlan", "vlan")
    cidr = unique_cidr()
    network = user.make("network", name="far")
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    net = user.network(h2, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    at = lab.neutron_log_position()
    box = started(user, h2, net)
    calls = [f"{call.method} {call.uri}" for call in lab.neutron_calls(at) if call.address == h2.address]
    if not box:
        assert machine.sub_ports() == []
        assert user.ports(network_id=network["id"], device_owner="") == []
        pytest.skip("this kernel has no VLANs; the trunk is empty again")
    assert len(calls) <= 4, calls
    port = user.port_of(h2, box, net)
    (on_trunk,) = machine.sub_ports()
    assert (on_trunk["port_id"], port["device_owner"], port["status"]) == (port["id"], "trunk:subport", "ACTIVE")
    other, other_net = peer(user, h1, cidr, network["id"])
    user.ping(h1, other, user.address(h2, box, net))
    user.ping(h2, box, user.address(h1, other, other_net))
    user.rm(h2, box)
    assert machine.sub_ports() == []
