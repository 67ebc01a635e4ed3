# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where Neutron says which Docker networks, of whatever host, use one of its networks.

By tags of the Neutron network, as upstream does, while there is room. Neutron takes 50 tags for a resource; a Docker network
that finds no room is recorded on its own pools, and one tag of the Neutron network says that there are such ones.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kuryr_libnetwork.errors import NeutronNotFound
from kuryr_libnetwork.interfaces import Neutron
from kuryr_libnetwork.model import Network, NetworkRecord, PoolRecord, SubnetPool
from kuryr_libnetwork.rules.identity import (
    MAX_TAGS,
    MORE_USERS,
    id_from_tags,
    id_tags,
    network_of_pool,
    network_tags,
    on_network,
    other_users,
    pool_tags,
    room_for,
)
from kuryr_libnetwork.rules.port_options import option_tags

LOG = logging.getLogger(__name__)


class Register:
    def __init__(self, neutron: Neutron) -> None:
        self._neutron = neutron

    def enter(self, docker_id: str, network: Network, pools: Sequence[PoolRecord]) -> bool:
        """Record a Docker network on a Neutron network that is there; whether it is done on that one's tags.

        Neutron calls: 1; without room 1 for each pool, and for the first such Docker network 1 more.
        """
        tags = network_tags(docker_id, existing=True)
        if room_for(network.tags, tags):
            self._neutron.add_tags("networks", network.id, tags)
            return True
        if MORE_USERS not in network.tags and len(network.tags) < MAX_TAGS:
            self._neutron.add_tags("networks", network.id, [MORE_USERS])
        for pool in pools:
            self.record(docker_id, network.id, pool)
        return False

    def record(self, docker_id: str, neutron_id: str, pool: PoolRecord) -> None:
        """On a pool of its own, which nobody else writes to."""
        self._neutron.set_tags("subnetpools", pool.pool_id, pool_tags(docker_id, neutron_id, pool.ip_range))

    def remember(self, record: NetworkRecord) -> None:
        """What a Docker network says of its containers, on its first pool. Neutron calls: 1, none where it says nothing."""
        tags = option_tags(record)
        if tags and record.pools:
            self._neutron.add_tags("subnetpools", record.pools[0], (*id_tags(record.docker_id), *tags))

    def others(self, network: Network, docker_id: str) -> bool:
        """Whether other Docker networks use the Neutron network. Neutron calls: 0, where it is full of tags 1."""
        if other_users(network.tags, docker_id):
            return True
        if MORE_USERS not in network.tags and len(network.tags) < MAX_TAGS:
            return False
        return any(id_from_tags(pool.tags) not in (None, docker_id) for pool in self.recorded_on(network.id))

    def recorded_on(self, neutron_id: str) -> list[SubnetPool]:
        """The pools that say themselves that they are on this Neutron network."""
        return self._neutron.find_subnetpools(tags=[on_network(neutron_id)])

    def find(self, docker_id: str) -> tuple[Network | None, list[SubnetPool]]:
        """The Neutron network of a Docker network, and the pools that are recorded for it. Neutron calls: 2 or 3."""
        tags = list(id_tags(docker_id))
        found = self._neutron.find_networks(tags=tags)
        pools = self._neutron.find_subnetpools(tags=tags)
        if not found:
            ids = sorted({network_of_pool(pool.tags) for pool in pools} - {""})
            found = self._neutron.find_networks(id=ids)
        return (found[0] if found else None), pools

    def leave(self, docker_id: str, network: Network) -> None:
        """Take the tags of a Docker network; one by one, for others may be changing theirs."""
        for tag in network_tags(docker_id, existing=True):
            if tag in network.tags:
                try:
                    self._neutron.remove_tag("networks", network.id, tag)
                except NeutronNotFound:
                    LOG.debug("Neutron network %s or its tag %s was gone already", network.id, tag)
