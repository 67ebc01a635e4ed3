# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The end of an endpoint and of its port, whoever asks for it: Docker, a failed step, or the reconciler.

DeleteEndpoint takes the interface away, the last ReleaseAddress the port: a port must not go while Docker still holds an
address of it, or a late ReleaseAddress would hit the next container that got the address.
"""

from __future__ import annotations

import logging

import msgspec

from kuryr_libnetwork.interfaces import Drivers, Journal, Neutron
from kuryr_libnetwork.model import EndpointRecord, LeaseRecord, NetworkRecord, Port, SubnetRecord
from kuryr_libnetwork.rules.identity import EXISTING_PORT
from kuryr_libnetwork.rules.ports import release_of_unknown
from kuryr_libnetwork.services.directory import Directory
from kuryr_libnetwork.services.ledger import PortLedger
from kuryr_libnetwork.services.locks import KeyedLocks

LOG = logging.getLogger(__name__)


class Releaser:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        directory: Directory,
        ledger: PortLedger,
        drivers: Drivers,
        locks: KeyedLocks,
        host: str,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._directory = directory
        self._ledger = ledger
        self._drivers = drivers
        self._locks = locks
        self._host = host

    # -- endpoints -------------------------------------------------------------------------------------------------

    def end_endpoint(self, record: EndpointRecord) -> None:
        """Take the interface away and free the lease of its endpoint; no Neutron call."""
        self._journal.endpoints.put(msgspec.structs.replace(record, state="deleting"))
        if record.plug is not None:
            self._drivers.named(record.plug.driver).unplug(record.plug)
        with self._locks.hold("port", record.port_id), self._journal.transaction():
            lease = self._journal.leases.get(record.port_id)
            if lease is not None and lease.endpoint_id == record.endpoint_id:
                self._journal.leases.put(msgspec.structs.replace(lease, endpoint_id=""))
            self._journal.endpoints.drop(record.endpoint_id)

    def end_unknown_endpoint(self, endpoint_id: str) -> None:
        """The same for an endpoint that the journal does not know; its port is found in Neutron."""
        port = self._directory.port_of_endpoint(endpoint_id)
        if port is None:
            LOG.info("endpoint %s is unknown here and in Neutron: nothing to remove", endpoint_id[:12])
            return
        self._unplug_unknown(port)

    # -- addresses -------------------------------------------------------------------------------------------------

    def lease_for(self, pool_id: str, address: str) -> LeaseRecord | None:
        """The lease in the journal by which Docker holds an address of a pool."""
        for network in self._journal.networks.all():
            for subnet in network.subnets:
                if subnet.pool_id == pool_id and (lease := self._ledger.holding(subnet.subnet_id, address)):
                    return lease
        return None

    def release_address(self, pool_id: str, address: str) -> None:
        """Give an address back; with the last one of a port goes the port. Neutron calls: 1, adopted 2."""
        lease = self.lease_for(pool_id, address)
        if lease is None:
            self._release_unknown_address(pool_id, address)
            return
        with self._locks.hold("port", lease.port_id):
            current = self._journal.leases.get(lease.port_id)
            if current is None:
                return
            held = tuple(ip for ip in current.held if ip.ip_address != address)
            if held:
                self._journal.leases.put(msgspec.structs.replace(current, held=held))
                return
            self.end_lease(current)

    def end_lease(self, lease: LeaseRecord) -> None:
        """The port goes, and before it whatever interface of an endpoint Docker has forgotten still hangs on it."""
        endpoint = self._journal.endpoints.get(lease.endpoint_id) if lease.endpoint_id else None
        if endpoint is not None:
            LOG.warning("endpoint %s lost its last address before it was deleted", endpoint.endpoint_id[:12])
            self.end_endpoint(endpoint)
        self._ledger.release(lease)

    # -- what the journal does not know ----------------------------------------------------------------------------

    def _release_unknown_address(self, pool_id: str, address: str) -> None:
        found = self._subnet_of(pool_id)
        if found is None:
            return
        network, subnet = found
        for port in self._ledger.find(subnet.subnet_id, address):
            if release_of_unknown(port, self._host):
                LOG.info("releasing port %s, found in Neutron by its address %s", port.id, address)
                self._unplug_unknown(port)
                self._ledger.release(self._directory.rebuild_lease(network, port, subnet.subnet_id))

    def _subnet_of(self, pool_id: str) -> tuple[NetworkRecord, SubnetRecord] | None:
        for network in self._journal.networks.all():
            for subnet in network.subnets:
                if subnet.pool_id == pool_id:
                    return network, subnet
        return self._directory.neutron_subnet(pool_id)

    def _unplug_unknown(self, port: Port) -> None:
        if port.host_id in {"", self._host} or EXISTING_PORT in port.tags:
            driver = self._drivers.for_port(port)
            driver.unplug(driver.recover(port))
