# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port driver ``nested``: containers on the network of the virtual machine that this service runs in.

The container's Neutron port reserves its address and stays unbound: no frames pass through it. They all pass through
the machine's port, which gets the container's address and MAC as one of its ``allowed_address_pairs``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from kuryr_libnetwork.binding.child import ChildBinding
from kuryr_libnetwork.errors import InvalidOption, NeutronChanged, NeutronRefused
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.links import BindingRequest, BoundBy, Link
from kuryr_libnetwork.model.neutron import AddressPair, Port
from kuryr_libnetwork.model.observed import Repaired, ignore
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.rules import nested as rules
from kuryr_libnetwork.undo import Undo, take_all

LOG = logging.getLogger(__name__)
ATTEMPTS = 10
"""How often to try again because somebody else changed the machine's port at the same time."""


class NestedDriver:
    """Implements :class:`~kuryr_libnetwork.interfaces.drivers.PortDriver`. Neutron calls of plug and unplug: 2."""

    name = "nested"
    vnic_types = frozenset({"normal"})
    bindings = frozenset[str]({"macvlan", "ipvlan"})
    bound_by: BoundBy = "nobody"

    def __init__(self, neutron: Neutron, machine: Machine, binding: ChildBinding, repaired: Repaired = ignore) -> None:
        self._repaired = repaired
        self._neutron = neutron
        self._machine = machine
        self._binding = binding

    def home_network(self) -> str:
        return self._machine.port(self._machine.interface()).network_id

    def reserve(self, request: BindingRequest) -> Mapping[str, Any]:
        if request.mac_address and self._binding.keeps_mac:
            allowed = "an ipvlan interface has the MAC of its virtual machine; leave it out, or use the binding macvlan"
            raise InvalidOption("--mac-address", request.mac_address, allowed)
        return {}

    def unreserve(self, port_id: str) -> None:
        """Nothing was taken."""

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:  # noqa: ARG002 - other drivers need it
        parent = self._machine.interface(usable=True)
        mac = parent.mac if self._binding.keeps_mac else port.mac_address
        return self._record(port.id, self._binding.free_name(port.id), parent, rules.pairs_of(port, mac))

    def recover(self, port: Port) -> PlugRecord:
        """Covers the MAC of the port and of the machine, as it is no longer known which binding was used."""
        parent = self._machine.interface()
        pairs = (*rules.pairs_of(port, port.mac_address), *rules.pairs_of(port, parent.mac))
        return self._record(port.id, self._binding.free_name(port.id), parent, pairs)

    def _record(self, port_id: str, name: str, parent: Link, pairs: tuple[AddressPair, ...]) -> PlugRecord:
        return PlugRecord(
            driver=self.name,
            binding=self._binding.name,
            port_id=port_id,
            vif_type="unbound",
            host_ifname="",
            container_ifname=name,
            parent=parent.name,
            parent_mac=parent.mac,
            pairs=pairs,
            keeps_mac=self._binding.keeps_mac,
        )

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:  # noqa: ARG002 - as above
        def allowed(parent: Port) -> list[AddressPair]:
            rules.check_network(port, parent)
            rules.check_backend(parent, own_mac=not plug.keeps_mac)
            return rules.with_pairs(parent.allowed_address_pairs, plug.pairs)

        self._change(plug, allowed)
        with Undo() as undo:
            undo.add(f"remove the address pairs of port {plug.port_id}", lambda: self._forbid(plug))
            self._binding.plug(plug, port.mac_address.lower(), mtu)

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:  # noqa: ARG002 - it dies with its namespace
        """Removes the interface even if Neutron cannot be reached, and then raises that error."""
        take_all(
            {
                f"remove the interface of port {plug.port_id}": lambda: self._binding.unplug(plug),
                f"remove the address pairs of port {plug.port_id}": lambda: self._forbid(plug),
            }
        )

    def _forbid(self, plug: PlugRecord) -> None:
        if plug.pairs:
            self._change(plug, lambda parent: rules.without_pairs(parent.allowed_address_pairs, plug.pairs))

    def _change(self, plug: PlugRecord, change: Callable[[Port], list[AddressPair]]) -> None:
        with self._machine.alone():
            for attempt in range(1, ATTEMPTS + 1):
                parent = self._machine.port(Link(index=0, name=plug.parent, mac=plug.parent_mac))
                try:
                    self._write(parent, change(parent))
                except NeutronChanged:
                    if attempt == ATTEMPTS:
                        raise
                else:
                    return

    def repair(self, in_use: Callable[[], list[PlugRecord]]) -> None:
        """Add missing pairs: an operator replaced the list, or Neutron accepted two changes at once and lost one."""
        with self._machine.alone():
            plugs = in_use()
            if not plugs:
                return
            link = self._machine.interface()
            parent = self._machine.port(link)
            wanted = [pair for plug in plugs if plug.parent_mac == link.mac for pair in plug.pairs]
            pairs = rules.with_pairs(parent.allowed_address_pairs, wanted)
            missing = len(pairs) - len(parent.allowed_address_pairs)
            if missing and parent.port_security_enabled:
                LOG.warning("port %s lacked %d address pairs of running containers", parent.id, missing)
            self._write(parent, pairs)
            if missing and parent.port_security_enabled:
                self._repaired("address-pairs")

    def _write(self, parent: Port, pairs: list[AddressPair]) -> None:
        """Does nothing if nothing differs, or if the port may use any address."""
        if pairs == list(parent.allowed_address_pairs) or not parent.port_security_enabled:
            return
        try:
            self._neutron.update_port(parent.id, rules.as_attributes(pairs), parent.revision_number or None)
        except NeutronRefused as error:
            raise rules.explained(error) from error

    def where(self, plug: PlugRecord) -> Whereabouts:
        return self._binding.where(plug)

    def strays(self) -> list[PlugRecord]:
        """Interfaces that no container got. Leftover pairs are found by their containers' ports, which outlive them."""
        nowhere = Link(index=0, name="")
        return [self._record(port_id, name, nowhere, ()) for name, port_id in self._binding.on_host()]
