# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the watchdog asks: whether each part of the service still moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from kuryr_libnetwork.docker.workers import Job, Workers
from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.liveness import Pulse
from lab.process import wait_for

LIMIT = 30.0


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hangs, hangs here, and not for longer than the test."""
    found = threading.Event()
    yield found
    found.set()


def pulse_of(work: Callable[[], object], clock: Clock) -> Pulse:
    return Pulse("the journal", work, LIMIT, clock)


def has_ended(number: int) -> bool:
    return wait_for(lambda: threading.active_count() <= number, 10)


def test_what_comes_to_its_end_does_not_hang(clock: Clock) -> None:
    """A service that nobody called for an hour would be ended."""
    pulse, before, done = pulse_of(lambda: done.append(clock.time), clock), threading.active_count(), list[float]()
    for _ in range(3):
        assert pulse.hangs() == ""
        assert has_ended(before)
        clock.time += 3600
    assert done == [1000.0, 4600.0, 8200.0]


def test_what_does_not_end_hangs_after_its_limit(clock: Clock, gate: threading.Event) -> None:
    """A lock that nobody gives back would stop every call for ever; or each question would leave one more thread."""
    pulse, before = pulse_of(gate.wait, clock), threading.active_count()
    assert pulse.hangs() == ""
    clock.time += LIMIT
    assert pulse.hangs() == ""
    clock.time += 12
    assert pulse.hangs() == "the journal has not answered for 42 s"
    assert threading.active_count() == before + 1
    gate.set()
    assert has_ended(before)
    assert pulse.hangs() == ""


def test_what_fails_does_not_hang(clock: Clock) -> None:
    """A full disk would make systemd start the service again and again."""

    def fail() -> None:
        raise JournalError("the disk is full")

    pulse, before = pulse_of(fail, clock), threading.active_count()
    assert pulse.hangs() == ""
    assert has_ended(before)
    clock.time += 2 * LIMIT
    assert pulse.hangs() == ""


def test_threads_without_a_beat_are_named(clock: Clock) -> None:
    """The background could hang for good, and nothing that was forgotten would be removed any more."""
    health = Health(clock)
    for name in ("reconciler", "announcer"):
        health.beat(name)
    clock.time += LIMIT
    health.beat("announcer")
    assert health.silent(LIMIT) == {}
    clock.time += 1
    assert health.silent(LIMIT) == {"reconciler": 31.0}


def test_a_thread_that_has_done_its_work_is_not_missed(clock: Clock) -> None:
    """Without later rounds (reconcile_interval = 0) the background ends, and the service would be ended for it."""
    health = Health(clock)
    thread = health.thread("reconciler", lambda: health.beat("reconciler"))
    thread.start()
    thread.join(10)
    clock.time += 2 * LIMIT
    assert health.silent(LIMIT) == {}


def test_an_unforeseen_error_is_no_sign_of_life(clock: Clock) -> None:
    """A thread of a library that has ended with an error is counted, but nobody waits for its beat."""
    health = Health(clock)
    health.unforeseen("stranger", "work", KeyError("x"), log=False)
    clock.time += 2 * LIMIT
    assert health.silent(LIMIT) == {}


def test_calls_that_nobody_takes_up_are_seen(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers hang, and each further call of Docker waits for ever."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    begun = threading.Semaphore(0)

    def hang() -> None:
        begun.release()
        gate.wait()

    workers = Workers(2)
    workers.start()
    clock.time += 3600
    for _ in range(2):
        workers.put(Job(hang))
        assert begun.acquire(timeout=None)
    clock.time += 100
    assert workers.stuck() == 0, "all are at work, and nobody waits"
    workers.put(Job(begun.release))
    assert workers.stuck() == 0
    clock.time += 50
    workers.put(Job(begun.release))
    assert workers.stuck() == 50
    gate.set()
    for _ in range(2):
        begun.acquire()
    assert workers.stuck() == 0
    monkeypatch.undo()
    workers.stop(10)
