# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Creating things in Neutron without losing one whose answer never arrives.

The intent is on disk before the POST, its token in the ``description`` of the new resource. A refusal or an answer
drops the intent; a lost answer, or our own death, leaves it for :meth:`Intents.sweep`, which looks for the token and removes
what it finds.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import TypeVar

from kuryr_libnetwork.errors import KuryrError, NeutronNotFound, NeutronUnavailable
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import IntentRecord, TagOwner
from kuryr_libnetwork.rules.identity import intent_description

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Intents:
    def __init__(self, neutron: Neutron, journal: Journal, host: str, now: Callable[[], float]) -> None:
        self._neutron = neutron
        self._journal = journal
        self._host = host
        self._now = now

    def create(self, resource: TagOwner, post: Callable[[str], T], save: Callable[[T], None]) -> T:
        """POST with a description of ours, then ``save`` the outcome in one transaction with the end of the intent."""
        token = secrets.token_hex(8)
        self._journal.intents.put(IntentRecord(token=token, resource=resource, created_at=self._now()))
        try:
            made = post(intent_description(self._host, token))
        except NeutronUnavailable:
            raise  # it may exist: the intent stays
        except KuryrError:
            self._journal.intents.drop(token)
            raise
        with self._journal.transaction():
            save(made)
            self._journal.intents.drop(token)
        return made

    def sweep(self, older_than: float) -> int:
        """Remove what open intents older than ``older_than`` (a time) left in Neutron; answers how many were found."""
        found = 0
        for intent in self._journal.intents.all():
            if intent.created_at < older_than:
                found += self._remove(intent)
                self._journal.intents.drop(intent.token)
        return found

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
        if resource == "ports":
            return [port.id for port in self._neutron.find_ports(description=description)]
        if resource == "networks":
            return [network.id for network in self._neutron.find_networks(description=description)]
        if resource == "subnets":
            return [subnet.id for subnet in self._neutron.find_subnets(description=description)]
        return [pool.id for pool in self._neutron.find_subnetpools(description=description)]

    def _delete(self, resource: TagOwner, resource_id: str) -> None:
        {
            "ports": self._neutron.delete_port,
            "networks": self._neutron.delete_network,
            "subnets": self._neutron.delete_subnet,
            "subnetpools": self._neutron.delete_subnetpool,
        }[resource](resource_id)
