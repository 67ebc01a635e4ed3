# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers in a virtual machine: h2 has an interface that is plugged into h1's Open vSwitch as a port of Neutron.

A kernel without ipvlan or VLANs refuses to make the interface; what that leaves behind is tested then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Host, Lab
from lab.errors import LabError
from lab.process import run
from tests.cloud.user import User, unique_cidr

IFACE, TAP = "ens3", "machine-ens3"


class Machine:
    """The port of the virtual machine; ``service`` starts h2's service with these drivers."""

    def __init__(self, user: User, hypervisor: Host, host: Host) -> None:
        self._user = user
        self._hypervisor = hypervisor
        self._host = host
        self._conf = host.paths.kuryr_conf.read_text()
        self.cidr = unique_cidr()
        self.network = user.make("network", name="machines")
        user.make("subnet", network_id=self.network["id"], cidr=self.cidr, ip_version=4)
        owner = {"device_owner": "compute:nova", "device_id": "vm-1", "binding:host_id": hypervisor.name}
        self.port = user.make("port", network_id=self.network["id"], name="machine", **owner)

    def plug(self) -> None:
        ends = ["type", "veth", "peer", "name", IFACE, "netns", self._host.paths.netns]
        run(["ip", "-n", self._hypervisor.paths.netns, "link", "add", TAP, *ends])
        mtu = str(self.network["mtu"])
        self._hypervisor.run(["ip", "link", "set", TAP, "mtu", mtu, "up"])
        self._host.run(["ip", "link", "set", IFACE, "address", self.port["mac_address"], "mtu", mtu, "up"])
        row = ["set", "interface", TAP, f"external_ids:iface-id={self.port['id']}"]
        self._hypervisor.run(["ovs-vsctl", "add-port", "br-int", TAP, "--", *row])

    def service(self, driver: str, binding: str) -> None:
        drivers = f"enabled_port_drivers = {driver}\ndefault_port_driver = {driver}\n"
        text = self._conf.replace("[DEFAULT]\n", f"[DEFAULT]\n{drivers}", 1)
        text += f"\n[binding]\nenabled_drivers = {binding}\ndefault_driver = {binding}\nlink_iface = {IFACE}\n"
        self._host.paths.kuryr_conf.write_text(text)
        self._host.kuryr.restart()

    def end(self) -> None:
        self._host.paths.kuryr_conf.write_text(self._conf)
        self._host.kuryr.restart()
        self._hypervisor.run(["ovs-vsctl", "--if-exists", "del-port", TAP])
        self._hypervisor.run(["ip", "link", "del", TAP], check=False)

    def shown(self) -> dict[str, Any]:
        return self._user.get("port", self.port["id"])


@pytest.fixture
def machine(user: User, h1: Host, h2: Host) -> Iterator[Machine]:
    machine = Machine(user, h1, h2)
    try:
        machine.plug()
        yield machine
    finally:
        user.tidy_docker()
        machine.end()


@pytest.fixture
def trunk(lab: Lab, machine: Machine) -> Iterator[str]:
    made = lab.neutron("POST", "/v2.0/trunks", {"trunk": {"port_id": machine.port["id"]}})["trunk"]["id"]
    yield made
    with contextlib.suppress(LabError):
        lab.neutron("DELETE", f"/v2.0/trunks/{made}")


def started(user: User, host: Host, net: str) -> str:
    """A container, or "" where this kernel has no such interface."""
    try:
        return user.run(host, net)
    except LabError as error:
        if "no support" in str(error):
            return ""
        raise


def peer(user: User, h1: Host, cidr: str, network_id: str) -> tuple[str, str]:
    """An ordinary container on the same Neutron network, and its Docker network."""
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network_id}")
    return user.run(h1, net), net


def test_ipvlan_reaches_an_ordinary_container(user: User, machine: Machine, h1: Host, h2: Host, lab: Lab) -> None:
    """The cloud would drop what containers of a virtual machine send, or not know where they are."""
    machine.service("nested", "ipvlan")
    net = user.network(h2, f"--subnet={machine.cidr}")
    at = lab.neutron_log_position()
    box = started(user, h2, net)
    calls = [f"{call.method} {call.uri}" for call in lab.neutron_calls(at) if call.address == h2.address]
    if not box:
        assert machine.shown()["allowed_address_pairs"] == []
        assert len(user.ports(network_id=machine.network["id"], device_owner="compute:kuryr")) == 0
        pytest.skip("this kernel has no ipvlan; the pair and the port are gone again")
    assert len(calls) <= 4, calls
    pair = {"ip_address": user.address(h2, box, net), "mac_address": machine.port["mac_address"]}
    assert machine.shown()["allowed_address_pairs"] == [pair]
    other, other_net = peer(user, h1, machine.cidr, machine.network["id"])
    user.ping(h1, other, user.address(h2, box, net))
    user.ping(h2, box, user.address(h1, other, other_net))
    user.rm(h2, box)
    assert machine.shown()["allowed_address_pairs"] == []


def test_macvlan_is_refused_with_ovn(user: User, machine: Machine, h2: Host) -> None:
    """The container would start, answer to ARP, and get no frame (seen with OVN 23.03)."""
    machine.service("nested", "macvlan")
    net = user.network(h2, f"--subnet={machine.cidr}")
    said = user.refused(h2, "run", "--rm", "--net", net, "busybox", "true")
    assert "bound by ML2/OVN" in said
    assert "default_driver and enabled_drivers to ipvlan" in said
    assert machine.shown()["allowed_address_pairs"] == []
    assert {port["name"] for port in user.ports(network_id=machine.network["id"])} <= {"machine", ""}


def test_another_network_is_refused(user: User, machine: Machine, h2: Host) -> None:
    """Containers would start on a network that their machine is not on."""
    machine.service("nested", "ipvlan")
    other = user.make("network", name="other")
    words = [f"--subnet={unique_cidr()}", "-o", f"neutron.net.uuid={other['id']}"]
    said = user.refused(h2, "network", "create", "-d", "kuryr", "--ipam-driver=kuryr", *words, "bad")
    assert f"can only be on its own network, {machine.network['id']}" in said
    assert user.get("network", other["id"])["tags"] == []


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
        assert machine.shown()["trunk_details"]["sub_ports"] == []
        assert user.ports(network_id=network["id"], device_owner="") == []
        pytest.skip("this kernel has no VLANs; the trunk is empty again")
    assert len(calls) <= 4, calls
    port = user.port_of(h2, box, net)
    (on_trunk,) = machine.shown()["trunk_details"]["sub_ports"]
    assert (on_trunk["port_id"], port["device_owner"], port["status"]) == (port["id"], "trunk:subport", "ACTIVE")
    other, other_net = peer(user, h1, cidr, network["id"])
    user.ping(h1, other, user.address(h2, box, net))
    user.ping(h2, box, user.address(h1, other, other_net))
    user.rm(h2, box)
    assert machine.shown()["trunk_details"]["sub_ports"] == []
