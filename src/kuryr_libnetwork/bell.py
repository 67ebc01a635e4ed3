# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a thread waits on that has long pauses: it ends, or is called to work at once."""

from __future__ import annotations

import threading


class Bell:
    """Used as a ``threading.Event`` whose :meth:`wait` :meth:`ring` ends early. One thread waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ended = False
        self._rung = False

    def set(self) -> None:
        """The end: nobody waits any more."""
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
        """Whether this is the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._rung, timeout)
            self._rung = False
            return self._ended
