# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated time. Each actor is a thread; one of them runs at a time, until it waits, and the time passes only then.

So the services run unchanged, in any number, on one processor, and a simulated hour takes as long as the work that they
do in it.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

STACK = 512 * 1024
"""Bytes for each thread: there are thousands."""


class Over(BaseException):
    """The simulation is over. Not caught by any handler of the service."""


class Actor:
    def __init__(self) -> None:
        self.turn = threading.Semaphore(0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Actor]] = []
        self._order = itertools.count()
        self._back = threading.Semaphore(0)
        self._running: Actor | None = None
        self._error: BaseException | None = None
        self._over = False

    def read(self) -> float:
        return self.now

    def start(self, work: Callable[[], object], after: float = 0.0) -> None:
        """Do the work in a thread of its own, ``after`` so many seconds."""
        actor = Actor()

        def run() -> None:
            actor.turn.acquire()
            try:
                if not self._over:
                    work()
            except Over:
                pass
            except BaseException as error:  # noqa: BLE001 - raised again by run()
                self._error = error
            finally:
                self._back.release()

        size = threading.stack_size(STACK)
        try:
            threading.Thread(target=run, daemon=True).start()
        finally:
            threading.stack_size(size)
        self.wake(actor, after)

    def wait(self, seconds: float) -> None:
        """Called by an actor."""
        self.wake(self.me(), seconds)
        self.park()

    def me(self) -> Actor:
        assert self._running is not None
        return self._running

    def park(self) -> None:
        """Wait until another actor calls :meth:`wake`."""
        actor = self.me()
        self._back.release()
        actor.turn.acquire()
        if self._over:
            raise Over

    def wake(self, actor: Actor, after: float = 0.0) -> None:
        heapq.heappush(self._due, (self.now + after, next(self._order), actor))

    def run(self, until: float) -> None:
        """Let the time pass; raises what an actor raised."""
        while self._due and self._due[0][0] <= until:
            self.now, _, self._running = heapq.heappop(self._due)
            self._running.turn.release()
            self._back.acquire()
            if self._error is not None:
                raise self._error
        self.now = until

    def end(self) -> None:
        """End all threads that wait for a time; those that are parked end with the process."""
        self._over = True
        while self._due:
            _, _, self._running = heapq.heappop(self._due)
            self._running.turn.release()
            self._back.acquire()
