# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What is done for a container beside the calls, once Docker has moved its interface: a container never waits for it.

Engines before 28 move the interface some time after Join (docs/notes/docker-plugin.md, "Order of calls").
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.health import Health

LOG = logging.getLogger(__name__)
LOOK_AGAIN = 0.25
"""Seconds until what was not in its container yet is looked for again."""
IDLE = 60.0
"""Seconds for which a thread sleeps at most."""
LIMIT = 60.0
"""Seconds after which it is waited for no longer."""


@dataclass
class Task:
    """``key``: of the endpoint, or of the container. ``due``, ``deadline``: of the clock of its thread."""

    key: str
    due: float
    deadline: float


T = TypeVar("T", bound=Task)


class AfterJoin(ABC, Generic[T]):
    """A thread and its tasks. ``now``: seconds, of any clock that runs on."""

    def __init__(self, thread: str, health: Health, now: Callable[[], float]) -> None:
        self._thread = thread
        self._health = health
        self._now = now
        self._changed = threading.Condition()
        self._tasks: list[T] = []
        self._stopped = False

    @abstractmethod
    def _described(self, task: T) -> str:
        """What the task does, after "cannot"."""

    @abstractmethod
    def _is_finished(self, task: T) -> bool:
        """One look; a task that is not finished has its next ``due``."""

    def run(self) -> None:
        """Until :meth:`stop`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._is_due(), timeout=self._pause())
                if self._stopped:
                    return
            self._health.beat(self._thread)
            self.work()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def work(self) -> None:
        """One look at all tasks that are due."""
        with self._changed:
            due = [task for task in self._tasks if task.due <= self._now()]
        done = [task for task in due if self._is_done(task)]
        with self._changed:
            self._tasks = [task for task in self._tasks if not any(task is each for each in done)]

    def _add(self, task: T) -> None:
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    def _is_due(self) -> bool:
        return any(task.due <= self._now() for task in self._tasks)

    def _pause(self) -> float:
        """At most :data:`IDLE`, so that one sees that the thread lives."""
        due = min((task.due - self._now() for task in self._tasks), default=IDLE)
        return min(max(due, 0.0), IDLE)

    def _is_done(self, task: T) -> bool:
        """One task that fails ends; the others and the thread go on."""
        what = self._described(task)
        try:
            return self._is_finished(task)
        except KuryrError as error:
            LOG.warning("cannot %s: %s", what, error)
        except Exception as error:  # noqa: BLE001  # a thread's boundary
            self._health.unforeseen(self._thread, what, error)
        return True
