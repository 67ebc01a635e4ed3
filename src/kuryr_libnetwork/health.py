# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service's threads are doing, and the boundary that keeps them alive.

A leaf. Each thread of the background reports that it is at work (:meth:`Health.beat`). An unforeseen exception is
logged with its traceback and counted (:meth:`Health.unforeseen`), and the thread goes on: a service whose background
has died looks healthy, and removes nothing any more.

Tracebacks show lines of code, never values of variables, so no secret gets into the log with them.
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
"""Seconds until a thread whose whole work has raised begins it again."""


@dataclass(frozen=True)
class ThreadState:
    """``last_beat``: by the clock of :class:`Health`; None before the first, and once the thread's work is done.

    ``last_error``: one line about the last unforeseen exception; "" if none.
    """

    last_beat: float | None = None
    unforeseen: int = 0
    last_error: str = ""


class Health:
    """Safe for many threads. ``now``: monotonic seconds."""

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
        """Count an exception that is not one of ours; log it, unless ``log`` is false because it was logged before."""
        with self._lock:
            state = self._states.get(thread, ThreadState())
            self._states[thread] = replace(state, unforeseen=state.unforeseen + 1, last_error=described(error))
        if log:
            LOG.error("%s: %s: unexpected error", thread, doing, exc_info=error)

    def report(self) -> dict[str, ThreadState]:
        """The states by the names of the threads."""
        with self._lock:
            return dict(self._states)

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that ends when ``work`` returns. If ``work`` raises, it begins again after a pause."""

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
        """Log and count exceptions that end a thread without a boundary of its own, as well."""
        threading.excepthook = self._on_thread_end

    def _on_thread_end(self, ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            name = ended.thread.name if ended.thread is not None else "unknown"
            LOG.error("%s: the thread has ended: unexpected error", name, exc_info=ended.exc_value)
            # Threads of one kind are numbered, and a service may have thousands of them in its lifetime.
            self.unforeseen(re.sub("[0-9]+", "N", name), "", ended.exc_value, log=False)


def described(error: BaseException) -> str:
    """One short line about an exception."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line if len(line) <= 200 else f"{line[:199]}…"
