# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A round of the background lists the interfaces of this host once, not once for each container.

A leaf. Whoever examines many things opens a look around it (:func:`one_look`); inside, the host is asked each question
only once (:func:`looked`). Before a change is made because of the answer, the host has to be asked again, outside.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
_seen: ContextVar[dict[Hashable, Any] | None] = ContextVar("kuryr_seen", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def is_one_look() -> bool:
    return _seen.get() is not None


def looked(key: Hashable, look: Callable[[], T]) -> T:
    """The result of ``look``, kept by ``key`` within one look; outside of one ``look`` is called each time."""
    seen = _seen.get()
    if seen is None:
        return look()
    if key not in seen:
        seen[key] = look()
    found: T = seen[key]
    return found
