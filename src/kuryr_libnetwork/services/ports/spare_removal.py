# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Removes ports of port pools: those that are not wanted any more, a whole pool, or some that are in others' way.

Neutron calls: 1 for each port, several at the same time for a whole pool.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, NoFreeAddress
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import SPARES_BY_NETWORK, SPARES_BY_STATE
from kuryr_libnetwork.model.records import NetworkRecord, SpareRecord, SubnetRecord
from kuryr_libnetwork.rules.identity import SPARE_NAME
from kuryr_libnetwork.rules.pool_pauses import OVER_QUOTA
from kuryr_libnetwork.rules.port_pool import PoolMark, idle_spare
from kuryr_libnetwork.services.ports.spares import AGE, IDLE, Spares
from kuryr_libnetwork.services.state.beside import Beside
from kuryr_libnetwork.services.state.dates import Ages
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
MOST_LOOKS = 20


class SpareRemoval:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        drivers: Drivers,
        spares: Spares,
        locks: KeyedLocks,
        ages: Ages,
        beside: Beside,
        host: str,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._host = host
        self._drivers = drivers
        self._spares = spares
        self._locks = locks
        self._ages = ages
        self._beside = beside

    def end(self, port_id: str) -> None:
        """Delete a port that is leaving its pool, with its interface; one that is gone counts as deleted."""
        with self._locks.hold("port", port_id):
            spare = self._journal.spares.get(port_id)
            if spare is None or spare.state != "leaving":
                return
            self._unplug(spare)
            try:
                self._neutron.delete_port(port_id)
            except NeutronNotFound:
                LOG.info("port %s of a port pool was gone already", port_id)
            self._drop(port_id)

    def forget(self, spare: SpareRecord) -> None:
        """The port is gone in Neutron, or somebody else's by now: nothing but its interface here is removed."""
        with self._locks.hold("port", spare.port_id):
            if self._journal.spares.get(spare.port_id) == spare:
                self._unplug(spare)
                self._drop(spare.port_id)

    def _unplug(self, spare: SpareRecord) -> None:
        if spare.plug is not None:
            self._drivers.named(spare.plug.driver).unplug(spare.plug)

    def _drop(self, port_id: str) -> None:
        self._journal.spares.drop(port_id)
        self._ages.end(AGE, port_id)

    def drain(self, network: NetworkRecord) -> None:
        """Delete all ports of a pool that no container has. Raises the first error, once all have been tried."""
        docker_network_id = network.docker_id
        with self._locks.hold("spares", docker_network_id):  # the filler is not just making one
            if network.rebuilt and network.neutron_id:
                self._find(network)
            for _ in range(MOST_LOOKS):  # it may have changed some since they were listed
                idle = self._idle(docker_network_id)
                if not idle:
                    break
                self._end_all(idle)
        self._spares.forget(docker_network_id)

    def _find(self, network: NetworkRecord) -> None:
        """Take up the ports of a pool that the journal has lost. Neutron calls: 1."""
        query = {"network_id": network.neutron_id, "binding:host_id": self._host}
        for port in self._own.ports(name=SPARE_NAME, **query):
            mark = idle_spare(port)
            if mark != PoolMark(host=self._host, network=network.docker_id) or self._spares.knows(port.id):
                continue
            with self._locks.hold("port", port.id):
                driver = self._drivers.for_port(port)
                used = driver.where(driver.recover(port)) == "container"
                if not used and self._journal.leases.get(port.id) is None:
                    self._spares.take_up(port, "leaving")

    def _idle(self, docker_network_id: str) -> list[SpareRecord]:
        found = self._journal.spares.find(SPARES_BY_NETWORK, docker_network_id)
        return [spare for spare in found if spare.state != "used"]

    def make_way(self, network: NetworkRecord, subnet: SubnetRecord, error: NeutronConflict) -> bool:
        """Delete one idle port for a container that cannot get its own; whether there was one.

        ``error``: why it cannot. If the subnet is full, a port on that subnet; if the quota is, one of this network, or
        else of another one of this host.
        """
        full = isinstance(error, NoFreeAddress)
        if not full and error.kind != OVER_QUOTA:
            return False
        idle = [spare for state in IDLE for spare in self._journal.spares.find(SPARES_BY_STATE, state)]
        if full:
            idle = [each for each in idle if subnet.subnet_id in {ip.subnet_id for ip in each.port.fixed_ips}]
        idle.sort(key=lambda each: each.docker_network_id != network.docker_id)
        for spare in idle:
            self._spares.pause(None if not full else spare.docker_network_id)
            if self._spares.move(spare, "leaving") is not None:
                LOG.info("port %s of a port pool makes way for a container: %s", spare.port_id, error)
                self.end(spare.port_id)
                return True
        return False

    def remove(self, spare: SpareRecord) -> bool:
        """Delete an idle port, unless it is not idle any more."""
        moved = spare if spare.state == "leaving" else self._spares.move(spare, "leaving")
        if moved is not None:
            self.end(moved.port_id)
        return moved is not None

    def _end_all(self, spares: Sequence[SpareRecord]) -> None:
        with self._beside.steps() as begin:
            for spare in spares:
                begin(partial(self.remove, spare))
