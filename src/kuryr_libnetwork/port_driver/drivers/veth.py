# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port driver ``veth``: ordinary ports (``binding:vnic_type`` normal), whichever Neutron backend binds them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from kuryr_libnetwork.binding.seen_links import seen
from kuryr_libnetwork.binding.veth import VethBinding
from kuryr_libnetwork.errors import LinkExists, SwitchSilent, UnsupportedVif
from kuryr_libnetwork.interfaces.host import Links, Ovs, Scripts
from kuryr_libnetwork.model.links import BindingRequest, BoundBy, Link, OvsInterface, SwitchView
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import Attachment, PlugRecord, Whereabouts
from kuryr_libnetwork.rules import names, vifs

DEFAULT_BRIDGE = "br-int"
KNOWN_BY_NAME: frozenset[Attachment] = frozenset({"hybrid", "bridge"})
"""Where Neutron's agent finds the port by the name of the host's end, for its firewall."""
IN_OPEN_VSWITCH: frozenset[Attachment] = frozenset({"ovs", "hybrid"})
USER_SPACE = "netdev"
"""Open vSwitch's ``datapath_type`` for the user-space datapath (DPDK, or no kernel module)."""


class VethDriver:
    """Implements :class:`~kuryr_libnetwork.interfaces.drivers.PortDriver`."""

    name = "veth"
    vnic_types = frozenset({"normal"})
    bindings = frozenset({VethBinding.name})
    bound_by: BoundBy = "host"

    def __init__(self, links: Links, ovs: Ovs, scripts: Scripts, script_vif_types: Collection[str] = ()) -> None:
        self._links = links
        self._ovs = ovs
        self._scripts = scripts
        self._script_vif_types = script_vif_types
        self._binding = VethBinding(links, ovs, scripts)

    def home_network(self) -> str:
        return ""

    def reserve(self, request: BindingRequest) -> Mapping[str, Any]:  # noqa: ARG002 - other drivers need it
        return {}  # an interface of software needs no device

    def unreserve(self, port_id: str) -> None:
        """Nothing was taken."""

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:
        attachment = self._attachment(port)
        return self._record(port, attachment, endpoint_id, *self._free_names(port.id, attachment))

    def recover(self, port: Port) -> PlugRecord:
        """Finds the pair by alias, else by upstream's names. Only the container's end has the port's MAC.

        For a port that is no longer bound, the interfaces on this host show how it was attached.
        """
        ends = seen(self._links).find_by_alias(names.alias(port.id))
        host = [link.name for link in ends if not _is_container_end(link, port)]
        container = [link.name for link in ends if _is_container_end(link, port)]
        return self._record(
            port,
            self._former_attachment(port),
            port.device_id,
            next(iter(host), names.host_name(port.id)),
            next(iter(container), names.container_name(port.id)),
        )

    def _attachment(self, port: Port) -> Attachment:
        has_script = bool(self._scripts.get(port.vif_type))
        return vifs.attachment_of(port, self._script_vif_types, has_script=has_script)

    def _former_attachment(self, port: Port) -> Attachment:
        if seen(self._links).get(names.hybrid_names(port.id).bridge) is not None:
            return "hybrid"
        try:
            return self._attachment(port)
        except UnsupportedVif:
            return "ovs"

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        """Turns checksum offload off for the user-space datapath, which does not complete checksums: TCP would hang."""
        user_space = port.vif_details.get("datapath_type") == USER_SPACE
        self._binding.plug(plug, port, endpoint_id, mtu, tx_checksum=not user_space)

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:  # noqa: ARG002 - a pair is deleted by its end here
        self._binding.unplug(plug)

    def where(self, plug: PlugRecord) -> Whereabouts:
        return self._binding.where(plug)

    def seen(self, plug: PlugRecord) -> SwitchView | None:
        if plug.attachment not in IN_OPEN_VSWITCH:
            return None
        return self._ovs.seen(_row_name(plug)) or SwitchView(port_id="")

    def repair(self, in_use: Callable[[], list[PlugRecord]]) -> None:
        """Keep the host away from their networks. That Open vSwitch has not connected one is not ours to mend."""
        plugs = in_use()
        self._binding.silence(plugs)
        ours = {_row_name(plug) for plug in plugs if plug.attachment in IN_OPEN_VSWITCH}
        lost = [name for name in self._ovs.unconnected() if name in ours] if ours else []
        if lost:
            raise SwitchSilent(
                f"ovs-vswitchd has not connected {', '.join(lost)} of containers that run, so they have no network; "
                "look whether ovs-vswitchd is at work"
            )

    def strays(self) -> list[PlugRecord]:
        """Open vSwitch keeps its rows over a reboot, and a server that hung may add one later than it was asked to."""
        links = seen(self._links)
        return [self._stray(row) for row in self._ovs.owned() if links.get(row.name) is None]

    def _stray(self, row: OvsInterface) -> PlugRecord:
        hybrid = row.name == names.hybrid_names(row.port_id).outer
        return PlugRecord(
            driver=self.name,
            binding=VethBinding.name,
            port_id=row.port_id,
            vif_type="ovs",
            host_ifname=names.host_name(row.port_id) if hybrid else row.name,
            container_ifname=names.container_name(row.port_id),
            bridge=row.bridge,
            attachment="hybrid" if hybrid else "ovs",
        )

    def _record(
        self, port: Port, attachment: Attachment, endpoint_id: str, host_name: str, container_name: str
    ) -> PlugRecord:
        in_ovs = vifs.bridge_of(port, DEFAULT_BRIDGE)
        script = attachment == "script"
        return PlugRecord(
            driver=self.name,
            binding=VethBinding.name,
            port_id=port.id,
            vif_type=port.vif_type,
            host_ifname=host_name,
            container_ifname=container_name,
            bridge=names.network_bridge(port.network_id) if attachment == "bridge" else in_ovs,
            attachment=attachment,
            unbind=vifs.unbind_arguments(port, host_name, endpoint_id) if script else (),
        )

    def _free_names(self, port_id: str, attachment: Attachment) -> tuple[str, str]:
        """Upstream's names, or with a character appended if somebody else's interface has one of them."""
        for pair in names.name_pairs(port_id):
            if all(self._is_free(name, port_id) for name in pair):
                return pair
            if attachment in KNOWN_BY_NAME:
                raise LinkExists(
                    f"interface {pair[0]} or {pair[1]} is somebody else's; Neutron's agent knows port {port_id} by "
                    "that name"
                )
        raise LinkExists(f"every interface name for port {port_id} is taken, from {names.host_name(port_id)} on")

    def _is_free(self, name: str, port_id: str) -> bool:
        link = self._links.get(name)
        return link is None or link.alias == names.alias(port_id)


def _row_name(plug: PlugRecord) -> str:
    """The interface of a port that is in Open vSwitch."""
    return names.hybrid_names(plug.port_id).outer if plug.attachment == "hybrid" else plug.host_ifname


def _is_container_end(link: Link, port: Port) -> bool:
    return link.mac == port.mac_address.lower()
