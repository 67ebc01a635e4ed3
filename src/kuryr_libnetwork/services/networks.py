# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker networks: CreateNetwork and DeleteNetwork.

``CreateNetwork`` is never sent again by Docker, and after its failure no ``DeleteNetwork`` comes (docker-plugin-protocol
§2.5): it leaves everything or nothing. Neutron calls: new 4 (with the pool's 3: 7), existing 4 to 5; removal ≤ 4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from kuryr_libnetwork.docker.messages import INTERNAL, CreateNetworkRequest, IpamData
from kuryr_libnetwork.errors import Conflict, InvalidOption, InvalidRequest, NeutronConflict, NeutronNotFound
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import Network, NetworkRecord, PoolRecord, Subnet, SubnetRecord
from kuryr_libnetwork.rules import identity
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.addresses import allocation_pools, canonical_cidr
from kuryr_libnetwork.rules.options import NetworkOptions, fingerprint, parse_network_options, truthy
from kuryr_libnetwork.services.directory import Directory
from kuryr_libnetwork.services.intents import Intents
from kuryr_libnetwork.services.pools import PoolKeeper
from kuryr_libnetwork.services.release import Releaser
from kuryr_libnetwork.services.settings import ServiceSettings
from kuryr_libnetwork.services.undo import Undo

LOG = logging.getLogger(__name__)


class Networks:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        settings: ServiceSettings,
        intents: Intents,
        directory: Directory,
        pools: PoolKeeper,
        releaser: Releaser,
        now: Callable[[], float],
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._settings = settings
        self._intents = intents
        self._directory = directory
        self._pools = pools
        self._releaser = releaser
        self._now = now

    # -- create ----------------------------------------------------------------------------------------------------

    def create(self, request: CreateNetworkRequest) -> None:
        mark = fingerprint(msgspec.to_builtins(request))
        known = self._journal.networks.get(request.network_id)
        if known is not None:
            if known.fingerprint in {"", mark}:
                return
            raise Conflict(f"Docker network {request.network_id[:12]} exists already with other parameters")
        options = parse_network_options(request.generic)
        pools = [self._pool(data) for data in self._data(request)]
        internal = truthy((request.options or {}).get(INTERNAL))
        with Undo() as undo:
            network = self._existing(options, request.network_id, undo) if options.existing else None
            made = network is None
            if network is None:
                network = self._new(options, request.network_id, undo)
            subnets = self._subnets(network, pools, undo, made=made, internal=internal)
            record = NetworkRecord(
                docker_id=request.network_id,
                neutron_id=network.id,
                made=made,
                mtu=network.mtu or rules.DEFAULT_MTU,
                subnets=subnets,
                internal=internal,
                fingerprint=mark,
                created_at=self._now(),
            )
            self._journal.networks.put(record)
        LOG.info("Docker network %s is Neutron network %s", request.network_id[:12], network.id)

    def _data(self, request: CreateNetworkRequest) -> list[IpamData]:
        """The pools of the network: at most one per family."""
        both = (request.ipv4_data or [], request.ipv6_data or [])
        for data in both:
            if len(data) > 1:
                raise InvalidOption("--subnet", data[1].pool, "only one subnet per address family is supported")
        chosen = [data[0] for data in both if data]
        if not chosen:
            raise InvalidRequest("the network has no pool; create it with --ipam-driver=kuryr and a --subnet")
        return chosen

    def _pool(self, data: IpamData) -> PoolRecord:
        networks = self._journal.networks.all()
        return rules.match_pool(canonical_cidr(data.pool), self._journal.pools.all(), networks)

    def _new(self, options: NetworkOptions, docker_id: str, undo: Undo) -> Network:
        attributes: dict[str, Any] = {"name": identity.network_name(docker_id), "admin_state_up": True}
        if options.shared is not None:
            attributes["shared"] = options.shared
        network = self._intents.create(
            "networks",
            lambda description: self._neutron.create_network(attributes | {"description": description}),
            lambda made: undo.add(f"delete network {made.id}", lambda: self._neutron.delete_network(made.id)),
        )
        self._neutron.set_tags("networks", network.id, identity.network_tags(docker_id, existing=False))
        return network

    def _existing(self, options: NetworkOptions, docker_id: str, undo: Undo) -> Network:
        query = {"id": options.network_uuid} if options.network_uuid else {"name": options.network_name}
        network = rules.pick_network(options, self._neutron.find_networks(**query))
        tags = identity.network_tags(docker_id, existing=True)
        rules.check_tag_room(network, tags)
        undo.add(f"untag network {network.id}", lambda: self._untag(network.id, tags))
        self._neutron.add_tags("networks", network.id, tags)
        return network

    def _untag(self, network_id: str, tags: tuple[str, ...]) -> None:
        for tag in tags:
            try:
                self._neutron.remove_tag("networks", network_id, tag)
            except NeutronNotFound:
                continue  # the tag was never set, or the network is gone

    def _subnets(
        self, network: Network, pools: list[PoolRecord], undo: Undo, *, made: bool, internal: bool
    ) -> tuple[SubnetRecord, ...]:
        found = [] if made else self._neutron.find_subnets(network_id=network.id)
        matches = [(pool, rules.match_subnet(network, found, pool)) for pool in pools]  # refuse before the first change
        records = []
        for pool, match in matches:
            subnet = match or self._new_subnet(network, pool, undo, internal=internal)
            if pool.pool_id not in subnet.tags:
                undo.add(f"untag subnet {subnet.id}", partial(self._untag_subnet, subnet.id, pool.pool_id))
                self._neutron.add_tags("subnets", subnet.id, [pool.pool_id])
            records.append(rules.subnet_record(subnet, pool.pool_id, made=match is None))
        return tuple(records)

    def _new_subnet(self, network: Network, pool: PoolRecord, undo: Undo, *, internal: bool) -> Subnet:
        gateway = None if internal or not pool.gateway else pool.gateway
        attributes: dict[str, Any] = {
            "name": identity.subnet_name(pool.cidr),
            "network_id": network.id,
            "subnetpool_id": pool.pool_id,
            "cidr": pool.cidr,
            "ip_version": pool.ip_version,
            "enable_dhcp": self._settings.enable_dhcp,
            "gateway_ip": gateway,
        }
        if pool.reserved:
            attributes["allocation_pools"] = allocation_pools(pool.cidr, {*pool.reserved, gateway or ""})
        return self._intents.create(
            "subnets",
            lambda description: self._neutron.create_subnet(attributes | {"description": description}),
            lambda made: undo.add(f"delete subnet {made.id}", lambda: self._neutron.delete_subnet(made.id)),
        )

    def _untag_subnet(self, subnet_id: str, tag: str) -> None:
        try:
            self._neutron.remove_tag("subnets", subnet_id, tag)
        except NeutronNotFound:
            LOG.debug("subnet %s or its tag %s was gone already", subnet_id, tag)

    # -- delete ----------------------------------------------------------------------------------------------------

    def delete(self, docker_id: str) -> None:
        """Docker forgets the network whatever we answer; endpoints that it forgot before go with it."""
        record = self._directory.network(docker_id)
        if record is None:
            LOG.info("Docker network %s is unknown here and in Neutron: nothing to remove", docker_id[:12])
            return
        self._end_all(docker_id)
        found = self._neutron.find_networks(id=record.neutron_id)
        self._journal.networks.put(msgspec.structs.replace(record, fingerprint="deleting"))
        last = True
        if found:
            last = identity.other_users(found[0].tags, docker_id) == 0
            self._take_down(record, found[0])
        self._journal.networks.drop(docker_id)
        if last:
            self._pools.after_network(dict.fromkeys(subnet.pool_id for subnet in record.subnets))

    def _end_all(self, docker_id: str) -> None:
        """A dockerd that crashed removes a network with endpoints that it no longer knows (§5.6)."""
        for endpoint in self._journal.endpoints.all():
            if endpoint.docker_network_id == docker_id:
                self._releaser.end_endpoint(endpoint)
        for lease in self._journal.leases.all():
            if lease.docker_network_id == docker_id:
                self._releaser.end_lease(lease)

    def _take_down(self, record: NetworkRecord, network: Network) -> None:
        if rules.may_delete(record, network):
            try:
                self._neutron.delete_network(network.id)
            except NeutronNotFound:
                return
            except NeutronConflict as error:
                LOG.warning("Neutron network %s stays, somebody else uses it: %s", network.id, error)
            else:
                return
        self._leave(record, network)

    def _leave(self, record: NetworkRecord, network: Network) -> None:
        """Take only what this Docker network put on a Neutron network that stays."""
        mine = identity.network_tags(record.docker_id, existing=True)
        if identity.other_users(network.tags, record.docker_id):
            self._untag(network.id, tuple(tag for tag in mine if tag in network.tags))
            return
        self._neutron.set_tags("networks", network.id, [tag for tag in network.tags if tag not in mine])
        for subnet in record.subnets:
            if subnet.made:
                self._delete_subnet(subnet)
            else:
                self._untag_subnet(subnet.subnet_id, subnet.pool_id)

    def _delete_subnet(self, subnet: SubnetRecord) -> None:
        try:
            self._neutron.delete_subnet(subnet.subnet_id)
        except NeutronNotFound:
            return
        except NeutronConflict as error:
            LOG.warning("subnet %s stays, somebody else uses it: %s", subnet.subnet_id, error)
            self._untag_subnet(subnet.subnet_id, subnet.pool_id)
