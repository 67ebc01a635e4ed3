# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A round of the background looks once at the interfaces of this host, and not once for each container.

A leaf. Whoever looks at many things opens a look around it (:func:`one_look`), and what is asked of the host inside is
asked once (:func:`looked`). What is changed on the strength of it has to be looked at again, outside.
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
    """What was seen before in this look, under the same key; outside of one it is looked at each time."""
    seen = _seen.get()
    if seen is None:
        return look()
    if key not in seen:
        seen[key] = look()
    found: T = seen[key]
    return found
