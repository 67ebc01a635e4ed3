# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Takes over what was changed in Neutron on our networks and subnets, for the next container: MTU, gateway, routes."""

from __future__ import annotations

import logging
from functools import partial

from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network, Subnet
from kuryr_libnetwork.rules.networks import refreshed
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.locks import KeyedLocks

LOG = logging.getLogger(__name__)


class NetworkRefresher:
    def __init__(self, neutron: Neutron, journal: Journal, locks: KeyedLocks, attempts: Attempts) -> None:
        self._neutron = neutron
        self._journal = journal
        self._locks = locks
        self._attempts = attempts

    def round(self) -> None:
        """Read all our networks and subnets from Neutron anew; two calls in all."""
        networks = [network for network in self._journal.networks.all() if network.neutron_id]
        if not networks:
            return
        subnet_ids = sorted({subnet.subnet_id for network in networks for subnet in network.subnets})
        found = {subnet.id: subnet for subnet in self._neutron.find_subnets(id=subnet_ids)} if subnet_ids else {}
        ids = sorted({network.neutron_id for network in networks})
        there = {network.id: network for network in self._neutron.find_networks(id=ids)}
        for network in networks:
            what = f"refresh Docker network {network.docker_id}"
            self._attempts.run(what, partial(self._refresh_one, network.docker_id, there, found))

    def _refresh_one(self, docker_id: str, networks: dict[str, Network], subnets: dict[str, Subnet]) -> None:
        with self._locks.hold("network", docker_id):
            current = self._journal.networks.get(docker_id)
            if current is None:
                return
            fresh = refreshed(current, networks.get(current.neutron_id), subnets)
            if fresh != current:
                LOG.info("Docker network %s changed in Neutron: MTU %d", docker_id[:12], fresh.mtu)
                self._journal.networks.put(fresh)
