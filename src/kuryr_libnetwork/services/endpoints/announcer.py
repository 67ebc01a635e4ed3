# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Announces a new container's addresses to its neighbours on a physical network.

Docker does this itself from 28 on, and up to 29.2 only for endpoints with a MAC (docs/notes/docker-plugin.md, "What
differs by version"). Earlier engines move the interface into the container some time after Join and announce nothing,
so neighbours on a physical network go on sending to where the address was before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from kuryr_libnetwork.errors import LinkNotFound
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.drivers import Drivers, Enforcer
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.rules.addresses import canonical_ip
from kuryr_libnetwork.services.endpoints.after_join import LIMIT, LOOK_AGAIN, AfterJoin, Task

LOG = logging.getLogger(__name__)
THREAD = "announcer"
TIMES = 3
BETWEEN = 1.0
"""Seconds between two announcements, as in Docker; there are several because one may be lost."""


@dataclass
class _Announcement(Task):
    endpoint: EndpointRecord
    left: int = TIMES
    reason: str = "there is no such interface with a carrier"


class Announcer(AfterJoin[_Announcement]):
    def __init__(self, journal: Journal, drivers: Drivers, health: Health, now: Callable[[], float]) -> None:
        super().__init__(THREAD, health, now)
        self._journal = journal
        self._drivers = drivers

    def joined(self, endpoint: EndpointRecord) -> None:
        """Docker is about to move the endpoint's interface. Only drivers of physical networks need announcements."""
        if endpoint.plug is None or not isinstance(self._drivers.named(endpoint.plug.driver), Enforcer):
            return
        now = self._now()
        self._add(_Announcement(endpoint.endpoint_id, now, now + LIMIT, endpoint))

    def _described(self, task: _Announcement) -> str:
        return f"announce the addresses of endpoint {task.key[:12]}"

    def _is_finished(self, task: _Announcement) -> bool:
        endpoint = self._journal.endpoints.get(task.key)
        if endpoint is None or endpoint.state != "ready":
            return True
        sent = self._announce(task)
        task.left -= sent
        task.due = self._now() + (BETWEEN if sent else LOOK_AGAIN)
        if task.due > task.deadline and task.left == TIMES:
            LOG.warning("neighbours are not told of endpoint %s: %s", endpoint.endpoint_id[:12], task.reason)
        return not task.left or task.due > task.deadline

    def _announce(self, task: _Announcement) -> bool:
        """Whether it was sent, or need not be. A namespace that does not exist is still to come, or has gone."""
        endpoint = task.endpoint
        plug, given = endpoint.plug, (endpoint.address, endpoint.address_ipv6)
        driver = self._drivers.named(plug.driver) if plug else None
        if plug is None or not isinstance(driver, Enforcer):
            return True
        try:
            return driver.announce(plug, endpoint.sandbox_key, [canonical_ip(text) for text in given if text])
        except LinkNotFound as error:
            task.reason = str(error)
            return False
