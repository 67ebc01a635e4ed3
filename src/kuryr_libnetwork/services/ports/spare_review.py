# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Compares the ports of port pools with Neutron: in each round of the background, and before they are used again.

Whoever may change ports of the service's project may take one over, or change it. Nothing of his is overwritten: a port
is looked at before it is changed, and changed only if it still is as it was seen. Neutron calls: :meth:`look` 1, and 1
more if somebody has changed or deleted one; :meth:`seen` 1 for all ports; :meth:`use_again` 1.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import partial

import msgspec

from kuryr_libnetwork.errors import NeutronChanged, NeutronNotFound
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import SPARES_BY_STATE
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import NetworkRecord, SpareRecord
from kuryr_libnetwork.rules import pool_size, port_pool
from kuryr_libnetwork.rules.identity import SPARE_NAME
from kuryr_libnetwork.rules.ownership import OwnPort
from kuryr_libnetwork.services.ports.spare_removal import SpareRemoval
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)


class SpareReview:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        intents: Intents,
        spares: Spares,
        removal: SpareRemoval,
        drivers: Drivers,
        locks: KeyedLocks,
        attempts: Attempts,
        host: str,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._intents = intents
        self._spares = spares
        self._removal = removal
        self._drivers = drivers
        self._locks = locks
        self._attempts = attempts
        self._host = host

    # -- before they are used again ----------------------------------------------------------------------------------

    def seen(self, spares: Collection[SpareRecord]) -> Mapping[str, OwnPort]:
        """The ports in Neutron, by their ids; those that are gone are missing."""
        return {port.id: port for port in self._own.ports(id=sorted(spare.port_id for spare in spares))}

    def use_again(self, port_id: str, seen: Port | None) -> None:
        """Have a new interface made for a released port, if it is wanted and as it was made. ``seen``: in Neutron, just
        now; ``None``: it is gone. If somebody changes it at the same time, it stays as it is until the next look.
        """
        with self._locks.hold("labels", port_id), self._locks.hold("port", port_id):
            spare = self._journal.spares.get(port_id)
            if spare is None or spare.state != "cooling":
                return
            if spare.plug is not None:
                self._drivers.named(spare.plug.driver).unplug(spare.plug)
            try:
                port = self._relabelled(spare, seen)
            except NeutronNotFound:
                LOG.warning("port %s of a port pool was deleted in Neutron", port_id)
                self._spares.leave(port_id)
            except NeutronChanged as error:
                LOG.info("port %s of a port pool is looked at once more: %s", port_id, error)
            else:
                if port is not None:
                    self._spares.move(spare, "making", plug=None, port=msgspec.structs.replace(port, status=""))

    def _relabelled(self, spare: SpareRecord, seen: Port | None) -> Port | None:
        """The port with the labels of a spare; ``None``: it is not used again."""
        if seen is None:
            raise NeutronNotFound(f"port {spare.port_id} is gone")
        if self._is_refused(spare, seen):
            return None
        if not self._is_wanted(spare):
            self._spares.move(spare, "leaving")
            return None
        labels = port_pool.labels_of_spare(spare.docker_network_id)
        port = self._neutron.update_port(spare.port_id, labels, seen.revision_number or None)
        return None if self._is_refused(spare, port) else port

    def _is_wanted(self, spare: SpareRecord) -> bool:
        network = self._journal.networks.get(spare.docker_network_id)
        if network is None or network.state != "ready":
            return False
        count = self._spares.count(network.docker_id)
        return count.ready + count.making < pool_size.high_mark(self._spares.target(network))

    def _is_refused(self, spare: SpareRecord, port: Port) -> bool:
        """Whether the port is not as it was made; then it is given to nobody, and deleted unless somebody has it."""
        if port_pool.is_taken(spare.port, port):
            LOG.warning("port %s of a port pool is used by somebody else", spare.port_id)
            self._attempts.run(f"forget port {spare.port_id}", partial(self._removal.forget, spare))
            return True
        if port_pool.is_unchanged(spare.port, port):
            return False
        self._refuse_changed(spare, port)
        return True

    def _refuse_changed(self, spare: SpareRecord, port: Port) -> None:
        names = ", ".join(port_pool.changed_attributes(spare.port, port)) or "its labels"
        LOG.warning("port %s of a port pool was changed in Neutron (%s): it is deleted", spare.port_id, names)
        self._spares.move(spare, "leaving")

    # -- in each round -----------------------------------------------------------------------------------------------

    def look(self) -> set[str]:
        """Compare the ports that no container has with Neutron, and take up those that the journal does not know.

        Returns the Docker networks whose pools were looked at.
        """
        known = {spare.port_id: spare for state in ("ready", "making") for spare in self._in(state)}
        pools = {network.docker_id: network for network in self._spares.pools()}
        if not known and not pools:
            return set()
        found = {port.id: port for port in self._own.ports(name=SPARE_NAME, **{"binding:host_id": self._host})}
        self._look_for({port_id: spare for port_id, spare in known.items() if port_id not in found})
        for port_id, port in found.items():
            spare = known.get(port_id)
            if spare is None:
                self._attempts.run(f"take up port {port_id} for a port pool", partial(self._take_up, port, pools))
            elif self._is_still(spare):
                self._is_refused(spare, port)
        return set(pools)

    def _in(self, state: str) -> list[SpareRecord]:
        return self._journal.spares.find(SPARES_BY_STATE, state)

    def _is_still(self, spare: SpareRecord) -> bool:
        return self._journal.spares.get(spare.port_id) == spare

    def _look_for(self, missing: dict[str, SpareRecord]) -> None:
        """End the ports that Neutron shows otherwise than as spares of this host: deleted, or taken by somebody."""
        found = self.seen(missing.values()) if missing else {}
        for port_id, spare in missing.items():
            port = found.get(port_id)
            if not self._is_still(spare):
                continue  # a container has got it since
            if port is None:
                LOG.warning("port %s of a port pool was deleted in Neutron", port_id)
                self._attempts.run(f"forget port {port_id}", partial(self._removal.forget, spare))
            elif not self._is_refused(spare, port):
                self._refuse_changed(spare, port)

    def _take_up(self, port: OwnPort, pools: Mapping[str, NetworkRecord]) -> None:
        """Record a port that this host made for a pool before the journal was lost, if no container has it."""
        mark = port_pool.idle_spare(port)
        if mark is None or mark.host != self._host or mark.network not in pools or self._intents.open(port.description):
            return
        with self._locks.hold("port", port.id):
            if self._journal.leases.get(port.id) is not None or self._spares.knows(port.id):
                return
            driver = self._drivers.for_port(port)
            if driver.where(driver.recover(port)) != "container":
                LOG.info("port %s is taken up for the port pool of Docker network %s", port.id, mark.network[:12])
                self._spares.take_up(port, "cooling")
