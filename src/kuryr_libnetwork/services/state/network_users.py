# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Records in Neutron which Docker networks, of any host, use a Neutron network.

This is done by tags on the Neutron network, as upstream does, if it is in the service's own project and has room. A
Docker network on another project's network is recorded on its own pools instead, where nobody else can write. So is one
that finds no room (Neutron allows 50 tags on a resource); a tag on the Neutron network then says that there are such.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kuryr_libnetwork.errors import Conflict, NeutronForbidden, NeutronNotFound
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network
from kuryr_libnetwork.model.records import NetworkRecord, PoolRecord
from kuryr_libnetwork.rules.identity import (
    MAX_TAGS,
    MORE_USERS,
    docker_id_of,
    id_tags,
    network_of_pool,
    network_tags,
    on_network,
    other_users,
    pool_tags,
    room_for,
)
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnSubnetPool
from kuryr_libnetwork.rules.port_options import option_tags
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)


class NetworkUsers:
    def __init__(self, neutron: Neutron, own: OwnThings) -> None:
        self._neutron = neutron
        self._own = own

    def enter(self, record: NetworkRecord, network: Network, pools: Sequence[PoolRecord]) -> bool:
        """Record a Docker network on an existing Neutron network; returns whether the latter's tags record it.

        These tags do not name the host, so the Docker network's first pool does, and is written before them. Neutron
        calls: 2; on the pools 1 for each, and 1 more for the first Docker network without room.
        """
        docker_id, own = record.docker_id, self._own.project.network(network)
        tags = network_tags(docker_id, existing=True)
        if own is not None and room_for(own, tags):
            self._neutron.add_tags("subnetpools", pools[0].pool_id, (*id_tags(docker_id), *option_tags(record)))
            self._neutron.add_tags("networks", own.id, tags)
            return True
        if own is not None and MORE_USERS not in own.tags and len(own.tags) < MAX_TAGS:
            self._neutron.add_tags("networks", own.id, [MORE_USERS])
        for pool in pools:
            self.record(docker_id, network.id, pool)
        return False

    def record(self, docker_id: str, neutron_id: str, pool: PoolRecord, options: Sequence[str] = ()) -> None:
        """Record a Docker network on a pool of its own, where nobody else can write. ``options``: the tags of its
        options that the pool carries already.
        """
        tags = (*pool_tags(docker_id, neutron_id, pool.ip_range), *options)
        self._neutron.set_tags("subnetpools", pool.pool_id, tags)

    def remember(self, record: NetworkRecord) -> None:
        """Store a Docker network's options for its containers on its first pool. Neutron calls: 1; 0 without any."""
        tags = option_tags(record)
        if tags and record.pools:
            self._neutron.add_tags("subnetpools", record.pools[0], (*id_tags(record.docker_id), *tags))

    def others(self, network: OwnNetwork, docker_id: str) -> bool:
        """Whether other Docker networks use a network of ours. Neutron calls: 0; 1 if it has no room for more tags."""
        if other_users(network, docker_id):
            return True
        if MORE_USERS not in network.tags and len(network.tags) < MAX_TAGS:
            return False
        return any(docker_id_of(pool) not in (None, docker_id) for pool in self.recorded_on(network.id))

    def recorded_on(self, neutron_id: str) -> list[OwnSubnetPool]:
        """The pools that record that their Docker network is on this Neutron network."""
        return self._own.subnetpools(tags=[on_network(neutron_id)])

    def find(self, docker_id: str) -> tuple[Network | None, list[OwnSubnetPool]]:
        """The Neutron network of a Docker network, and the pools that are recorded for it. Neutron calls: 2 or 3.

        Raises :class:`~kuryr_libnetwork.errors.Conflict` if it is recorded on two: neither is believed then.
        """
        tags = list(id_tags(docker_id))
        tagged = self._own.networks(tags=tags)
        pools = self._own.subnetpools(tags=tags)
        ids = {network.id for network in tagged} | ({network_of_pool(pool) for pool in pools} - {""})
        if len(ids) > 1:
            raise Conflict(
                f"Docker network {docker_id[:12]} is recorded on Neutron networks {' and '.join(sorted(ids))}; take "
                "its tags (kuryr.net.uuid.*) off all but the right one, or remove the Docker network and create it "
                "again"
            )
        if tagged:
            return tagged[0], pools
        found = self._neutron.find_networks(id=sorted(ids))
        return (found[0] if found else None), pools

    def leave(self, docker_id: str, network: Network) -> None:
        """Remove the tags of a Docker network; one by one, because others may be changing theirs.

        Upstream's service, with the role admin, writes them on other projects' networks as well; without that role they
        stay.
        """
        for tag in network_tags(docker_id, existing=True):
            if tag in network.tags:
                try:
                    self._neutron.remove_tag("networks", network.id, tag)
                except NeutronNotFound:
                    LOG.debug("Neutron network %s or its tag %s was gone already", network.id, tag)
                except NeutronForbidden as error:
                    LOG.info("tag %s of Neutron network %s, which is not ours, stays: %s", tag, network.id, error)
