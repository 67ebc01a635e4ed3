# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Threads for cheroot: few that read requests, and those that work on the verbs.

Docker never forgets a failed handshake, and its calls have no time-out: constants must be answered even if every verb
hangs. So a reader answers at once what needs no verb, and hands everything else to the workers; it never waits for one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

LOG = logging.getLogger(__name__)

READERS = 8
"""A thread costs about 17 KiB and 0.1 ms; only a client that stops within its request holds a reader."""

Work = Callable[[], None]


class Workers:
    """Stands where cheroot has its ThreadPool: ``start``, ``put``, ``stop``."""

    def __init__(self, threads: int, readers: int = READERS) -> None:
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self._verbs: SimpleQueue[tuple[Any, Work] | None] = SimpleQueue()
        self._full = False
        self._readers = [threading.Thread(target=self._read, name=f"reader-{n}", daemon=True) for n in range(readers)]
        self._workers = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(threads)]

    def start(self) -> None:
        for thread in self._readers + self._workers:
            thread.start()

    def put(self, connection: Any) -> None:
        """A connection on which something arrived."""
        self._arrived.put(connection)

    def stop(self, timeout: float) -> None:
        """Finish what was taken, within ``timeout`` seconds. Threads that hang end with the process."""
        start = time.monotonic()
        for _ in self._readers:
            self._arrived.put(None)
        if not self._join(self._readers, start + timeout / 4):
            LOG.warning("requests that did not arrive completely are dropped")
        self._full = True
        for _ in self._workers:
            self._verbs.put(None)
        if not self._join(self._workers, start + timeout):
            LOG.warning("calls not finished within %s s are abandoned; Docker sees them fail", timeout)
            self._drop_waiting()

    def _join(self, threads: list[threading.Thread], end: float) -> bool:
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _drop_waiting(self) -> None:
        with suppress(Empty):
            while True:
                waiting = self._verbs.get_nowait()
                if waiting is not None:
                    _close(waiting[0])
        for _ in self._workers:  # whoever comes back
            self._verbs.put(None)

    def _read(self) -> None:
        while (connection := self._arrived.get()) is not None:
            work: Work | None = None
            try:
                connection.communicate()
                work = connection.work
            except Exception:  # a thread's boundary: whatever it is, the next client must find a reader
                LOG.exception("unexpected error while reading a request")
            if work is None or self._full:
                _close(connection)
            else:
                self._verbs.put((connection, work))

    def _work(self) -> None:
        while (taken := self._verbs.get()) is not None:
            connection, work = taken
            try:
                work()
            except OSError as error:
                LOG.info("connection lost: %s", error)
            except Exception:  # a thread's boundary, as above
                LOG.exception("unexpected error while answering")
            _close(connection)


def _close(connection: Any) -> None:
    try:
        connection.close()
    except OSError as error:
        LOG.info("closing a connection: %s", error)
