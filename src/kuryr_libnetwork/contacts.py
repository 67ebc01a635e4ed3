# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of each question to a party that the service depends on, and when each answered last.

A leaf. Whoever asks a party tells of it (:func:`asking`); so it is known without a question more whether containers can
be connected now (:class:`Contacts`).
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
    """``answered``: the party is there, whatever its answer was; whoever asks says so."""

    answered: bool = False


@contextmanager
def asking(observe: Observe, party: str, verb: str, resource: str) -> Iterator[Asked]:
    """Tell ``observe`` of the question in the body. An exception that is none of ours is one as any other."""
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
    """Safe for many threads. ``now``: seconds, of any clock that runs on."""

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
        """By party; who was never asked is not among them."""
        now = self._now()
        with self._lock:
            heard = dict(self._heard)
        return {
            party: Contact(answered=_age(each.answered, now), failed=_age(each.failed, now), error=each.error)
            for party, each in heard.items()
        }


def _age(then: float | None, now: float) -> float | None:
    return None if then is None else now - then
