# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The end of an endpoint and of its port, whoever asks for it: Docker, a failed step, or the reconciler.

DeleteEndpoint removes the interface, the last ReleaseAddress the port: while Docker still holds an address of it the
port has to stay, or a late ReleaseAddress would hit the next container with that address. ReleaseAddress names nothing
but the address, so one that comes late, or twice, is recognised by what it would hit: a running container.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, SubnetRecord, Whereabouts
from kuryr_libnetwork.model.settings import ServiceSettings
from kuryr_libnetwork.rules.addresses import contains, docker_releases
from kuryr_libnetwork.rules.identity import DEVICE_OWNER
from kuryr_libnetwork.rules.networks import pools_of, subnet_for
from kuryr_libnetwork.rules.ports import Unknown, lease_of, release_of_unknown
from kuryr_libnetwork.services.ports.exposed_ports import ExposedPorts
from kuryr_libnetwork.services.ports.lifecycle import Ports
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.dates import Ages, Dates
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.lookup import Lookup
from kuryr_libnetwork.services.state.own_things import OwnThings
from kuryr_libnetwork.services.state.unfinished_removals import UnfinishedRemovals

LOG = logging.getLogger(__name__)
LATE = 3600.0
"""Seconds for which a late release is still expected for an address whose lease was ended without one."""


