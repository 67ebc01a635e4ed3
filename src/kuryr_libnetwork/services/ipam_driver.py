# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The IPAM side of the plugin: pools are Neutron subnetpools, addresses are Neutron ports.

Docker names no network when it asks for an address, only the pool, which belongs to one network alone
(:mod:`~.pool_requests`): the journal, or else Neutron's tags, says which. Releasing what is unknown succeeds, because
Docker releases twice after some failures.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import msgspec

from kuryr_libnetwork.errors import Conflict, InvalidOption, InvalidRequest, NoFreeAddress, UnknownObject
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Subnet
from kuryr_libnetwork.model.records import NetworkRecord, PoolRecord, SubnetRecord
from kuryr_libnetwork.protocol.messages import (
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
from kuryr_libnetwork.protocol.routes import Kept
from kuryr_libnetwork.rules import addresses, networks as rules
from kuryr_libnetwork.rules.refusals import network_subject
from kuryr_libnetwork.services.endpoints.release import Releaser
from kuryr_libnetwork.services.networks.pool_requests import PoolRequests
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.ports.lifecycle import Ports
from kuryr_libnetwork.services.state.explaining import explaining
from kuryr_libnetwork.services.state.lookup import Lookup

AddressAnswer = RequestAddressResponse | Kept[RequestAddressResponse]


class IpamDriver:
    """Docker's ``IpamDriver.*``. Neutron calls: RequestPool ≥ 2, gateway ≤ 1, address ≤ 2, release ≤ 1 (adopted 2)."""

    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        requests: PoolRequests,
        lookup: Lookup,
        ports: Ports,
        pools: PoolKeeper,
        releaser: Releaser,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._requests = requests
        self._lookup = lookup
        self._ports = ports
        self._pools = pools
        self._releaser = releaser

    # -- pools -----------------------------------------------------------------------------------------------------

    def request_pool(self, request: RequestPoolRequest) -> RequestPoolResponse:
        with explaining(lambda: f"--subnet {request.pool}" if request.pool else "a network without --subnet"):
            record = self._requests.request(request)
        return RequestPoolResponse(pool_id=record.pool_id, pool=record.cidr)

    def release_pool(self, request: ReleasePoolRequest) -> Empty:
        self._pools.release(request.pool_id)
        return Empty()

    # -- addresses -------------------------------------------------------------------------------------------------

    def request_address(self, request: RequestAddressRequest) -> AddressAnswer:
        with explaining(lambda: f"address {request.address}" if request.address else "an address"):
            return self._request_address(request)

    def _request_address(self, request: RequestAddressRequest) -> AddressAnswer:
        options = request.options or {}
        pool = self._journal.pools.get(request.pool_id)
        asked = addresses.canonical_ip(request.address) if request.address else ""
        if options.get(REQUEST_ADDRESS_TYPE) == GATEWAY_REQUEST:
            return Kept(self._gateway(request.pool_id, pool, asked))  # nothing was reserved for it
        if pool and asked and not self._pools.in_use(pool.pool_id):
            return self._reserve(pool, asked)
        network, subnet = self._lookup.pool_network(request.pool_id)
        if asked and not addresses.contains(subnet.cidr, asked):
            raise InvalidRequest(f"address {asked} is not in the network's subnet {subnet.cidr}")
        if pool and asked in pool.reserved:
            raise Conflict(f"address {asked} is kept from containers by --aux-address")
        name = options.get(ENDPOINT_NAME, "")
        with explaining(partial(network_subject, network.docker_id, network)):
            return self._acquire(network, subnet, asked, name) if asked else self._any(network, subnet, name)

    def _any(self, network: NetworkRecord, subnet: SubnetRecord, name: str) -> AddressAnswer:
        """An address from the subnet, or from the next of its family if that is full: Docker itself tries another pool
        only after an error that a plugin cannot express (docs/notes/docker-plugin.md, "Addresses").
        """
        family = [each for each in network.subnets if each.ip_version == subnet.ip_version]
        *first, last = [subnet, *(each for each in family if each.subnet_id != subnet.subnet_id)]
        for each in first:
            with suppress(NoFreeAddress):
                return self._acquire(network, each, "", name)
        return self._acquire(network, last, "", name)

    def _acquire(self, network: NetworkRecord, subnet: SubnetRecord, asked: str, name: str) -> AddressAnswer:
        acquired = self._ports.acquire(network, subnet, asked, name)
        answer = RequestAddressResponse(address=addresses.with_length(acquired.fixed_ip.ip_address, subnet.cidr))
        return answer if acquired.new else Kept(answer)

    def _gateway(self, pool_id: str, pool: PoolRecord | None, asked: str) -> RequestAddressResponse:
        """The gateway that Docker shows. It asks while it creates a network, when only the journal knows the pool."""
        if pool is None:
            raise UnknownObject(f"pool {pool_id} is unknown; create the network again")
        gateway = rules.gateway_answer(pool.cidr, pool.ip_version, asked, [] if asked else self._subnets_for(pool))
        self._journal.pools.put(msgspec.structs.replace(pool, gateway=gateway, gateway_chosen=not asked))
        if gateway == addresses.NO_GATEWAY[pool.ip_version]:
            return RequestAddressResponse(address=addresses.no_gateway_answer(pool.ip_version))
        return RequestAddressResponse(address=addresses.with_length(gateway, pool.cidr))

    def _subnets_for(self, pool: PoolRecord) -> list[Subnet]:
        """The subnets that the pool may come to stand for; none for a prefix just taken from a subnetpool."""
        if pool.subnet is not None:
            return [pool.subnet]
        return [] if pool.unasked else self._neutron.find_subnets(cidr=pool.cidr)

    def _reserve(self, pool: PoolRecord, address: str) -> AddressAnswer:
        """Note an auxiliary address, not to be allocated by Neutron: Docker asks before a network uses the pool."""
        if not addresses.contains(pool.cidr, address):
            raise InvalidOption("--aux-address", address, f"is not in {pool.cidr}")
        if address == pool.gateway:
            raise InvalidOption("--aux-address", address, "is the gateway")
        answer = RequestAddressResponse(address=addresses.with_length(address, pool.cidr))
        if address in pool.reserved:
            return Kept(answer)
        self._journal.pools.put(msgspec.structs.replace(pool, reserved=(*pool.reserved, address)))
        return answer

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
