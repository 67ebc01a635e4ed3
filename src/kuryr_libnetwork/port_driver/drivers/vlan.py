# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port driver ``vlan``: containers in a virtual machine, on any network, each in a VLAN of the machine's trunk.

Neutron maps a VLAN of the machine's port to the container's port, and binds the container's port itself. Neutron's list
of the trunk's subports decides which VLANs are taken: if another host was faster, Neutron refuses, and we look again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kuryr_libnetwork.binding.child import ChildBinding
from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, ParentPortError
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.links import BindingRequest, BoundBy
from kuryr_libnetwork.model.neutron import Port, SubPort, TrunkDetails
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.rules import nested as rules
from kuryr_libnetwork.rules.identity import SUBPORT_OWNER, made_by_us, made_on
from kuryr_libnetwork.rules.ownership import OwnProject, memory_of
from kuryr_libnetwork.undo import Step, Undo, take_all

LOG = logging.getLogger(__name__)
ATTEMPTS = 10
"""How often to try again because somebody else took the chosen VLAN."""

Choose = Callable[[Sequence[int]], int]


class VlanDriver:
    """Implements :class:`~kuryr_libnetwork.interfaces.drivers.PortDriver`. Neutron calls: plan 1, plug 1, unplug 1."""

    name = "vlan"
    vnic_types = frozenset({"normal"})
    bindings = frozenset({"vlan"})
    bound_by: BoundBy = "trunk"

    def __init__(
        self, neutron: Neutron, machine: Machine, binding: ChildBinding, host: str, choose: Choose = secrets.choice
    ) -> None:
        self._neutron = neutron
        self._machine = machine
        self._binding = binding
        self._host = host
        self._choose = choose
        self._planned: dict[str, tuple[SubPort, ...]] = {}

    def home_network(self) -> str:
        return ""

    def reserve(self, request: BindingRequest) -> Mapping[str, Any]:  # noqa: ARG002 - other drivers need it
        return {}  # the trunk wants the port with its MAC, and without a device

    def unreserve(self, port_id: str) -> None:
        """Nothing was taken."""

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:  # noqa: ARG002 - other drivers need it
        parent = self._machine.interface(usable=True)
        trunk = self._trunk()
        self._planned[port.id] = trunk.sub_ports
        return self._record(port.id, trunk.trunk_id, parent.name, parent.mac)

    def recover(self, port: Port) -> PlugRecord:
        """Asks Neutron for the trunk only if the port is on one."""
        parent = self._machine.interface()
        on_trunk = port.device_owner == SUBPORT_OWNER
        return self._record(port.id, self._trunk().trunk_id if on_trunk else "", parent.name, parent.mac)

    def _trunk(self) -> TrunkDetails:
        link = self._machine.interface()
        port = self._machine.port(link)
        if port.trunk_details is None:
            raise ParentPortError(
                f"port {port.id} of this virtual machine (interface {link.name}) is not the parent of a trunk, which "
                f"the port driver vlan needs: openstack network trunk create --parent-port {port.id} NAME"
            )
        return port.trunk_details

    def _record(self, port_id: str, trunk_id: str, parent: str, parent_mac: str) -> PlugRecord:
        return PlugRecord(
            driver=self.name,
            binding=self._binding.name,
            port_id=port_id,
            vif_type="ovs",
            host_ifname="",
            container_ifname=self._binding.free_name(port_id),
            parent=parent,
            parent_mac=parent_mac,
            trunk_id=trunk_id,
        )

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:  # noqa: ARG002 - as above
        with self._machine.alone():
            vlan = self._put_on_trunk(plug)
        with Undo() as undo:
            undo.add(f"take port {plug.port_id} off its trunk", lambda: self._take_off_trunk(plug))
            self._binding.plug(plug, port.mac_address.lower(), mtu, vlan)

    def _put_on_trunk(self, plug: PlugRecord) -> int:
        """Answers the port's VLAN. Relies on what :meth:`plan` saw; asks Neutron again only after a refusal."""
        sub_ports = self._planned.pop(plug.port_id, ())
        for _ in range(ATTEMPTS):
            vlan = rules.vlan_of(sub_ports, plug.port_id)
            if vlan:
                return vlan
            vlan = self._free_vlan(plug.trunk_id, sub_ports)
            try:
                subport = SubPort(port_id=plug.port_id, segmentation_id=vlan)
                self._neutron.add_subport(plug.trunk_id, subport)
            except NeutronConflict:
                sub_ports = self._sub_ports(plug.trunk_id)
                if vlan in rules.free_vlans(sub_ports) and not rules.vlan_of(sub_ports, plug.port_id):
                    raise  # it is not about the VLAN
            else:
                return vlan
        raise NeutronConflict(
            f"trunk {plug.trunk_id} was changed by others {ATTEMPTS} times; start the container again"
        )

    def _free_vlan(self, trunk_id: str, sub_ports: Sequence[SubPort]) -> int:
        free = rules.free_vlans(sub_ports)
        if not free:
            raise NeutronConflict(f"trunk {trunk_id} has no free VLAN: all {len(sub_ports)} are in use")
        return self._choose(free)

    def _sub_ports(self, trunk_id: str) -> tuple[SubPort, ...]:
        found = self._neutron.find_trunks(id=trunk_id)
        return found[0].sub_ports if found else ()

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:  # noqa: ARG002 - it dies with its namespace
        """Removes the interface even if Neutron cannot be reached, and then raises that error."""
        self._planned.pop(plug.port_id, None)
        steps: dict[str, Step] = {f"remove the interface of port {plug.port_id}": lambda: self._binding.unplug(plug)}
        if plug.trunk_id:
            steps[f"take port {plug.port_id} off its trunk"] = lambda: self._take_off_trunk(plug)
        take_all(steps)

    def _take_off_trunk(self, plug: PlugRecord) -> None:
        try:
            self._neutron.remove_subport(plug.trunk_id, plug.port_id)
        except NeutronNotFound:
            LOG.info("port %s was no longer on a trunk", plug.port_id)

    def where(self, plug: PlugRecord) -> Whereabouts:
        return self._binding.where(plug)

    def repair(self, in_use: Callable[[], list[PlugRecord]]) -> None:
        """Does nothing: a port that somebody took off its trunk stays off."""

    def strays(self) -> list[PlugRecord]:
        """Our ports on the trunk without an interface in a container, as after a reboot, and interfaces on the host."""
        trunk = self._trunk()
        on_host = [port_id for _, port_id in self._binding.on_host()]
        on_trunk = [port_id for port_id in self._ours(trunk) if port_id not in on_host]
        plugs = [self._record(port_id, trunk.trunk_id, "", "") for port_id in [*on_host, *on_trunk]]
        return [plug for plug in plugs if self.where(plug) != "container"]

    def _ours(self, trunk: TrunkDetails) -> list[str]:
        """The ports on the trunk that kuryr on this host created or adopted."""
        if not trunk.sub_ports:
            return []
        found = self._neutron.find_ports(id=[each.port_id for each in trunk.sub_ports])
        project = OwnProject(id=self._neutron.project_id())
        return [port.id for port in found if _is_ours(port, project, self._host)]


def _is_ours(port: Port, project: OwnProject, host: str) -> bool:
    memory, own = memory_of(port), project.port(port)
    if memory is not None:
        return memory.host == host
    return own is not None and made_by_us(own) and made_on(own) == host
