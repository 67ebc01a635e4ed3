# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Interfaces of containers in virtual machines, on the real kernel and on the fake: macvlan, ipvlan and VLANs.

A pair stands for the machine's interface, its other end for the cloud. A kernel without ipvlan or VLANs skips those:
``./dev test sriov`` has one with them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.binding.child import KINDS, ChildBinding
from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.model.links import ChildKind, ChildSpec
from kuryr_libnetwork.model.records import PlugRecord
from tests.fakes.host import FakeLinks
from tests.linux.inside import Inside
from tests.linux.namespace import Namespace, namespace

PARENT = "ens3"
MAC = "fa:16:3e:00:00:01"
SPEC = ChildSpec(kind="macvlan", name="t_c1", parent=PARENT, mac=MAC, mtu=1442, alias="kuryr:p1")


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with namespace() as inside:
        inside.command("ip", "link", "add", PARENT, "type", "veth", "peer", "name", "cloud")
        for name in (PARENT, "cloud"):
            inside.command("ip", "link", "set", name, "up")
        yield inside


@pytest.fixture(params=["kernel", "fake"])
def links(request: pytest.FixtureRequest) -> Inside | FakeLinks:
    if request.param == "kernel":
        return Inside(request.getfixturevalue("machine"))
    fake = FakeLinks()
    for name in (PARENT, "cloud"):
        fake.add(name, kind="veth", up=True)
    return fake


def spec_of(kind: Any, **changes: Any) -> ChildSpec:
    return replace(SPEC, kind=kind, mac="" if kind == "ipvlan" else MAC, vlan=7 if kind == "vlan" else 0, **changes)


def made(links: Inside | FakeLinks, spec: ChildSpec) -> None:
    """Skips the test if this kernel lacks the kind of interface."""
    try:
        links.create_child(spec)
    except LinkError as error:
        if "no support" in str(error):
            pytest.skip(f"this kernel has no {spec.kind}: {error}")
        raise


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_made_as_asked(links: Inside | FakeLinks, kind: ChildKind) -> None:
    """The container would have another MAC or MTU than its port, or nobody would know whose interface it is."""
    made(links, spec_of(kind))
    found, parent = links.get("t_c1"), links.get(PARENT)
    assert found is not None
    assert parent is not None
    assert (found.kind, found.mtu, found.alias, found.up) == (kind, 1442, "kuryr:p1", False)
    assert found.mac == (parent.mac if kind == "ipvlan" else MAC)
    assert [link.name for link in links.find_by_alias("kuryr:p1")] == ["t_c1"]
    assert "t_c1" in [link.name for link in links.all()]
    assert links.delete("t_c1")
    assert not links.delete("t_c1")


def test_what_cannot_be_made_is_said_and_leaves_nothing(links: Inside | FakeLinks) -> None:
    """Half an interface would stay, or somebody else's be replaced."""
    before = links.names()
    with pytest.raises(LinkNotFound):
        links.create_child(replace(SPEC, parent="ens9"))
    with pytest.raises(LinkExists):
        links.create_child(replace(SPEC, name="cloud"))
    with pytest.raises(LinkError):
        links.create_child(replace(SPEC, mtu=9000))
    assert links.names() == before


def test_a_vlan_is_there_once(links: Inside | FakeLinks) -> None:
    """Two containers would be in one VLAN, and see each other's traffic."""
    made(links, spec_of("vlan"))
    with pytest.raises(LinkExists):
        links.create_child(spec_of("vlan", name="t_c2"))
    links.create_child(replace(spec_of("vlan", name="t_c2"), vlan=8))


def test_addresses_of_an_interface(machine: Namespace) -> None:
    """The machine's port could not be told among others with the same MAC."""
    links = Inside(machine)
    machine.command("ip", "address", "add", "192.0.2.9/24", "dev", PARENT)
    machine.command("ip", "address", "add", "2001:db8::9/64", "dev", PARENT, "nodad")
    assert {"192.0.2.9", "2001:db8::9"} <= set(links.addresses(PARENT))
    assert "192.0.2.9" not in links.addresses("cloud")
    with pytest.raises(LinkNotFound):
        links.addresses("ens9")


def test_an_alias_that_is_refused_takes_the_interface_along(machine: Namespace) -> None:
    """An interface would stay that nobody can recognise as ours."""
    links = Inside(machine)
    with pytest.raises(LinkError):
        links.create_child(replace(SPEC, alias="x" * 300))
    assert links.names() == sorted([PARENT, "cloud"])


class Box:
    """A container's namespace, with what Docker does to the interface: away under another name, and back."""

    def __init__(self, machine: Namespace, stack: ExitStack) -> None:
        self._machine = machine
        self.inside = stack.enter_context(namespace())
        self.pid = self.inside.run(lambda: os.path.basename(os.readlink("/proc/thread-self")))

    def take(self, name: str, address: str, mac: str = "") -> None:
        self._machine.command("ip", "link", "set", name, "netns", self.pid)
        self.inside.command("ip", "link", "set", name, "name", "eth0")
        if mac:
            self.inside.command("ip", "link", "set", "eth0", "address", mac)
        self.inside.command("ip", "address", "add", address, "dev", "eth0")
        self.inside.command("ip", "link", "set", "eth0", "up")

    def give_back(self, name: str) -> None:
        home = self._machine.run(lambda: os.path.basename(os.readlink("/proc/thread-self")))
        self.inside.command("ip", "link", "set", "eth0", "down")
        self.inside.command("ip", "link", "set", "eth0", "netns", home, "name", name)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def plug_of(kind: ChildKind, number: int) -> PlugRecord:
    return PlugRecord(
        driver="nested",
        binding=kind,
        port_id=f"p{number}",
        vif_type="unbound",
        host_ifname="",
        container_ifname=f"t_c{number}",
        parent=PARENT,
    )


