# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the service still moves, asked by the watchdog.

What is asked must never be what a busy or unlucky service does for a while: Neutron that does not answer, a slow
script, a full disk. A new process would not mend these. What it does mend is a lock that nobody gives back, and a disk
that a thread waits for without end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from kuryr_libnetwork.errors import KuryrError

LOG = logging.getLogger(__name__)


class Pulse:
    """A short piece of work that comes to its end as long as the part of the service that does it moves.

    It is done by a thread of its own, again with each question. ``limit``: seconds within which it ends on any host.
    What it raises is no reason to start anew (:attr:`trouble`). ``now``: seconds, of any clock that runs on.
    """

    def __init__(
        self, part: str, work: Callable[[], object], limit: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._part = part
        self._work = work
        self._limit = limit
        self._now = now
        self._begun = 0.0
        self._error = ""
        self._thread: threading.Thread | None = None

    def hangs(self) -> str:
        """What does not move, in words; "" if nothing is known against it. Does not wait."""
        if self._thread is None or not self._thread.is_alive():
            self._begun = self._now()
            self._thread = threading.Thread(target=self._beat, name=f"pulse of {self._part}", daemon=True)
            self._thread.start()
        silent = self._now() - self._begun
        return f"{self._part} has not answered for {silent:.0f} s" if silent > self._limit else ""

    @property
    def trouble(self) -> str:
        """Why the work failed the last time that it came to its end; "" if it did not."""
        return self._error

    def _beat(self) -> None:
        try:
            self._work()
        except KuryrError as error:
            self._error = str(error)
            LOG.debug("pulse of %s: %s", self._part, error)
        else:
            self._error = ""
