# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Port drivers: how a port becomes an interface of a container, and what has to be repaired afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from kuryr_libnetwork.model.links import BindingRequest, BoundBy
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts


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

    def unreserve(self, port_id: str) -> None:
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

    def repair(self, in_use: Callable[[], list[PlugRecord]]) -> None:
        """Make good what others have undone of the plugs of living containers.

        ``in_use`` tells them; it is to be asked when none of them can be unplugged meanwhile.
        """
        ...

    def strays(self) -> list[PlugRecord]:
        """What of ours is configured on this host for interfaces that do not exist any more, as after a reboot."""
        ...


@runtime_checkable
class Enforcer(Protocol):
    """A port driver for whose ports no agent of Neutron does what they say: it enforces that itself, and goes on doing
    so.
    """

    @property
    def vnic_types(self) -> frozenset[str]: ...

    def note_ports(self, ports: Sequence[Port]) -> None:
        """All ports bound to this host, whoever bound them; told once per round of the background."""
        ...

    def reapply(self, port_id: str) -> None:
        """Enforce what the port said when it was observed last, if it is in use here; the caller holds its lock."""
        ...

    def wait_for_carrier(self, plug: PlugRecord) -> None:
        """Wait, bounded, until the interface can carry frames. Docker is about to move it; one that has moved
        is fine.
        """
        ...

    def announce(self, plug: PlugRecord, sandbox: str, addresses: Sequence[str]) -> bool:
        """Tell the neighbours, from inside the container, where its addresses are now.

        ``False``: its interface is not there yet, or not up. :class:`~kuryr_libnetwork.errors.LinkNotFound`: there is
        no such namespace (yet, or any more).
        """
        ...


@runtime_checkable
class Stocked(Protocol):
    """A port driver whose ports need devices, of which a host has so many."""

    def free_devices(self) -> Mapping[str, int]:
        """How many a container could get now, by physical network; "" where the operator has named none."""
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
