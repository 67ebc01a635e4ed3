# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A user of a cloud, fake or real, who leaves nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network, Port, SecurityGroup, Subnet, SubnetPool

NOWHERE = "00000000-0000-4000-8000-000000000000"


class Tenant:
    """Creates resources with unique names, and removes them."""

    def __init__(self, neutron: Neutron) -> None:
        self.neutron = neutron
        self.name = f"contract-{uuid.uuid4()}"
        self._networks: list[Network] = []
        self._pools: list[SubnetPool] = []

    def network(self, **attributes: Any) -> Network:
        network = self.neutron.create_network({"name": self.name, **attributes})
        self._networks.append(network)
        return network

    def pool(self, *prefixes: str, **attributes: Any) -> SubnetPool:
        pool = self.neutron.create_subnetpool({"name": self.name, "prefixes": list(prefixes), **attributes})
        self._pools.append(pool)
        return pool

    def group(self, **attributes: Any) -> SecurityGroup:
        return self.neutron.create_security_group({"name": self.name, **attributes})

    def subnet(self, network: Network, cidr: str | None = None, **attributes: Any) -> Subnet:
        version = 6 if cidr and ":" in cidr else 4
        wanted = {"network_id": network.id, "ip_version": version, **({"cidr": cidr} if cidr else {})}
        return self.neutron.create_subnet(wanted | attributes)

    def port(self, network: Network, tags: Iterable[str] = (), **attributes: Any) -> Port:
        return self.neutron.create_port({"network_id": network.id, **attributes}, tags)

    def bound(self, network: Network, host: str, tags: Iterable[str] = (), **attributes: Any) -> Port:
        wanted = {"binding:host_id": host, "device_owner": "compute:kuryr"}
        return self.port(network, tags, **wanted | attributes)

    def tidy(self) -> None:
        for network in self._networks:
            for port in self.neutron.find_ports(network_id=network.id):
                if port.device_owner != "network:distributed":
                    self.neutron.delete_port(port.id)
            if self.neutron.find_networks(id=network.id):
                self.neutron.delete_network(network.id)
        for group in self.neutron.find_security_groups(name=self.name):
            self.neutron.delete_security_group(group.id)
        for pool in self._pools:
            if self.neutron.find_subnetpools(id=pool.id):
                self.neutron.delete_subnetpool(pool.id)


def addresses(port: Port) -> list[str]:
    return [fixed.ip_address for fixed in port.fixed_ips]
