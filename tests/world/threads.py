# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Concurrent calls of Docker, stopped and released one by one; nothing here waits for time to pass."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from tests.world.outside import Outside

T = TypeVar("T")
PATIENCE = 30.0


class Call(Generic[T]):
    """Something that runs in a thread of its own; :meth:`result` is its answer, or raises its error."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._answer: list[T] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer.append(self._work())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asks
            self.error = error

    def join(self, seconds: float) -> None:
        """Wait for its end, at most this long."""
        self._thread.join(seconds)

    def wait(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a call hangs"

    def result(self) -> T:
        self.wait()
        if self.error is not None:
            raise self.error
        return self._answer[0]

    @property
    def running(self) -> bool:
        return self._thread.is_alive()


class Pause:
    """Stops the next call of that name, in any thread, until :meth:`go`. Earlier pauses stay in force.

    As a context manager it calls ``go`` at the end.
    """

    def __init__(self, outside: Outside, name: str) -> None:
        self._outside = outside
        self._name = name
        self._first = threading.Lock()
        self._reached = threading.Event()
        self._go = threading.Event()
        self._others = outside.hook
        outside.hook = self._hook

    def _hook(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self._others is not None:
            self._others(name, arguments)
        if name == self._name and self._first.acquire(blocking=False):
            self._reached.set()
            assert self._go.wait(PATIENCE)

    def reached(self) -> None:
        assert self._reached.wait(PATIENCE), f"nobody called {self._name}"

    def go(self) -> None:
        self._go.set()

    def __enter__(self) -> Pause:
        return self

    def __exit__(self, *_: object) -> None:
        self.go()
        self._outside.hook = self._others


def at_once(works: Sequence[Callable[[], T]]) -> list[Call[T]]:
    """Run all of them in threads that start together; returns when all have ended."""
    start = threading.Barrier(len(works))

    def together(work: Callable[[], T]) -> T:
        start.wait(PATIENCE)
        return work()

    calls = [Call(partial(together, work)) for work in works]
    for call in calls:
        call.wait()
    return calls


@contextmanager
def interleaved(*outsides: Outside) -> Iterator[None]:
    """Every call to the outside yields to other threads, and the interpreter switches threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for outside in outsides:
        outside.hook = lambda name, arguments: os.sched_yield()
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        for outside in outsides:
            outside.hook = None
