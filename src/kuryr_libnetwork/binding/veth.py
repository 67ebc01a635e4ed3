# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``veth``: a pair of interfaces, whose host end is attached to the port's network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from kuryr_libnetwork.binding.attachments import attachments
from kuryr_libnetwork.binding.seen_links import SeenLinks, seen
from kuryr_libnetwork.interfaces.host import Links, Ovs, Scripts
from kuryr_libnetwork.model.links import Link, VethSpec
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts
from kuryr_libnetwork.rules import names
from kuryr_libnetwork.rules.host_ip import is_silent
from kuryr_libnetwork.undo import Step, Undo, take_all


class VethBinding:
    """Our links are recognised by their alias; of links without one only upstream's exact names are removed."""

    name = "veth"

    def __init__(self, links: Links, ovs: Ovs, scripts: Scripts) -> None:
        self._links = links
        self._attachments = attachments(links, ovs, scripts)

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int, *, tx_checksum: bool = True) -> None:
        """Undoes what this call made before it raises; what an earlier call made stays."""
        spec = VethSpec(
            host_name=plug.host_ifname,
            container_name=plug.container_ifname,
            mac=port.mac_address.lower(),
            mtu=mtu,
            alias=names.alias(plug.port_id),
            tx_checksum=tx_checksum,
            routed=plug.attachment == "none",
        )
        attachment = self._attachments[plug.attachment]
        made = not self._is_there(spec)
        if made:
            attachment.prepare(plug, port)
            self._make(spec)
        with Undo() as undo:
            if made:
                undo.add(f"clear up for port {plug.port_id}", partial(attachment.clear, plug))
                undo.add(f"delete interface {plug.host_ifname}", partial(self._links.delete, plug.host_ifname))
            attachment.attach(plug, port, endpoint_id, mtu)

    def _is_there(self, spec: VethSpec) -> bool:
        host, container = self._links.get(spec.host_name), self._links.get(spec.container_name)
        return host is not None and container is not None and _as_wanted(host, container, spec)

    def _make(self, spec: VethSpec) -> None:
        """Creates the pair; a leftover of ours is replaced."""
        for name in (spec.host_name, spec.container_name):
            link = self._links.get(name)
            if link and link.alias == spec.alias:
                self._links.delete(link.name)
        self._links.create_veth(spec)

    def unplug(self, plug: PlugRecord) -> None:
        """Removes the interfaces even if Open vSwitch cannot be reached, and then raises that error.

        If the operator's script fails they are kept, because it needs them when it is tried again.
        """
        attachment = self._attachments[plug.attachment]
        steps: dict[str, Step] = {
            f"detach the interfaces of port {plug.port_id}": partial(attachment.detach, plug),
            f"remove the interfaces of port {plug.port_id}": partial(self._remove, plug),
            f"clear up for port {plug.port_id}": partial(attachment.clear, plug),
        }
        if plug.attachment == "script":
            for step in steps.values():
                step()
        else:
            take_all(steps)

    def _remove(self, plug: PlugRecord) -> None:
        """Deleting one end takes the other along, in whatever network namespace that is."""
        for link in _named(self._links, plug) or self._links.find_by_alias(names.alias(plug.port_id)):
            self._links.delete(link.name)

    def silence(self, plugs: Iterable[PlugRecord]) -> None:
        """Turn the host's IP off again: an earlier release left it on, or somebody enabled it on all interfaces."""
        ours = {name: aliases for plug in plugs for name, aliases in _on_host(plug).items()}
        for link in seen(self._links).all():
            if link.alias in ours.get(link.name, ()) and not is_silent(link.host_ip):
                self._links.silence(link.name)

    def where(self, plug: PlugRecord) -> Whereabouts:
        """Only the container's end ever leaves this namespace; it may come back under another name.

        The host's end shows where its peer is; all interfaces are listed only if the host's end was renamed.
        """
        links = seen(self._links)
        host = links.get(plug.host_ifname)
        if host and _removable(host, plug.port_id):
            return "container" if host.peer_away else "host"
        mine = {link.index: link for link in _named(links, plug)}
        mine |= {link.index: link for link in links.find_by_alias(names.alias(plug.port_id))}
        if not mine:
            return "gone"
        alone = len(mine) == 1 and plug.container_ifname not in {link.name for link in mine.values()}
        return "container" if alone else "host"


def _named(links: SeenLinks, plug: PlugRecord) -> list[Link]:
    found = [links.get(plug.host_ifname), links.get(plug.container_ifname)]
    return [link for link in found if link and _removable(link, plug.port_id)]


def _on_host(plug: PlugRecord) -> dict[str, tuple[str, ...]]:
    """The interfaces that stay on the host and must have no host IP, with the aliases that mark them as ours.

    Upstream's have no alias. If the host is the container's router, it keeps its IP there.
    """
    if plug.attachment == "none":
        return {}
    found: dict[str, tuple[str, ...]] = {plug.host_ifname: (names.alias(plug.port_id), "")}
    if plug.attachment == "hybrid":
        found |= dict.fromkeys(names.hybrid_names(plug.port_id), (names.part_alias(plug.port_id), ""))
    if plug.attachment == "bridge":
        found[plug.bridge] = (names.bridge_alias(plug.bridge),)
    return found


def _as_wanted(host: Link, container: Link, spec: VethSpec) -> bool:
    aliases = {host.alias, container.alias}
    mtus = {host.mtu, container.mtu}
    return aliases == {spec.alias} and mtus == {spec.mtu} and container.mac == spec.mac and host.up


def _removable(link: Link, port_id: str) -> bool:
    if link.alias:
        return link.alias == names.alias(port_id)
    return link.kind == "veth" and link.name in {names.host_name(port_id), names.container_name(port_id)}
