# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a pool. Docker releases it before the network that uses it, so only an unused one goes at once.

Only a subnetpool of the shape that kuryr makes is ever deleted, and Neutron itself refuses while a subnet of any host
still comes from it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import SubnetPool
from kuryr_libnetwork.rules.identity import pool_made_by_us

LOG = logging.getLogger(__name__)


class PoolKeeper:
    def __init__(self, neutron: Neutron, journal: Journal, name_prefix: str) -> None:
        self._neutron = neutron
        self._journal = journal
        self._prefix = name_prefix

    def ours(self, pool: SubnetPool) -> bool:
        return pool_made_by_us(pool, self._prefix)

    def in_use(self, pool_id: str) -> bool:
        """Whether a Docker network of this host uses the pool."""
        return any(s.pool_id == pool_id for network in self._journal.networks.all() for s in network.subnets)

    def release(self, pool_id: str) -> None:
        """One ReleasePool of Docker. Neutron calls: 0 while a network uses the pool, else 1."""
        record = self._journal.pools.get(pool_id)
        if record is None:
            self._release_unknown(pool_id)
            return
        requests = max(0, record.requests - 1)
        if requests or self.in_use(pool_id):
            self._journal.pools.put(msgspec.structs.replace(record, requests=requests))
            return
        self.forget(pool_id)

    def after_network(self, pool_ids: Iterable[str]) -> None:
        """Remove the pools of a Docker network that has just gone, but those that Docker holds or uses elsewhere."""
        for pool_id in pool_ids:
            record = self._journal.pools.get(pool_id)
            if self.in_use(pool_id) or (record and record.requests):
                continue
            if record is None:
                self._release_unknown(pool_id)
                continue
            self.forget(pool_id)

    def forget(self, pool_id: str) -> None:
        """Remove a pool that Docker requested and then forgot."""
        record = self._journal.pools.get(pool_id)
        if record is None or self.in_use(pool_id):
            return
        if record.made:
            self._delete(pool_id)
        self._journal.pools.drop(pool_id)

    def _release_unknown(self, pool_id: str) -> None:
        """A pool that the journal does not know (deleted, or upstream's): it goes if kuryr made it and nobody uses it."""
        if self.in_use(pool_id):
            return
        for pool in self._neutron.find_subnetpools(id=pool_id):
            if self.ours(pool) and not self._neutron.find_subnets(tags=[pool_id]):
                self._delete(pool_id)

    def _delete(self, pool_id: str) -> None:
        try:
            self._neutron.delete_subnetpool(pool_id)
        except NeutronNotFound:
            return  # released already
        except (NeutronConflict, NeutronRefused) as error:
            LOG.info("subnetpool %s stays: %s", pool_id, error)  # a subnet of another host comes from it
