# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The outcome of each question to a party that the service depends on, and when each party answered last.

A leaf. Whoever asks a party reports it (:func:`asking`), so it is known without a further question whether containers
can be connected now (:class:`Contacts`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.model.observed import Observe, Question
from kuryr_libnetwork.model.overview import Contact


@dataclass
class Asked:
    """``answered``: the party has answered, whatever the answer was; set by whoever asks."""

    answered: bool = False


@contextmanager
def asking(observe: Observe, party: str, verb: str, resource: str) -> Iterator[Asked]:
    """Report the question in the body to ``observe``, whatever its outcome; other people's exceptions are
    "unforeseen".
    """
    began, asked, outcome, words = time.monotonic(), Asked(), "unforeseen", ""
    try:
        yield asked
        outcome = "ok"
    except KuryrError as error:
        outcome, words = error.code, str(error)
        raise
    finally:
        observe(
            Question(
                party=party,
                verb=verb,
                resource=resource,
                seconds=time.monotonic() - began,
                outcome=outcome,
                answered=asked.answered,
                error=words,
            )
        )


@dataclass(frozen=True)
class _Heard:
    answered: float | None = None
    failed: float | None = None
    error: str = ""


class Contacts:
    """When each party answered, and failed, last. Safe for many threads. ``now``: monotonic seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._heard: dict[str, _Heard] = {}

    def note(self, question: Question) -> None:
        now = self._now()
        with self._lock:
            before = self._heard.get(question.party, _Heard())
            if question.answered:
                self._heard[question.party] = replace(before, answered=now)
            else:
                self._heard[question.party] = replace(before, failed=now, error=question.error)

    def report(self) -> dict[str, Contact]:
        """The contacts by party, with ages in seconds; parties that were never asked are left out."""
        now = self._now()
        with self._lock:
            heard = dict(self._heard)
        return {
            party: Contact(answered=_age(each.answered, now), failed=_age(each.failed, now), error=each.error)
            for party, each in heard.items()
        }


def _age(then: float | None, now: float) -> float | None:
    return None if then is None else now - then
