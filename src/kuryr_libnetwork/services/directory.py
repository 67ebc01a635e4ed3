# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Finding what Docker names: in the journal, else in Neutron by tags, names and addresses.

The journal is a cache here. What it lacks (deleted, or never written because upstream's service made it) is rebuilt from
Neutron and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from kuryr_libnetwork.errors import UnknownObject
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import LeaseRecord, Network, NetworkRecord, Port, Subnet, SubnetPool, SubnetRecord
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.identity import SUBNET_PREFIX, id_from_tags, id_tags, made_by_us, network_of_pool
from kuryr_libnetwork.rules.ports import lease_of
from kuryr_libnetwork.services.register import Register

LOG = logging.getLogger(__name__)


class Directory:
    def __init__(self, neutron: Neutron, journal: Journal, register: Register, now: Callable[[], float]) -> None:
        self._neutron = neutron
        self._journal = journal
        self._register = register
        self._now = now

    def network(self, docker_id: str) -> NetworkRecord | None:
        """The record of a Docker network; ``None`` when Neutron does not know it either."""
        return self._journal.networks.get(docker_id) or self._found(docker_id)

    def known_network(self, docker_id: str) -> NetworkRecord:
        record = self.network(docker_id)
        if record is None:
            raise UnknownObject(
                f"Docker network {docker_id[:12]} has no network in Neutron; remove it with 'docker network rm' and "
                "create it again"
            )
        return record

    def pool_network(self, pool_id: str) -> tuple[NetworkRecord, SubnetRecord]:
        """A Docker network that uses the pool, and its subnet of it."""
        for record in self._journal.networks.all():
            subnet = self._subnet_in(record, pool_id) if record.state == "ready" else None
            if subnet is not None:
                return record, subnet
        found = self.neutron_subnet(pool_id)
        if found is None:
            raise UnknownObject(f"no Docker network uses pool {pool_id}; remove the network and create it again")
        return found

    def _subnet_in(self, record: NetworkRecord, pool_id: str) -> SubnetRecord | None:
        """Also for a pool that the network had before it was made again."""
        if pool_id not in rules.pools_of(record):
            return None
        pool = self._journal.pools.get(pool_id)
        same = [subnet for subnet in record.subnets if pool is not None and subnet.cidr == pool.cidr]
        return next((subnet for subnet in record.subnets if subnet.pool_id == pool_id), same[0] if same else None)

    def neutron_subnet(self, pool_id: str) -> tuple[NetworkRecord, SubnetRecord] | None:
        """The same from Neutron alone: subnets tagged with the pool's id, recorded on the pool, or taken from it.

        Where several Docker networks use the Neutron network, which of them asks may not be known; the record then has
        no ``docker_id`` and is not kept.
        """
        subnets, pool = self._subnets_of(pool_id)
        for subnet in subnets:
            for network in self._neutron.find_networks(id=subnet.network_id):
                docker_id = id_from_tags(pool.tags if pool else network.tags) or self._docker_of(pool_id)
                known = self._journal.networks.get(docker_id) if docker_id else None
                record = known or self._rebuild(docker_id, network)
                mine = next((each for each in record.subnets if each.subnet_id == subnet.id), None)
                made = subnet.name.startswith(SUBNET_PREFIX)
                mine = mine or rules.subnet_record(subnet, pool_id, made=made)
                return record, msgspec.structs.replace(mine, pool_id=pool_id)
        return None

    def _docker_of(self, pool_id: str) -> str:
        """The Docker network that a pool itself names; "" for none."""
        found = self._neutron.find_subnetpools(id=pool_id)
        return (id_from_tags(found[0].tags) if found else None) or ""

    def _subnets_of(self, pool_id: str) -> tuple[list[Subnet], SubnetPool | None]:
        tagged = self._neutron.find_subnets(tags=[pool_id])
        if tagged:
            return tagged, None
        for pool in self._neutron.find_subnetpools(id=pool_id):
            neutron_id = network_of_pool(pool.tags)
            if not neutron_id:
                return self._neutron.find_subnets(subnetpool_id=pool_id), None
            return rules.subnets_of_pool(pool, neutron_id, self._neutron.find_subnets(network_id=neutron_id)), pool
        return [], None

    def port_of_endpoint(self, endpoint_id: str) -> Port | None:
        """The port of an endpoint that the journal does not know: by device, else by tags as upstream set them."""
        found = self._neutron.find_ports(device_id=endpoint_id)
        found = found or self._neutron.find_ports(tags=list(id_tags(endpoint_id)))
        return found[0] if found else None

    def rebuild_lease(self, network: NetworkRecord, port: Port, subnet_id: str) -> LeaseRecord:
        """The lease of a port found in Neutron: every address of it counts as held."""
        lease = lease_of(port, network.docker_id, network.subnets, subnet_id, self._now())
        lease = msgspec.structs.replace(lease, held=(*lease.held, *lease.spare), spare=())
        if made_by_us(port):
            lease = msgspec.structs.replace(lease, original=None)
        return lease

    def _found(self, docker_id: str) -> NetworkRecord | None:
        network, pools = self._register.find(docker_id)
        return self._rebuild(docker_id, network, pools) if network is not None else None

    def _rebuild(self, docker_id: str, network: Network, pools: list[SubnetPool] | None = None) -> NetworkRecord:
        """``pools``: those recorded for the Docker network, if they have been looked for."""
        subnets = self._neutron.find_subnets(network_id=network.id)
        if pools is None:
            pools = self._neutron.find_subnetpools(tags=list(id_tags(docker_id))) if docker_id else []
        record = msgspec.structs.replace(rules.rebuild(docker_id, network, subnets, pools), created_at=self._now())
        if docker_id:
            self._journal.networks.put(record)
            LOG.info("rebuilt Docker network %s from Neutron network %s", docker_id[:12], network.id)
        return record
