# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a request is tried again, and when not to try any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from kuryr_libnetwork.neutron.errors import TooManyRequests

TRIES = 3
"""Of a request that got no answer."""
BUSY_TRIES = 10
"""Of one that Neutron has put off without saying for how long."""
_SHORTLY = tenacity.wait_random_exponential(multiplier=0.1, max=1.0)
_GROWING = tenacity.wait_exponential(multiplier=0.2, max=10.0) + tenacity.wait_random(0.0, 0.5)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer says one should wait; ``None`` if it says nothing that can be understood.

    A date is compared with the server's own, for our clock may be another.
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
    """What Neutron asked for, and a random part besides, so that not all of its clients come back together."""
    error = _error(state)
    if not isinstance(error, TooManyRequests):
        return _SHORTLY(state)
    return (error.pause or 0.0) + _GROWING(state)


def is_over(time_left: Callable[[], float]) -> Callable[[tenacity.RetryCallState], bool]:
    """Whether no further try is made. ``time_left``: seconds that the caller may still wait."""

    def stop(state: tenacity.RetryCallState) -> bool:
        error = _error(state)
        if isinstance(error, TooManyRequests):
            return state.attempt_number >= BUSY_TRIES or (error.pause or 0.0) >= time_left()
        return state.attempt_number >= TRIES or time_left() <= 0

    return stop


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
