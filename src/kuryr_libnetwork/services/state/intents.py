# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Creates resources in Neutron without losing one whose answer never arrives.

The intent is on disk before the POST, and its token in the ``description`` of the new resource. An answer or a refusal
drops the intent. If the answer is lost, or the service dies, :meth:`Intents.sweep` looks for the token and removes what
it finds, unless it is in use by then: others may have found a pool by its name, or a subnet by its CIDR.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from kuryr_libnetwork.errors import KuryrError, NeutronError, NeutronNotFound, NeutronUnavailable
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import TagOwner
from kuryr_libnetwork.model.records import IntentRecord, PoolRecord
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.identity import intent_description, intent_token, on_network, token_of
from kuryr_libnetwork.rules.networks import pools_of, subnets_of_pool
from kuryr_libnetwork.rules.ownership import OwnSubnet, OwnSubnetPool
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.dates import Ages, Dates
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Intents:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        host: str,
        attempts: Attempts,
        dates: Dates,
        ages: Ages,
    ) -> None:
        self._attempts = attempts
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._host = host
        self._dates = dates
        self._ages = ages
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def create(
        self, resource: TagOwner, post: Callable[[str], T], save: Callable[[T], None], *, docker_network: str = ""
    ) -> T:
        """POST with a description of ours; then ``save`` the outcome and drop the intent in one transaction.

        ``docker_network``: the id of the Docker network that it is created for, if known.
        """
        token = intent_token(self._host, secrets.token_hex(8), docker_network)
        with self._lock:
            self._under_way.add(token)
        try:
            return self._create(token, resource, post, save)
        finally:
            with self._lock:
                self._under_way.discard(token)

    def _create(self, token: str, resource: TagOwner, post: Callable[[str], T], save: Callable[[T], None]) -> T:
        self._journal.intents.put(IntentRecord(token=token, resource=resource, created_at=self._dates()))
        self._ages.begin("intent", token)
        try:
            made = post(intent_description(self._host, token))
        except KuryrError as error:
            if not _may_exist_after(error):
                self._journal.intents.drop(token)
                self._ages.end("intent", token)
            raise
        with self._journal.transaction():
            save(made)
            self._journal.intents.drop(token)
        self._ages.end("intent", token)
        return made

    def open(self, description: str | None) -> bool:
        """Whether a resource with this description is just being created, or waits for :meth:`sweep`."""
        return any(
            intent_description(self._host, intent.token) == description for intent in self._journal.intents.all()
        )

    def sweep(self, grace: float) -> int:
        """Remove what intents open for ``grace`` seconds have left in Neutron; returns how many were found."""
        found = 0
        for intent in self._journal.intents.all():
            with self._lock:
                late = self._ages.of("intent", intent.token) >= grace and intent.token not in self._under_way
            what = f"remove what is left of a cut off creation ({intent.resource}, token {intent.token})"
            if late and self._attempts.is_due(what):
                found += self._attempts.result(what, partial(self._finish, intent), 0)
        return found

    def _finish(self, intent: IntentRecord) -> int:
        found = self._remove(intent)
        self._journal.intents.drop(intent.token)
        self._ages.end("intent", intent.token)
        return found

    def take_up(self, resource: TagOwner, description: str) -> None:
        """Restore the intent of a resource of this host that the journal no longer knows, as if it had just begun."""
        token = token_of(description)
        if token and not self.open(description):
            self._ages.begin("intent", token)
            self._journal.intents.put(IntentRecord(token=token, resource=resource, created_at=self._dates()))

    def take_up_pool(self, pool: OwnSubnetPool) -> None:
        """Record a pool instead of deleting it, because every request for its CIDR finds it by its name: it is removed
        as any pool, once nobody uses it.
        """
        record = PoolRecord(
            pool_id=pool.id,
            cidr=canonical_cidr(pool.prefixes[0]),
            ip_version=pool.ip_version,
            made=True,
            requests=0,
            created_at=self._dates(),
        )
        with self._journal.transaction():
            if self._journal.pools.get(pool.id) is None:
                self._journal.pools.put(record)

    def _remove(self, intent: IntentRecord) -> int:
        ids = self._find(intent.resource, intent_description(self._host, intent.token))
        for resource_id in ids:
            LOG.warning("removing %s %s: its creation was cut off", intent.resource, resource_id)
            try:
                self._delete(intent.resource, resource_id)
            except NeutronNotFound:
                continue
        return len(ids)

    def _find(self, resource: TagOwner, description: str) -> list[str]:
        """The ids of unused resources with this description. Whoever uses a network or subnet has tagged it, on any
        host.
        """
        if resource == "ports":
            found = self._own.ports(description=description)
            return [port.id for port in found if self._journal.leases.get(port.id) is None]
        if resource == "networks":
            networks = self._own.networks(description=description)
            return [network.id for network in networks if not network.tags]
        if resource == "subnets":
            unmarked = [subnet for subnet in self._own.subnets(description=description) if not subnet.tags]
            return [subnet.id for subnet in unmarked if not self._is_recorded(subnet)]
        for pool in self._own.subnetpools(description=description):
            self.take_up_pool(pool)
        return []

    def _is_recorded(self, subnet: OwnSubnet) -> bool:
        """Whether a Docker network's pool records that it uses the subnet; this host's unfinished ones do not count."""
        unfinished = [network for network in self._journal.networks.all() if network.state != "ready"]
        ending = {pool_id for network in unfinished for pool_id in pools_of(network)}
        pools = self._own.subnetpools(tags=[on_network(subnet.network_id)])
        return any(subnets_of_pool(pool, subnet.network_id, [subnet]) for pool in pools if pool.id not in ending)

    def _delete(self, resource: TagOwner, resource_id: str) -> None:
        {
            "ports": self._neutron.delete_port,
            "networks": self._neutron.delete_network,
            "subnets": self._neutron.delete_subnet,
        }[resource](resource_id)


def _may_exist_after(error: KuryrError) -> bool:
    """Whether the resource may have been created all the same: no usable answer came, or Neutron failed at an unknown
    point (500).
    """
    return isinstance(error, NeutronUnavailable) or type(error) is NeutronError
