# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a request is repeated, and when to stop repeating it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.neutron.errors import TooManyRequests

TRIES = 3
"""Tries for a request that gets no answer."""
BUSY_TRIES = 10
"""Tries for a request that Neutron puts off without saying for how long."""
LONGEST = 600.0
"""Seconds: more than this is not believed of ``Retry-After``. Longer than any call may take."""
_SHORTLY = tenacity.wait_random_exponential(multiplier=0.1, max=1.0)
_GROWING = tenacity.wait_exponential(multiplier=0.2, max=10.0) + tenacity.wait_random(0.0, 0.5)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait, at most :data:`LONGEST`; ``None`` if it has no valid ``Retry-After``.

    A date is compared with the server's own date, because our clock may differ.
    """
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdecimal():
        return min(float(told), LONGEST)
    until = _date(told)
    if until is None:
        return None
    sent = _date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max(0.0, (until - sent).total_seconds()), LONGEST)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds to wait: what Neutron asked for, plus a random part, so that its clients do not all come back at once."""
    return _told(state) + (_GROWING(state) if _is_put_off(state) else _SHORTLY(state))


def is_over(time_left: Callable[[], float]) -> Callable[[tenacity.RetryCallState], bool]:
    """A predicate: whether to stop trying. ``time_left``: returns the seconds that the caller may still wait."""

    def stop(state: tenacity.RetryCallState) -> bool:
        tries = BUSY_TRIES if _is_put_off(state) else TRIES
        return state.attempt_number >= tries or _told(state) >= time_left()

    return stop


def _is_put_off(state: tenacity.RetryCallState) -> bool:
    return isinstance(_error(state), TooManyRequests)


def _told(state: tenacity.RetryCallState) -> float:
    """The seconds that the last answer asked to wait; 0 if it did not say."""
    error = _error(state)
    return (error.pause or 0.0) if isinstance(error, NeutronUnavailable) else 0.0


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
