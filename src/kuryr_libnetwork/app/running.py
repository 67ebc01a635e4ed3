# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One running service: its threads, how it stops, and how it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from kuryr_libnetwork.admin.server import AdminServer
from kuryr_libnetwork.bell import Bell
from kuryr_libnetwork.contacts import Contacts
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.liveness import Pulse
from kuryr_libnetwork.model.overview import RoundRow, Wellbeing
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.rules.wellbeing import Facts, judge
from kuryr_libnetwork.services.assembly import RECONCILER, Services
from kuryr_libnetwork.services.background.onlooker import THREAD as ONLOOKER
from kuryr_libnetwork.services.endpoints.announcer import THREAD as ANNOUNCER
from kuryr_libnetwork.services.endpoints.labels import THREAD as LABELS
from kuryr_libnetwork.services.endpoints.sandbox_routes import THREAD as ROUTES
from kuryr_libnetwork.services.ports.pool_filler import THREAD as PORT_POOLS
from kuryr_libnetwork.services.state.attempts import Attempts

LOG = logging.getLogger(__name__)
# Seconds after which something counts as hanging, each several times what it takes in the worst case.
CALLS_LIMIT = 300.0
BEAT_LIMIT = 900.0
LEAST_SILENCE, SILENT_ROUNDS = 300.0, 3
"""Neutron counts as silent after so many seconds, or rounds of the background if these take longer, without an answer;
each round asks it.
"""


class Worker(Protocol):
    """What a thread of its own does until it is stopped."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


def _workers(services: Services) -> dict[str, Worker]:
    """What goes on beside the background's rounds, by the names of the threads."""
    return {
        ANNOUNCER: services.announcer,
        ROUTES: services.routes,
        LABELS: services.labels,
        PORT_POOLS: services.pool_filler,
        ONLOOKER: services.onlooker,
    }


class App:
    """One running service. ``reload``: takes over a configuration that was read again, as far as that is possible;
    answers why some of it is not taken over.
    """

    def __init__(
        self,
        server: PluginServer,
        services: Services,
        interval: float,
        warm_ups: Mapping[str, Callable[[], object]],
        health: Health,
        pulses: Sequence[Pulse] = (),
        contacts: Contacts | None = None,
        host: str = "",
        reload: Callable[[Settings], list[str]] = lambda _: [],
    ) -> None:
        self._server = server
        self._services = services
        self._interval = interval
        self._cold = dict(warm_ups)
        self._end = Bell()
        self._health = health
        self._pulses = pulses
        self._looking = threading.Lock()
        self._contacts = contacts or Contacts()
        self._host = host
        self.reload = reload
        self._admin: AdminServer | None = None
        self._first = Attempts(health, RECONCILER, time.monotonic)
        self._background = health.thread(RECONCILER, self._run_background)
        self._workers = _workers(services)
        self._threads = [health.thread(name, worker.run) for name, worker in self._workers.items()]

    def serve(self) -> None:
        """Answer Docker until :meth:`stop`. The background starts once calls are accepted, so none waits for it."""
        self._background.start()
        for thread in self._threads:
            thread.start()
        self._server.serve()

    def stop(self) -> None:
        """Finish the calls under way, within 9 s."""
        self._end.set()
        if self._admin is not None:
            self._admin.stop()
        for worker in self._workers.values():
            worker.stop()
        self._server.stop()
        LOG.info("stopped")

    def hangs(self) -> list[str]:
        """A text for each part that hangs; does not wait."""
        with self._looking:
            found = [text for text in (pulse.hangs() for pulse in self._pulses) if text]
        stuck = self._server.stuck()
        if stuck > CALLS_LIMIT:
            found.append(f"no call of Docker has been started for {stuck:.0f} s, though some wait")
        silent = self._health.silent(BEAT_LIMIT)
        return found + [f"the thread {name} has not moved for {seconds:.0f} s" for name, seconds in silent.items()]

    def answer_operators(self, admin: AdminServer) -> None:
        """Serve this admin socket once Docker's calls are accepted."""
        self._admin = admin

    def wellbeing(self) -> Wellbeing:
        """The state of the service; does not wait."""
        silence = max(LEAST_SILENCE, SILENT_ROUNDS * self._interval) if self._interval else 0.0
        return judge(
            Facts(
                host=self._host,
                hangs=tuple(self.hangs()),
                serving=self._server.ready.is_set(),
                journal=next((pulse.trouble for pulse in self._pulses if pulse.trouble), ""),
                contacts=self._contacts.report(),
                agents=self._services.findings.agents(),
                silence=silence,
            )
        )

    def look_now(self) -> RoundRow:
        """Request a look for leftovers before the next one is due; returns the rounds so far, without waiting."""
        rounds = self._services.overview.rounds()
        self._services.reconciler.ask()
        self._end.ring()
        return rounds

    def status(self) -> str:
        """The state of the service in one line; does not wait."""
        found = self.wellbeing()
        return "ready" if found.ready else f"not ready: {'; '.join(found.reasons)}"

    def _run_background(self) -> None:
        self._server.ready.wait()
        if self._admin is not None:
            self._admin.start()
        self._warm_up()
        self._services.reconciler.run(self._end, self._interval, self._warm_up)

    def _warm_up(self) -> None:
        """Do the warm-ups that have not succeeded yet, so that no call waits for them; each round retries the rest."""
        for what, warm_up in list(self._cold.items()):
            if self._first.is_due(what) and self._first.run(what, warm_up):
                del self._cold[what]
