# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One piece of work waits once for a party that does not answer, not once for each of its questions.

A leaf. Each adapter has a time-out for one question. A call of Docker asks several, and undoing it some more; if
Neutron hangs, each of them would wait for the whole time-out. So whoever begins a piece of work opens a patience around
it (:func:`one_patience`), and the adapters take their time from it (:func:`waiting_for`). After an answer the full
time-out applies again, so a slow party is still waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SPARE = 5.0
"""Seconds for undoing a call that has waited without an answer: the silent party may answer by then."""
_AGAIN = 2.0
"""Seconds of these for one question."""


class Patience:
    """The time that one piece of work may wait. Safe for its threads: at worst one waits a little longer."""

    def __init__(self, spare: float = SPARE) -> None:
        self._spare = spare
        self._silent: dict[str, float] = {}

    def seconds(self, party: str, timeout: float) -> float:
        """How long the next question may wait for an answer; 0: do not ask it."""
        silent = self._silent.get(party, 0.0)
        again = min(_AGAIN, timeout)
        if timeout - silent >= again:
            return timeout - silent
        left = timeout + min(self._spare, timeout) - silent
        return min(again, left) if left > 0 and self._spare else 0.0

    def waited(self, party: str, seconds: float) -> None:
        """The party has not answered for ``seconds``."""
        self._silent[party] = self._silent.get(party, 0.0) + seconds

    def answered(self, party: str) -> None:
        self._silent.pop(party, None)


_patience: ContextVar[Patience | None] = ContextVar("kuryr_patience", default=None)


@contextmanager
def one_patience(spare: float = SPARE) -> Iterator[Patience]:
    """All questions in this context, and in threads with a copy of it, belong to one piece of work."""
    patience = Patience(spare)
    token = _patience.set(patience)
    try:
        yield patience
    finally:
        _patience.reset(token)


@contextmanager
def waiting_for(party: str, timeout: float, silence: type[Exception]) -> Iterator[float]:
    """For one question: yields the seconds that it may wait; 0: do not ask it. ``silence``: what the body raises if
    there was no answer.
    """
    patience = _patience.get()
    if patience is None:
        yield timeout
        return
    began = time.monotonic()
    try:
        yield patience.seconds(party, timeout)
    except silence:
        patience.waited(party, time.monotonic() - began)
        raise
    except Exception:
        patience.answered(party)
        raise
    patience.answered(party)
