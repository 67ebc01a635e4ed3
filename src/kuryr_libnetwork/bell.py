# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Lets a thread sleep for long, and wakes it early: to end, or to work at once."""

from __future__ import annotations

import threading


class Bell:
    """A ``threading.Event`` whose :meth:`wait` also ends early at :meth:`ring`. Only one thread may wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ended = False
        self._rung = False

    def set(self) -> None:
        """End for good: :meth:`wait` returns true at once from now on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def ring(self) -> None:
        """End the pause that is under way, or else the next one."""
        with self._changed:
            self._rung = True
            self._changed.notify_all()

    def is_set(self) -> bool:
        with self._changed:
            return self._ended

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; whether :meth:`set` has been called."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._rung, timeout)
            self._rung = False
            return self._ended
