# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A container's port before Neutron's Open vSwitch agent has set its VLAN, on a real user-space switch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from tests.fakes.host import FakeScripts
from tests.linux.namespace import Namespace, Switch, namespace, switch
from tests.linux.wire import Wire, arp, hardware, tagged

ID = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60"
MAC = "fa:16:3e:00:00:01"
OWN, OTHERS = 1, (2, 3)
"""The VLANs that the agent uses on this host: of the container's network, and of other networks."""
ISOLATED = ["4095", "trunk", "[4095]"]


class Neighbour:
    """Two running containers of one network, whose ports have that network's VLAN in the switch."""

    def __init__(self, inside: Namespace, started: Switch, vlan: int, rest: ExitStack) -> None:
        self.mac = f"02:00:00:00:00:{vlan:02x}"
        self.question = arp(self.mac, f"10.{vlan}.0.1", f"10.{vlan}.0.9")
        self._ends = []
        for name in (f"a{vlan}", f"b{vlan}"):
            inside.command("ip", "link", "add", f"tap{name}", "type", "veth", "peer", "name", name)
            for each in (name, f"tap{name}"):
                inside.command("ip", "link", "set", each, "up")
            started.vsctl("add-port", "br-int", f"tap{name}", f"tag={vlan}")
            self._ends.append(Wire(inside, name))
            rest.callback(self._ends[-1].close)

    def ask(self) -> None:
        """Send a question that the second one gets, and with it everybody who is to get it.

        More than once: the switch takes a frame of every port in each of its turns, so afterwards it has also
        forwarded whatever anybody had sent before.
        """
        one, two = self._ends
        for _ in range(3):
            one.send(self.question)
            assert two.hears(lambda frame: frame[6:12] == hardware(self.mac))

    def was_asked_by(self, mac: str) -> bool:
        return any(frame[6:12] == hardware(mac) for end in self._ends for frame in end.frames())


class Host:
    """A host with its switch, whose agent acts only when told to."""

    def __init__(self, inside: Namespace, started: Switch, rest: ExitStack) -> None:
        self.inside = inside
        self.switch = started
        self.container = rest.enter_context(namespace())
        self.ovs = OvsDatabase(started.address, 20)
        rest.callback(self.ovs.close)
        self.driver = VethDriver(KernelLinks(), self.ovs, FakeScripts())
        self.neighbours = {vlan: Neighbour(inside, started, vlan, rest) for vlan in (OWN, *OTHERS)}
        self._rest = rest

    def plug(self, port: Port) -> PlugRecord:
        plug = self.inside.run(self.driver.plan, port, "e1")
        self.inside.run(self.driver.plug, plug, port, "e1", 1400)
        return plug

    def start(self, port: Port) -> Wire:
        plug = self.plug(port)
        thread = self.container.run(threading.get_native_id)
        self.inside.command("ip", "link", "set", plug.container_ifname, "netns", str(thread))
        self.container.command("ip", "link", "set", plug.container_ifname, "up")
        self.switch.vsctl("wait-until", "Interface", in_switch(port), "ofport>0", "link_state=up")
        wire = Wire(self.container, plug.container_ifname)
        self._rest.callback(wire.close)
        return wire

    def agent_acts(self, name: str, vlan: int) -> None:
        """What neutron-openvswitch-agent does with a port that it finds (``_set_port_vlan``, release 20 and later)."""
        clear = ["--", "clear", "Port", name]
        self.switch.vsctl("set", "Port", name, f"tag={vlan}", *clear, "vlan_mode", *clear, "trunks")

    def columns(self, name: str) -> list[str]:
        return self.switch.vsctl("get", "Port", name, "tag", "vlan_mode", "trunks").splitlines()


def port(**details: Any) -> Port:
    told = {"datapath_type": "netdev", "bound_drivers": {"0": "openvswitch"}, **details}
    return Port(id=ID, network_id="n", mac_address=MAC, vif_type="ovs", vif_details=told)


def in_switch(bound: Port) -> str:
    return ("qvo" if bound.vif_details.get("ovs_hybrid_plug") else "tap") + ID[:11]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with namespace() as inside, switch(tmp_path, inside, "br-int") as started, ExitStack() as rest:
        yield Host(inside, started, rest)


WAYS = pytest.mark.parametrize("bound", [port(), port(ovs_hybrid_plug=True)], ids=["direct", "hybrid"])


def exchange(host: Host, container: Wire) -> tuple[set[int], set[int]]:
    """All send requests, the container in every VLAN; answers the networks that it hears, and those that hear it."""
    question = arp(MAC, "10.9.0.1", "10.9.0.2")
    container.send(question, *(tagged(vlan, question) for vlan in (OWN, *OTHERS, 4095)))
    networks = host.neighbours.items()
    for _, neighbour in networks:
        neighbour.ask()
    frames = container.frames()
    hears = {vlan for vlan, each in networks if any(hardware(each.mac) in frame for frame in frames)}
    return hears, {vlan for vlan, each in networks if each.was_asked_by(MAC)}


@WAYS
def test_nothing_passes_before_the_agent_has_acted(host: Host, bound: Port) -> None:
    """A container would hear other tenants' networks, and send into them, for as long as the agent is slow or hangs."""
    container = host.start(bound)
    assert exchange(host, container) == (set(), set())
    assert host.columns(in_switch(bound)) == ISOLATED


@WAYS
def test_the_agents_vlan_is_the_containers_network(host: Host, bound: Port) -> None:
    """The isolation would outlive the agent's work, and the container have no network at all."""
    container = host.start(bound)
    host.agent_acts(in_switch(bound), OWN)
    assert exchange(host, container) == ({OWN}, {OWN})


@WAYS
def test_what_the_agent_has_done_stays(host: Host, bound: Port) -> None:
    """Every repeated call would cut off a running container until the agent looks again."""
    container = host.start(bound)
    host.agent_acts(in_switch(bound), OWN)
    (row,) = host.ovs.owned()
    host.ovs.plug(msgspec.structs.replace(row, isolated=True))
    assert host.columns(in_switch(bound)) == [str(OWN), "[]", "[]"]
    assert exchange(host, container) == ({OWN}, {OWN})


@WAYS
def test_a_row_of_an_earlier_time_gives_no_vlan(host: Host, bound: Port) -> None:
    """After a reboot the new interface would be in the VLAN of its old row, which the agent may have given to
    others.
    """
    plug = host.plug(bound)
    host.agent_acts(in_switch(bound), OTHERS[0])
    for name in (plug.host_ifname, in_switch(bound)):
        host.inside.run(KernelLinks().delete, name)
    container = host.start(bound)
    assert exchange(host, container) == (set(), set())
    assert host.columns(in_switch(bound)) == ISOLATED


def test_with_ovn_nothing_is_isolated(host: Host) -> None:
    """ovn-controller sets no VLAN, so the isolation would never end: no container would have a network."""
    host.plug(port(bound_drivers={"0": "ovn"}))
    assert host.columns(in_switch(port())) == ["[]", "[]", "[]"]
