# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's interfaces, Open vSwitch, and the operator's binding scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kuryr_libnetwork.model.links import ChildSpec, Link, OvsInterface, SandboxRoute, SandboxView, SwitchView, VethSpec


class Links(Protocol):
    """Network interfaces of the service's own network namespace (rtnetlink)."""

    def get(self, name: str) -> Link | None: ...

    def find_by_alias(self, alias: str) -> list[Link]:
        """All interfaces whose ifalias is exactly ``alias``."""
        ...

    def create_veth(self, spec: VethSpec) -> None:
        """Make the pair: alias and ``mtu`` on both ends, ``mac`` and ``tx_checksum`` on the container's, host's end up.

        The host has no IP on either end at any moment while they are in this namespace (except, if ``routed``, on the
        host's end).

        Raises :class:`~kuryr_libnetwork.errors.LinkExists` if either name is taken; leaves nothing behind on error.
        """
        ...

    def create_bridge(self, name: str, alias: str) -> None:
        """Make a bridge that is up, forwards at once, and has no IP of the host.

        Raises :class:`~kuryr_libnetwork.errors.LinkExists` if the name is taken; leaves nothing behind on error.
        """
        ...

    def add_to_bridge(self, name: str, bridge: str) -> None:
        """Set an interface up and put it into a bridge; repeating it is harmless.

        Raises :class:`~kuryr_libnetwork.errors.LinkNotFound` if either does not exist.
        """
        ...

    def members(self, bridge: str) -> list[str]:
        """The names of the interfaces in a bridge; none if the bridge does not exist."""
        ...

    def create_child(self, spec: ChildSpec) -> None:
        """Make an interface on top of another one, without an IP of the host; leaves nothing behind on error.

        Raises :class:`~kuryr_libnetwork.errors.LinkExists` if the name, or the VLAN on that parent, is taken,
        :class:`~kuryr_libnetwork.errors.LinkNotFound` if there is no such parent.
        """
        ...

    def silence(self, name: str) -> None:
        """Turn the host's IP off on an existing interface."""
        ...

    def all(self) -> list[Link]: ...

    def addresses(self, name: str) -> list[str]:
        """The IP addresses of an interface, without prefix lengths."""
        ...

    def aliases_elsewhere(self) -> frozenset[str]:
        """The ifalias of every interface in the other network namespaces that interfaces of ours were moved to."""
        ...

    def delete(self, name: str) -> bool:
        """Delete an interface; ``False`` if there is none of that name."""
        ...


class Ovs(Protocol):
    """Open vSwitch's configuration database."""

    def plug(self, interface: OvsInterface) -> None:
        """Add the interface to its bridge in one transaction; repeating it is harmless.

        ``external_ids``: attached-mac, iface-id (port), vm-uuid (endpoint), iface-status=active, owner=kuryr.
        ``isolated`` applies until Neutron's agent has set a VLAN, which is kept. A row for another port, or in another
        bridge, is replaced completely.
        Raises :class:`~kuryr_libnetwork.errors.BridgeNotFound`.
        """
        ...

    def wait_connected(self, name: str) -> None:
        """Until ovs-vswitchd has connected the interface that was plugged, so that packets can pass.

        Raises :class:`~kuryr_libnetwork.errors.SwitchSilent`.
        """
        ...

    def unconnected(self) -> list[str]:
        """The names of our interfaces that ovs-vswitchd has not connected."""
        ...

    def seen(self, name: str) -> SwitchView | None:
        """What was last heard of an interface; ``None`` if there is none of this name. Asks nobody, and cannot fail."""
        ...

    def unplug(self, port_id: str) -> list[str]:
        """Remove every interface that we own for this Neutron port, in one transaction; answers their names."""
        ...

    def owned(self) -> list[OvsInterface]:
        """All interfaces whose ``external_ids:owner`` is ``kuryr``."""
        ...


class Sandboxes(Protocol):
    """Routes in network namespaces of containers. A ``sandbox`` is the path of one, as Docker names it.

    All raise :class:`~kuryr_libnetwork.errors.LinkNotFound` where there is no such namespace (yet, or any more).
    """

    def look(self, sandbox: str) -> SandboxView: ...

    def subnets_of_bridges(self) -> list[str]:
        """Of the bridges of this host that have addresses, as each of Docker's own bridge networks has one."""
        ...

    def add_route(self, sandbox: str, route: SandboxRoute) -> None:
        """Raises :class:`~kuryr_libnetwork.errors.LinkExists` if that destination has a route with that metric."""
        ...

    def remove_route(self, sandbox: str, route: SandboxRoute) -> None:
        """Succeeds if there is none."""
        ...


class Scripts(Protocol):
    """The operator's executables that attach interfaces, one per ``binding:vif_type``."""

    def get(self, vif_type: str) -> str:
        """The path of the executable; "" if there is none."""
        ...

    def run(self, vif_type: str, arguments: Sequence[str]) -> None:
        """Run it and wait for it, for a limited time.

        Raises :class:`~kuryr_libnetwork.errors.BindingScriptFailed` with its exit code and output.
        """
        ...
