# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Limits the time that a caller waits for a piece of work.

The time-outs of requests count from packet to packet, and do not apply while a host name is resolved or another thread
logs in. So each request to Neutron, and each look at Docker, has a thread of its own, which its caller may abandon.
Work that is abandoned before it has departed never departs: a port that nobody waits for is not created afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
Depart = Callable[[], None]


class GaveUp(Exception):
    """The time is over. ``departed``: the work had departed, so it may still take effect; see :func:`run_within`."""

    def __init__(self, departed: bool) -> None:
        super().__init__(departed)
        self.departed = departed


def run_within(seconds: float, work: Callable[[Depart], T]) -> T:
    """The result of ``work``, or its exception; raises :class:`GaveUp` after ``seconds``.

    ``work`` calls its argument ("departs") right before it does what cannot be undone; if nobody waits any more, that
    call raises.
    """
    outcome: Future[T] = Future()

    def depart() -> None:
        if not outcome.set_running_or_notify_cancel():
            raise CancelledError

    def run() -> None:
        try:
            result = work(depart)
        except BaseException as error:  # noqa: BLE001  the caller gets it, whatever it is
            with suppress(InvalidStateError):  # nobody waits any more
                outcome.set_exception(error)
        else:
            with suppress(InvalidStateError):
                outcome.set_result(result)

    threading.Thread(target=copy_context().run, args=(run,), name="bounded", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if outcome.cancel():
            raise GaveUp(departed=False) from None
        if outcome.done():
            return outcome.result()
        raise GaveUp(departed=True) from None
