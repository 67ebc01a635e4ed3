# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Finds what Docker names: in the journal, or else in Neutron by the marks on the service's own resources.

The journal is a cache here. What it lacks (it was lost, or upstream's service made the resource) is rebuilt from
Neutron and kept. Marks on other people's resources prove nothing; a Docker network that is recorded only there, as
upstream did, is recovered on Docker's own word (:mod:`~.dockers_word`).
"""

from __future__ import annotations

import logging

import msgspec

from kuryr_libnetwork.errors import Conflict, UnknownObject
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network, Port, Subnet
from kuryr_libnetwork.model.records import LeaseRecord, NetworkRecord, SubnetRecord
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.identity import docker_id_of, id_tags, network_of_pool, subnet_made_by_us
from kuryr_libnetwork.rules.ownership import OwnSubnetPool
from kuryr_libnetwork.rules.ports import Unknown, lease_of, release_of_unknown
from kuryr_libnetwork.services.state.dates import Dates
from kuryr_libnetwork.services.state.network_users import NetworkUsers
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)


class Lookup:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        network_users: NetworkUsers,
        host: str,
        dates: Dates,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._network_users = network_users
        self._host = host
        self._dates = dates

    def network(self, docker_id: str) -> NetworkRecord | None:
        """The record of a Docker network; ``None`` if Neutron does not know it either."""
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
        """The Docker network that uses the pool, and the pool's subnet in it."""
        for record in self._journal.networks.all():
            subnet = self._subnet_in(record, pool_id) if record.state == "ready" else None
            if subnet is not None:
                return record, subnet
        found = self.neutron_subnet(pool_id)
        if found is None:
            raise UnknownObject(
                f"no Docker network uses pool {pool_id}; try again if the service has just started, else remove the "
                "network and create it again, with kuryr as the network driver as well (-d kuryr --ipam-driver kuryr)"
            )
        return found

    def _subnet_in(self, record: NetworkRecord, pool_id: str) -> SubnetRecord | None:
        """The pool's subnet; also for a pool that the network had before Docker created it again."""
        if pool_id not in rules.pools_of(record):
            return None
        pool = self._journal.pools.get(pool_id)
        same = [subnet for subnet in record.subnets if pool is not None and subnet.cidr == pool.cidr]
        return next((subnet for subnet in record.subnets if subnet.pool_id == pool_id), same[0] if same else None)

    def neutron_subnet(self, pool_id: str) -> tuple[NetworkRecord, SubnetRecord] | None:
        """The same from Neutron alone: the subnet that the pool records, else one of ours that is tagged with the
        pool's id, or taken from the pool.

        If several Docker networks use the Neutron network, it may not be known which of them asks; the record then has
        no ``docker_id`` and is not kept.
        """
        pool = next(iter(self._own.subnetpools(id=pool_id)), None)
        subnet = self._subnet_of(pool_id, pool)
        if subnet is None:
            return None
        for network in self._neutron.find_networks(id=subnet.network_id):
            own = self._own.project.network(network)
            docker_id = (docker_id_of(pool) if pool else None) or (docker_id_of(own) if own else None) or ""
            known = self._journal.networks.get(docker_id) if docker_id else None
            record = known or self.rebuild(docker_id, network)
            mine = next((each for each in record.subnets if each.subnet_id == subnet.id), None)
            mine = mine or rules.subnet_record(subnet, pool_id, made=self._is_made(subnet))
            return record, msgspec.structs.replace(mine, pool_id=pool_id)
        return None

    def _is_made(self, subnet: Subnet) -> bool:
        own = self._own.project.subnet(subnet)
        return own is not None and subnet_made_by_us(own)

    def _subnet_of(self, pool_id: str, pool: OwnSubnetPool | None) -> Subnet | None:
        """The pool's subnet; if the pool records a network, only one in that. Raises
        :class:`~kuryr_libnetwork.errors.Conflict` if subnets of several networks are tagged with the pool.
        """
        neutron_id = network_of_pool(pool) if pool else ""
        found: list[Subnet] = []
        if pool and neutron_id:
            found += rules.subnets_of_pool(pool, neutron_id, self._neutron.find_subnets(network_id=neutron_id))
            return next(iter(found), None)
        found += self._own.subnets(tags=[pool_id])
        if not found and pool:
            found += self._own.subnets(subnetpool_id=pool_id)
        if len({subnet.network_id for subnet in found}) > 1:
            ids = " and ".join(sorted(subnet.id for subnet in found))
            raise Conflict(f"pool {pool_id} is the tag of subnets {ids}; take it off all but the right one")
        return next(iter(found), None)

    def port_of_endpoint(self, endpoint_id: str) -> Port | None:
        """The port of an endpoint that the journal does not know, and that Docker has just named.

        By ``device_id``, which the binding sets, or else by the tags that upstream sets. Anybody can write any device
        on a port of his own: a port that more than that proves comes first, and of two unproven ones neither is taken.
        """
        found = self._neutron.find_ports(device_id=endpoint_id)
        kinds = [(port, release_of_unknown(port, self._own.project, self._host, named=True)) for port in found]
        ours = [(port, kind) for port, kind in kinds if kind is not None and kind.claim in ("", endpoint_id)]
        proven = [port for port, kind in ours if kind.proven] or [port for port, _ in ours]
        proven = proven or list(self._own.ports(tags=list(id_tags(endpoint_id))))
        if len(proven) > 1:
            ids = " and ".join(sorted(port.id for port in proven))
            LOG.warning("ports %s both say that they are of endpoint %s: neither is touched", ids, endpoint_id[:12])
            return None
        return next(iter(proven), None)

    def rebuild_lease(self, network: NetworkRecord, port: Port, subnet_id: str, unknown: Unknown) -> LeaseRecord:
        """The lease of a port found in Neutron; all of its addresses count as held."""
        lease = lease_of(port, network.docker_id, network.subnets, subnet_id, self._dates(), unknown=unknown)
        return msgspec.structs.replace(lease, held=(*lease.held, *lease.spare), spare=())

    def _found(self, docker_id: str) -> NetworkRecord | None:
        network, pools = self._network_users.find(docker_id)
        return self.rebuild(docker_id, network, pools) if network is not None else None

    def rebuild(self, docker_id: str, network: Network, pools: list[OwnSubnetPool] | None = None) -> NetworkRecord:
        """The record of a Docker network on this Neutron network. ``pools``: those recorded for it; ``None``: they are
        looked up.
        """
        subnets = self._neutron.find_subnets(network_id=network.id)
        if pools is None:
            pools = self._own.subnetpools(tags=list(id_tags(docker_id))) if docker_id else []
        record = rules.rebuild(self._own.project, docker_id, network, subnets, pools)
        record = msgspec.structs.replace(record, created_at=self._dates())
        if docker_id:
            self._journal.networks.put(record)
            LOG.info("rebuilt Docker network %s from Neutron network %s", docker_id[:12], network.id)
        return record
