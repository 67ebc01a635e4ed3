# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The IPAM side of the plugin: pools are Neutron subnetpools, addresses are Neutron ports.

Docker names no network when it asks for an address, only the pool; the journal (else Neutron's tags) says which network
uses it. Releasing what is unknown succeeds: Docker releases twice in some failures (docker-plugin-protocol §2.5).
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

import msgspec

from kuryr_libnetwork.docker.messages import (
    ENDPOINT_NAME,
    GATEWAY_REQUEST,
    REQUEST_ADDRESS_TYPE,
    Empty,
    ReleaseAddressRequest,
    ReleasePoolRequest,
    RequestAddressRequest,
    RequestAddressResponse,
    RequestPoolRequest,
    RequestPoolResponse,
)
from kuryr_libnetwork.errors import InvalidOption, InvalidRequest, UnknownObject
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import IpVersion, PoolRecord, SubnetPool
from kuryr_libnetwork.rules import addresses
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.identity import pool_name
from kuryr_libnetwork.rules.options import parse_network_options
from kuryr_libnetwork.services.directory import Directory
from kuryr_libnetwork.services.intents import Intents
from kuryr_libnetwork.services.ledger import PortLedger
from kuryr_libnetwork.services.locks import KeyedLocks
from kuryr_libnetwork.services.pools import PoolKeeper
from kuryr_libnetwork.services.release import Releaser
from kuryr_libnetwork.services.settings import ServiceSettings

LOG = logging.getLogger(__name__)


class IpamDriver:
    """``IpamDriver.*``; Neutron calls: RequestPool ≤ 2, gateway ≤ 1, address ≤ 2, release ≤ 1 (adopted 2)."""

    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        settings: ServiceSettings,
        locks: KeyedLocks,
        intents: Intents,
        directory: Directory,
        ledger: PortLedger,
        pools: PoolKeeper,
        releaser: Releaser,
        now: Callable[[], float],
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._settings = settings
        self._locks = locks
        self._intents = intents
        self._directory = directory
        self._ledger = ledger
        self._pools = pools
        self._releaser = releaser
        self._now = now

    # -- pools -----------------------------------------------------------------------------------------------------

    def request_pool(self, request: RequestPoolRequest) -> RequestPoolResponse:
        parse_network_options(request.options or {})
        if request.sub_pool and request.sub_pool != request.pool:
            raise InvalidOption("--ip-range", request.sub_pool, "not supported; Neutron's allocation pools decide")
        version: IpVersion = 6 if request.v6 else 4
        if not request.pool:
            return self._request_default(version)
        cidr = addresses.canonical_cidr(request.pool)
        if addresses.version_of(cidr) != version:
            raise InvalidRequest(f"pool {cidr} is not an IPv{version} CIDR")
        with self._locks.hold("pool", cidr):
            record = self._request_for(cidr, version)
        return RequestPoolResponse(pool_id=record.pool_id, pool=record.cidr)

    def _request_default(self, version: IpVersion) -> RequestPoolResponse:
        name, option = self._settings.default_subnetpool(version)
        with self._locks.hold("pool", name):
            held = [pool.pool_id for pool in self._journal.pools.all() if pool.requests > 0]
            pool = rules.default_pool(name, option, self._neutron.find_subnetpools(name=name), held)
            cidr = addresses.canonical_cidr(pool.prefixes[0])
            if addresses.version_of(cidr) != version:
                raise InvalidRequest(f"Neutron's subnetpool {name!r} ([neutron] {option}) is not for IPv{version}")
            with self._locks.hold("pool", cidr):
                self._hold(pool, cidr, version, made=False)
        return RequestPoolResponse(pool_id=pool.id, pool=cidr)

    def _request_for(self, cidr: str, version: IpVersion) -> PoolRecord:
        name = pool_name(self._settings.subnetpool_name_prefix, cidr)
        pool = rules.choose_pool(name, cidr, self._neutron.find_subnetpools(name=name))
        if pool is not None:
            return self._hold(pool, cidr, version, made=self._pools.ours(pool))

        def post(description: str) -> SubnetPool:
            attributes = {
                "name": name,
                "prefixes": [cidr],
                "default_prefixlen": ipaddress.ip_network(cidr).prefixlen,
                "description": description,
            }
            return self._neutron.create_subnetpool(attributes)

        made = self._intents.create("subnetpools", post, lambda pool: void(self._hold(pool, cidr, version, made=True)))
        record = self._journal.pools.get(made.id)
        if record is None:
            raise UnknownObject(f"pool {cidr} was removed while it was made")
        return record

    def _hold(self, pool: SubnetPool, cidr: str, version: IpVersion, *, made: bool) -> PoolRecord:
        """Count one more request of a pool. A network without it as yet is what tells a new pool from a shared one."""
        known = self._journal.pools.get(pool.id)
        record = (
            msgspec.structs.replace(known, requests=known.requests + 1, created_at=self._now())
            if known
            else PoolRecord(pool_id=pool.id, cidr=cidr, ip_version=version, made=made, created_at=self._now())
        )
        self._journal.pools.put(record)
        return record

    def release_pool(self, request: ReleasePoolRequest) -> Empty:
        record = self._journal.pools.get(request.pool_id)
        with self._locks.hold("pool", record.cidr if record else request.pool_id):
            self._pools.release(request.pool_id)
        return Empty()

    # -- addresses -------------------------------------------------------------------------------------------------

    def request_address(self, request: RequestAddressRequest) -> RequestAddressResponse:
        options = request.options or {}
        pool = self._journal.pools.get(request.pool_id)
        asked = addresses.canonical_ip(request.address) if request.address else ""
        if options.get(REQUEST_ADDRESS_TYPE) == GATEWAY_REQUEST:
            return self._gateway(request.pool_id, pool, asked)
        if pool and asked and not self._in_use(pool.pool_id):
            return self._reserve(pool, asked)
        network, subnet = self._directory.pool_network(request.pool_id)
        if asked and not addresses.contains(subnet.cidr, asked):
            raise InvalidRequest(f"address {asked} is not in the network's subnet {subnet.cidr}")
        fixed_ip = self._ledger.acquire(network, subnet, asked, options.get(ENDPOINT_NAME, ""))
        return RequestAddressResponse(address=addresses.with_length(fixed_ip.ip_address, subnet.cidr))

    def _gateway(self, pool_id: str, pool: PoolRecord | None, asked: str) -> RequestAddressResponse:
        if pool is None:
            found = self._neutron.find_subnetpools(id=pool_id)
            if not found or not found[0].prefixes:
                raise UnknownObject(f"pool {pool_id} is unknown; create the network again")
            cidr = addresses.canonical_cidr(found[0].prefixes[0])
            pool = self._hold(found[0], cidr, addresses.version_of(cidr), made=self._pools.ours(found[0]))
        subnets = [] if asked else self._neutron.find_subnets(cidr=pool.cidr)
        gateway = rules.gateway_answer(pool.cidr, pool.ip_version, asked, subnets)
        self._journal.pools.put(msgspec.structs.replace(pool, gateway=gateway, gateway_chosen=not asked))
        if gateway == addresses.NO_GATEWAY[pool.ip_version]:
            return RequestAddressResponse(address=addresses.no_gateway_answer(pool.ip_version))
        return RequestAddressResponse(address=addresses.with_length(gateway, pool.cidr))

    def _in_use(self, pool_id: str) -> bool:
        return any(s.pool_id == pool_id for network in self._journal.networks.all() for s in network.subnets)

    def _reserve(self, pool: PoolRecord, address: str) -> RequestAddressResponse:
        """An auxiliary address: asked for while no network uses the pool yet; kept from Neutron's allocation."""
        if not addresses.contains(pool.cidr, address):
            raise InvalidRequest(f"auxiliary address {address} is not in {pool.cidr}")
        self._journal.pools.put(msgspec.structs.replace(pool, reserved=(*pool.reserved, address)))
        return RequestAddressResponse(address=addresses.with_length(address, pool.cidr))

    def release_address(self, request: ReleaseAddressRequest) -> Empty:
        if not request.address:
            raise InvalidRequest("ReleaseAddress without an address")
        address = addresses.canonical_ip(request.address)
        pool = self._journal.pools.get(request.pool_id)
        if pool and (address in pool.reserved or address == pool.gateway):
            kept = tuple(ip for ip in pool.reserved if ip != address)
            self._journal.pools.put(msgspec.structs.replace(pool, reserved=kept))
            if self._releaser.lease_for(request.pool_id, address) is None:
                return Empty()
        self._releaser.release_address(request.pool_id, address)
        return Empty()


def void(_: object) -> None:
    """Drop a value where a callback has nothing to answer."""
