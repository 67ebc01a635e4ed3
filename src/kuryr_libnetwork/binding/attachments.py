# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How the host's end of a veth pair is attached. One class per kind; :mod:`.rules.vifs` decides which is used.

``prepare`` is called before a pair is made, ``attach`` undoes no more than what it did in Open vSwitch, ``detach`` is
called while the pair is still
there, ``clear`` after it has gone; all of them may be repeated.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from functools import partial
from typing import Protocol

from kuryr_libnetwork.errors import BindingScriptFailed, LinkExists
from kuryr_libnetwork.interfaces.host import Links, Ovs, Scripts
from kuryr_libnetwork.model.links import OvsInterface, VethSpec
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import Attachment, PlugRecord
from kuryr_libnetwork.rules import names, vifs
from kuryr_libnetwork.undo import Undo

LOG = logging.getLogger(__name__)


class Attach(Protocol):
    def prepare(self, plug: PlugRecord, port: Port) -> None: ...
    def attach(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None: ...
    def detach(self, plug: PlugRecord) -> None: ...
    def clear(self, plug: PlugRecord) -> None: ...


def attachments(links: Links, ovs: Ovs, scripts: Scripts) -> dict[Attachment, Attach]:
    return {
        "ovs": OvsPort(ovs),
        "hybrid": HybridBridge(links, ovs),
        "bridge": NetworkBridge(links),
        "none": Nowhere(),
        "script": OperatorsScript(links, scripts),
    }


class OvsPort:
    """The host's end is a port of a bridge of Open vSwitch."""

    def __init__(self, ovs: Ovs) -> None:
        self._ovs = ovs

    def prepare(self, plug: PlugRecord, port: Port) -> None:
        _forget_vlan(self._ovs, plug, port)

    def attach(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:  # noqa: ARG002
        _connect(self._ovs, _row(plug.host_ifname, plug, port, endpoint_id))

    def detach(self, plug: PlugRecord) -> None:
        self._ovs.unplug(plug.port_id)

    def clear(self, plug: PlugRecord) -> None:
        """Nothing is left."""


class HybridBridge:
    """A Linux bridge between the host's end and Open vSwitch, where the agent's iptables rules apply.

    ``tap`` and ``qvb`` are in the bridge ``qbr``; ``qvo``, the other end of ``qvb``, is in Open vSwitch. Neutron's
    agent and upstream's script derive the same names from the port (docs/notes/upstream.md, "Interfaces on the host").
    """

    def __init__(self, links: Links, ovs: Ovs) -> None:
        self._links = links
        self._ovs = ovs

    def prepare(self, plug: PlugRecord, port: Port) -> None:
        """Not the pair itself but ``qvo`` goes into Open vSwitch."""

    def attach(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        bridge, inner, outer = names.hybrid_names(plug.port_id)
        alias = names.part_alias(plug.port_id)
        if not self._is_complete(plug.port_id, mtu):
            self.clear(plug)
            _forget_vlan(self._ovs, plug, port)
            self._links.create_bridge(bridge, alias)
            self._links.create_veth(VethSpec(host_name=outer, container_name=inner, mac="", mtu=mtu, alias=alias))
        for name in (plug.host_ifname, inner):
            self._links.add_to_bridge(name, bridge)
        _connect(self._ovs, _row(outer, plug, port, endpoint_id))

    def _is_complete(self, port_id: str, mtu: int) -> bool:
        bridge, *ends = (self._links.get(name) for name in names.hybrid_names(port_id))
        mine = all(link and link.alias == names.part_alias(port_id) for link in (bridge, *ends))
        return mine and all(link and link.mtu == mtu for link in ends)

    def detach(self, plug: PlugRecord) -> None:
        self._ovs.unplug(plug.port_id)

    def clear(self, plug: PlugRecord) -> None:
        """Upstream's links have no alias: those with exactly these names are removed."""
        bridge, inner, outer = names.hybrid_names(plug.port_id)
        for name, kind in ((outer, "veth"), (inner, "veth"), (bridge, "bridge")):
            link = self._links.get(name)
            if link and (link.alias == names.part_alias(plug.port_id) or (not link.alias and link.kind == kind)):
                self._links.delete(name)


class NetworkBridge:
    """The host's end is in the bridge of its Neutron network, together with what the Linux bridge agent put there.

    The lock keeps a new container from joining a bridge that the last container's removal is about to delete.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._lock = threading.Lock()

    def prepare(self, plug: PlugRecord, port: Port) -> None:
        """A Linux bridge keeps nothing of a former interface."""

    def attach(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:  # noqa: ARG002
        with self._lock:
            if self._links.get(plug.bridge) is None:
                with contextlib.suppress(LinkExists):  # the agent has created it meanwhile
                    self._links.create_bridge(plug.bridge, names.bridge_alias(plug.bridge))
            self._links.add_to_bridge(plug.host_ifname, plug.bridge)

    def detach(self, plug: PlugRecord) -> None:
        """Deleting the host's end takes it out of the bridge."""

    def clear(self, plug: PlugRecord) -> None:
        """Deletes the bridge if it is empty and the service created it; the agent's bridge is left alone."""
        with self._lock:
            bridge = self._links.get(plug.bridge)
            if bridge and bridge.alias == names.bridge_alias(plug.bridge) and not self._links.members(plug.bridge):
                self._links.delete(plug.bridge)


class Nowhere:
    """The host's end is in no bridge: the host routes to it, and an agent of the cloud sets that up."""

    def prepare(self, plug: PlugRecord, port: Port) -> None:
        """The pair is all there is."""

    def attach(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        """The pair is all there is."""

    def detach(self, plug: PlugRecord) -> None:
        """Nothing was done."""

    def clear(self, plug: PlugRecord) -> None:
        """Nothing was done."""


class OperatorsScript:
    """The operator's executable attaches and detaches the interface."""

    def __init__(self, links: Links, scripts: Scripts) -> None:
        self._links = links
        self._scripts = scripts

    def prepare(self, plug: PlugRecord, port: Port) -> None:
        """Nothing: former state is the script's own business."""

    def attach(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:  # noqa: ARG002
        self._scripts.run(plug.vif_type, vifs.bind_arguments(port, plug.host_ifname, endpoint_id))

    def detach(self, plug: PlugRecord) -> None:
        """A failure is an error, and is tried again, only while the interface still exists."""
        if not self._scripts.get(plug.vif_type):
            LOG.warning("interface %s was not detached: %s is no longer in bindir", plug.host_ifname, plug.vif_type)
            return
        try:
            self._scripts.run(plug.vif_type, plug.unbind)
        except BindingScriptFailed as error:
            if self._links.get(plug.host_ifname) is not None:
                raise
            LOG.warning("interface %s is gone, but was not detached: %s", plug.host_ifname, error)

    def clear(self, plug: PlugRecord) -> None:
        """The script has done it."""


def _forget_vlan(ovs: Ovs, plug: PlugRecord, port: Port) -> None:
    """Open vSwitch keeps rows over a reboot, and would attach a new interface of that name with the old VLAN."""
    if vifs.starts_isolated(port, plug.bridge):
        ovs.unplug(plug.port_id)


def _connect(ovs: Ovs, row: OvsInterface) -> None:
    """A container whose interface is in the database alone would start without network."""
    ovs.plug(row)
    with Undo() as undo:
        undo.add(f"take interface {row.name} out of Open vSwitch", partial(ovs.unplug, row.port_id))
        ovs.wait_connected(row.name)


def _row(name: str, plug: PlugRecord, port: Port, endpoint_id: str) -> OvsInterface:
    return OvsInterface(
        name=name,
        bridge=plug.bridge,
        port_id=plug.port_id,
        endpoint_id=endpoint_id,
        mac=port.mac_address.lower(),
        isolated=vifs.starts_isolated(port, plug.bridge),
    )
