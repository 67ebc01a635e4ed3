# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a Docker network in Neutron, whether it was ever finished or not.

What kuryr made goes with its last user; a network of somebody else loses our marks. Two things are left to a second look,
the reconciler's ``last_try``: a refusal, which may pass, and a network that others use, for they may be leaving at the same
moment. If they are not, the network is marked, and the last one clears up. Neutron calls of the first look: ≤ 4.
"""

from __future__ import annotations

import logging

import msgspec

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import Network, NetworkRecord, SubnetRecord
from kuryr_libnetwork.rules import identity
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.services.pools import PoolKeeper

LOG = logging.getLogger(__name__)
LEFT_BEHIND = "kuryr.net.left"
"""The tag of a Neutron network some of whose subnets were used by a Docker network that is gone."""


class Teardown:
    def __init__(self, neutron: Neutron, journal: Journal, pools: PoolKeeper) -> None:
        self._neutron = neutron
        self._journal = journal
        self._pools = pools

    def end(self, record: NetworkRecord, *, last_try: bool = False) -> None:
        """Remove the record with everything that stands for it in Neutron; where that is not done yet, it stays."""
        found = self._neutron.find_networks(id=record.neutron_id) if record.neutron_id else []
        if not found:
            self._forget(record, record.subnets)
            return
        network = found[0]
        if identity.other_users(network.tags, record.docker_id):
            self._leave_to_others(record, network)
            if last_try:
                self._neutron.add_tags("networks", network.id, [LEFT_BEHIND])
                self._journal.networks.drop(record.docker_id)
            return
        look = last_try or record.made or LEFT_BEHIND in network.tags
        mine = (*record.subnets, *(self._strays(record, network) if look else ()))
        if self._take_down(msgspec.structs.replace(record, subnets=mine), network, last_try=last_try):
            self._forget(record, mine)

    def _forget(self, record: NetworkRecord, subnets: tuple[SubnetRecord, ...]) -> None:
        self._journal.networks.drop(record.docker_id)
        look = record.made or not subnets  # else the budget is spent
        self._pools.after_network(dict.fromkeys(subnet.pool_id for subnet in subnets), look=look)

    def _leave_to_others(self, record: NetworkRecord, network: Network) -> None:
        """Tag by tag, for others may be changing theirs. What was made for a creation that failed has no user yet."""
        mine = identity.network_tags(record.docker_id, existing=True)
        for tag in mine:
            if tag in network.tags:
                self._untag_network(network.id, tag)
        if record.state == "creating":
            made = [subnet.subnet_id for subnet in record.subnets if subnet.made]
            for subnet in self._neutron.find_subnets(id=made):
                if not subnet.tags:
                    self._delete_subnet(subnet.id)

    def _strays(self, record: NetworkRecord, network: Network) -> tuple[SubnetRecord, ...]:
        """Subnets that earlier users of the network had to leave, for others still used it."""
        mine = {subnet.subnet_id for subnet in record.subnets}
        if set(network.subnets) <= mine:
            return ()
        others = [subnet for subnet in self._neutron.find_subnets(network_id=network.id) if subnet.id not in mine]
        marks = {subnet.id: {*subnet.tags, subnet.subnetpool_id or ""} for subnet in others}
        pools = self._pools.made_of(mark for found in marks.values() for mark in found)
        return tuple(
            rules.subnet_record(subnet, pool_id, made=subnet.name.startswith(identity.SUBNET_PREFIX))
            for subnet in others
            for pool_id in sorted(marks[subnet.id] & pools)
        )

    def _take_down(self, record: NetworkRecord, network: Network, *, last_try: bool) -> bool:
        """Whether nothing is left to do."""
        if rules.may_delete(record, network):
            try:
                self._neutron.delete_network(network.id)
            except NeutronNotFound:
                return True
            except NeutronConflict as error:
                LOG.warning("Neutron network %s stays, somebody else uses it: %s", network.id, error)
                if not last_try:
                    return False
            else:
                return True
        mine = identity.network_tags(record.docker_id, existing=True)
        kept = [tag for tag in network.tags if tag not in (*mine, LEFT_BEHIND)]
        if len(kept) < len(network.tags):
            self._neutron.set_tags("networks", network.id, kept)
        ended = [self._end_subnet(subnet, last_try=last_try) for subnet in record.subnets]
        return all(ended)

    def _end_subnet(self, subnet: SubnetRecord, *, last_try: bool) -> bool:
        if subnet.made:
            if self._delete_subnet(subnet.subnet_id):
                return True
            if not last_try:
                return False
        try:
            self._neutron.remove_tag("subnets", subnet.subnet_id, subnet.pool_id)
        except NeutronNotFound:
            LOG.debug("subnet %s or its tag %s was gone already", subnet.subnet_id, subnet.pool_id)
        return True

    def _delete_subnet(self, subnet_id: str) -> bool:
        try:
            self._neutron.delete_subnet(subnet_id)
        except NeutronNotFound:
            return True
        except NeutronConflict as error:
            LOG.warning("subnet %s stays, somebody else uses it: %s", subnet_id, error)
            return False
        return True

    def _untag_network(self, network_id: str, tag: str) -> None:
        try:
            self._neutron.remove_tag("networks", network_id, tag)
        except NeutronNotFound:
            LOG.debug("Neutron network %s or its tag %s was gone already", network_id, tag)
