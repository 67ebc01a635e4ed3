# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Routes in a container's namespace, tested on the kernel's and on the fake."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import pytest

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.sandboxes import BRIDGES_ONLY, KernelSandboxes
from kuryr_libnetwork.interfaces.host import Sandboxes
from kuryr_libnetwork.model.links import SandboxRoute
from tests.fakes.host import FakeSandboxes, Namespace as FakeNamespace
from tests.linux.namespace import Namespace, namespace

ADDRESSES = {"eth0": ["10.67.0.5/24", "fd00:67::5/64"], "eth1": ["10.68.0.5/24", "fd00:68::5/64"]}


class Container(Protocol):
    sandboxes: Sandboxes
    path: str

    def static(self, destination: str, next_hop: str, name: str = "") -> None:
        """Add a route as Docker does."""

    def index(self, name: str) -> int: ...

    def remove(self, name: str) -> None: ...

    def way_to(self, ip: str) -> tuple[str, int]:
        """The next hop and the interface that the kernel chooses."""


class KernelContainer:
    def __init__(self, inside: Namespace) -> None:
        self.sandboxes: Sandboxes = KernelSandboxes()
        self._inside = inside
        self.path = inside.run(lambda: os.readlink("/proc/thread-self")).join(("/proc/", "/ns/net"))
        for name, texts in ADDRESSES.items():
            inside.command("ip", "link", "add", name, "type", "veth", "peer", "name", f"far-{name}")
            for text in texts:
                inside.command("ip", "address", "add", text, "dev", name, *(["nodad"] if ":" in text else []))
            inside.command("ip", "link", "set", f"far-{name}", "up")
            inside.command("ip", "link", "set", name, "up")

    def static(self, destination: str, next_hop: str, name: str = "") -> None:
        how = ["via", next_hop] if next_hop else ["dev", name]
        self._inside.command("ip", "-6" if ":" in destination else "-4", "route", "add", destination, *how)

    def index(self, name: str) -> int:
        return int(self._inside.command("ip", "-oneline", "link", "show", name).partition(":")[0])

    def remove(self, name: str) -> None:
        self._inside.command("ip", "link", "del", name)

    def way_to(self, ip: str) -> tuple[str, int]:
        words = self._inside.command("ip", "route", "get", ip).split()
        hop = words[words.index("via") + 1] if "via" in words else ""
        return hop, self.index(words[words.index("dev") + 1])


class FakeContainer:
    path = "/var/run/docker/netns/1"

    def __init__(self) -> None:
        self._fake = FakeSandboxes()
        self.sandboxes: Sandboxes = self._fake
        self._fake.namespaces[self.path] = FakeNamespace()
        self._indexes = {name: self._fake.interface(self.path, texts) for name, texts in ADDRESSES.items()}

    def static(self, destination: str, next_hop: str, name: str = "") -> None:
        self._fake.static_route(self.path, destination, next_hop, self._indexes.get(name, 0))

    def index(self, name: str) -> int:
        return self._indexes[name]

    def remove(self, name: str) -> None:
        self._fake.remove_interface(self.path, self._indexes[name])

    def way_to(self, ip: str) -> tuple[str, int]:
        way = self._fake.namespaces[self.path].way_to(ip)
        assert way is not None
        return way.next_hop, way.interface


@pytest.fixture(params=["kernel", "fake"])
def box(request: pytest.FixtureRequest) -> Iterator[Container]:
    if request.param == "fake":
        yield FakeContainer()
        return
    with namespace() as inside:
        yield KernelContainer(inside)


def routed(box: Container, destination: str, next_hop: str, name: str, metric: int) -> SandboxRoute:
    return SandboxRoute(destination=destination, next_hop=next_hop, interface=box.index(name), metric=metric)


def test_a_look_at_addresses_and_routes(box: Container) -> None:
    """Docker would be told a route that the container already has, and the container would not start."""
    box.static("192.0.2.0/24", "10.67.0.2")
    box.static("198.51.100.1/32", "", "eth1")
    box.static("2001:db8::/32", "fd00:68::2")
    box.static("0.0.0.0/0", "10.67.0.1")
    box.static("::/0", "fd00:67::1")
    view = box.sandboxes.look(box.path)
    assert view.addresses.items() >= {
        (text.partition("/")[0], box.index(name)) for name, texts in ADDRESSES.items() for text in texts
    }
    assert set(view.routes) == {
        routed(box, "10.67.0.0/24", "", "eth0", 0),
        routed(box, "10.68.0.0/24", "", "eth1", 0),
        routed(box, "fd00:67::/64", "", "eth0", 256),
        routed(box, "fd00:68::/64", "", "eth1", 256),
        routed(box, "192.0.2.0/24", "10.67.0.2", "eth0", 0),
        routed(box, "198.51.100.1/32", "", "eth1", 0),
        routed(box, "2001:db8::/32", "fd00:68::2", "eth1", 1024),
        routed(box, "0.0.0.0/0", "10.67.0.1", "eth0", 0),
        routed(box, "::/0", "fd00:67::1", "eth0", 1024),
    }


