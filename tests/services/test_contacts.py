# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""When each party answered last, and what became of each question."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.contacts import Contacts, asking
from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.model.observed import NEUTRON, Question


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def question(*, answered: bool, error: str = "") -> Question:
    return Question(party=NEUTRON, verb="GET", resource="ports", seconds=0.1, answered=answered, error=error)


def test_the_last_answer_counts() -> None:
    """A Neutron that is away would be called there, or one that is there again be called away."""
    clock = Clock()
    contacts = Contacts(clock)
    assert contacts.report() == {}
    contacts.note(question(answered=True))
    clock.time += 5
    contacts.note(question(answered=False, error="no route"))
    clock.time += 2
    found = contacts.report()[NEUTRON]
    assert (found.answered, found.failed, found.error, found.is_lost) == (7.0, 2.0, "no route", True)
    contacts.note(question(answered=True))
    assert not contacts.report()[NEUTRON].is_lost


@pytest.mark.parametrize(
    ("error", "outcome"), [(NeutronUnavailable("no route"), "neutron-unavailable"), (ValueError("x"), "unforeseen")]
)
def test_a_question_that_fails_is_told(error: Exception, outcome: str) -> None:
    """Failures would be missing in the metrics."""
    told: list[Question] = []

    def ask() -> None:
        with asking(told.append, NEUTRON, "GET", "ports"):
            raise error

    with pytest.raises(type(error)):
        ask()
    with asking(told.append, NEUTRON, "GET", "ports") as asked:
        asked.answered = True
    assert [(each.outcome, each.answered) for each in told] == [(outcome, False), ("ok", True)]
