# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a pool. Docker releases it before the network that uses it, so only an unused one goes at once.

Only a subnetpool of the shape that kuryr makes is ever deleted, and Neutron itself refuses while a subnet of any host
still comes from it. A refusal may pass, so the reconciler tries once more before the pool is left to others.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import PoolRecord, SubnetPool
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.identity import pool_made_by_us
from kuryr_libnetwork.services.locks import KeyedLocks

LOG = logging.getLogger(__name__)
UUID_LENGTH = 36


class PoolKeeper:
    def __init__(
        self, neutron: Neutron, journal: Journal, name_prefix: str, locks: KeyedLocks, now: Callable[[], float]
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._prefix = name_prefix
        self._locks = locks
        self._now = now
        self._guard = threading.Lock()
        self._wanted: Counter[str] = Counter()

    def ours(self, pool: SubnetPool) -> bool:
        return pool_made_by_us(pool, self._prefix)

    def made_of(self, candidates: Iterable[str]) -> set[str]:
        """Which of these are ids of pools that kuryr made. Neutron calls: 1."""
        ids = sorted(text for text in set(candidates) if len(text) == UUID_LENGTH)
        return {pool.id for pool in self._neutron.find_subnetpools(id=ids) if self.ours(pool)}

    @contextmanager
    def wanted(self, pool_ids: Sequence[str]) -> Iterator[None]:
        """Keep the pools of a network that is being made, however long that takes."""
        with self._guard:
            self._wanted.update(pool_ids)
        try:
            yield
        finally:
            with self._guard:
                self._wanted.subtract(pool_ids)

    def in_use(self, pool_id: str) -> bool:
        """Whether a Docker network of this host uses the pool, or is about to."""
        with self._guard:
            wanted = self._wanted[pool_id] > 0
        return wanted or any(s.pool_id == pool_id for network in self._journal.networks.all() for s in network.subnets)

    def requested_again(self, pool_ids: Iterable[str]) -> None:
        """Docker makes a network of a swarm once more after its own restart (§2.2), and will release its pools once."""
        for pool_id in set(pool_ids):
            with self._held(pool_id) as record:
                if record is not None and record.requests > 1:
                    self._journal.pools.put(msgspec.structs.replace(record, requests=record.requests - 1))

    def release(self, pool_id: str) -> None:
        """One ReleasePool of Docker. Neutron calls: 0 while a network uses the pool, else 2."""
        with self._held(pool_id) as record:
            if record is None:
                self._release_unknown(pool_id)
                return
            record = msgspec.structs.replace(record, requests=max(0, record.requests - 1))
            self._journal.pools.put(record)
            if not record.requests and not self.in_use(pool_id):
                self._end(record, last_try=False)

    def after_network(self, pool_ids: Iterable[str], *, look: bool) -> None:
        """Remove the pools of a Docker network that has just gone, but those that Docker holds or uses elsewhere.

        ``look``: whether another host uses them; one Neutron call more each.
        """
        for pool_id in pool_ids:
            with self._held(pool_id) as record:
                if record is None:
                    self._release_unknown(pool_id)
                elif not record.requests and not self.in_use(pool_id):
                    self._end(record, last_try=False, look=look)

    def forget(self, pool_id: str, known: PoolRecord | None = None) -> None:
        """Remove a pool that Docker requested and then forgot; ``known``: only if it has not changed since then."""
        with self._held(pool_id) as record:
            if record is not None and not self.in_use(pool_id) and known in (None, record):
                self._end(record, last_try=True)

    @contextmanager
    def _held(self, pool_id: str) -> Iterator[PoolRecord | None]:
        """The record, under the lock that RequestPool takes as well."""
        record = self._journal.pools.get(pool_id)
        with self._locks.hold("pool", record.cidr if record else pool_id):
            yield self._journal.pools.get(pool_id)

    def _release_unknown(self, pool_id: str) -> None:
        """A pool that the journal does not know (deleted, or upstream's): it goes if kuryr made it and nobody uses it."""
        if self.in_use(pool_id):
            return
        for pool in self._neutron.find_subnetpools(id=pool_id):
            if self.ours(pool) and not self._neutron.find_subnets(tags=[pool_id]):
                record = PoolRecord(
                    pool_id=pool_id,
                    cidr=canonical_cidr(pool.prefixes[0]),
                    ip_version=pool.ip_version,
                    made=True,
                    requests=0,
                    created_at=self._now(),
                )
                self._journal.pools.put(record)
                self._end(record, last_try=False)

    def _end(self, record: PoolRecord, *, last_try: bool, look: bool = True) -> None:
        try:
            if record.made and not (look and self._neutron.find_subnets(tags=[record.pool_id])):
                self._neutron.delete_subnetpool(record.pool_id)
        except NeutronNotFound:
            LOG.debug("subnetpool %s was gone already", record.pool_id)
        except (NeutronConflict, NeutronRefused) as error:
            LOG.info("subnetpool %s stays: %s", record.pool_id, error)  # perhaps a subnet of another host comes from it
            if not last_try:
                return
        self._journal.pools.drop(record.pool_id)
