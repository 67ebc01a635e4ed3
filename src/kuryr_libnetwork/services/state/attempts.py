# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The error boundary of the background: what fails is told once, tried again later, and stops nothing else.

Work is known by what it does ("remove endpoint 0123"). A failure is logged when it is new, or has another reason than
the last time; that it works again is logged as well. An exception that is none of ours is logged with its traceback and
counted (:mod:`~kuryr_libnetwork.health`). What failed once, or waits for somebody who does not answer, is due again in
the next round; everything else, such as what Neutron refuses, after a time that doubles with each failure.
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
"""Nothing is wrong with the work itself: it is not put off."""
FIRST_WAIT = 60.0
LONGEST_WAIT = 3600.0
"""Seconds."""
_REQUEST = re.compile(r"\breq-[0-9a-f-]+")
"""Neutron gives each request a number; it is no other reason."""


@dataclass
class _Failure:
    """``reason``: as it was told. ``due``: when the work is to be tried again."""

    reason: str
    count: int
    due: float


class Attempts:
    """``thread``: whose work it is. ``now``: seconds, of any clock that runs on."""

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
        """Do the work; whether it succeeded. Being kept from it by a call of Docker is no failure, and no success."""
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
        """What the work answers, or ``otherwise`` where it fails."""
        found = [otherwise]

        def keep() -> None:
            found[0] = work()

        self.run(what, keep)
        return found[0]

    def is_due(self, what: str) -> bool:
        """Whether it has not failed, or is to be tried again by now."""
        with self._lock:
            failure = self._failures.get(what)
            return failure is None or failure.due <= self._now()

    def has_failed(self, what: str) -> bool:
        """Whether the last attempt failed."""
        with self._lock:
            return what in self._failures

    @property
    def failures(self) -> int:
        """How often work has failed since the start."""
        with self._lock:
            return self._count

    def trouble(self, what: str) -> str:
        """Why the last attempt failed; "" if it did not, or there was none."""
        with self._lock:
            failure = self._failures.get(what)
            return failure.reason if failure is not None else ""

    def forget(self, what: str) -> None:
        """There is no such work any more."""
        with self._lock:
            self._failures.pop(what, None)

    def _failed(self, what: str, reason: str, *, passing: bool) -> bool:
        """Note it; whether it is to be told."""
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
        """Work that nobody has come back to."""
        old = [what for what, failure in self._failures.items() if failure.due + 2 * LONGEST_WAIT < self._now()]
        for what in old:
            del self._failures[what]

    def _succeeded(self, what: str) -> None:
        with self._lock:
            failure = self._failures.pop(what, None)
        if failure is not None:
            LOG.info("%s: done at last", what)