@pytest.mark.parametrize(
    ("destination", "hops", "ip"),
    [
        ("169.254.169.254/32", ("10.67.0.2", "10.68.0.2"), "169.254.169.254"),
        ("2001:db8:9::/48", ("fd00:67::2", "fd00:68::2"), "2001:db8:9::9"),
        ("0.0.0.0/0", ("10.67.0.1", "10.68.0.1"), "8.8.8.8"),
        ("::/0", ("fd00:67::1", "fd00:68::1"), "2001:db8::1"),
    ],
)
def test_a_route_behind_another_takes_over(box: Container, destination: str, hops: tuple[str, str], ip: str) -> None:
    """The container would lose a destination when the network is disconnected whose route it used."""
    box.static(destination, hops[0])
    behind = routed(box, destination, hops[1], "eth1", 1025)
    box.sandboxes.add_route(box.path, behind)
    assert behind in box.sandboxes.look(box.path).routes
    with pytest.raises(LinkExists):
        box.sandboxes.add_route(box.path, behind)
    assert box.way_to(ip) == (hops[0], box.index("eth0"))
    box.remove("eth0")
    assert box.way_to(ip) == (hops[1], box.index("eth1"))


@pytest.mark.parametrize(("gateway", "default"), [("192.0.2.1", "0.0.0.0/0"), ("fe80::1", "::/0")])
def test_a_gateway_outside_of_its_subnet_behind_another(box: Container, gateway: str, default: str) -> None:
    """After the first network has gone the second one's gateway could not be reached."""
    alone = f"{gateway}/{128 if ':' in gateway else 32}"
    box.static(alone, "", "eth0")
    for destination, hop in ((alone, ""), (default, gateway)):
        box.sandboxes.add_route(box.path, routed(box, destination, hop, "eth1", 1025))
    box.remove("eth0")
    assert box.way_to("2001:db8::1" if ":" in gateway else "8.8.8.8") == (gateway, box.index("eth1"))


@pytest.mark.parametrize(
    ("destination", "next_hop"),
    [("10.0.0.0/8", "10.67.0.2"), ("fd00::/16", "fd00:67::2"), ("192.0.2.1/32", ""), ("fe80::1/128", "")],
)
def test_a_route_of_dockers_is_removed(box: Container, destination: str, next_hop: str) -> None:
    """A network whose addresses the route overlaps could not be connected."""
    box.static(destination, next_hop, "" if next_hop else "eth0")
    (route,) = [each for each in box.sandboxes.look(box.path).routes if each.destination == destination]
    for _ in range(2):
        box.sandboxes.remove_route(box.path, route)
        assert route not in box.sandboxes.look(box.path).routes


def test_what_cannot_be_is_an_error_of_ours(box: Container) -> None:
    """A namespace that is not there yet would look like one that cannot be entered, or a wrong route like one
    in place.
    """
    with pytest.raises(LinkNotFound):
        box.sandboxes.look("/var/run/docker/netns/none")
    route = routed(box, "192.0.2.0/24", "203.0.113.1", "eth0", 1025)
    with pytest.raises(
        LinkError, match=r"cannot add the route to 192\.0\.2\.0/24 in a container: Network is unreachable"
    ):
        box.sandboxes.add_route(box.path, route)


def test_subnets_of_bridges() -> None:
    """Docker would be told a route that keeps it from setting the address of a bridge network."""
    with namespace() as host:
        host.command("ip", "link", "add", "plain0", "type", "veth", "peer", "name", "far0")
        host.command("ip", "address", "add", "10.1.0.1/24", "dev", "plain0")
        assert host.run(KernelSandboxes().subnets_of_bridges) == []
        host.command("ip", "link", "add", "docker0", "type", "bridge")
        assert host.run(KernelSandboxes().subnets_of_bridges) == []
        for text in ("172.17.0.1/16", "172.18.4.1/24", "fd00:17::1/64", "fe80::1/64"):
            host.command("ip", "address", "add", text, "dev", "docker0")
        found = host.run(KernelSandboxes().subnets_of_bridges)
        assert found == ["172.17.0.0/16", "172.18.4.0/24", "fd00:17::/64"]


def test_only_bridges_are_read_to_find_them() -> None:
    """Each start would read the pairs of all containers, and on a host with thousands find no bridge at all."""
    with namespace() as host:
        for number in range(5):
            host.command("ip", "link", "add", f"plain{number}", "type", "veth", "peer", "name", f"far{number}")
        host.command("ip", "link", "add", "docker0", "type", "bridge")
        assert len(host.run(lambda: dumps.dump(dumps.RTM_GETLINK, BRIDGES_ONLY))) == 1
