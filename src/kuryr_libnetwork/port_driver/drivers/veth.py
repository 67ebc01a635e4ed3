# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port driver ``veth``: ordinary ports (``binding:vnic_type`` normal) that ML2/OVN or ML2/OVS has bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kuryr_libnetwork.binding.veth import VethBinding
from kuryr_libnetwork.errors import LinkExists, UnsupportedVif
from kuryr_libnetwork.interfaces import Links, Ovs
from kuryr_libnetwork.model import BindingRequest, Link, PlugRecord, Port, Whereabouts
from kuryr_libnetwork.rules import names

DEFAULT_BRIDGE = "br-int"
SUPPORTED = "ovs"
USER_SPACE = "netdev"
"""Open vSwitch's ``datapath_type`` without the kernel module (DPDK, small machines)."""


class VethDriver:
    """Implements :class:`~kuryr_libnetwork.interfaces.PortDriver`."""

    name = "veth"
    vnic_types = frozenset({"normal"})
    bindings = frozenset({VethBinding.name})

    def __init__(self, links: Links, ovs: Ovs) -> None:
        self._links = links
        self._ovs = ovs
        self._binding = VethBinding(links, ovs)

    def reserve(self, request: BindingRequest) -> Mapping[str, Any]:  # noqa: ARG002 - other drivers need it
        return {}  # an interface of software needs no device

    def abandon(self, port_id: str) -> None:
        """Nothing was taken."""

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:  # noqa: ARG002 - other drivers need it
        if port.vif_type != SUPPORTED:
            raise UnsupportedVif(
                f"port {port.id} has binding:vif_type {port.vif_type}; the veth port driver supports {SUPPORTED} only"
            )
        if port.vif_details.get("ovs_hybrid_plug"):
            raise UnsupportedVif(
                f"port {port.id} wants a hybrid plug (a Linux bridge for iptables between port and Open vSwitch), "
                f"which is not supported; set firewall_driver = openvswitch for the Open vSwitch agent of this host"
            )
        return self._record(port, *self._free_names(port.id))

    def recover(self, port: Port) -> PlugRecord:
        """By alias, else upstream's names. Only the container's end has the port's MAC."""
        ends = self._links.find_by_alias(names.alias(port.id))
        host = [link.name for link in ends if not _is_container_end(link, port)]
        container = [link.name for link in ends if _is_container_end(link, port)]
        return self._record(
            port, next(iter(host), names.host_name(port.id)), next(iter(container), names.container_name(port.id))
        )

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        """On the user-space datapath nobody finishes a checksum that the container's kernel left open: TCP would hang."""
        user_space = port.vif_details.get("datapath_type") == USER_SPACE
        self._binding.plug(plug, endpoint_id, port.mac_address.lower(), mtu, tx_checksum=not user_space)

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:  # noqa: ARG002 - a pair is deleted by its end here
        self._binding.unplug(plug)

    def where(self, plug: PlugRecord) -> Whereabouts:
        return self._binding.where(plug)

    def strays(self) -> list[PlugRecord]:
        """Open vSwitch keeps its rows over a reboot, and a server that hung may add one later than it was asked to."""
        return [
            PlugRecord(
                driver=self.name,
                binding=VethBinding.name,
                port_id=row.port_id,
                vif_type=SUPPORTED,
                host_ifname=row.name,
                container_ifname=names.container_name(row.port_id),
                bridge=row.bridge,
            )
            for row in self._ovs.owned()
            if self._links.get(row.name) is None
        ]

    def _record(self, port: Port, host_name: str, container_name: str) -> PlugRecord:
        return PlugRecord(
            driver=self.name,
            binding=VethBinding.name,
            port_id=port.id,
            vif_type=port.vif_type,
            host_ifname=host_name,
            container_ifname=container_name,
            bridge=port.vif_details.get("bridge_name") or DEFAULT_BRIDGE,
        )

    def _free_names(self, port_id: str) -> tuple[str, str]:
        """Upstream's names, or with a character more when somebody else's interface has one of them."""
        for alternative in range(names.MAX_ALTERNATIVES + 1):
            pair = names.host_name(port_id, alternative), names.container_name(port_id, alternative)
            if all(self._is_free(name, port_id) for name in pair):
                return pair
        raise LinkExists(f"every interface name for port {port_id} is taken, from {names.host_name(port_id)} on")

    def _is_free(self, name: str, port_id: str) -> bool:
        link = self._links.get(name)
        return link is None or link.alias == names.alias(port_id)


def _is_container_end(link: Link, port: Port) -> bool:
    return link.mac == port.mac_address.lower()
