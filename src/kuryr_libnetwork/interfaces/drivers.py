# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Port drivers: how a port becomes a container's interface, and how that is repaired afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from kuryr_libnetwork.model.links import BindingRequest, BoundBy, SwitchView
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts
from kuryr_libnetwork.model.settings import SriovSettings


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
        """The id of the only Neutron network that its containers can be on; "" for any network."""
        ...

    def reserve(self, request: BindingRequest) -> Mapping[str, Any]:
        """Reserve what the port needs of this host before it is bound; answers keys for its ``binding:profile``."""
        ...

    def unreserve(self, port_id: str) -> None:
        """Release what :meth:`reserve` took for a port that was not plugged; succeeds if there is nothing."""
        ...

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:
        """Decide how to plug this port, or refuse it; changes nothing, here or in Neutron."""
        ...

    def recover(self, port: Port) -> PlugRecord:
        """The plug that an interface of this port would have here, for a port that the journal does not know."""
        ...

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        """Create the container's interface; undoes its own work before it raises. Repeating it is harmless."""
        ...

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:
        """Remove whatever exists of the plug; succeeds if nothing does.

        ``sandbox``: the container's network namespace, where the interface may still be ("": not known).
        """
        ...

    def where(self, plug: PlugRecord) -> Whereabouts:
        """Where its interface is now. An endpoint whose interface is in a container is in use."""
        ...

    def repair(self, in_use: Callable[[], list[PlugRecord]]) -> None:
        """Repair what others have changed on the plugs of running containers.

        ``in_use`` answers these plugs; call it only while none of them can be unplugged.
        """
        ...

    def strays(self) -> list[PlugRecord]:
        """Configuration of ours on this host whose interface is gone or in no container, as after a reboot."""
        ...


@runtime_checkable
class Enforcer(Protocol):
    """A port driver that applies its ports' attributes itself, and keeps doing so, because no Neutron agent does."""

    @property
    def vnic_types(self) -> frozenset[str]: ...

    def note_ports(self, ports: Sequence[Port]) -> None:
        """Take note of all ports bound to this host, whoever bound them; called once per round of the background."""
        ...

    def reapply(self, port_id: str) -> None:
        """Apply what the port said when last seen, if it is in use here; the caller holds its lock."""
        ...

    def wait_for_carrier(self, plug: PlugRecord) -> None:
        """Wait for a limited time until the interface can carry frames, before Docker moves it into the container.

        Succeeds if it has been moved already.
        """
        ...

    def announce(self, plug: PlugRecord, sandbox: str, addresses: Sequence[str]) -> bool:
        """Tell the neighbours, from inside the container, where its addresses are now.

        ``False``: its interface is not there yet, or not up. Raises :class:`~kuryr_libnetwork.errors.LinkNotFound` if
        the namespace does not exist (yet, or any more).
        """
        ...


@runtime_checkable
class Permitted(Protocol):
    """A port driver that learns while it runs which devices the operator allows."""

    def permit(self, settings: SriovSettings) -> None:
        """From now on; containers keep the devices that they have."""
        ...


@runtime_checkable
class Stocked(Protocol):
    """A port driver whose ports need devices, of which a host has so many."""

    def free_devices(self) -> Mapping[str, int]:
        """How many a container could get now, by physical network; "" where the operator has named none."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A port driver whose interfaces can be made before there is a container, for a port pool."""

    def seen(self, plug: PlugRecord) -> SwitchView | None:
        """What Open vSwitch says of the plug's interface, with no port if it is not there; ``None`` for a plug that has
        none in it. Asks nobody, and cannot fail.
        """
        ...


class Drivers(Protocol):
    """The enabled port drivers."""

    def for_port(self, port: Port) -> PortDriver:
        """The driver for the port's ``binding:vnic_type``; raises :class:`~kuryr_libnetwork.errors.UnsupportedVif`."""
        ...

    def named(self, name: str) -> PortDriver:
        """The driver that made a :class:`~kuryr_libnetwork.model.records.PlugRecord`."""
        ...

    def all(self) -> list[PortDriver]: ...
