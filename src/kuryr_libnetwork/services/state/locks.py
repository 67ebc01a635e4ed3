# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One lock per object (pool, network, endpoint, port), created on demand and dropped when nobody holds it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kuryr_libnetwork.errors import Busy


class _Counted:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0


class KeyedLocks:
    """Locks by kind and id. They are taken in the order network, endpoint, sandbox, address, port, neutron-network,
    pool, so that there is no deadlock.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._guard = threading.Lock()
        self._locks: dict[tuple[str, str], _Counted] = {}

    @contextmanager
    def hold(self, kind: str, key: str, *, wait: bool = True) -> Iterator[None]:
        """Wait for the object, at most the time-out, or not at all; then raise :class:`Busy`, so that no call of Docker
        hangs.
        """
        with self._guard:
            entry = self._locks.setdefault((kind, key), _Counted())
            entry.users += 1
        try:
            if not entry.lock.acquire(timeout=self._timeout if wait else 0):
                raise Busy(f"{kind} {key[:12]} is held by another call for more than {self._timeout:.0f} s; try again")
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    self._locks.pop((kind, key), None)
