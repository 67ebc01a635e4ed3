# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Pools from RequestPool to their removal. Docker releases a pool before the network that uses it, so only an unused
one is removed at once.

Only a subnetpool of the form that kuryr creates is ever deleted, and not while a subnet names it: others may use it by
its name, as upstream's service does; the last Docker network on the subnet removes it. A refusal by Neutron may be
temporary, so the reconciler tries once more before the pool is left to others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import msgspec

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.records import PoolRecord
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.identity import docker_id_of, network_of_pool, pool_made_by_us
from kuryr_libnetwork.rules.networks import pools_of
from kuryr_libnetwork.rules.ownership import OwnSubnetPool
from kuryr_libnetwork.services.networks.turns import Turns
from kuryr_libnetwork.services.state.beside import Beside
from kuryr_libnetwork.services.state.dates import Ages, Dates
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
UUID_LENGTH = 36


class PoolKeeper:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        name_prefix: str,
        locks: KeyedLocks,
        dates: Dates,
        ages: Ages,
        beside: Beside,
    ) -> None:
        self._beside = beside
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._prefix = name_prefix
        self._locks = locks
        self._dates = dates
        self._ages = ages
        self._turns = Turns(self._waiting)

    def ours(self, pool: OwnSubnetPool) -> bool:
        return pool_made_by_us(pool, self._prefix)

    def made_of(self, candidates: Iterable[str]) -> set[str]:
        """Those of the ids that are pools made by kuryr. Neutron calls: 1."""
        ids = sorted(text for text in set(candidates) if len(text) == UUID_LENGTH)
        return {pool.id for pool in self._own.subnetpools(id=ids) if self.ours(pool)}

    def in_use(self, pool_id: str) -> bool:
        """Whether a Docker network of this host uses the pool, or is just being created with it."""
        return any(pool_id in pools_of(network) for network in self._journal.networks.all())

    def turn(self, cidr: str) -> AbstractContextManager[None]:
        """Create a pool of the CIDR in the body; see :class:`~.turns.Turns`."""
        return self._turns.take(cidr)

    def network_came(self, cidrs: Iterable[str]) -> None:
        """The pools of these CIDRs have found their network."""
        for cidr in set(cidrs):
            self._turns.network_came(cidr)

    def _waiting(self, cidr: str) -> list[float]:
        """The ages, in seconds, of a CIDR's pools that Docker requested and has not yet named in CreateNetwork."""
        pools = [pool for pool in self._journal.pools.all() if pool.cidr == cidr and pool.requests > 0]
        return [self._ages.of("pool", pool.pool_id) for pool in pools if not self.in_use(pool.pool_id)]

    # -- the end ---------------------------------------------------------------------------------------------------

    def forgotten(self, pool_id: str) -> None:
        """A pool that Docker will not release: restarted in a swarm, it requested another pool for the subnet."""
        with self._held(pool_id) as record:
            if record is not None:
                self._journal.pools.put(msgspec.structs.replace(record, requests=0))

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
        self.network_came([record.cidr])

    def after_network(self, pool_ids: Iterable[str], *, look: bool) -> None:
        """Remove the pools of a Docker network that has just been removed, except those that Docker holds or uses
        elsewhere.

        ``look``: ask first whether another host uses them; one more Neutron call for each.
        """
        first, *others = [*pool_ids] or [""]
        with self._beside.steps() as begin:
            for pool_id in others:
                begin(partial(self._end_after_network, pool_id, look=look))
            if first:
                self._end_after_network(first, look=look)

    def _end_after_network(self, pool_id: str, *, look: bool) -> None:
        with self._held(pool_id) as record:
            if record is None:
                self._release_unknown(pool_id, network_gone=True)
            elif not record.requests and not self.in_use(pool_id):
                self._end(record, last_try=False, look=look)

    def give_up(self, docker_id: str, pool_ids: Iterable[str]) -> None:
        """Remove the pools of a Docker network whose Neutron network stays for others; a pool of upstream's may have
        other users as well.
        """
        others = [network for network in self._journal.networks.all() if network.docker_id != docker_id]
        used = {pool_id for network in others for pool_id in pools_of(network)}
        for pool_id in sorted(set(pool_ids) - used):
            with self._held(pool_id) as record:
                if record is not None and record.requests:  # CreateNetwork failed; Docker releases the pool next
                    self._neutron.set_tags("subnetpools", pool_id, [])
                else:
                    self._delete(pool_id)

    def forget(self, pool_id: str, known: PoolRecord | None = None) -> None:
        """Remove a pool that Docker requested and then forgot; ``known``: only if it still equals this record."""
        with self._held(pool_id) as record:
            if record is not None and not self.in_use(pool_id) and known in (None, record):
                self._end(record, last_try=True)

    @contextmanager
    def _held(self, pool_id: str) -> Iterator[PoolRecord | None]:
        with self._locks.hold("pool", pool_id):
            yield self._journal.pools.get(pool_id)

    def _release_unknown(self, pool_id: str, *, network_gone: bool = False) -> None:
        """Remove a pool that the journal does not know (it was lost, or the pool is upstream's), if kuryr made it and
        nobody uses it.
        """
        if self.in_use(pool_id):
            return
        for pool in self._own.subnetpools(id=pool_id):
            used = not network_gone and self._is_recorded(pool)
            if self.ours(pool) and not used and not self._own.subnets(tags=[pool_id]):
                record = PoolRecord(
                    pool_id=pool_id,
                    cidr=canonical_cidr(pool.prefixes[0]),
                    ip_version=pool.ip_version,
                    made=True,
                    requests=0,
                    created_at=self._dates(),
                )
                self._journal.pools.put(record)
                self._end(record, last_try=False)

    def _is_recorded(self, pool: OwnSubnetPool) -> bool:
        """Whether it records a Docker network, which Docker is about to remove, on an existing Neutron network."""
        neutron_id = network_of_pool(pool)
        return docker_id_of(pool) is not None and bool(self._neutron.find_networks(id=neutron_id))

    def _end(self, record: PoolRecord, *, last_try: bool, look: bool = True) -> None:
        try:
            if record.made and not (look and self._own.subnets(tags=[record.pool_id])):
                self._neutron.delete_subnetpool(record.pool_id)
        except NeutronNotFound:
            LOG.debug("subnetpool %s was gone already", record.pool_id)
        except (NeutronConflict, NeutronRefused) as error:
            LOG.info("subnetpool %s stays: %s", record.pool_id, error)  # another host's subnet may be taken from it
            if not last_try:
                return
        self._drop(record.pool_id)

    def _delete(self, pool_id: str) -> None:
        try:
            self._neutron.delete_subnetpool(pool_id)
        except NeutronNotFound:
            LOG.debug("subnetpool %s was gone already", pool_id)
        self._drop(pool_id)

    def _drop(self, pool_id: str) -> None:
        self._journal.pools.drop(pool_id)
        self._ages.end("pool", pool_id)
