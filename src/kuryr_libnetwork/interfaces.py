# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the services ask of the world outside. The adapters and the fakes of the tests implement these protocols.

All methods may be called from many threads at once. Errors are those of :mod:`kuryr_libnetwork.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

from kuryr_libnetwork.model.engine import EngineView
from kuryr_libnetwork.model.links import (
    BindingRequest,
    BoundBy,
    ChildSpec,
    Link,
    OvsInterface,
    Trunk,
    VethSpec,
)
from kuryr_libnetwork.model.neutron import (
    Agent,
    Network,
    Port,
    QosPolicy,
    SecurityGroup,
    Subnet,
    SubnetPool,
    SubPort,
    TagOwner,
)
from kuryr_libnetwork.model.records import (
    EndpointRecord,
    IntentRecord,
    LeaseRecord,
    NetworkRecord,
    PlugRecord,
    PoolRecord,
    Whereabouts,
)
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.rules.roles import Account

T = TypeVar("T")


class Neutron(Protocol):
    """Neutron's REST API. Every method is one call, but :meth:`extensions`, which asks once and remembers, and
    :meth:`project_id` and :meth:`account`.

    ``find_*`` take Neutron's own query parameters (``tags`` all have to match; lists are repeated keys) and follow
    pagination. ``attributes`` are sent as they are (REST names such as ``binding:host_id``). Deleting or changing
    what does not exist raises :class:`~kuryr_libnetwork.errors.NeutronNotFound`.
    """

    def extensions(self) -> frozenset[str]:
        """Aliases of the extensions that this cloud has."""
        ...

    def project_id(self) -> str:
        """The project of the service's own credentials; "" where there are no projects (``auth_type = none``).

        No call of Neutron's: the token says it. Raises :class:`~kuryr_libnetwork.errors.NeutronForbidden` for credentials
        that are for no project.
        """
        ...

    def account(self) -> Account | None:
        """The roles of the service's user, and where he has them; ``None`` where there are none (``auth_type = none``).

        No call of Neutron's: the token says it, each one anew. Raises :class:`~kuryr_libnetwork.errors.NeutronForbidden` for
        credentials that Keystone refuses, or that are for no project.
        """
        ...

    def find_networks(self, **query: str | Iterable[str]) -> list[Network]: ...
    def find_subnets(self, **query: str | Iterable[str]) -> list[Subnet]: ...
    def find_subnetpools(self, **query: str | Iterable[str]) -> list[SubnetPool]: ...
    def find_ports(self, **query: str | Iterable[str]) -> list[Port]: ...
    def find_agents(self, **query: str | Iterable[str]) -> list[Agent]: ...
    def find_security_groups(self, **query: str | Iterable[str]) -> list[SecurityGroup]: ...
    def find_qos_policies(self, **query: str | Iterable[str]) -> list[QosPolicy]: ...
    def find_trunks(self, **query: str | Iterable[str]) -> list[Trunk]: ...

    def create_network(self, attributes: Mapping[str, Any]) -> Network: ...
    def create_subnet(self, attributes: Mapping[str, Any]) -> Subnet: ...
    def create_subnetpool(self, attributes: Mapping[str, Any]) -> SubnetPool: ...
    def create_security_group(self, attributes: Mapping[str, Any]) -> SecurityGroup: ...

    def create_security_group_rules(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """All of them or none, by one bulk call."""
        ...

    def create_port(self, attributes: Mapping[str, Any], tags: Iterable[str] = ()) -> Port:
        """Make a port by a bulk call of one; ``tags`` are sent only where the cloud stores them (else dropped)."""
        ...

    def update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None = None) -> Port:
        """``revision``: the port's revision number on which the change rests (``If-Match``).

        Raises :class:`~kuryr_libnetwork.errors.NeutronChanged`, and changes nothing, when it is another by now. Of two
        changes under way at the same time both go through, though (seen with release 29, whose database layer repeats
        the later one without the condition): whoever must exclude that has to mark the port first.
        """
        ...

    def delete_network(self, network_id: str) -> None: ...
    def delete_subnet(self, subnet_id: str) -> None: ...
    def delete_subnetpool(self, pool_id: str) -> None: ...
    def delete_port(self, port_id: str) -> None: ...
    def delete_security_group(self, group_id: str) -> None: ...

    def add_subport(self, trunk_id: str, subport: SubPort) -> Trunk:
        """Put a port without a device on a trunk; the answer is the trunk afterwards.

        :class:`~kuryr_libnetwork.errors.NeutronConflict` if the VLAN is taken there, or the port is on a trunk.
        """
        ...

    def remove_subport(self, trunk_id: str, port_id: str) -> Trunk: ...

    def set_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        """Replace all tags of a resource."""
        ...

    def add_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        """Add tags, leaving all others: one call where the cloud has ``tag-creation``, else one call per tag."""
        ...

    def remove_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None: ...


class Links(Protocol):
    """Network interfaces of the service's own network namespace (rtnetlink)."""

    def get(self, name: str) -> Link | None: ...

    def find_by_alias(self, alias: str) -> list[Link]:
        """All interfaces whose ifalias is exactly ``alias``."""
        ...

    def create_veth(self, spec: VethSpec) -> None:
        """Make the pair: alias and ``mtu`` on both ends, ``mac`` and ``tx_checksum`` on the container's, host's end up.

        Before that, and for as long as they are in this namespace, the host has no IP of its own on them (``routed``: the
        host's end keeps it).

        Raises :class:`~kuryr_libnetwork.errors.LinkExists` if either name is taken; leaves nothing behind on error.
        """
        ...

    def create_bridge(self, name: str, alias: str) -> None:
        """Make a bridge that is up, forwards at once, and has no IP of the host's.

        Raises :class:`~kuryr_libnetwork.errors.LinkExists` if the name is taken; leaves nothing behind on error.
        """
        ...

    def add_to_bridge(self, name: str, bridge: str) -> None:
        """Have an interface up and in a bridge; repeating it is harmless.

        Raises :class:`~kuryr_libnetwork.errors.LinkNotFound` if either does not exist.
        """
        ...

    def members(self, bridge: str) -> list[str]:
        """The names of the interfaces in a bridge; none where there is no such bridge."""
        ...

    def create_child(self, spec: ChildSpec) -> None:
        """Make an interface that stands on another one, without IP of the host's; leaves nothing behind on error.

        Raises :class:`~kuryr_libnetwork.errors.LinkExists` if the name, or the VLAN on that parent, is taken,
        :class:`~kuryr_libnetwork.errors.LinkNotFound` if there is no such parent.
        """
        ...

    def silence(self, name: str) -> None:
        """Turn the host's own IP off on an interface that is there."""
        ...

    def all(self) -> list[Link]: ...

    def addresses(self, name: str) -> list[str]:
        """The IP addresses of an interface, without prefix lengths."""
        ...

    def aliases_elsewhere(self) -> frozenset[str]:
        """The ifalias of every interface in the other network namespaces that an interface of ours ever went to."""
        ...

    def delete(self, name: str) -> bool:
        """Delete an interface; ``False`` when there is none of that name."""
        ...


class Ovs(Protocol):
    """Open vSwitch's configuration database."""

    def plug(self, interface: OvsInterface) -> None:
        """Add the interface to its bridge in one transaction; repeating it is harmless.

        ``external_ids``: attached-mac, iface-id (port), vm-uuid (endpoint), iface-status=active, owner=kuryr.
        ``isolated`` counts until Neutron's agent has given the interface a VLAN; what the agent did stays. A row of
        another port or in another bridge is replaced: nothing of it stays.
        Raises :class:`~kuryr_libnetwork.errors.BridgeNotFound`.
        """
        ...

    def unplug(self, port_id: str) -> list[str]:
        """Remove every interface that we own for this Neutron port, in one transaction; answers their names."""
        ...

    def owned(self) -> list[OvsInterface]:
        """All interfaces whose ``external_ids:owner`` is ``kuryr``."""
        ...


class Scripts(Protocol):
    """The operator's executables that attach interfaces, one per ``binding:vif_type``."""

    def get(self, vif_type: str) -> str:
        """The path of the executable; "" where there is none."""
        ...

    def run(self, vif_type: str, arguments: Sequence[str]) -> None:
        """Run it to its end, in bounded time.

        Raises :class:`~kuryr_libnetwork.errors.BindingScriptFailed` with its exit code and what it said.
        """
        ...


class Table(Protocol[T]):
    """One kind of record of the journal. ``put`` and ``drop`` are on disk when they return."""

    def get(self, key: str) -> T | None: ...
    def all(self) -> list[T]: ...
    def put(self, record: T) -> None: ...
    def drop(self, key: str) -> None: ...


class Journal(Protocol):
    """The journal on disk (design §4)."""

    @property
    def pools(self) -> Table[PoolRecord]: ...
    @property
    def networks(self) -> Table[NetworkRecord]: ...
    @property
    def leases(self) -> Table[LeaseRecord]: ...
    @property
    def endpoints(self) -> Table[EndpointRecord]: ...
    @property
    def intents(self) -> Table[IntentRecord]: ...
    @property
    def devices(self) -> Table[DeviceLease]: ...

    def transaction(self) -> AbstractContextManager[None]:
        """All puts and drops inside, by this thread, happen together or not at all."""
        ...


class Engine(Protocol):
    """Docker's Engine API. Only the background asks it: a plugin call that asks Docker deadlocks."""

    def view(self) -> EngineView: ...


class PortDriver(Protocol):
    """Policy for ports of some ``binding:vnic_type`` values (``enabled_port_drivers``)."""

    @property
    def name(self) -> str: ...

    @property
    def vnic_types(self) -> frozenset[str]: ...

    @property
    def bindings(self) -> frozenset[str]:
        """Short names of the binding drivers that it may use."""
        ...

    @property
    def bound_by(self) -> BoundBy: ...

    def home_network(self) -> str:
        """The Neutron network that all its containers are on; "" where any will do."""
        ...

    def reserve(self, request: BindingRequest) -> Mapping[str, Any]:
        """Take what the port needs of this host before it is bound; what the binding has to say besides."""
        ...

    def abandon(self, port_id: str) -> None:
        """Give back what :meth:`reserve` took for a port that was not plugged; succeeds when there is nothing."""
        ...

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:
        """Decide how this port would be plugged; refuses what it cannot do; changes nothing, here or in Neutron."""
        ...

    def recover(self, port: Port) -> PlugRecord:
        """What an interface of this port would be called here, for one that the journal does not know."""
        ...

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        """Make the interface for the container; undoes its own work before it raises. Repeating it is harmless."""
        ...

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:
        """Take away whatever of it exists; succeeds when nothing does.

        ``sandbox``: the network namespace of the container, where its interface may still be ("": not known).
        """
        ...

    def where(self, plug: PlugRecord) -> Whereabouts:
        """Where its interface is now: whoever has one in a container is alive."""
        ...

    def uphold(self, living: Callable[[], list[PlugRecord]]) -> None:
        """Make good what others have undone of the plugs of living containers.

        ``living`` tells them; it is to be asked when none of them can be unplugged meanwhile.
        """
        ...

    def strays(self) -> list[PlugRecord]:
        """What of ours is configured on this host for interfaces that do not exist any more, as after a reboot."""
        ...


@runtime_checkable
class Enforcer(Protocol):
    """A port driver for whose ports no agent of Neutron does what they say: it enforces that itself, and goes on doing so."""

    @property
    def vnic_types(self) -> frozenset[str]: ...

    def observe(self, ports: Sequence[Port]) -> None:
        """All ports bound to this host, whoever bound them; told once per round of the background."""
        ...

    def refresh(self, port_id: str) -> None:
        """Enforce what the port said when it was observed last, if it is in use here; the caller holds its lock."""
        ...

    def settle(self, plug: PlugRecord) -> None:
        """Wait, bounded, until the interface can carry frames. Docker is about to move it; one that has moved is fine."""
        ...

    def announce(self, plug: PlugRecord, sandbox: str, addresses: Sequence[str]) -> bool:
        """Tell the neighbours, from inside the container, where its addresses are now.

        ``False``: its interface is not there yet, or not up. :class:`~kuryr_libnetwork.errors.LinkNotFound`: there is no
        such namespace (yet, or any more).
        """
        ...


class Drivers(Protocol):
    """The enabled port drivers."""

    def for_port(self, port: Port) -> PortDriver:
        """The driver for the port's ``binding:vnic_type``; :class:`~kuryr_libnetwork.errors.UnsupportedVif`: none."""
        ...

    def named(self, name: str) -> PortDriver:
        """The driver that made a :class:`~kuryr_libnetwork.model.records.PlugRecord`."""
        ...

    def all(self) -> list[PortDriver]: ...
