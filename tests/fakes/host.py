# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A host in memory: interfaces, Open vSwitch, the journal. They pass the same contract tests as the real ones.

``fail_next(method, error)`` makes the next call of that method raise, without effect or, with ``after``, once the
effect has happened (an answer that was lost).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Generic, TypeVar

import msgspec

from kuryr_libnetwork.errors import (
    BindingScriptFailed,
    BridgeNotFound,
    Conflict,
    LinkError,
    LinkExists,
    LinkNotFound,
    SwitchSilent,
)
from kuryr_libnetwork.model.indexes import Index
from kuryr_libnetwork.model.links import (
    ChildSpec,
    HostIp,
    Link,
    OvsInterface,
    SandboxRoute,
    SandboxView,
    SwitchView,
    VethSpec,
)
from kuryr_libnetwork.model.records import (
    EndpointRecord,
    IntentRecord,
    LeaseRecord,
    NetworkRecord,
    PoolRecord,
    SpareRecord,
)
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.addresses import canonical_cidr, contains, is_default, may_overlap
from kuryr_libnetwork.rules.host_ip import ROUTED, SILENT

R = TypeVar("R", bound=Value)
NAME_LENGTH = 15
NEW = HostIp(rp_filter=0, arp_ignore=0, addr_gen_mode=0, disable_ipv6=0, accept_ra=1)
"""The host's IP settings on a new interface, as the kernel sets them."""
MTU_RANGE = range(68, 65536)


