# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How long a call of Docker waits, all in all, for somebody who does not answer."""

from __future__ import annotations

import contextvars
import threading
from contextlib import suppress

import pytest

from kuryr_libnetwork.patience import SPARE, Patience, one_patience, waiting_for

TIMEOUT = 20.0


def waits(patience: Patience, timeout: float = TIMEOUT) -> list[float]:
    """How long each of many questions waits in vain."""
    found = []
    for _ in range(50):
        seconds = patience.seconds("Neutron", timeout)
        patience.waited("Neutron", seconds)
        found.append(seconds)
    return found


@pytest.mark.parametrize("timeout", [0.3, 1.0, 5.0, 20.0, 600.0])
def test_many_questions_wait_little_longer_than_one(timeout: float) -> None:
    """A docker start would hang for a minute and more while Neutron is frozen."""
    found = waits(Patience(), timeout)
    assert found[0] == timeout
    assert sum(found) <= timeout + SPARE
    assert found[-1] == 0


def test_the_way_back_gets_a_little_time() -> None:
    """One lost answer would leave everything that the call had made to the background."""
    assert waits(Patience())[1] > 0


def test_without_spare_time_nothing_is_asked_any_more() -> None:
    """The background would wait again for each of many ports."""
    assert waits(Patience(spare=0)) == [TIMEOUT] + [0] * 49


def test_an_answer_makes_up_for_everything() -> None:
    """A call on a slow cloud, each of whose answers comes, would fail in the middle."""
    patience = Patience()
    waits(patience)
    patience.answered("Neutron")
    assert patience.seconds("Neutron", TIMEOUT) == TIMEOUT


def test_each_party_has_its_own() -> None:
    """A host without Open vSwitch could not even delete its ports in Neutron."""
    patience = Patience()
    waits(patience)
    assert patience.seconds("Open vSwitch", 10) == 10


def ask(error: type[Exception] | None) -> float:
    """The seconds that one question was given; then it fails, or gets an answer."""
    with suppress(TimeoutError, ValueError), waiting_for("Neutron", TIMEOUT, TimeoutError) as seconds:
        if error is not None:
            raise error
    return seconds


def test_what_is_no_part_of_a_work_has_the_whole_time() -> None:
    """A command of the operator's would give up at once."""
    assert [ask(TimeoutError), ask(TimeoutError)] == [TIMEOUT, TIMEOUT]


def test_works_do_not_share_their_patience() -> None:
    """One call that waited in vain would spoil all later ones of its thread."""
    with one_patience() as first:
        waits(first)
        assert ask(None) == 0
    with one_patience():
        assert ask(None) == TIMEOUT


def test_a_thread_with_a_copy_of_the_context_waits_on_the_same_account() -> None:
    """The adapters work in threads of their own; what these waited would not count."""
    given: list[float] = []
    with one_patience() as patience:
        waits(patience)
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: given.append(ask(None)),))
        thread.start()
        thread.join()
    assert given == [0]


@pytest.mark.parametrize("error", [ValueError, None])
def test_a_refusal_is_an_answer(error: type[Exception] | None) -> None:
    """A party that refuses what is asked would be taken for a silent one."""
    with one_patience() as patience:
        patience.waited("Neutron", 7)
        assert ask(TimeoutError) == TIMEOUT - 7
        assert ask(error) < TIMEOUT - 7
        assert ask(None) == TIMEOUT
