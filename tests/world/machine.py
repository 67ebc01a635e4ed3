# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A host that is a virtual machine: its interface, the Neutron port behind it, and what others have changed there."""

from __future__ import annotations

from typing import Any, Literal

from kuryr_libnetwork.binding.child import ChildBinding
from kuryr_libnetwork.interfaces.drivers import PortDriver
from kuryr_libnetwork.interfaces.host import Links
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import Port, SubPort
from kuryr_libnetwork.port_driver.drivers.nested import NestedDriver
from kuryr_libnetwork.port_driver.drivers.vlan import VlanDriver
from kuryr_libnetwork.port_driver.machine import Machine
from tests.fakes.host import FakeLinks
from tests.fakes.neutron import FakeNeutron
from tests.world.rig import Rig

Inside = Literal["macvlan", "ipvlan", "vlan"]
IFACE = "ens3"
HYPERVISOR = "h1"
FOREIGN_PAIR = {"ip_address": "10.1.0.200", "mac_address": "00:00:5e:00:01:01"}
FOREIGN_VLAN = 1


class MachineRig(Rig):
    """``inside``: the kind of interface that containers have; ``None``: still the driver veth."""

    def __init__(self, inside: Inside | None, **cloud: Any) -> None:
        self.inside = inside
        super().__init__(**cloud)

    def default_driver(self) -> PortDriver:
        if self.inside is None:
            return super().default_driver()
        return port_driver(self.inside, self.neutron, self.links, self.host)


def port_driver(inside: Inside, neutron: Neutron, links: Links, host: str) -> PortDriver:
    machine = Machine(links, neutron, IFACE, longest_wait=5)
    if inside == "vlan":
        return VlanDriver(neutron, machine, ChildBinding(links, "vlan"), host, choose=min)
    return NestedDriver(neutron, machine, ChildBinding(links, inside))


def seed_port(neutron: FakeNeutron, links: FakeLinks, network_id: str) -> Port:
    """The machine's port, with an address pair that somebody else added. With other MACs it is ML2/OVS's."""
    owner = {"device_owner": "compute:nova", "device_id": "vm", "binding:host_id": HYPERVISOR}
    port = neutron.seed_port(network_id, name="vm", allowed_address_pairs=[FOREIGN_PAIR], **owner)
    if not neutron.store.vrrp_pairs_only:
        neutron.change_port(port.id, **{"binding:vif_details": {"bound_drivers": {"0": "openvswitch"}}})
    links.add(IFACE, mac=port.mac_address, mtu=1500, up=True)
    return neutron.change_port(port.id)


def seed_trunk(neutron: FakeNeutron, parent: Port) -> Trunk:
    """The machine's trunk, with somebody else's port on it."""
    trunk = neutron.seed_trunk(parent.id)
    other = neutron.seed_port(neutron.seed_network(name="other").id, name="not-ours")
    neutron.add_subport(trunk.id, SubPort(port_id=other.id, segmentation_id=FOREIGN_VLAN))
    return neutron.trunk(trunk.id)
