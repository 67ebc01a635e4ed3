# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The error boundary of the background: a failure is logged once, tried again later, and stops nothing else.

Each piece of work is identified by what it does ("remove endpoint 0123"). A failure is logged if it is new, or has
another reason than the last time; the success after it is logged as well. An exception that is not one of ours is
logged with its traceback and counted (:mod:`~kuryr_libnetwork.health`). Work that has failed once, or whose party does
not answer, is due again in the next round; other failures, such as refusals by Neutron, wait longer each time.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kuryr_libnetwork.errors import (
    Busy,
    EngineUnavailable,
    JournalError,
    KuryrError,
    NeutronUnavailable,
    OvsdbUnavailable,
)
from kuryr_libnetwork.health import Health, described

LOG = logging.getLogger(__name__)
T = TypeVar("T")
PASSING = (NeutronUnavailable, OvsdbUnavailable, EngineUnavailable, JournalError)
"""Errors that say nothing against the work itself: it is due again in the next round."""
FIRST_WAIT = 60.0
LONGEST_WAIT = 3600.0
"""Seconds until work that failed again is due: the first such wait, which then doubles, and the longest."""
_REQUEST = re.compile(r"\breq-[0-9a-f-]+")
"""Neutron's request ids differ in each text; they are not another reason."""


@dataclass
class _Failure:
    """``reason``: as it was logged. ``due``: when to try again, by the clock of :class:`Attempts`."""

    reason: str
    count: int
    due: float


class Attempts:
    """``thread``: the name of the thread that does the work. ``now``: monotonic seconds."""

    def __init__(self, health: Health, thread: str, now: Callable[[], float]) -> None:
        self._health = health
        self._thread = thread
        self._now = now
        self._lock = threading.Lock()
        self._failures: dict[str, _Failure] = {}
        self._count = 0

    def beat(self) -> None:
        self._health.beat(self._thread)

    def run(self, what: str, work: Callable[[], object]) -> bool:
        """Do the work; whether it succeeded. If a call of Docker holds a lock, the work neither succeeds nor fails."""
        self.beat()
        try:
            work()
        except Busy as error:
            LOG.debug("%s: %s", what, error)
            return False
        except KuryrError as error:
            if self._failed(what, str(error), passing=isinstance(error, PASSING)):
                LOG.warning("cannot %s: %s; it is tried again", what, error)
            return False
        except Exception as error:  # noqa: BLE001  # a thread's boundary
            new = self._failed(what, described(error), passing=False)
            self._health.unforeseen(self._thread, what, error, log=new)
            return False
        self._succeeded(what)
        return True

    def result(self, what: str, work: Callable[[], T], otherwise: T) -> T:
        """The result of the work, or ``otherwise`` if it does not succeed."""
        found = [otherwise]

        def keep() -> None:
            found[0] = work()

        self.run(what, keep)
        return found[0]

    def is_due(self, what: str) -> bool:
        """Whether the work has not failed, or its wait is over."""
        with self._lock:
            failure = self._failures.get(what)
            return failure is None or failure.due <= self._now()

    def has_failed(self, what: str) -> bool:
        """Whether the last attempt failed."""
        with self._lock:
            return what in self._failures

    @property
    def failures(self) -> int:
        """Number of failures since the start."""
        with self._lock:
            return self._count

    def trouble(self, what: str) -> str:
        """Why the last attempt failed; "" if it did not, or there was none."""
        with self._lock:
            failure = self._failures.get(what)
            return failure.reason if failure is not None else ""

    def forget(self, what: str) -> None:
        """The work does not exist any more."""
        with self._lock:
            self._failures.pop(what, None)

    def _failed(self, what: str, reason: str, *, passing: bool) -> bool:
        """Note a failure; whether it is to be logged."""
        reason = _REQUEST.sub("req", reason)
        with self._lock:
            self._count += 1
            before = self._failures.get(what)
            count = 0 if passing else before.count + 1 if before else 1
            wait = min(FIRST_WAIT * 2.0 ** min(count - 2, 30), LONGEST_WAIT) if count > 1 else 0.0
            self._forget_old()
            self._failures[what] = _Failure(reason, count, self._now() + wait)
        return before is None or before.reason != reason

    def _forget_old(self) -> None:
        """Forget failures of work that has not been tried again for long."""
        old = [what for what, failure in self._failures.items() if failure.due + 2 * LONGEST_WAIT < self._now()]
        for what in old:
            del self._failures[what]

    def _succeeded(self, what: str) -> None:
        with self._lock:
            failure = self._failures.pop(what, None)
        if failure is not None:
            LOG.info("%s: done at last", what)
