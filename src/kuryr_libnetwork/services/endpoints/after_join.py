# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Work for a container after Join, once Docker has moved its interface. No container waits for it.

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
"""Seconds until an interface that was not in its container yet is looked for again."""
IDLE = 60.0
"""The longest sleep of a thread, in seconds."""
LIMIT = 60.0
"""Seconds after which the thread stops waiting for the interface."""


@dataclass
class Task:
    """``key``: the id of an endpoint, port or sandbox. ``due``, ``deadline``: by the clock of the task's thread."""

    key: str
    due: float
    deadline: float


T = TypeVar("T", bound=Task)


class AfterJoin(ABC, Generic[T]):
    """A thread and its tasks. ``now``: monotonic seconds."""

    def __init__(self, thread: str, health: Health, now: Callable[[], float]) -> None:
        self._thread = thread
        self._health = health
        self._now = now
        self._changed = threading.Condition()
        self._tasks: list[T] = []
        self._stopped = False

    @abstractmethod
    def _described(self, task: T) -> str:
        """What the task does, to follow "cannot" in the log."""

    @abstractmethod
    def _is_finished(self, task: T) -> bool:
        """One attempt; whether the task is finished. If not, its ``due`` has been set to the next attempt."""

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
        """Seconds to sleep; at most :data:`IDLE`, so that the thread is seen to be alive."""
        due = min((task.due - self._now() for task in self._tasks), default=IDLE)
        return min(max(due, 0.0), IDLE)

    def _is_done(self, task: T) -> bool:
        """A task that raises is dropped; the others and the thread go on."""
        what = self._described(task)
        try:
            return self._is_finished(task)
        except KuryrError as error:
            LOG.warning("cannot %s: %s", what, error)
        except Exception as error:  # noqa: BLE001  # a thread's boundary
            self._health.unforeseen(self._thread, what, error)
        return True
