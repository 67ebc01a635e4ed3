# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A fixed number of threads that run the verbs; further calls wait in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

LOG = logging.getLogger(__name__)


class Job(NamedTuple):
    """``drop`` is called instead of ``run`` for a job that is still waiting when the service stops."""

    run: Callable[[], None]
    drop: Callable[[], None] = lambda: None


class Workers:
    """A thread costs about 17 KiB and 0.1 ms."""

    def __init__(self, threads: int) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._waiting_since = time.monotonic()
        self._threads = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        if not self.waiting:
            self._waiting_since = time.monotonic()
        self._jobs.put(job)

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken yet."""
        return self._jobs.qsize()

    def stuck(self) -> float:
        """Seconds for which jobs have waited while no thread took any; 0 if none waits."""
        return time.monotonic() - self._waiting_since if self.waiting else 0.0

    def stop(self, timeout: float) -> None:
        """Let running jobs finish within ``timeout`` seconds. Threads that hang end with the process."""
        end = time.monotonic() + timeout
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            LOG.warning("calls not finished within %s s are abandoned; Docker sees them fail", round(timeout, 1))
        self.drop_waiting()

    def drop_waiting(self) -> None:
        """Drop all waiting jobs, including those put after the threads had ended."""
        try:
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job.drop()
        except Empty:
            for _ in self._threads:  # for each thread that may still come back
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._waiting_since = time.monotonic()
            try:
                job.run()
            except Exception:  # a thread's boundary: whatever it is, the next call must find a worker
                LOG.exception("unexpected error while answering")
