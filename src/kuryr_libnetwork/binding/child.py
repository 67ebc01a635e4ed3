# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The bindings ``macvlan``, ``ipvlan`` and ``vlan``: the container's interface is a child of the machine's own.

It disappears with the container's namespace, and on reboot. Ours are recognised by their alias in any namespace.
"""

from __future__ import annotations

from typing import NamedTuple

from kuryr_libnetwork.binding.seen_links import aliases_elsewhere, seen
from kuryr_libnetwork.errors import LinkError, LinkExists
from kuryr_libnetwork.interfaces.host import Links
from kuryr_libnetwork.model.links import ChildKind, ChildSpec, Link
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts
from kuryr_libnetwork.rules import names


class _Traits(NamedTuple):
    keeps_mac: bool
    """Whether the interface always has its parent's MAC."""


KINDS: dict[ChildKind, _Traits] = {
    "macvlan": _Traits(keeps_mac=False),  # containers of one machine reach each other (mode bridge)
    "ipvlan": _Traits(keeps_mac=True),  # mode L2
    "vlan": _Traits(keeps_mac=False),  # frames leave tagged through the machine's interface
}


class ChildBinding:
    def __init__(self, links: Links, kind: ChildKind) -> None:
        self._links = links
        self.name = kind
        self.keeps_mac = KINDS[kind].keeps_mac

    def free_name(self, port_id: str) -> str:
        """Upstream's name, or one with a character appended if somebody else's interface has it."""
        for _, name in names.name_pairs(port_id):
            link = self._links.get(name)
            if link is None or link.alias == names.alias(port_id):
                return name
        raise LinkExists(f"every interface name for port {port_id} is taken, from {names.container_name(port_id)} on")

    def plug(self, plug: PlugRecord, mac: str, mtu: int, vlan: int = 0) -> None:
        """Creates the interface, unless it exists as wanted already. A leftover of ours is replaced."""
        parent = self._links.get(plug.parent)
        if parent is not None and parent.mtu < mtu:
            raise LinkError(f"interface {plug.parent} has MTU {parent.mtu}, and the container's network {mtu}")
        spec = ChildSpec(
            kind=self.name,
            name=plug.container_ifname,
            parent=plug.parent,
            mac="" if self.keeps_mac else mac,
            mtu=mtu,
            alias=names.alias(plug.port_id),
            vlan=vlan,
        )
        for link in self._here(plug.port_id):
            if vlan == 0 and link.name == spec.name and link.mtu == mtu and link.mac == (spec.mac or link.mac):
                return
            self._links.delete(link.name)
        self._links.create_child(spec)

    def unplug(self, plug: PlugRecord) -> None:
        for link in self._here(plug.port_id):
            self._links.delete(link.name)

    def where(self, plug: PlugRecord) -> Whereabouts:
        if self._here(plug.port_id):
            return "host"
        return "container" if names.alias(plug.port_id) in aliases_elsewhere(self._links) else "gone"

    def on_host(self) -> list[tuple[str, str]]:
        """Name and port id of every interface of ours of this kind that is on the host, in no container."""
        found = [
            (link.name, names.port_of_alias(link.alias)) for link in seen(self._links).all() if link.kind == self.name
        ]
        return [(name, port_id) for name, port_id in found if port_id]

    def _here(self, port_id: str) -> list[Link]:
        return [link for link in seen(self._links).find_by_alias(names.alias(port_id)) if link.kind == self.name]
