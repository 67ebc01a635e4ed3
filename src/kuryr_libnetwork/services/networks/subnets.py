# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The subnets of a Docker network: existing ones of its Neutron network for its pools, and new ones for the rest.

The allocation pools of a new subnet leave out auxiliary addresses and ``--ip-range``. An existing subnet keeps its own
allocation pools. In a range we choose containers' addresses ourselves. So an auxiliary address on an existing subnet,
or in a range, is kept by a port.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import NeutronConflict, NeutronForbidden
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network, Port, Subnet
from kuryr_libnetwork.model.records import NetworkRecord, PoolRecord
from kuryr_libnetwork.model.settings import ServiceSettings
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.rules import identity, networks as rules
from kuryr_libnetwork.rules.addresses import spans_within
from kuryr_libnetwork.rules.port_options import option_tags
from kuryr_libnetwork.services.state.beside import Begin
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.network_users import NetworkUsers
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
Sources = Mapping[IpVersion, str]


class SubnetKeeper:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        settings: ServiceSettings,
        intents: Intents,
        network_users: NetworkUsers,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._settings = settings
        self._intents = intents
        self._network_users = network_users

    def attach(
        self,
        record: NetworkRecord,
        network: Network,
        pools: Sequence[PoolRecord],
        sources: Sources,
        begin: Begin,
        *,
        on_pools: bool,
    ) -> NetworkRecord:
        """The record with a subnet for each pool. ``on_pools``: the pools record the Docker network already.

        Neutron calls: 1 if the network has subnets, 1 for each new one, 1 to record each, 1 for each auxiliary address
        on an existing one. Subnets are tagged beside the rest.
        """
        found = self._neutron.find_subnets(network_id=network.id) if network.subnets else []
        matches = [(pool, rules.match_subnet(network, found, pool)) for pool in pools]  # refuse before the first change
        for pool, match in matches:
            if match is None:
                self._spans(record, pool)
            else:
                rules.refuse_chosen(match, pool)
        new = [pool.ip_version for pool, match in matches if match is None]
        alone = record.made and not found
        origins = {
            pool.pool_id: rules.source_of(
                network, found, pool, sources.get(pool.ip_version, ""), own=alone and new.count(pool.ip_version) == 1
            )
            for pool, match in matches
            if match is None
        }
        for pool, match in matches:
            subnet = match or self._new(record, network, found, pool, origins[pool.pool_id])
            record = self._record(record, subnet, pool, begin, made=match is None, on_pools=on_pools)
            for address in rules.kept_by_ports(pool, made=match is None):
                record = self._keep_address(record, subnet, address)
        return record

    def _new(
        self, record: NetworkRecord, network: Network, seen: Sequence[Subnet], pool: PoolRecord, source: str
    ) -> Subnet:
        try:
            return self._make(record, pool, source)
        except NeutronForbidden as error:
            if self._own.project.network(network) is not None:
                raise
            raise NeutronForbidden(f"{rules.why_no_subnet(network, seen, pool.cidr)} ({error})") from error

    def _make(self, record: NetworkRecord, pool: PoolRecord, source: str) -> Subnet:
        gateway = _gateway(record, pool)
        attributes: dict[str, Any] = {
            "name": identity.subnet_name(pool.cidr),
            "network_id": record.neutron_id,
            "cidr": pool.cidr,
            "ip_version": pool.ip_version,
            "enable_dhcp": self._settings.enable_dhcp,
            "gateway_ip": gateway,
        }
        if source:
            attributes["subnetpool_id"] = source
        spans = self._spans(record, pool)
        if spans is not None:
            attributes["allocation_pools"] = spans
        return self._intents.create(
            "subnets",
            lambda description: self._neutron.create_subnet(attributes | {"description": description}),
            lambda made: self._journal.networks.put(_with(record, made, pool, made=True)),
            docker_network=record.docker_id,
        )

    def _spans(self, record: NetworkRecord, pool: PoolRecord) -> list[dict[str, str]] | None:
        return rules.spans_of_new(pool, gateway=_gateway(record, pool) is not None, dhcp=self._settings.enable_dhcp)

    def _record(
        self, record: NetworkRecord, subnet: Subnet, pool: PoolRecord, begin: Begin, *, made: bool, on_pools: bool
    ) -> NetworkRecord:
        """Record in Neutron that the subnet is the pool's: on the subnet, as upstream does, or on the pool.

        On the pool if the subnet is in another project, or already has another pool's tag (so its tags never grow), or
        if there is a range to remember.
        """
        ip_range = "" if _keeps_to(subnet, pool) else pool.ip_range
        own = self._own.project.subnet(subnet)
        marked = own is not None and pool.pool_id in own.tags
        full = own is None or bool(identity.pool_marks(own)) or len(own.tags) >= identity.MAX_TAGS
        recorded = on_pools or (not marked and (full or ip_range != ""))
        made = made or (own is not None and identity.made_on(own) != "")
        record = _with(record, subnet, pool, made=made, ip_range=ip_range, recorded=recorded)
        self._journal.networks.put(record)
        if recorded and not on_pools:
            options = option_tags(record) if pool.pool_id in record.pools[:1] else ()
            self._network_users.record(record.docker_id, record.neutron_id, pool, options)
        elif not recorded and not marked:
            begin(lambda: self._neutron.add_tags("subnets", subnet.id, [pool.pool_id]))
        return record

    def _keep_address(self, record: NetworkRecord, subnet: Subnet, address: str) -> NetworkRecord:
        """Create a port that nobody binds. If a port has the address already, no container gets it either."""
        attributes = {
            "name": identity.AUX_PORT_NAME,
            "network_id": record.neutron_id,
            "fixed_ips": [{"subnet_id": subnet.id, "ip_address": address}],
            "device_id": record.docker_id,
            "device_owner": identity.AUX_OWNER,
            "admin_state_up": False,
        }

        def with_port(port: Port) -> NetworkRecord:
            return msgspec.structs.replace(record, aux_ports=(*record.aux_ports, port.id))

        try:
            port = self._intents.create(
                "ports",
                lambda description: self._neutron.create_port(attributes | {"description": description}),
                lambda made: self._journal.networks.put(with_port(made)),
            )
        except NeutronConflict as error:
            LOG.info("auxiliary address %s has a port already: %s", address, error)
            return record
        return with_port(port)


def _gateway(record: NetworkRecord, pool: PoolRecord) -> str | None:
    return None if record.internal or not pool.gateway else pool.gateway


def _keeps_to(subnet: Subnet, pool: PoolRecord) -> bool:
    return not pool.ip_range or (bool(subnet.allocation_pools) and spans_within(subnet.allocation_pools, pool.ip_range))


def _with(
    record: NetworkRecord,
    subnet: Subnet,
    pool: PoolRecord,
    *,
    made: bool,
    ip_range: str = "",
    recorded: bool = False,
) -> NetworkRecord:
    added = rules.subnet_record(subnet, pool.pool_id, made=made, ip_range=ip_range, recorded=recorded)
    others = (known for known in record.subnets if known.subnet_id != subnet.id)
    return msgspec.structs.replace(record, subnets=(*others, added))
