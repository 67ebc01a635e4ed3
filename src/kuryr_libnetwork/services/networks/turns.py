# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Serialises RequestPool and CreateNetwork of one CIDR, pair by pair.

CreateNetwork gets the CIDR from Docker, not the pool: two pools of one CIDR that wait for their networks at the same
time could not be told apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuryr_libnetwork.errors import Busy

TURN = 10.0
"""Seconds within which CreateNetwork follows RequestPool; an older pool is left over from a failed attempt."""


class Turns:
    """``ages``: of a CIDR's pools that no network has used yet, in seconds."""

    def __init__(self, ages: Callable[[str], list[float]], limit: float = TURN) -> None:
        self._ages = ages
        self._limit = limit
        self._changed = threading.Condition()
        self._making: set[str] = set()
        self._came: dict[str, int] = {}

    @contextmanager
    def take(self, cidr: str) -> Iterator[None]:
        """Create a pool of the CIDR in the body.

        First this waits for the networks of earlier pools, as long as they keep coming; raises :class:`Busy` if none
        has come within the limit. So nobody waits out the full time of each of several failed attempts.
        """
        with self._changed:
            self._wait(cidr)
            self._making.add(cidr)
        try:
            yield
        finally:
            with self._changed:
                self._making.discard(cidr)
                self._changed.notify_all()

    def network_came(self, cidr: str) -> None:
        """A pool of the CIDR has found its network, or has been released."""
        with self._changed:
            self._came[cidr] = self._came.get(cidr, 0) + 1
            self._changed.notify_all()

    def _wait(self, cidr: str) -> None:
        came, end = self._came.get(cidr, 0), time.monotonic() + self._limit
        while (left := self._left(cidr)) > 0:
            if self._came.get(cidr, 0) != came:
                came, end = self._came[cidr], time.monotonic() + self._limit
            if time.monotonic() >= end:
                raise Busy(
                    f"another docker network create for {cidr} has been at work for {self._limit:.0f} s; try again"
                )
            self._changed.wait(min(left, max(0.0, end - time.monotonic())))

    def _left(self, cidr: str) -> float:
        """Seconds until a pool may be made, if nothing else happens."""
        return max([self._limit if cidr in self._making else 0.0, *(self._limit - age for age in self._ages(cidr))])
