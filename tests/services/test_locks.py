# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One lock per object, for at most a time-out."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from kuryr_libnetwork.errors import Busy
from kuryr_libnetwork.services.state.locks import KeyedLocks

PATIENT = 30.0


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Holder:
    """Another call that holds a lock until it is told to end."""

    def __init__(self, locks: KeyedLocks, kind: str, key: str) -> None:
        self._lock = locks.hold(kind, key)
        self._has = threading.Event()
        self._end = threading.Event()

    def _work(self) -> None:
        with self._lock:
            self._has.set()
            assert self._end.wait(PATIENT)

    def __enter__(self) -> Holder:
        self._thread = in_thread(self._work)
        assert self._has.wait(PATIENT)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(PATIENT)


def test_a_held_object_is_busy_for_others() -> None:
    """Two calls would change one port at the same time, or the second one would hang for ever."""
    locks = KeyedLocks(timeout=0.01)
    refused = pytest.raises(Busy, match=r"^port 0123456789ab is held by another call .* try again$")
    with Holder(locks, "port", "0123456789abcdef"), refused, locks.hold("port", "0123456789abcdef"):
        pytest.fail("the lock was given twice")
    with locks.hold("port", "0123456789abcdef"):
        pass  # the refused one left nothing behind


def test_other_objects_are_free() -> None:
    """Containers would wait for each other, or an id of one kind for the same id of another."""
    locks = KeyedLocks(timeout=0.01)
    with Holder(locks, "port", "a"), locks.hold("port", "b"), locks.hold("network", "a"):
        pass


def test_a_call_may_take_its_own_lock_again() -> None:
    """A step that locks its port would wait for the call that it is a part of."""
    locks = KeyedLocks(timeout=0.01)
    with locks.hold("port", "a"):
        with locks.hold("port", "a"):
            pass
        with pytest.raises(Busy):
            _elsewhere(locks)
    _elsewhere(locks)


def _elsewhere(locks: KeyedLocks) -> None:
    """Take the lock in another thread; its error is raised here."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with locks.hold("port", "a"):
                pass
        except Busy as error:
            errors.append(error)

    in_thread(work).join(PATIENT)
    if errors:
        raise errors[0]


def test_an_error_frees_the_object() -> None:
    """After one failed call the object would be busy until the service is restarted."""
    locks = KeyedLocks(timeout=0.01)
    with pytest.raises(KeyError), locks.hold("port", "a"):
        raise KeyError
    _elsewhere(locks)


def test_waiters_get_their_turn_one_at_a_time() -> None:
    """Work on one object would overlap, or be lost, when many calls come at once."""
    locks = KeyedLocks(timeout=PATIENT)
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(50):
            with locks.hold("port", "a"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    for thread in [in_thread(work) for _ in range(8)]:
        thread.join(PATIENT)
    assert most == [1] * 400


def test_nothing_is_kept_for_objects_that_nobody_holds() -> None:
    """Memory would grow with each container that ever ran."""
    locks = KeyedLocks(timeout=0.01)
    for key in map(str, range(100)):
        with locks.hold("port", key):
            pass
    with Holder(locks, "port", "a"), pytest.raises(Busy), locks.hold("port", "a"):
        pytest.fail("the lock was given twice")
    assert locks._locks == {}
