# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the time tells the services: the order of records, and how long something has been as it is.

The host's clock may be set at any time, by hours or years. So the dates in the journal tell an order and nothing else,
and ages are counted within one process, by a clock that nobody sets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from kuryr_libnetwork.interfaces.journal import Journal

_STEP = 1e-5
"""Seconds; a double of this century's dates has room for it."""


class Dates:
    """Dates for records: each call answers a later one than all before, and than all that the journal had.

    ``now``: seconds since the epoch, as the host's clock says. Safe for many threads.
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
    """Of all records; 0 where there is none."""
    tables = (journal.pools, journal.networks, journal.leases, journal.endpoints, journal.intents)
    return max((record.created_at for table in tables for record in table.all()), default=0.0)


class Ages:
    """How long things are there. What an earlier process left is as old as this one. Safe for many threads.

    ``clock``: seconds, of a clock that runs on and is never set.
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
        """It is not there any more."""
        with self._lock:
            self._since.pop((kind, key), None)

    def of(self, kind: str, key: str) -> float:
        """Seconds."""
        with self._lock:
            return self._clock() - self._since.get((kind, key), self._started)