class Failing:
    """What all fakes of this module have: a lock, and failures on request."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._failures: dict[str, list[tuple[Exception, bool]]] = {}

    def fail_next(self, method: str, error: Exception, after: bool = False) -> None:
        self._failures.setdefault(method, []).append((error, after))

    def called(self, method: str) -> AbstractContextManager[object]:
        """Wraps the effect of each call."""
        # There are millions of calls, and few have to fail.
        return self._failing(method) if self._failures.get(method) else self.lock

    @contextmanager
    def _failing(self, method: str) -> Iterator[None]:
        with self.lock:
            error, after = self._failures[method].pop(0)
            if not after:
                raise error
            yield
            raise error


class FakeLinks(Failing):
    """Implements ``Links``. Interfaces that left for another network namespace are still there for their peers."""

    def __init__(self) -> None:
        super().__init__()
        self._links: dict[str, Link] = {}
        self._peers: dict[int, int] = {}
        self._away: set[int] = set()
        self._masters: dict[int, int] = {}
        self._below: dict[int, int] = {}
        self._vlans: dict[int, int] = {}
        self.addresses_of: dict[str, list[str]] = {}
        self._last_index = 1

    def get(self, name: str) -> Link | None:
        with self.called("get"):
            link = self._visible().get(name)
            return link and self._shown(link)

    def _shown(self, link: Link) -> Link:
        return msgspec.structs.replace(link, peer_away=self._peers.get(link.index) in self._away)

    def find_by_alias(self, alias: str) -> list[Link]:
        with self.called("find_by_alias"):
            return [self._shown(link) for link in self._visible().values() if link.alias == alias]

    def create_veth(self, spec: VethSpec) -> None:
        with self.called("create_veth"):
            for name in (spec.host_name, spec.container_name):
                if name in self._visible():
                    raise LinkExists(f"interface {name} exists")
                if not 0 < len(name) <= NAME_LENGTH or spec.mtu not in MTU_RANGE:
                    raise LinkError(f"cannot make the interface {name} with MTU {spec.mtu}")
            routed = msgspec.structs.replace(NEW, accept_ra=ROUTED.accept_ra) if spec.routed else SILENT
            both: dict[str, Any] = {"kind": "veth", "mtu": spec.mtu, "alias": spec.alias}
            host = self.add(spec.host_name, up=True, host_ip=routed, **both)
            container = self.add(spec.container_name, mac=spec.mac, host_ip=SILENT, **both)
            self._peers |= {host.index: container.index, container.index: host.index}

    def create_bridge(self, name: str, alias: str) -> None:
        with self.called("create_bridge"):
            if name in self._visible():
                raise LinkExists(f"interface {name} exists")
            if not 0 < len(name) <= NAME_LENGTH:
                raise LinkError(f"cannot make the bridge {name}")
            self.add(name, kind="bridge", alias=alias, up=True, host_ip=SILENT)

    def add_to_bridge(self, name: str, bridge: str) -> None:
        with self.called("add_to_bridge"):
            there = self._visible()
            if name not in there or bridge not in there:
                raise LinkNotFound(f"there is no {name} or no {bridge}")
            if there[bridge].kind != "bridge":
                raise LinkError(f"{bridge} is no bridge")
            link = there[name]
            self._masters[link.index] = there[bridge].index
            self._links[f"{name} {link.index}"] = msgspec.structs.replace(link, up=True)

    def members(self, bridge: str) -> list[str]:
        with self.called("members"):
            master = self._visible().get(bridge)
            return [
                link.name
                for link in self._visible().values()
                if master is not None and self._masters.get(link.index) == master.index
            ]

    def create_child(self, spec: ChildSpec) -> None:
        with self.called("create_child"):
            parent = self._visible().get(spec.parent)
            if parent is None:
                raise LinkNotFound(f"there is no interface {spec.parent}")
            vlans = {self._vlans.get(index) for index, below in self._below.items() if below == parent.index}
            if spec.name in self._visible() or (spec.vlan and spec.vlan in vlans):
                raise LinkExists(f"interface {spec.name} exists")
            if not 0 < len(spec.name) <= NAME_LENGTH or spec.mtu not in MTU_RANGE or spec.mtu > parent.mtu:
                raise LinkError(f"cannot make the interface {spec.name} with MTU {spec.mtu}")
            mac = parent.mac if spec.kind == "ipvlan" else spec.mac
            link = self.add(spec.name, kind=spec.kind, mac=mac, mtu=spec.mtu, alias=spec.alias, host_ip=SILENT)
            self._below[link.index] = parent.index
            self._vlans[link.index] = spec.vlan

    def silence(self, name: str) -> None:
        with self.called("silence"):
            link = self._visible().get(name)
            if link is None:
                raise LinkNotFound(f"there is no interface {name}")
            self._links[f"{name} {link.index}"] = msgspec.structs.replace(link, host_ip=SILENT)

    def all(self) -> list[Link]:
        with self.called("all"):
            return [self._shown(link) for link in self._visible().values()]

    def addresses(self, name: str) -> list[str]:
        with self.called("addresses"):
            if name not in self._visible():
                raise LinkNotFound(f"there is no interface {name}")
            return self.addresses_of.get(name, [])

    def aliases_elsewhere(self) -> frozenset[str]:
        with self.called("aliases_elsewhere"):
            return frozenset(link.alias for link in self._links.values() if link.index in self._away)

    def delete(self, name: str) -> bool:
        with self.called("delete"):
            link = self._visible().get(name)
            if link is None:
                return False
            gone = {link.index, self._peers.get(link.index, link.index)}
            self._masters = {member: of for member, of in self._masters.items() if of not in gone}
            gone |= {index for index, below in self._below.items() if below == link.index}
            self._links = {key: other for key, other in self._links.items() if other.index not in gone}
            self._below = {index: below for index, below in self._below.items() if index not in gone}
            return True

    # -- what others do on this host --

    def add(self, name: str, mtu: int = 1500, **more: Any) -> Link:
        """``more``: fields of :class:`Link`."""
        with self.lock:
            self._last_index += 1
            mac = more.pop("mac", "") or f"02:00:00:00:00:{self._last_index % 256:02x}"
            link = Link(index=self._last_index, name=name, mac=mac, mtu=mtu, **({"host_ip": NEW} | more))
            self._links[f"{name} {link.index}"] = link
            return link

    def rename(self, old: str, new: str) -> None:
        with self.lock:
            link = self._visible()[old]
            self._links[f"{old} {link.index}"] = msgspec.structs.replace(link, name=new)

    def set_host_ip_for_all(self, host_ip: HostIp) -> None:
        """What a write to ``conf/all`` does."""
        with self.lock:
            self._links = {key: msgspec.structs.replace(link, host_ip=host_ip) for key, link in self._links.items()}

    def move_away(self, name: str) -> None:
        """What Docker does with the container's end at ``docker run``."""
        with self.lock:
            self._away.add(self._visible()[name].index)

    def forget_all(self) -> None:
        """A reboot."""
        with self.lock:
            self._links, self._away = {}, set()

    def names(self) -> list[str]:
        with self.lock:
            return sorted(self._visible())

    def _visible(self) -> dict[str, Link]:
        return {link.name: link for link in self._links.values() if link.index not in self._away}


