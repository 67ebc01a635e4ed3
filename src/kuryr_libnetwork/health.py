# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service's threads are doing, and the boundary that keeps them alive.

A leaf. Each thread of the background says when it was last at work (:meth:`Health.beat`). An exception that nobody
foresaw is logged with its traceback and counted (:meth:`Health.unforeseen`), and the thread goes on: a service whose
background has died looks well, and removes nothing any more.

Tracebacks show lines of code, never values of variables, so that no secret gets into the log with them.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

LOG = logging.getLogger(__name__)
PAUSE = 1.0
"""Seconds until a thread whose whole work has failed begins it again."""


@dataclass(frozen=True)
class ThreadState:
    """``last_beat``: seconds of the clock; None before the first, and once the thread's work is done.

    ``last_error``: of the last unforeseen exception, "" if none.
    """

    last_beat: float | None = None
    unforeseen: int = 0
    last_error: str = ""


class Health:
    """Safe for many threads. ``now``: seconds, of any clock that runs on."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._states: dict[str, ThreadState] = {}

    def beat(self, thread: str) -> None:
        """The thread is at work, or waits for work as it should."""
        self._set_beat(thread, self._now())

    def _set_beat(self, thread: str, beat: float | None) -> None:
        with self._lock:
            self._states[thread] = replace(self._states.get(thread, ThreadState()), last_beat=beat)

    def silent(self, limit: float) -> dict[str, float]:
        """The threads that have not given a beat for more than ``limit`` seconds, with the time since their last."""
        now = self._now()
        since = {name: now - state.last_beat for name, state in self.report().items() if state.last_beat is not None}
        return {name: seconds for name, seconds in since.items() if seconds > limit}

    def unforeseen(self, thread: str, doing: str, error: BaseException, *, log: bool = True) -> None:
        """Count an exception that is none of ours. Without ``log`` it was told before."""
        with self._lock:
            state = self._states.get(thread, ThreadState())
            self._states[thread] = replace(state, unforeseen=state.unforeseen + 1, last_error=described(error))
        if log:
            LOG.error("%s: %s: unexpected error", thread, doing, exc_info=error)

    def report(self) -> dict[str, ThreadState]:
        """By the name of the thread."""
        with self._lock:
            return dict(self._states)

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that ends when ``work`` returns. Should that raise, it begins again after a pause."""

        def run() -> None:
            while True:
                try:
                    self.beat(name)
                    work()
                except Exception as error:  # noqa: BLE001  # the thread's boundary
                    self.unforeseen(name, "its whole work", error)
                    time.sleep(PAUSE)
                else:
                    self._set_beat(name, None)
                    return

        return threading.Thread(target=run, name=name, daemon=True)

    def watch_all_threads(self) -> None:
        """What ends a thread that has no boundary of its own is logged and counted as well."""
        threading.excepthook = self._on_thread_end

    def _on_thread_end(self, ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            name = ended.thread.name if ended.thread is not None else "unknown"
            LOG.error("%s: the thread has ended: unexpected error", name, exc_info=ended.exc_value)
            # Threads of one kind are numbered, and there may be thousands of them in the life of the service.
            self.unforeseen(re.sub("[0-9]+", "N", name), "", ended.exc_value, log=False)


def described(error: BaseException) -> str:
    """One short line."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line if len(line) <= 200 else f"{line[:199]}…"
