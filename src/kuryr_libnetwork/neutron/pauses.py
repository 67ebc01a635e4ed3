# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a request is repeated, and when to stop repeating it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from kuryr_libnetwork.neutron.errors import TooManyRequests

TRIES = 3
"""Tries for a request that gets no answer."""
BUSY_TRIES = 10
"""Tries for a request that Neutron puts off without saying for how long."""
_SHORTLY = tenacity.wait_random_exponential(multiplier=0.1, max=1.0)
_GROWING = tenacity.wait_exponential(multiplier=0.2, max=10.0) + tenacity.wait_random(0.0, 0.5)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait; ``None`` if it has no valid ``Retry-After``.

    A date is compared with the server's own date, because our clock may differ.
    """
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdecimal():
        return float(told)
    until = _date(told)
    if until is None:
        return None
    sent = _date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - sent).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds to wait: what Neutron asked for, plus a random part, so that its clients do not all come back at once."""
    error = _error(state)
    if not isinstance(error, TooManyRequests):
        return _SHORTLY(state)
    return (error.pause or 0.0) + _GROWING(state)


def is_over(time_left: Callable[[], float]) -> Callable[[tenacity.RetryCallState], bool]:
    """A predicate: whether to stop trying. ``time_left``: returns the seconds that the caller may still wait."""

    def stop(state: tenacity.RetryCallState) -> bool:
        error = _error(state)
        if isinstance(error, TooManyRequests):
            return state.attempt_number >= BUSY_TRIES or (error.pause or 0.0) >= time_left()
        return state.attempt_number >= TRIES or time_left() <= 0

    return stop


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