class Releaser:
    def __init__(
        self,
        *,
        journal: Journal,
        settings: ServiceSettings,
        own: OwnThings,
        lookup: Lookup,
        ports: Ports,
        spares: Spares,
        intents: Intents,
        drivers: Drivers,
        exposed_ports: ExposedPorts,
        locks: KeyedLocks,
        unfinished: UnfinishedRemovals,
        dates: Dates,
        ages: Ages,
        clock: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._own = own
        self._lookup = lookup
        self._ports = ports
        self._spares = spares
        self._intents = intents
        self._drivers = drivers
        self._exposed_ports = exposed_ports
        self._locks = locks
        self._unfinished = unfinished
        self._dates = dates
        self._ages = ages
        self._clock = clock
        self._guard = threading.Lock()
        self._expected: dict[FixedIp, tuple[float, float]] = {}
        self._unplaced: dict[tuple[str, str], float] = {}

    # -- endpoints -------------------------------------------------------------------------------------------------

    def end_endpoint(self, record: EndpointRecord) -> None:
        """Remove the interface and take the endpoint off its lease; no Neutron call."""
        with (
            self._locks.hold("endpoint", record.endpoint_id),
            self._locks.hold("port", record.port_id),
        ):
            current = self._journal.endpoints.get(record.endpoint_id)
            if current is None:
                return  # somebody else ended it at the same time; the port may have a new endpoint by now
            try:
                self._journal.endpoints.put(msgspec.structs.replace(current, state="deleting"))
            except JournalError as error:  # a full disk is no reason to keep an interface
                LOG.warning("removing endpoint %s all the same: %s", record.endpoint_id[:12], error)
            if current.plug is not None:
                self._drivers.named(current.plug.driver).unplug(current.plug, current.sandbox_key)
            with self._journal.transaction():
                lease = self._journal.leases.get(current.port_id)
                if lease is not None and lease.endpoint_id == record.endpoint_id:
                    self._expect_none(lease)
                    self._journal.leases.put(msgspec.structs.replace(lease, endpoint_id=""))
                self._journal.endpoints.drop(record.endpoint_id)
            self._ages.end("endpoint", record.endpoint_id)

    def release_unnamed(self, port_id: str) -> None:
        """Release the port of an endpoint that is gone, if Docker is going to release none of its addresses."""
        with self._locks.hold("port", port_id):
            lease = self._journal.leases.get(port_id)
            named = lease is None or any(docker_releases(ip.ip_address) for ip in lease.held)
            if lease is not None and not named and not self._has_endpoint(lease):
                self._ports.release(lease)

    def end_unknown_endpoint(self, endpoint_id: str) -> None:
        """End an endpoint that the journal does not know; its port is looked up in Neutron."""
        port = self._lookup.port_of_endpoint(endpoint_id)
        if port is None:
            LOG.info("endpoint %s is unknown here and in Neutron: nothing to remove", endpoint_id[:12])
            return
        with self._locks.hold("port", port.id):
            if self._journal.leases.get(port.id) is None and not self._spares.knows(port.id):
                self._unplug_unknown(port)

    def in_container(self, endpoint: EndpointRecord) -> bool:
        """Whether its interface is in a container now; Docker takes it out before it deletes the endpoint."""
        return self._where(endpoint) == "container"

    def _where(self, endpoint: EndpointRecord) -> Whereabouts:
        plug = endpoint.plug
        return "gone" if plug is None else self._drivers.named(plug.driver).where(plug)

    # -- addresses -------------------------------------------------------------------------------------------------

    def lease_for(self, pool_id: str, address: str) -> LeaseRecord | None:
        """The lease in the journal by which Docker holds an address of a pool, or of another subnet of its network."""
        for network in self._journal.networks.all():
            if pool_id in pools_of(network):
                for subnet in network.subnets:
                    if contains(subnet.cidr, address) and (lease := self._ports.holding(subnet.subnet_id, address)):
                        return lease
        return None

    def release_address(self, pool_id: str, address: str) -> None:
        """Release an address; with its last address the port is released. Neutron calls: 1, adopted 2."""
        lease = self.lease_for(pool_id, address)
        if lease is None:
            self._release_unknown_address(pool_id, address)
            return
        self._end_former_endpoint(lease)
        with self._locks.hold("port", lease.port_id):
            current = self._journal.leases.get(lease.port_id)
            released = [ip for ip in current.held if ip.ip_address == address] if current else []
            if current is None or not released or self._is_late(current, released[0]):
                return
            held = tuple(ip for ip in current.held if ip not in released and docker_releases(ip.ip_address))
            if held:
                # Docker releases the IPv6 address while a container without IPv6 starts, and never again.
                self._journal.leases.put(msgspec.structs.replace(current, held=held))
            elif self._has_endpoint(current):
                LOG.warning("ReleaseAddress %s is not for port %s: its container is alive", address, lease.port_id)
            else:
                self._ports.release(current)

    def _end_former_endpoint(self, lease: LeaseRecord) -> bool:
        """End what is left of the lease's endpoint; ``False``: it is in use. Docker deletes an endpoint before it
        releases the addresses, unless it crashed or we failed.
        """
        if not self._has_endpoint(lease):
            return True
        with self._locks.hold("endpoint", lease.endpoint_id):  # another call may be making or ending it
            endpoint = self._journal.endpoints.get(lease.endpoint_id)
            if endpoint is None:
                return True
            ended = endpoint.state != "ready" or ("endpoint", endpoint.endpoint_id) in self._unfinished.all()
            if not ended and self._lives(endpoint):
                return False
            LOG.warning("endpoint %s lost its last address before it was deleted", endpoint.endpoint_id[:12])
            self.end_endpoint(endpoint)
            return True

    def _lives(self, endpoint: EndpointRecord) -> bool:
        """Whether its interface is, or soon will be, in a container: engines before 28 move it some time after Join."""
        where = self._where(endpoint)
        young = self._ages.of("endpoint", endpoint.endpoint_id) < self._settings.reconcile_grace
        return where == "container" or (where == "host" and young)

    def _has_endpoint(self, lease: LeaseRecord) -> bool:
        return lease.endpoint_id != "" and self._journal.endpoints.get(lease.endpoint_id) is not None

    def _is_late(self, lease: LeaseRecord, ip: FixedIp) -> bool:
        """Whether this release was meant for an earlier lease, one that :meth:`end_leftover` ended without it.

        Only while the present lease has had no endpoint: once it has had one, the release is its own.
        """
        with self._guard:
            date, since = self._expected.pop(ip, (0.0, -LATE))
        if self._clock() - since >= LATE or lease.created_at < date:
            return False
        LOG.warning("ReleaseAddress %s comes late and is not for port %s", ip.ip_address, lease.port_id)
        return True

    def _expect_none(self, lease: LeaseRecord) -> None:
        with self._guard:
            for ip in lease.held:
                self._expected.pop(ip, None)

    def end_leftover(self, lease: LeaseRecord) -> None:
        """End a lease that Docker has not released. Docker may still do so, when another lease has the address."""
        with self._locks.hold("port", lease.port_id):
            current = self._journal.leases.get(lease.port_id)
            if current is None or self._has_endpoint(current):
                return
            self._ports.release(current, look=True)
            with self._guard:
                now = self._clock()
                self._expected = {ip: told for ip, told in self._expected.items() if now - told[1] < LATE}
                self._expected |= dict.fromkeys(current.held, (self._dates(), now))

    # -- what the journal does not know ----------------------------------------------------------------------------

    def _release_unknown_address(self, pool_id: str, address: str) -> None:
        if self._is_of_pool(pool_id, address):
            return  # released already
        found = self._subnet_of(pool_id)
        if found is None:
            with self._guard:
                self._unplaced[pool_id, address] = self._clock()
            return
        network, subnet = found
        subnet = subnet_for(network, address) or subnet
        for port in self._ports.find(subnet.subnet_id, address):
            with self._locks.hold("port", port.id):
                if self._spares.knows(port.id):
                    continue
                unknown = self._free_to_go(port, named=True)
                if unknown is None:
                    self._unplug_prepared(port)
                else:
                    LOG.info("releasing port %s, found in Neutron by its address %s", port.id, address)
                    self._unplug_unknown(port)
                    lease = self._lookup.rebuild_lease(network, port, subnet.subnet_id, unknown)
                    self._ports.release(self._exposed_ports.recognised(lease, port))

    def _is_of_pool(self, pool_id: str, address: str) -> bool:
        """Whether a port of a port pool that no container has has the address."""
        networks = [network for network in self._journal.networks.all() if pool_id in pools_of(network)]
        subnets = [subnet for network in networks for subnet in network.subnets]
        return any(self._spares.holding(subnet.subnet_id, address) is not None for subnet in subnets)

    def release_unplaced(self) -> None:
        """Repeat the releases that came before their network was known: right after a start a network may be known on
        Docker's word alone, and Docker releases no address twice.
        """
        with self._guard:
            unplaced, self._unplaced = dict(self._unplaced), {}
        for (pool_id, address), since in unplaced.items():
            if self._clock() - since < self._settings.reconcile_grace:
                self.release_address(pool_id, address)

    def end_orphan(self, port: Port) -> None:
        """End a port of ours that neither the journal nor Docker knows."""
        with self._locks.hold("port", port.id):
            unknown = self._free_to_go(port, named=False)
            if unknown is not None:
                self._unplug_unknown(port)
                lease = lease_of(port, "", (), "", self._dates(), unknown=unknown)
                self._ports.release(self._exposed_ports.recognised(lease, port), look=True)

    def _free_to_go(self, port: Port, *, named: bool) -> Unknown | None:
        """How to end a port, if it is ours, on this host, in no container, and not just being made for the next one;
        else ``None``.
        """
        unknown = release_of_unknown(port, self._own.project, self._settings.host, named=named)
        if unknown is None or self._intents.open(port.description) or self._journal.leases.get(port.id) is not None:
            return None
        if self._spares.knows(port.id):
            return None
        driver = self._drivers.for_port(port)
        return unknown if driver.where(driver.recover(port)) != "container" else None

    def _subnet_of(self, pool_id: str) -> tuple[NetworkRecord, SubnetRecord] | None:
        for network in self._journal.networks.all():
            for subnet in network.subnets:
                if subnet.pool_id == pool_id:
                    return network, subnet
        return self._lookup.neutron_subnet(pool_id)

    def _unplug_prepared(self, port: Port) -> None:
        """Remove the interface of a port that was bound beforehand, as Zun does: only the interface was ours.

        ``device_owner`` excludes the interfaces of virtual machines, which have the same names.
        """
        if port.device_owner != DEVICE_OWNER or port.host_id != self._settings.host:
            return
        driver = self._drivers.for_port(port)
        if self._journal.leases.get(port.id) is None and driver.where(driver.recover(port)) == "host":
            driver.unplug(driver.recover(port))

    def _unplug_unknown(self, port: Port) -> None:
        if port.host_id in {"", self._settings.host}:
            driver = self._drivers.for_port(port)
            driver.unplug(driver.recover(port))