def plugged(machine: Namespace, kind: ChildKind, number: int) -> tuple[ChildBinding, PlugRecord]:
    binding, plug = ChildBinding(KernelLinks(), kind), plug_of(kind, number)
    vlan = number if kind == "vlan" else 0
    try:
        machine.run(binding.plug, plug, f"fa:16:3e:00:00:{number:02x}", 1442, vlan)
    except LinkError as error:
        if "no support" in str(error):
            pytest.skip(f"this kernel has no {kind}: {error}")
        raise
    return binding, plug


@pytest.mark.parametrize("kind", KINDS)
def test_to_a_container_and_back(machine: Namespace, stack: ExitStack, kind: ChildKind) -> None:
    """A running container would be taken for a dead one, or its interface stay on the host when it is gone."""
    binding, plug = plugged(machine, kind, 5)
    assert machine.run(binding.where, plug) == "host"
    assert machine.run(binding.on_host) == [("t_c5", "p5")]
    box = Box(machine, stack)
    box.take("t_c5", "192.0.2.5/24")
    assert machine.run(binding.where, plug) == "container"
    assert machine.run(binding.on_host) == []
    assert machine.run(binding.where, plug_of(kind, 6)) == "gone"
    box.give_back("t_c5")
    assert machine.run(binding.where, plug) == "host"
    machine.run(binding.unplug, plug)
    machine.run(binding.unplug, plug)
    assert machine.run(binding.where, plug) == "gone"
    assert Inside(machine).names() == sorted([PARENT, "cloud"])


def test_it_dies_with_its_container(machine: Namespace) -> None:
    """The reconciler would take a dead container for a running one for ever."""
    binding, plug = plugged(machine, "macvlan", 5)
    with ExitStack() as stack:
        Box(machine, stack).take("t_c5", "192.0.2.5/24")
        assert machine.run(binding.where, plug) == "container"
    end = time.monotonic() + 20  # the kernel removes a namespace some time after its last process
    while machine.run(binding.where, plug) != "gone" and time.monotonic() < end:
        time.sleep(0.05)
    assert machine.run(binding.where, plug) == "gone"


@pytest.mark.parametrize("kind", KINDS)
def test_plugging_again_and_a_remnant(machine: Namespace, kind: ChildKind) -> None:
    """A repeated call would fail, or a container get an interface of an earlier attempt with another MTU."""
    binding, plug = plugged(machine, kind, 5)
    vlan = 5 if kind == "vlan" else 0
    machine.run(binding.plug, plug, "fa:16:3e:00:00:05", 1442, vlan)
    machine.run(binding.plug, plug, "fa:16:3e:00:00:05", 1400, vlan)
    found = Inside(machine).get("t_c5")
    assert found is not None
    assert found.mtu == 1400
    assert Inside(machine).names() == sorted([PARENT, "cloud", "t_c5"])


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan"])
def test_two_containers_and_the_cloud_reach_each_other(machine: Namespace, stack: ExitStack, kind: ChildKind) -> None:
    """Containers of one machine could not reach each other, or anybody outside."""
    cloud = stack.enter_context(namespace())
    pid = cloud.run(lambda: os.path.basename(os.readlink("/proc/thread-self")))
    machine.command("ip", "link", "set", "cloud", "netns", pid)
    cloud.command("ip", "address", "add", "192.0.2.1/24", "dev", "cloud")
    cloud.command("ip", "link", "set", "cloud", "up")
    boxes = [Box(machine, stack) for _ in range(2)]
    for number, box in enumerate(boxes, 5):
        plugged(machine, kind, number)
        box.take(f"t_c{number}", f"192.0.2.{number}/24")
    for source in (boxes[0].inside, cloud):
        ping(source, "192.0.2.6")
    ping(boxes[1].inside, "192.0.2.1")
    neighbours = json.loads(cloud.command("ip", "-json", "neighbour", "show", "192.0.2.6"))
    parent = Inside(machine).get(PARENT)
    assert parent is not None
    assert neighbours[0]["lladdr"] == (parent.mac if kind == "ipvlan" else "fa:16:3e:00:00:06")


def test_vlans_are_apart(machine: Namespace, stack: ExitStack) -> None:
    """A container would be in another VLAN than its port, or reach those of others."""
    boxes = [Box(machine, stack) for _ in range(2)]
    for number, box in enumerate(boxes, 5):
        plugged(machine, "vlan", number)
        box.take(f"t_c{number}", f"192.0.2.{number}/24")
    machine.command("ip", "link", "add", "link", "cloud", "name", "cloud.5", "type", "vlan", "id", "5")
    other = Box(machine, stack)
    other.take("cloud.5", "192.0.2.1/24")
    ping(other.inside, "192.0.2.5")
    with pytest.raises(AssertionError):
        ping(other.inside, "192.0.2.6", seconds=2)


def ping(source: Namespace, address: str, seconds: int = 10) -> None:
    source.command("busybox", "ping", "-c", "1", "-w", str(seconds), address)
