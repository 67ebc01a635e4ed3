# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""RequestPool and CreateNetwork of one CIDR, one pair after the other.

Docker tells CreateNetwork the CIDR, not the pool: two pools of one CIDR that wait for their networks at a time could
not be told apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuryr_libnetwork.errors import Busy

TURN = 10.0
"""Seconds in which CreateNetwork follows RequestPool; what is older is left of an attempt that failed."""


class Turns:
    """``ages``: those of the pools of a CIDR, in seconds, for which no network has come yet."""

    def __init__(self, ages: Callable[[str], list[float]], limit: float = TURN) -> None:
        self._ages = ages
        self._limit = limit
        self._changed = threading.Condition()
        self._making: set[str] = set()
        self._came: dict[str, int] = {}

    @contextmanager
    def take(self, cidr: str) -> Iterator[None]:
        """A pool of the CIDR is made in the body.

        Before that it waits for the networks of earlier ones, for as long as they come: :class:`Busy` when none has
        come for the limit. So nobody waits for several attempts that failed, each its full time.
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
        """A pool of the CIDR has found its network, or has been given back."""
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
