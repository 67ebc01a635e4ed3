# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""For one piece of work: how many REST calls to Neutron it makes, and the id by which it is found in every log.

A leaf. The adapter notes every request it sends; whoever serves a request opens a counter around it. Counters nest, and
a context copied into another thread counts there as well. The id has the form that OpenStack's services copy into their
own logs (``req-`` and a UUID).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4


class CallCounter:
    """The requests to Neutron while the counter was open. Safe for several threads."""

    def __init__(self, outer: CallCounter | None = None) -> None:
        self._outer = outer
        self._notes: list[tuple[str, str]] = []

    @property
    def neutron(self) -> int:
        """Number of REST calls, including repeated ones."""
        return len(self._notes)

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every call, in order."""
        return tuple(self._notes)

    def _note(self, method: str, path: str) -> None:
        self._notes.append((method, path))
        if self._outer is not None:
            self._outer._note(method, path)


_counter: ContextVar[CallCounter | None] = ContextVar("kuryr_calls", default=None)


@contextmanager
def count_calls() -> Iterator[CallCounter]:
    """Count the calls made in this context until the block ends."""
    counter = CallCounter(_counter.get())
    token = _counter.set(counter)
    try:
        yield counter
    finally:
        _counter.reset(token)


def note_neutron_call(method: str, path: str) -> None:
    """Called once for each request that goes out to Neutron."""
    counter = _counter.get()
    if counter is not None:
        counter._note(method, path)


_request: ContextVar[str] = ContextVar("kuryr_request", default="")


@contextmanager
def one_request(known: str = "") -> Iterator[str]:
    """Give the work in this context an id: ``known``, or a new one."""
    request = known or f"req-{uuid4()}"
    token = _request.set(request)
    try:
        yield request
    finally:
        _request.reset(token)


def request_id() -> str:
    """The id of the work in this context; "" if it has none."""
    return _request.get()
