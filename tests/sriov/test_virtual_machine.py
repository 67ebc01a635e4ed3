# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers in a virtual machine: s1 as an instance of the cloud on h1, with real ipvlan and VLAN interfaces.

h1's kernel may have neither, and tests/cloud/test_nested.py then sees only that they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Host, Lab
from lab.sriov.api import Machine as Guest
from tests.cloud.machine import Machine, peer
from tests.cloud.user import DockerHost, User, somebody, unique_cidr

pytestmark = pytest.mark.timeout(900)
_CALLS = re.compile(rb" ok \([^,]* ms, (\d+) Neutron calls\)")


Box = tuple[DockerHost, str, str]
"""Where a container runs, its name, its Docker network."""


@pytest.fixture(scope="module")
def h1(lab: Lab) -> Host:
    return lab.host("h1")


@pytest.fixture(scope="module")
def s1(lab: Lab) -> Guest:
    return lab.machine("s1")


@pytest.fixture(scope="module")
def instance(lab: Lab, h1: Host, s1: Guest) -> Iterator[Machine]:
    user = User(lab)
    before = s1.read(s1.kuryr_conf)
    instance = Machine(user, h1, s1, s1.cloud_card, s1.kuryr_conf)
    try:
        instance.boot()
        yield instance
    finally:
        instance.end()
        user.tidy()
    assert s1.read(s1.kuryr_conf) == before


@pytest.fixture
def user(lab: Lab) -> Iterator[User]:
    with somebody(lab) as user:
        yield user


class Calls:
    """How many Neutron calls s1's service made for Docker from one question to the next; its background is not
    counted.
    """

    def __init__(self, s1: Guest) -> None:
        self._log = s1.kuryr.log
        self._at = self._log.stat().st_size

    def __call__(self) -> int:
        with self._log.open("rb") as log:
            log.seek(self._at)
            said = log.read()
        self._at += len(said)
        return sum(map(int, _CALLS.findall(said)))


def reach_each_other(user: User, one: Box, other: Box, mtu: int) -> None:
    """In both directions, with the largest packets that the network allows."""
    for (host, box, _), (there, target, net) in ((one, other), (other, one)):
        assert f"mtu {mtu} " in user.inside(host, box, "ip", "link", "show", "eth0")
        address = user.address(there, target, net)
        host.docker("exec", box, "ping", "-c", "2", "-w", "30", "-s", str(mtu - 28), address)


def test_ipvlan(user: User, instance: Machine, h1: Host, s1: Guest) -> None:
    """The cloud would drop what containers of a virtual machine send, or not know where they are."""
    instance.service("nested", "ipvlan")
    calls = Calls(s1)
    net = user.network(s1, f"--subnet={instance.cidr}")
    assert calls() <= 7 + 1
    box = user.run(s1, net)
    assert calls() <= 2 + 2
    pair = {"ip_address": user.address(s1, box, net), "mac_address": instance.port["mac_address"]}
    assert instance.pairs() == [pair]
    other, other_net = peer(user, h1, instance.cidr, instance.network["id"])
    mtu = instance.network["mtu"]
    reach_each_other(user, (s1, box, net), (h1, other, other_net), mtu)
    reaches_through_a_router(user, instance.subnet, (s1, box, net), h1)
    neighbour = user.run(s1, net)
    reach_each_other(user, (s1, box, net), (s1, neighbour, net), mtu)
    s1.kuryr.kill()
    s1.kuryr.start()
    user.ping(s1, box, user.address(h1, other, other_net))
    calls()
    user.rm(s1, box)
    assert calls() <= 1 + 2
    user.rm(s1, neighbour)
    assert instance.pairs() == []


def test_macvlan_is_refused(user: User, instance: Machine, s1: Guest) -> None:
    """The container would start and get no frame: ML2/OVN delivers none to another MAC than the machine's."""
    instance.service("nested", "macvlan")
    net = user.network(s1, f"--subnet={instance.cidr}")
    said = user.refused(s1, "run", "--rm", "--net", net, "busybox", "true")
    assert "bound by ML2/OVN" in said
    assert instance.pairs() == []
    assert user.ports(network_id=instance.network["id"], device_owner="compute:kuryr") == []


def test_vlans_of_the_trunk(user: User, instance: Machine, h1: Host, s1: Guest) -> None:
    """Containers of a virtual machine could be on its own network only, or a VLAN be lost with each of them."""
    instance.service("vlan", "vlan")
    far = [far_network(user), far_network(user)]
    nets = [
        user.network(s1, f"--subnet={each['cidr']}", "-o", f"neutron.net.uuid={each['network_id']}") for each in far
    ]
    said = user.refused(s1, "run", "--rm", "--net", nets[0], "busybox", "true")
    assert f"openstack network trunk create --parent-port {instance.port['id']}" in said
    user.make("trunk", port_id=instance.port["id"])
    instance.down()
    said = user.refused(s1, "run", "--rm", "--net", nets[0], "busybox", "true")
    assert "interface ens3, which containers stand on ([binding] link_iface), is down" in said
    instance.up()
    calls = Calls(s1)
    boxes = [(s1, user.run(s1, net), net) for net in nets]
    assert calls() <= 2 * (2 + 2)
    ports = [user.port_of(*box) for box in boxes]
    assert [(port["device_owner"], port["status"]) for port in ports] == [("trunk:subport", "ACTIVE")] * 2
    assert {each["port_id"] for each in instance.sub_ports()} == {port["id"] for port in ports}
    mtu = instance.network["mtu"]
    for box, each in zip(boxes, far, strict=True):
        reach_each_other(user, box, (h1, *peer(user, h1, each["cidr"], each["network_id"])), mtu)
    neighbour = (s1, user.run(s1, nets[0]), nets[0])
    reach_each_other(user, boxes[0], neighbour, mtu)
    calls()
    for _, name, _ in (*boxes, neighbour):
        user.rm(s1, name)
    assert calls() <= 3 * (1 + 1)
    assert instance.sub_ports() == []


def far_network(user: User) -> dict[str, Any]:
    """The subnet of a network that the machine is not on."""
    network = user.make("network", name="far")
    return user.make("subnet", network_id=network["id"], cidr=unique_cidr(), ip_version=4)


def reaches_through_a_router(user: User, near: dict[str, Any], box: Box, h1: Host) -> None:
    """Both ways: the router has to find out which port has the container's address."""
    far = far_network(user)
    router = f"/routers/{user.make('router', name='between')['id']}"
    subnets = [{"subnet_id": subnet["id"]} for subnet in (near, far)]
    for subnet in subnets:
        user.neutron("PUT", f"{router}/add_router_interface", subnet)
    host, name, net = box
    try:
        other, other_net = peer(user, h1, far["cidr"], far["network_id"])
        user.ping(h1, other, user.address(host, name, net))
        user.ping(host, name, user.address(h1, other, other_net))
    finally:
        for subnet in subnets:
            user.neutron("PUT", f"{router}/remove_router_interface", subnet)
