# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the service hangs, for the watchdog.

Only what a restart cures may count as hanging: a lock that is never released, or a thread that waits for the disk
forever; not a Neutron that does not answer, a slow script or a full disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from kuryr_libnetwork.errors import KuryrError

LOG = logging.getLogger(__name__)


class Pulse:
    """A short piece of work that ends as long as a part of the service does not hang.

    Each question runs it in a thread of its own. ``limit``: seconds within which it ends on any host. If it raises,
    that is no reason for a restart (:attr:`trouble`). ``now``: monotonic seconds.
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
        """A text if the part hangs; "" if that is not known. Does not wait."""
        if self._thread is None or not self._thread.is_alive():
            self._begun = self._now()
            self._thread = threading.Thread(target=self._beat, name=f"pulse of {self._part}", daemon=True)
            self._thread.start()
        silent = self._now() - self._begun
        return f"{self._part} has not answered for {silent:.0f} s" if silent > self._limit else ""

    @property
    def trouble(self) -> str:
        """Why the work failed when it last ended; "" if it succeeded."""
        return self._error

    def _beat(self) -> None:
        try:
            self._work()
        except KuryrError as error:
            self._error = str(error)
            LOG.debug("pulse of %s: %s", self._part, error)
        else:
            self._error = ""
