# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service is doing for Docker now, what it did last, and how fast Neutron has answered lately.

A leaf, for operators who look at a running service. Bounded, and independent of the journal: a call that waits for a
disk that hangs is shown as well.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kuryr_libnetwork.model.observed import NEUTRON, Question
from kuryr_libnetwork.model.overview import ActivityRow, CallRow, DoneRow
from kuryr_libnetwork.rules.activity import neutron_rows

MOST_CALLS = 20
"""Number of ended calls that are remembered."""
MOST_QUESTIONS = 1000
LATELY = 60.0
"""Seconds for which questions are remembered."""


@dataclass
class Call:
    """A call of Docker. Whoever serves it sets ``whom`` and ``outcome``."""

    method: str
    request: str
    began: float
    whom: str = ""
    outcome: str = "internal"


class Activity:
    """Safe for many threads. ``now``: monotonic seconds; ``waiting``: calls that no worker has taken yet."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.waiting: Callable[[], int] = int
        self._now = now
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._calls: dict[int, Call] = {}
        self._ended: deque[tuple[float, Call]] = deque(maxlen=MOST_CALLS)
        self._questions: deque[tuple[float, Question]] = deque(maxlen=MOST_QUESTIONS)

    @contextmanager
    def call(self, method: str, request: str) -> Iterator[Call]:
        """The call is under way while the body runs."""
        call = Call(method, request, self._now())
        with self._lock:
            number = next(self._numbers)
            self._calls[number] = call
        try:
            yield call
        finally:
            with self._lock:
                del self._calls[number]
                self._ended.append((self._now(), call))

    def note_question(self, question: Question) -> None:
        if question.party == NEUTRON:
            with self._lock:
                self._questions.append((self._now(), question))

    def report(self) -> ActivityRow:
        """The oldest calls under way come first, and the latest of those that have ended."""
        now = self._now()
        with self._lock:
            calls = sorted(self._calls.values(), key=lambda call: call.began)
            ended = list(self._ended)[::-1]
            asked = [question for then, question in self._questions if now - then <= LATELY]
        return ActivityRow(
            waiting=self.waiting(),
            calls=tuple(
                CallRow(method=call.method, seconds=now - call.began, request=call.request, whom=call.whom)
                for call in calls
            ),
            recent=tuple(
                DoneRow(
                    method=call.method,
                    seconds=then - call.began,
                    ago=now - then,
                    outcome=call.outcome,
                    request=call.request,
                    whom=call.whom,
                )
                for then, call in ended
            ),
            neutron=tuple(neutron_rows(asked)),
        )