@dataclass
class Namespace:
    """A container's network namespace: its interfaces' addresses, by index, and its routes."""

    addresses: dict[int, list[str]] = field(default_factory=dict)
    routes: list[SandboxRoute] = field(default_factory=list)

    def way_to(self, ip: str) -> SandboxRoute | None:
        """The kernel's choice: the longest prefix, then the smallest metric."""
        able = [route for route in self.routes if contains(route.destination, ip)]
        return max(able, key=lambda route: (ip_network(route.destination).prefixlen, -route.metric), default=None)


class FakeSandboxes(Failing):
    """Implements ``Sandboxes``: the namespaces of running containers, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.namespaces: dict[str, Namespace] = {}
        self.bridges: list[str] = []
        self._last_index = 1

    def look(self, sandbox: str) -> SandboxView:
        with self.called("look"):
            inside = self._inside(sandbox)
            found = {_ip(text): index for index, texts in inside.addresses.items() for text in texts}
            return SandboxView(routes=tuple(inside.routes), addresses=found)

    def subnets_of_bridges(self) -> list[str]:
        with self.called("subnets_of_bridges"):
            return list(self.bridges)

    def add_route(self, sandbox: str, route: SandboxRoute) -> None:
        with self.called("add_route"):
            self._add(self._inside(sandbox), route)

    def remove_route(self, sandbox: str, route: SandboxRoute) -> None:
        with self.called("remove_route"):
            inside = self._inside(sandbox)
            inside.routes = [each for each in inside.routes if each != route]

    def _inside(self, sandbox: str) -> Namespace:
        if sandbox not in self.namespaces:
            raise LinkNotFound(f"cannot enter the network namespace {sandbox}: No such file or directory")
        return self.namespaces[sandbox]

    def _add(self, inside: Namespace, route: SandboxRoute) -> None:
        if any((each.destination, each.metric) == (route.destination, route.metric) for each in inside.routes):
            raise LinkExists(f"cannot add the route to {route.destination} in a container: File exists")
        ways = [each for each in inside.routes if each.interface == route.interface and not each.next_hop]
        link_local = route.next_hop.startswith("fe80:")
        if route.next_hop and not link_local and not any(contains(each.destination, route.next_hop) for each in ways):
            raise LinkError(f"cannot add the route to {route.destination} in a container: Network is unreachable")
        inside.routes.append(route)

    # -- what Docker does there --

    def interface(self, sandbox: str, addresses: Iterable[str]) -> int:
        """One more interface. As Docker does, refuse an address that overlaps a route; the kernel adds routes of its
        own.
        """
        with self.lock:
            inside = self._inside(sandbox)
            self._last_index += 1
            for text in addresses:
                cidr = canonical_cidr(text)
                for route in inside.routes:
                    if not is_default(route.destination) and may_overlap(cidr, route.destination):
                        raise LinkError(
                            f"cannot program address {text} in sandbox interface because it conflicts with existing "
                            f"route {route.destination}"
                        )
                metric = 256 if ":" in cidr else 0
                self._add(
                    inside, SandboxRoute(destination=cidr, next_hop="", interface=self._last_index, metric=metric)
                )
                inside.addresses.setdefault(self._last_index, []).append(text)
            return self._last_index

    def remove_interface(self, sandbox: str, index: int) -> None:
        with self.lock:
            inside = self._inside(sandbox)
            inside.addresses.pop(index, None)
            inside.routes = [route for route in inside.routes if route.interface != index]

    def static_route(self, sandbox: str, destination: str, next_hop: str, index: int = 0) -> None:
        """``index``: of the interface, for a route on its link. Docker gives no metric; that of IPv6 is 1024 then."""
        with self.lock:
            inside = self._inside(sandbox)
            way = inside.way_to(next_hop) if next_hop else None
            if next_hop and not index and way is None:
                raise LinkError(f"route for the next hop {next_hop} could not be found")
            metric = 1024 if ":" in destination else 0
            interface = index or (way.interface if way else 0)
            self._add(
                inside, SandboxRoute(destination=destination, next_hop=next_hop, interface=interface, metric=metric)
            )

    def gateways(self, sandbox: str, *next_hops: str) -> None:
        """Set these routes in place of those that Docker set before."""
        with self.lock:
            inside = self._inside(sandbox)
            ours = [route for route in inside.routes if is_default(route.destination) and route.metric in {0, 1024}]
            inside.routes = [route for route in inside.routes if route not in ours]
            for next_hop in filter(None, next_hops):
                self.static_route(sandbox, "::/0" if ":" in next_hop else "0.0.0.0/0", next_hop)


def _ip(text: str) -> str:
    return text.partition("/")[0]


class FakeOvs(Failing):
    """Implements ``Ovs``, with the bridges given."""

    def __init__(self, bridges: Iterable[str] = ("br-int",)) -> None:
        super().__init__()
        self.bridges = set(bridges)
        self.foreign: set[str] = set(bridges)
        self._rows: dict[str, OvsInterface] = {}
        self._tagged: set[str] = set()
        self._connected: set[str] = set()
        self.frozen = False
        """Nobody is at work on what the database says."""
        self.without_flows: set[str] = set()
        """The ports whose flows ovn-controller has not installed, or has removed."""

    def agent_acts(self) -> None:
        """Neutron's agent gives every interface its VLAN."""
        with self.lock:
            self._tagged = set(self._rows)
            self._rows = {name: msgspec.structs.replace(row, isolated=False) for name, row in self._rows.items()}

    def plug(self, interface: OvsInterface) -> None:
        with self.called("plug"):
            if interface.bridge not in self.bridges:
                raise BridgeNotFound(f"there is no bridge {interface.bridge}")
            if interface.name in self.foreign:
                raise Conflict(f"interface {interface.name} is not ours")
            there = self._rows.get(interface.name)
            same = there and (there.port_id, there.bridge) == (interface.port_id, interface.bridge)
            closed = interface.isolated and not (same and interface.name in self._tagged)
            self._remove(interface.port_id)
            self._tagged -= set() if same else {interface.name}
            self._rows[interface.name] = msgspec.structs.replace(interface, isolated=closed)
            self._connected -= set() if same else {interface.name}

    def wait_connected(self, name: str) -> None:
        with self.called("wait_connected"):
            if name not in self._connects():
                raise SwitchSilent(f"ovs-vswitchd has not connected interface {name}")

    def unconnected(self) -> list[str]:
        with self.called("unconnected"):
            return sorted(set(self._rows) - self._connects())

    def lose_numbers(self) -> None:
        """Open vSwitch was started anew, and does not move."""
        self.frozen, self._connected = True, set()

    def _connects(self) -> set[str]:
        self._connected = self._connected & set(self._rows) if self.frozen else set(self._rows)
        return self._connected

    def seen(self, name: str) -> SwitchView | None:
        """Nothing that can fail, or take time: the replica of the database is asked."""
        with self.lock:
            row = self._rows.get(name)
            if row is None:
                return None
            connected = name in self._connects()
            installed = row.port_id not in self.without_flows
            return SwitchView(port_id=row.port_id, connected=connected, installed=installed, dead=row.isolated)

    def unplug(self, port_id: str) -> list[str]:
        with self.called("unplug"):
            gone = self._remove(port_id)
            self._tagged -= set(gone)
            return gone

    def owned(self) -> list[OvsInterface]:
        with self.called("owned"):
            return list(self._rows.values())

    def _remove(self, port_id: str) -> list[str]:
        gone = [name for name, row in self._rows.items() if row.port_id == port_id]
        for name in gone:
            del self._rows[name]
        return gone


