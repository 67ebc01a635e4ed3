# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Removes a Docker network from Neutron, whether its creation was ever finished or not.

What kuryr created is deleted with its last user; our marks are removed from anybody else's network. Two cases are left
to a second attempt, the reconciler's ``last_try``: a refusal, which may be temporary, and a network that others use,
because they may be leaving at the same moment. If they are not, the network is marked, and its last user removes it.
Neutron calls of the first attempt: ≤ 4, or ≤ 5 if others use the network.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from kuryr_libnetwork.errors import NeutronConflict, NeutronForbidden, NeutronNotFound
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import LEASES_BY_NEUTRON_NETWORK
from kuryr_libnetwork.model.neutron import Network
from kuryr_libnetwork.model.records import NetworkRecord, SubnetRecord
from kuryr_libnetwork.rules import identity, networks as rules
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnSubnet
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.network_users import NetworkUsers
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)


class Ending(NamedTuple):
    """What to do with a subnet: delete it (``made``), or else remove these tags from it."""

    subnet_id: str
    made: bool
    tags: Sequence[str]


class Teardown:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        pools: PoolKeeper,
        network_users: NetworkUsers,
        locks: KeyedLocks,
        host: str,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._pools = pools
        self._network_users = network_users
        self._locks = locks
        self._host = host

    def end(self, record: NetworkRecord, *, last_try: bool = False) -> None:
        """Remove what stands for the Docker network in Neutron; its record stays until that is done.

        One at a time for each Neutron network: two that saw each other would each leave it to the other.
        """
        with self._locks.hold("neutron-network", record.neutron_id):
            self._end(record, last_try=last_try and not self._is_ours_there(record))

    def _is_ours_there(self, record: NetworkRecord) -> bool:
        """Whether a port of this host is, or may be, on the Neutron network: it would prevent the deletion, and will
        soon be deleted itself.

        Neutron calls: at most 1.
        """
        if any(intent.resource == "ports" for intent in self._journal.intents.all()):
            return True
        if self._journal.leases.find(LEASES_BY_NEUTRON_NETWORK, record.neutron_id):
            return True
        found = self._own.ports(network_id=record.neutron_id) if record.neutron_id else []
        return any(identity.made_by_us(port) and identity.made_on(port) == self._host for port in found)

    def unfinished_beside(self, record: NetworkRecord) -> list[str]:
        """The ids of this host's Docker networks on the same Neutron network whose removal can be finished now; none
        while the given one is not removed itself.
        """
        if self._journal.networks.get(record.docker_id) is not None:
            return []
        beside = [other for other in self._journal.networks.all() if other.neutron_id == record.neutron_id]
        return [other.docker_id for other in beside if other.state == "deleting"]

    def _end(self, record: NetworkRecord, *, last_try: bool) -> None:
        found = self._neutron.find_networks(id=record.neutron_id) if record.neutron_id else []
        if not found:
            self._forget(record, rules.pools_of(record))
            return
        network = self._own.project.network(found[0])
        if network is None:
            self._leave_anothers(record, found[0], last_try=last_try)
            return
        if self._network_users.others(network, record.docker_id):
            self._leave_to_others(record, network)
            if last_try:
                self._neutron.add_tags("networks", network.id, [identity.LEFT_BEHIND])
                self._journal.networks.drop(record.docker_id)
            return
        endings, pools = self._endings(record, network, last_try=last_try)
        if self._take_down(record, network, endings, last_try=last_try):
            self._forget(record, pools)

    def _leave_anothers(self, record: NetworkRecord, network: Network, *, last_try: bool) -> None:
        """Leave another project's network: only ports for auxiliary addresses are ours there, and subnets that kuryr's
        role allowed it to create. These subnets are deleted with the last Docker network that uses them: each removes
        its own pools, which record its use, before it looks for those of others, so the last one finds none.
        """
        self._delete_aux_ports(record)
        self._network_users.leave(record.docker_id, network)
        made = [subnet for subnet in record.subnets if subnet.made]
        self._untag_anothers([subnet for subnet in record.subnets if not subnet.made and not subnet.recorded])
        self._pools.give_up(record.docker_id, rules.pools_of(record))
        if made and not self._delete_last(record, made, last_try=last_try):
            return
        self._journal.networks.drop(record.docker_id)

    def _delete_last(self, record: NetworkRecord, made: Sequence[SubnetRecord], *, last_try: bool) -> bool:
        """Whether nothing is left to do."""
        there = self._own.subnets(id=[subnet.subnet_id for subnet in made])
        others = [pool for pool in self._network_users.recorded_on(record.neutron_id) if pool.id not in record.pools]
        used = {each.id for pool in others for each in rules.subnets_of_pool(pool, record.neutron_id, there)}
        left = [subnet.id for subnet in there if subnet.id not in used and not self._delete_subnet(subnet.id)]
        if last_try:
            for subnet_id in left:
                self._mark_left(subnet_id)
        return last_try or not left

    def _untag_anothers(self, subnets: Sequence[SubnetRecord]) -> None:
        """Remove the tags that upstream's service, with the role admin, has put on subnets of another project."""
        for subnet in self._neutron.find_subnets(id=[each.subnet_id for each in subnets]):
            for tag in {each.pool_id for each in subnets} & set(subnet.tags):
                try:
                    self._neutron.remove_tag("subnets", subnet.id, tag)
                except NeutronNotFound:
                    LOG.debug("subnet %s or its tag %s was gone already", subnet.id, tag)
                except NeutronForbidden as error:
                    LOG.info("tag %s of subnet %s, which is not ours, stays: %s", tag, subnet.id, error)

    def _forget(self, record: NetworkRecord, pools: set[str]) -> None:
        self._journal.networks.drop(record.docker_id)
        look = record.made or not record.subnets  # else the Neutron calls allowed for one DeleteNetwork are used up
        self._pools.after_network(sorted(pools), look=look)

    def _leave_to_others(self, record: NetworkRecord, network: OwnNetwork) -> None:
        """Remove what is this Docker network's alone. A pool that a subnet's tag names stays: upstream's service may
        use it by its name.
        """
        self._network_users.leave(record.docker_id, network)
        self._delete_aux_ports(record)
        if record.state == "creating":
            self._delete_unused(record)
        tagged = {subnet.pool_id for subnet in record.subnets if not subnet.recorded}
        self._pools.give_up(record.docker_id, rules.pools_of(record) - tagged)

    def _delete_unused(self, record: NetworkRecord) -> None:
        """Delete the subnets of a creation that failed, unless another Docker network has marked or recorded them."""
        made = [subnet.subnet_id for subnet in record.subnets if subnet.made]
        unmarked = [subnet for subnet in self._own.subnets(id=made) if not subnet.tags]
        if not unmarked:
            return
        others = [pool for pool in self._network_users.recorded_on(record.neutron_id) if pool.id not in record.pools]
        taken = {each.id for pool in others for each in rules.subnets_of_pool(pool, record.neutron_id, unmarked)}
        for subnet in unmarked:
            if subnet.id not in taken:
                self._delete_subnet(subnet.id)

    def _endings(self, record: NetworkRecord, network: OwnNetwork, *, last_try: bool) -> tuple[list[Ending], set[str]]:
        """What to do with the subnets, and the ids of the pools to remove. Both include what earlier users left because
        others still used the network, if there may be anything.
        """
        known = [Ending(subnet.subnet_id, subnet.made, [subnet.pool_id]) for subnet in record.subnets]
        pools = rules.pools_of(record)
        mine = {subnet.subnet_id for subnet in record.subnets}
        unsure = record.rebuilt or any(subnet.recorded for subnet in record.subnets)
        strays = (last_try or record.made or identity.LEFT_BEHIND in network.tags) and not set(network.subnets) <= mine
        if not unsure and not strays:
            return known, pools
        there = self._own.subnets(network_id=network.id)
        marks = {subnet.id: {*identity.pool_marks(subnet), subnet.subnetpool_id or ""} for subnet in there}
        ours = self._pools.made_of(mark for found in marks.values() for mark in found)
        made = {subnet.subnet_id for subnet in record.subnets if subnet.made}
        endings = []
        for subnet in there:
            tags = sorted(set(subnet.tags) & ours)
            if subnet.id in mine or marks[subnet.id] & ours or _by_kuryr(subnet):
                endings.append(Ending(subnet.id, subnet.id in made or identity.subnet_made_by_us(subnet), tags))
        return endings, pools | {mark for found in marks.values() for mark in found & ours}

    def _take_down(self, record: NetworkRecord, network: OwnNetwork, endings: list[Ending], *, last_try: bool) -> bool:
        """Whether nothing is left to do."""
        self._delete_aux_ports(record)
        made = rules.may_delete(record, network)
        if made:
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
        ended = [self._end_subnet(ending, last_try=last_try) for ending in endings]
        if not all(ended) and not last_try:
            return False
        mine = (*identity.network_tags(record.docker_id, existing=True), identity.LEFT_BEHIND, identity.MORE_USERS)
        kept = [tag for tag in network.tags if tag not in mine] + ([identity.LEFT_BEHIND] if made else [])
        if set(kept) != set(network.tags):
            self._neutron.set_tags("networks", network.id, kept)
        return True

    def _end_subnet(self, ending: Ending, *, last_try: bool) -> bool:
        if ending.made:
            if self._delete_subnet(ending.subnet_id):
                return True
            if not last_try:
                return False
            self._mark_left(ending.subnet_id)
        for tag in ending.tags:
            try:
                self._neutron.remove_tag("subnets", ending.subnet_id, tag)
            except NeutronNotFound:
                LOG.debug("subnet %s or its tag %s was gone already", ending.subnet_id, tag)
        return True

    def _mark_left(self, subnet_id: str) -> None:
        """Mark a subnet as left to others on purpose; it is not the rest of an interrupted creation."""
        with suppress(NeutronNotFound):  # they have removed it meanwhile
            self._neutron.add_tags("subnets", subnet_id, [identity.LEFT_BEHIND])

    def _delete_subnet(self, subnet_id: str) -> bool:
        try:
            self._neutron.delete_subnet(subnet_id)
        except NeutronNotFound:
            return True
        except NeutronConflict as error:
            LOG.warning("subnet %s stays, somebody else uses it: %s", subnet_id, error)
            return False
        return True

    def _delete_aux_ports(self, record: NetworkRecord) -> None:
        """Delete the ports that keep auxiliary addresses; without the journal's list ``device_id`` finds them."""
        ports = list(record.aux_ports)
        if record.rebuilt and record.docker_id:
            found = self._own.ports(device_id=record.docker_id, device_owner=identity.AUX_OWNER)
            ports += [port.id for port in found]
        for port_id in ports:
            try:
                self._neutron.delete_port(port_id)
            except NeutronNotFound:
                LOG.debug("port %s was gone already", port_id)


def _by_kuryr(subnet: OwnSubnet) -> bool:
    return identity.made_on(subnet) != "" and identity.subnet_made_by_us(subnet)
