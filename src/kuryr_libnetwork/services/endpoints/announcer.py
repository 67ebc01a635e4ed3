# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Telling the neighbours of a new container where its addresses are now.

Docker does this itself from 28 on, and to 29.2 for endpoints with a MAC only (docs/notes/docker-plugin.md, "What
differs by version"). Earlier engines move the interface into the container some time after Join and say nothing, so
that neighbours on a physical network go on sending to the place where the address was before. This is done beside the
calls: a container never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from kuryr_libnetwork.errors import KuryrError, LinkNotFound
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.drivers import Drivers, Enforcer
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.rules.addresses import canonical_ip

LOG = logging.getLogger(__name__)
THREAD = "announcer"
TIMES = 3
BETWEEN = 1.0
"""Seconds from one announcement to the next, as Docker does it: one may be lost."""
LOOK_AGAIN = 0.25
"""Seconds until an interface that was not in its container yet, or had no carrier, is looked for again."""
IDLE = 60.0
"""Seconds for which the thread sleeps at most."""
LIMIT = 60.0
"""Seconds after Join when the interface is waited for no longer."""


@dataclass
class _Task:
    endpoint: EndpointRecord
    due: float
    deadline: float
    left: int = TIMES
    reason: str = "there is no such interface with a carrier"


class Announcer:
    """``now``: seconds, of any clock that runs on."""

    def __init__(self, journal: Journal, drivers: Drivers, health: Health, now: Callable[[], float]) -> None:
        self._health = health
        self._journal = journal
        self._drivers = drivers
        self._now = now
        self._changed = threading.Condition()
        self._tasks: list[_Task] = []
        self._stopped = False

    def joined(self, endpoint: EndpointRecord) -> None:
        """Docker is about to move the endpoint's interface. Only drivers of physical networks have neighbours to tell."""
        if endpoint.plug is None or not isinstance(self._drivers.named(endpoint.plug.driver), Enforcer):
            return
        with self._changed:
            self._tasks.append(_Task(endpoint, self._now(), self._now() + LIMIT))
            self._changed.notify()

    def run(self) -> None:
        """Until :meth:`stop`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._is_due(), timeout=self._pause())
                if self._stopped:
                    return
            self._health.beat(THREAD)
            self.work()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def work(self) -> None:
        """One look at all endpoints that are due."""
        with self._changed:
            due = [task for task in self._tasks if task.due <= self._now()]
        done = [task for task in due if self._is_done(task)]
        with self._changed:
            self._tasks = [task for task in self._tasks if task not in done]

    def _is_due(self) -> bool:
        return any(task.due <= self._now() for task in self._tasks)

    def _pause(self) -> float:
        """At most :data:`IDLE`, so that one sees that the thread lives."""
        due = min((task.due - self._now() for task in self._tasks), default=IDLE)
        return min(max(due, 0.0), IDLE)

    def _is_done(self, task: _Task) -> bool:
        """One task that fails ends; the others and the thread go on."""
        what = f"announce the addresses of endpoint {task.endpoint.endpoint_id[:12]}"
        try:
            return self._is_finished(task)
        except KuryrError as error:
            LOG.warning("cannot %s: %s", what, error)
        except Exception as error:  # noqa: BLE001  # a thread's boundary
            self._health.unforeseen(THREAD, what, error)
        return True

    def _is_finished(self, task: _Task) -> bool:
        endpoint = self._journal.endpoints.get(task.endpoint.endpoint_id)
        if endpoint is None or endpoint.state != "ready":
            return True
        sent = self._announce(task)
        task.left -= sent
        task.due = self._now() + (BETWEEN if sent else LOOK_AGAIN)
        if task.due > task.deadline and task.left == TIMES:
            LOG.warning("neighbours are not told of endpoint %s: %s", endpoint.endpoint_id[:12], task.reason)
        return not task.left or task.due > task.deadline

    def _announce(self, task: _Task) -> bool:
        """A namespace that is not there is yet to come, or has gone already."""
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
