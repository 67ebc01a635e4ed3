# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker networks: CreateNetwork and DeleteNetwork.

``CreateNetwork`` is never sent again by Docker, and after its failure no ``DeleteNetwork`` comes (docker-plugin-protocol
§2.5): it leaves everything or nothing. So the record is in the journal from the first step on, with what stands in Neutron
so far, and what is half made or half gone is finished by the reconciler (:mod:`~.teardown`). Neutron calls: new 4 (with the
pool's 3: 7), existing 4 to 5.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from kuryr_libnetwork.docker.messages import INTERNAL, CreateNetworkRequest, IpamData
from kuryr_libnetwork.errors import Conflict, InvalidOption, InvalidRequest, JournalError
from kuryr_libnetwork.interfaces import Drivers, Journal, Neutron
from kuryr_libnetwork.model import Network, NetworkRecord, PoolRecord, Subnet
from kuryr_libnetwork.rules import identity
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.addresses import allocation_pools, canonical_cidr
from kuryr_libnetwork.rules.options import NetworkOptions, fingerprint, parse_network_options, truthy
from kuryr_libnetwork.services.directory import Directory
from kuryr_libnetwork.services.intents import Intents
from kuryr_libnetwork.services.pools import PoolKeeper
from kuryr_libnetwork.services.release import Releaser
from kuryr_libnetwork.services.settings import ServiceSettings
from kuryr_libnetwork.services.teardown import Teardown
from kuryr_libnetwork.services.undo import Undo

LOG = logging.getLogger(__name__)
NORMAL = "normal"


class Networks:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        drivers: Drivers,
        settings: ServiceSettings,
        intents: Intents,
        directory: Directory,
        pools: PoolKeeper,
        releaser: Releaser,
        teardown: Teardown,
        now: Callable[[], float],
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._drivers = drivers
        self._settings = settings
        self._intents = intents
        self._directory = directory
        self._pools = pools
        self._releaser = releaser
        self._teardown = teardown
        self._now = now

    # -- create ----------------------------------------------------------------------------------------------------

    def create(self, request: CreateNetworkRequest) -> None:
        mark = fingerprint(msgspec.to_builtins(request))
        if self._exists(request.network_id, mark):
            return
        options = parse_network_options(request.generic)
        home = self._home(options)
        if home and not options.existing:
            options = msgspec.structs.replace(options, network_uuid=home)
        pools = [self._pool(data) for data in self._data(request)]
        record = NetworkRecord(
            docker_id=request.network_id,
            neutron_id="",
            made=not options.existing,
            mtu=rules.DEFAULT_MTU,
            subnets=(),
            state="creating",
            internal=truthy((request.options or {}).get(INTERNAL)),
            vnic_type=options.vnic_type,
            pf=options.pf,
            fingerprint=mark,
            created_at=self._now(),
        )
        with self._pools.wanted([pool.pool_id for pool in pools]), Undo() as undo:
            undo.add("take the network down", lambda: self._take_back(request.network_id))
            self._journal.networks.put(record)
            record, network = self._existing(options, record, home) if options.existing else self._new(options, record)
            record = self._subnets(record, network, pools)
            self._journal.networks.put(msgspec.structs.replace(record, state="ready"))
        LOG.info("Docker network %s is Neutron network %s", request.network_id[:12], network.id)

    def _exists(self, docker_id: str, mark: str) -> bool:
        """Whether the very same network is there; what an earlier attempt left of it is removed first."""
        known = self._journal.networks.get(docker_id)
        if known is not None and known.state != "ready":
            self.delete(docker_id)
            known = self._journal.networks.get(docker_id)
        if known is None:
            return False
        if known.state != "ready":
            raise Conflict(f"Docker network {docker_id[:12]} is still being removed; try again")
        if known.fingerprint not in {"", mark}:
            raise Conflict(f"Docker network {docker_id[:12]} exists already with other parameters")
        self._pools.requested_again(subnet.pool_id for subnet in known.subnets)
        return True

    def _take_back(self, docker_id: str) -> None:
        record = self._journal.networks.get(docker_id)
        if record is not None:
            self._teardown.end(record)

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

    def _new(self, options: NetworkOptions, record: NetworkRecord) -> tuple[NetworkRecord, Network]:
        attributes: dict[str, Any] = {"name": identity.network_name(record.docker_id), "admin_state_up": True}
        if options.shared is not None:
            attributes["shared"] = options.shared
        network = self._intents.create(
            "networks",
            lambda description: self._neutron.create_network(attributes | {"description": description}),
            lambda made: self._journal.networks.put(_on(record, made)),
        )
        self._neutron.set_tags("networks", network.id, identity.network_tags(record.docker_id, existing=False))
        return _on(record, network), network

    def _home(self, options: NetworkOptions) -> str:
        """The Neutron network on which all containers of this host are; "" where that is free."""
        if options.vnic_type not in {"", NORMAL}:
            return ""
        ordinary = [driver for driver in self._drivers.all() if NORMAL in driver.vnic_types]
        return ordinary[0].home_network() if ordinary else ""

    def _existing(self, options: NetworkOptions, record: NetworkRecord, home: str) -> tuple[NetworkRecord, Network]:
        """Use a network that is there. One that kuryr made for another Docker network goes with the last of its users."""
        query = {"id": options.network_uuid} if options.network_uuid else {"name": options.network_name}
        network = rules.pick_network(options, self._neutron.find_networks(**query))
        rules.check_home(options, network, home)
        tags = identity.network_tags(record.docker_id, existing=True)
        rules.check_tag_room(network, tags)
        record = _on(msgspec.structs.replace(record, made=_by_kuryr(network)), network)
        self._journal.networks.put(record)
        self._neutron.add_tags("networks", network.id, tags)
        return record, network

    def _subnets(self, record: NetworkRecord, network: Network, pools: list[PoolRecord]) -> NetworkRecord:
        found = self._neutron.find_subnets(network_id=network.id) if network.subnets else []
        matches = [(pool, rules.match_subnet(network, found, pool)) for pool in pools]  # refuse before the first change
        for pool, match in matches:
            subnet = match or self._new_subnet(record, pool)
            record = _with(record, subnet, pool, made=match is None or _by_kuryr(match))
            if pool.pool_id not in subnet.tags:
                self._journal.networks.put(record)
                self._neutron.add_tags("subnets", subnet.id, [pool.pool_id])
        return record

    def _new_subnet(self, record: NetworkRecord, pool: PoolRecord) -> Subnet:
        gateway = None if record.internal or not pool.gateway else pool.gateway
        attributes: dict[str, Any] = {
            "name": identity.subnet_name(pool.cidr),
            "network_id": record.neutron_id,
            "subnetpool_id": pool.pool_id,
            "cidr": pool.cidr,
            "ip_version": pool.ip_version,
            "enable_dhcp": self._settings.enable_dhcp,
            "gateway_ip": gateway,
        }
        promised = {*pool.reserved, pool.gateway}  # Docker has these addresses, and releases them with the network
        if pool.reserved or gateway != (pool.gateway or None):
            attributes["allocation_pools"] = allocation_pools(pool.cidr, promised)
        return self._intents.create(
            "subnets",
            lambda description: self._neutron.create_subnet(attributes | {"description": description}),
            lambda made: self._journal.networks.put(_with(record, made, pool, made=True)),
        )

    # -- delete ----------------------------------------------------------------------------------------------------

    def delete(self, docker_id: str, *, last_try: bool = False) -> None:
        """Docker forgets the network whatever we answer; endpoints that it forgot before go with it."""
        record = self._directory.network(docker_id)
        if record is None:
            LOG.info("Docker network %s is unknown here and in Neutron: nothing to remove", docker_id[:12])
            return
        record = msgspec.structs.replace(record, state="deleting")
        try:
            self._journal.networks.put(record)
        except JournalError as error:  # a full disk is no reason to keep anything
            LOG.warning("removing Docker network %s all the same: %s", docker_id[:12], error)
        self._end_all(docker_id)
        self._teardown.end(record, last_try=last_try)

    def _end_all(self, docker_id: str) -> None:
        """A dockerd that crashed removes a network with endpoints that it no longer knows (§5.6)."""
        for endpoint in self._journal.endpoints.all():
            if endpoint.docker_network_id == docker_id:
                self._releaser.end_endpoint(endpoint)
        for lease in self._journal.leases.all():
            if lease.docker_network_id == docker_id:
                self._releaser.end_leftover(lease)


def _on(record: NetworkRecord, network: Network) -> NetworkRecord:
    return msgspec.structs.replace(
        record,
        neutron_id=network.id,
        mtu=network.mtu or rules.DEFAULT_MTU,
        physical_network=network.physical_network or "",
    )


def _with(record: NetworkRecord, subnet: Subnet, pool: PoolRecord, *, made: bool) -> NetworkRecord:
    added = rules.subnet_record(subnet, pool.pool_id, made=made)
    others = (known for known in record.subnets if known.subnet_id != subnet.id)
    return msgspec.structs.replace(record, subnets=(*others, added))


def _by_kuryr(resource: Network | Subnet) -> bool:
    return identity.made_on(resource.description or "") != ""
