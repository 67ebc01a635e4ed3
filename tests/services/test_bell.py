# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a thread waits on that has long pauses."""

from __future__ import annotations

import threading

from kuryr_libnetwork.bell import Bell

LIMIT = 10


def test_nothing_happens() -> None:
    """A thread would never work again, or never rest."""
    bell = Bell()
    assert (bell.wait(0.001), bell.is_set()) == (False, False)


def test_a_ring_ends_one_pause() -> None:
    """What is asked for before the thread rests would be forgotten, or one ring keep it from resting for ever."""
    bell, woken = Bell(), threading.Event()
    bell.ring()
    assert bell.wait(3600) is False

    def rest() -> None:
        bell.wait(3600)
        woken.set()

    thread = threading.Thread(target=rest)
    thread.start()
    bell.ring()
    assert woken.wait(LIMIT)
    thread.join(LIMIT)
    assert bell.wait(0.001) is False


def test_the_end_is_for_good() -> None:
    """The service would wait for its threads when it ends."""
    bell = Bell()
    bell.set()
    assert (bell.wait(3600), bell.wait(3600), bell.is_set()) == (True, True, True)
