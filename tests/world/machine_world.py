# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A virtual machine with containers, and checks of what must exist or be gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import AddressPair, Port
from tests.world import machine
from tests.world.dockerside import Container, DockerNetwork
from tests.world.machine import FOREIGN_PAIR, IFACE, Inside, MachineRig
from tests.world.rig import DirectDocker

CIDR = "10.1.0.0/24"
FOREIGN = AddressPair(**FOREIGN_PAIR)


class World:
    """A virtual machine on a tenant's network, and Docker in it."""

    def __init__(self, inside: Inside, **cloud: Any) -> None:
        self.rig = MachineRig(inside, **{"vrrp_pairs_only": inside != "macvlan", **cloud})
        neutron = self.rig.neutron
        self.home = neutron.seed_network(name="vms")
        neutron.seed_subnet(self.home.id, CIDR)
        self.vm = machine.seed_port(neutron, self.rig.links, self.home.id)
        if inside == "vlan":
            machine.seed_trunk(neutron, self.vm)
        neutron.extensions()
        self.docker = DirectDocker(self.rig)

    @contextmanager
    def at_most(self, budget: int) -> Iterator[None]:
        before = len(self.rig.neutron.calls)
        yield
        made = [name for name, *_ in self.rig.neutron.calls[before:]]
        assert len(made) <= budget, made

    def network(self, **options: str) -> DockerNetwork:
        given = {f"neutron.net.{key}": value for key, value in options.items()}
        return self.docker.network_create(CIDR if not options else "10.5.0.0/24", options=given)

    def pairs(self) -> set[AddressPair]:
        port = self.rig.neutron.port(self.vm.id)
        assert port is not None
        return set(port.allowed_address_pairs)

    def trunk(self) -> Trunk:
        (found,) = self.rig.neutron.store.all("trunks")
        return self.rig.neutron.trunk(found["id"])

    def vlans(self) -> list[int]:
        return [each.segmentation_id for each in self.trunk().sub_ports]

    def port_of(self, box: Container) -> Port:
        (port,) = [each for each in self.rig.neutron.user_ports() if each.device_id == box.endpoint_id]
        return port

    def reboot(self) -> None:
        """Reboot: all interfaces but the machine's own are gone; Docker and the service start again."""
        kept = self.rig.links.get(IFACE)
        assert kept is not None
        self.rig.links.forget_all()
        self.rig.links.add(IFACE, mac=kept.mac, mtu=kept.mtu, up=True)