class FakeScripts(Failing):
    """Implements ``Scripts``: those in ``known`` store their arguments in ``bound``, by port."""

    def __init__(self, *known: str) -> None:
        super().__init__()
        self.known = set(known)
        self.runs: list[tuple[str, ...]] = []
        self.bound: dict[str, tuple[str, ...]] = {}

    def get(self, vif_type: str) -> str:
        with self.called("get"):
            return f"/bindir/{vif_type}" if vif_type in self.known else ""

    def run(self, vif_type: str, arguments: Sequence[str]) -> None:
        with self.called("run"):
            if vif_type not in self.known:
                raise BindingScriptFailed(f"there is no executable /bindir/{vif_type}")
            verb, port_id, *rest = arguments
            self.runs.append((vif_type, *arguments))
            if verb == "bind":
                self.bound[port_id] = tuple(rest)
            else:
                self.bound.pop(port_id, None)


class FakeJournal(Failing):
    """Implements ``Journal``. The methods that can fail are called ``endpoints.put`` and so on, and ``transaction``."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = FakeTable(self, "pools", "pool_id", PoolRecord)
        self.networks = FakeTable(self, "networks", "docker_id", NetworkRecord)
        self.leases = FakeTable(self, "leases", "port_id", LeaseRecord)
        self.endpoints = FakeTable(self, "endpoints", "endpoint_id", EndpointRecord)
        self.intents = FakeTable(self, "intents", "token", IntentRecord)
        self.devices = FakeTable(self, "devices", "pci_address", DeviceLease)
        self.spares = FakeTable(self, "spares", "port_id", SpareRecord)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        kinds = (self.pools, self.networks, self.leases, self.endpoints, self.intents, self.devices, self.spares)
        tables = [kind.rows for kind in kinds]
        with self.lock:
            before = [dict(rows) for rows in tables]
            done = False
            try:
                with self.called("transaction"):
                    yield
                done = True
            finally:
                if not done:
                    for rows, old in zip(tables, before, strict=True):
                        rows.clear()
                        rows.update(old)


class FakeTable(Generic[R]):
    """Implements ``Table``; stores records as JSON, so that one that cannot be encoded is noticed."""

    def __init__(self, journal: Failing, name: str, key: str, kind: type[R]) -> None:
        self.rows: dict[str, bytes] = {}
        self._journal = journal
        self._name = name
        self._key = key
        self._decoder = msgspec.json.Decoder(kind)

    def get(self, key: str) -> R | None:
        with self._journal.called(f"{self._name}.get"):
            return self._decoder.decode(self.rows[key]) if key in self.rows else None

    def all(self) -> list[R]:
        with self._journal.called(f"{self._name}.all"):
            return [self._decoder.decode(row) for row in self.rows.values()]

    def find(self, index: Index[R], value: str) -> list[R]:
        return [record for record in self.all() if value in index.keys(record)]

    def put(self, record: R) -> None:
        with self._journal.called(f"{self._name}.put"):
            self.rows[getattr(record, self._key)] = msgspec.json.encode(record)

    def drop(self, key: str) -> None:
        with self._journal.called(f"{self._name}.drop"):
            self.rows.pop(key, None)
