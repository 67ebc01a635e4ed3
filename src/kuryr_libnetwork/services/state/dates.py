# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Dates, for the order of records, and ages, for how long something has existed.

The host's clock may be set at any time, by hours or years. So dates in the journal give an order and nothing else, and
ages are counted within one process, by the monotonic clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from kuryr_libnetwork.interfaces.journal import Journal

_STEP = 1e-5
"""The smallest difference of two dates, in seconds; a float can still express it for the dates of this century."""


class Dates:
    """Dates for records: each call returns a later date than all before, and than all in the journal at the start.

    ``now``: seconds since the epoch, by the host's clock. Safe for many threads.
    """

    def __init__(self, now: Callable[[], float], latest: float) -> None:
        self._now = now
        self._latest = latest
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            self._latest = max(self._now(), self._latest + _STEP)
            return self._latest


def latest_date(journal: Journal) -> float:
    """The latest date of all records; 0 if there are none."""
    tables = (journal.pools, journal.networks, journal.leases, journal.endpoints, journal.intents, journal.spares)
    return max((record.created_at for table in tables for record in table.all()), default=0.0)


class Ages:
    """How long things have existed. What an earlier process left is as old as this process. Safe for many threads.

    ``clock``: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()
        self._since: dict[tuple[str, str], float] = {}

    def begin(self, kind: str, key: str) -> None:
        with self._lock:
            self._since[kind, key] = self._clock()

    def end(self, kind: str, key: str) -> None:
        """It does not exist any more."""
        with self._lock:
            self._since.pop((kind, key), None)

    def of(self, kind: str, key: str) -> float:
        """Seconds."""
        with self._lock:
            return self._clock() - self._since.get((kind, key), self._started)
