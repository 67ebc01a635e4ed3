# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Calls to Neutron that do not depend on each other are made side by side, within one call of Docker.

What is begun in a block has ended when the block ends, whatever happens in it: so nothing of it is under way while the
steps of a failed call are undone. The first error counts, as if all had been done one after the other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from typing import Protocol

LOG = logging.getLogger(__name__)
THREADS = 8
Step = Callable[[], object]


Begin = Callable[[Step], object]
"""Do a step beside what follows in the block; the step depends on nothing that follows, and nothing on it."""


class Beside(Protocol):
    """What :class:`SideBySide` does; tests have an order of their own."""

    def steps(self) -> AbstractContextManager[Begin]: ...


class SideBySide:
    """``threads``: at most so many at a time, for all calls together. A step that finds none free is done at once."""

    def __init__(self, threads: int = THREADS) -> None:
        self._free = threading.BoundedSemaphore(threads)

    @contextmanager
    def steps(self) -> Iterator[Begin]:
        begun: list[Future[None]] = []
        try:
            yield lambda step: begun.append(self._begin(step))
        except BaseException:
            for each in begun:
                if (error := each.exception()) is not None:
                    LOG.info("and what was done beside it failed: %s", error)
            raise
        for error in [each.exception() for each in begun]:
            if error is not None:
                raise error

    def _begin(self, step: Step) -> Future[None]:
        outcome: Future[None] = Future()
        if not self._free.acquire(blocking=False):
            _do(step, outcome)
            return outcome

        def run() -> None:
            try:
                _do(step, outcome)
            finally:
                self._free.release()

        # The context has the counter of Neutron's calls, the id of Docker's call, and its patience.
        thread = threading.Thread(target=copy_context().run, args=(run,), name="beside", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread for us (EAGAIN)
            run()
        return outcome


def _do(step: Step, outcome: Future[None]) -> None:
    try:
        step()
    except BaseException as error:  # noqa: BLE001  the block raises it, whatever it is
        outcome.set_exception(error)
    else:
        outcome.set_result(None)
