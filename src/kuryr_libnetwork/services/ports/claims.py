# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which host is about to bind a user's port (:mod:`~kuryr_libnetwork.rules.adoption` explains why and how).

A claim is stored in the tags of one of the service's own subnetpools, where no tenant can write. Neutron calls: 1 to
claim, 1 to see who else claims the port. The background removes a claim once the port is bound; it has to be gone
before the port is given back, because another host may want the port then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from kuryr_libnetwork.errors import NeutronError, NeutronForbidden, NeutronNotFound, PortNotAdoptable
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.records import LeaseRecord
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.identity import made_on
from kuryr_libnetwork.rules.networks import pools_of
from kuryr_libnetwork.rules.ownership import OwnSubnetPool
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
REMEMBERED = 24 * 3600.0
"""Seconds for which a claim dated in the future is remembered."""


class Claims:
    """``now``: seconds since the epoch; hosts need to agree on it only to within some minutes. ``clock``: monotonic
    seconds.
    """

    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        locks: KeyedLocks,
        host: str,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._locks = locks
        self._host = host
        self._now = now
        self._clock = clock
        self._sighted: dict[str, float] = {}
        self._guard = threading.Lock()
        self._finished: dict[str, str] = {}
        self._taken_off: set[str] = set()

    def enter(self, lease: LeaseRecord) -> str:
        """Claim the lease's port for its endpoint; returns the id of the pool that has the claim."""
        tags = rules.claim_tags(lease.port_id, lease.claim, self._now())
        for pool_id in self._pools_for(lease):
            try:
                with self._locks.hold("claims", pool_id):
                    self._neutron.add_tags("subnetpools", pool_id, tags)
            except (NeutronForbidden, NeutronNotFound) as error:
                LOG.debug("port %s cannot be claimed on pool %s: %s", lease.port_id, pool_id, error)
            else:
                return pool_id
        raise PortNotAdoptable(
            f"port {lease.port_id} cannot be claimed: this Docker network has no subnetpool in the service's own "
            "project; remove it and create it again"
        )

    def rivals(self, lease: LeaseRecord) -> set[str]:
        """The endpoints (prefixes of their ids) whose claims on the port compete with the lease's."""
        pools = self._claiming(lease.port_id)
        with self._guard:
            mine = [lease.claim, *self._finished]
        return rules.rivals(pools, lease.port_id, mine, self._now(), self._over(pools, lease.port_id))

    def _over(self, pools: list[OwnSubnetPool], port_id: str) -> set[str]:
        """Claims dated in the future that have been seen here for longer than a claim counts."""
        found = rules.claims_to_come(pools, port_id, self._now())
        now = self._clock()
        with self._guard:
            self._sighted = {tag: since for tag, since in self._sighted.items() if now - since < REMEMBERED}
            return {tag for tag in found if now - self._sighted.setdefault(tag, now) > 60 * rules.CLAIM_MINUTES}

    def finish(self, pool_id: str, endpoint_id: str) -> None:
        """The claim is not needed any more; :meth:`sweep` removes it."""
        with self._guard:
            self._finished[endpoint_id] = pool_id

    def leave(self, lease: LeaseRecord) -> None:
        """Remove the claim of a lease now. Neutron calls: 0 if the background has done it; else 2; 1 or 3 if an earlier
        process made the claim.
        """
        with self._guard:
            pool_id, done = self._finished.get(lease.claim, ""), lease.claim in self._taken_off
            self._taken_off.discard(lease.claim)
        if done:
            return
        pools = [pool_id] if pool_id else [pool.id for pool in self._claiming(lease.port_id)]
        for each in pools:
            self._take_off(each, [lease.claim])
        with self._guard:
            self._taken_off.discard(lease.claim)

    def _claiming(self, port_id: str) -> list[OwnSubnetPool]:
        return self._own.subnetpools(tags=[rules.CLAIM + port_id])

    def take_up(self, pools: Iterable[OwnSubnetPool]) -> None:
        """Note an earlier process's claims on this host's pools: :meth:`sweep` removes those without a lease."""
        claimed = {lease.claim for lease in self._journal.leases.all()}
        with self._guard:
            for pool in pools:
                for claimant in rules.claimants(pool) - {claim[: rules.ENDPOINT_DIGITS] for claim in claimed}:
                    self._finished.setdefault(claimant, pool.id)

    def sweep(self) -> None:
        """Remove finished claims. Neutron calls: 2 for each pool that has one."""
        with self._guard:
            finished = dict(self._finished)
        for pool_id in sorted(set(finished.values())):
            try:
                self._take_off(pool_id, [endpoint for endpoint, where in finished.items() if where == pool_id])
            except NeutronError as error:
                LOG.warning("claims of ports on subnetpool %s stay for now: %s", pool_id, error)

    def _take_off(self, pool_id: str, endpoints: list[str]) -> None:
        with self._locks.hold("claims", pool_id):
            for pool in self._own.subnetpools(id=pool_id):
                over = rules.finished_claims(pool, endpoints, self._now())
                if made_on(pool) == self._host:  # nobody else writes to it
                    self._neutron.set_tags("subnetpools", pool_id, [tag for tag in pool.tags if tag not in over])
                else:
                    self._take_off_singly(pool_id, over)
        with self._guard:
            for endpoint_id in endpoints:
                self._finished.pop(endpoint_id, None)
            self._taken_off.update(endpoints)

    def _take_off_singly(self, pool_id: str, tags: list[str]) -> None:
        for tag in tags:
            try:
                self._neutron.remove_tag("subnetpools", pool_id, tag)
            except NeutronNotFound:
                LOG.debug("subnetpool %s or its tag %s was gone already", pool_id, tag)

    def _pools_for(self, lease: LeaseRecord) -> list[str]:
        """The ids of pools that may take the claim: those of the lease's Docker network, the ones that this service
        made first; then its other pools. A claim is found on any of them.
        """
        network = self._journal.networks.get(lease.docker_network_id)
        mine = pools_of(network) if network is not None else set[str]()
        made = {pool.pool_id for pool in self._journal.pools.all() if pool.made}
        return [*sorted(mine & made), *sorted(mine - made), *sorted(made - mine)]
