# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""After the start: recovers what this host created in Neutron and its journal does not know.

Nothing is removed here. A Docker network is written into the journal as it is in Neutron; whether Docker still has it
is checked later, as for all others. A pool is removed as any pool, once nobody uses it. What belongs to nothing any
more gets its intent back, as if its creation had just been interrupted.

A look reads what all hosts have created, so hosts that start together do not look together: each at a time of its own
(:func:`~kuryr_libnetwork.rules.recovery.first_look`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.engine import EngineView
from kuryr_libnetwork.rules import recovery as rules
from kuryr_libnetwork.rules.identity import AUX_OWNER, made_on
from kuryr_libnetwork.rules.leftovers import trusted
from kuryr_libnetwork.rules.ownership import OwnNetwork
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.ports.claims import Claims
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.lookup import Lookup
from kuryr_libnetwork.services.state.own_things import OwnThings

QUIET = 2
"""After so many looks in a row that find nothing new, there are no more."""


class Recovery:
    """``grace``: of the reconciler. ``clock``: monotonic seconds. ``chance``: a random number from 0 to 1."""

    def __init__(
        self,
        *,
        journal: Journal,
        own: OwnThings,
        lookup: Lookup,
        intents: Intents,
        pools: PoolKeeper,
        claims: Claims,
        locks: KeyedLocks,
        attempts: Attempts,
        host: str,
        grace: float,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._own = own
        self._lookup = lookup
        self._intents = intents
        self._pools = pools
        self._claims = claims
        self._locks = locks
        self._attempts = attempts
        self._host = host
        self._quiet = 0
        self._without_docker = True
        self._unsure: set[str] = set()
        self._clock = clock
        known = bool(journal.networks.all() or journal.pools.all() or journal.leases.all())
        self._due = clock() + rules.first_look(known=known, grace=grace, chance=chance())
        self._claims_known = False

    def hurry(self) -> None:
        """An operator asks: the next round looks."""
        self._due = self._clock()

    def round(self, view: EngineView | None) -> None:
        """One look if it is due, until enough in a row found nothing new. Neutron calls: 4, and 3 for each Docker
        network; before the first look 1.
        """
        if self._clock() < self._due:
            if not self._claims_known:
                self._attempts.run("look for claims that an earlier process made", self._take_up_claims)
            return
        if self._without_docker and trusted(view, self._journal.networks.all()):
            self._quiet, self._without_docker = 0, False
        if self._quiet < QUIET or any(self._attempts.is_due(_look_for(docker_id)) for docker_id in self._unsure):
            self._attempts.run("look for what the journal does not know", partial(self._look, view))

    def _take_up_claims(self) -> None:
        """Those on the pools that the journal knows."""
        mine = sorted(pool.pool_id for pool in self._journal.pools.all() if pool.made)
        pools = self._own.subnetpools(id=mine) if mine else []
        self._claims.take_up(pool for pool in pools if made_on(pool) == self._host)
        self._claims_known = True

    def _look(self, view: EngineView | None) -> None:
        there = rules.There(
            self._own.networks(), self._own.subnets(), self._own.subnetpools(), self._own.ports(device_owner=AUX_OWNER)
        )
        in_docker = view.network_ids if view is not None else frozenset[str]()
        before = self._size()
        self._take_up_networks(there, in_docker)
        known = self._journal.networks.all()
        alive = {*in_docker, *self._unsure, *(network.docker_id for network in known)}
        for pool in rules.unused_pools(self._host, there, alive):
            if self._pools.ours(pool) and not self._intents.open(pool.description):
                self._intents.take_up_pool(pool)
        self._claims.take_up(there.of(self._host).pools)
        if trusted(view, known):
            for resource, description in rules.cut_off(self._host, there, known, alive):
                self._intents.take_up(resource, description)
        self._quiet = self._quiet + 1 if self._size() == before and not self._unsure else 0

    def _size(self) -> int:
        journal = self._journal
        return len(journal.networks.all()) + len(journal.pools.all()) + len(journal.intents.all())

    def _take_up_networks(self, there: rules.There, in_docker: Collection[str]) -> None:
        """Write the networks recorded for this host into the journal; those that Docker has are recovered anyway."""
        unsure = set()
        for docker_id, network in rules.recorded_networks(self._host, there).items():
            if docker_id in in_docker or self._journal.networks.get(docker_id) is not None:
                continue
            if not self._is_told(docker_id, network):
                unsure.add(docker_id)
        self._unsure = unsure

    def _is_told(self, docker_id: str, network: OwnNetwork | None) -> bool:
        what = _look_for(docker_id)
        return self._attempts.is_due(what) and self._attempts.run(what, partial(self._found, docker_id, network))

    def _found(self, docker_id: str, network: OwnNetwork | None) -> None:
        """``network``: the one that still has some of the Docker network's tags after an interrupted removal."""
        with self._locks.hold("network", docker_id):
            if self._lookup.network(docker_id) is None and network is not None:
                for there in self._own.networks(id=network.id):  # it may have gone since
                    self._lookup.rebuild(docker_id, there)


def _look_for(docker_id: str) -> str:
    return f"look for Docker network {docker_id}"
