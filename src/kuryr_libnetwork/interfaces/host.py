# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's interfaces, Open vSwitch, and the operator's binding scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kuryr_libnetwork.model.links import ChildSpec, Link, OvsInterface, SandboxRoute, SandboxView, VethSpec


class Links(Protocol):
    """Network interfaces of the service's own network namespace (rtnetlink)."""

    def get(self, name: str) -> Link | None: ...

    def find_by_alias(self, alias: str) -> list[Link]:
        """All interfaces whose ifalias is exactly ``alias``."""
        ...

    def create_veth(self, spec: VethSpec) -> None:
        """Make the pair: alias and ``mtu`` on both ends, ``mac`` and ``tx_checksum`` on the container's, host's end up.

        Before that, and for as long as they are in this namespace, the host has no IP of its own on them (``routed``:
        the host's end keeps it).

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

    def wait_connected(self, name: str) -> None:
        """Until ovs-vswitchd has connected the interface that was plugged, so that packets can pass.

        Raises :class:`~kuryr_libnetwork.errors.SwitchSilent`.
        """
        ...

    def unconnected(self) -> list[str]:
        """The names of our interfaces that ovs-vswitchd has not connected."""
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

    def add_route(self, sandbox: str, route: SandboxRoute) -> None:
        """Raises :class:`~kuryr_libnetwork.errors.LinkExists` if there is one to that destination with that metric."""
        ...

    def remove_route(self, sandbox: str, route: SandboxRoute) -> None:
        """Succeeds where there is none."""
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
