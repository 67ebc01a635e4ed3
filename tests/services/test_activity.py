# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service remembers of its calls and questions, for operators who look at it while it works."""

from __future__ import annotations

from contextlib import suppress

from kuryr_libnetwork.activity import MOST_CALLS, MOST_QUESTIONS, Activity
from kuryr_libnetwork.model.observed import DOCKER, NEUTRON, Question


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def question(party: str = NEUTRON, seconds: float = 0.1) -> Question:
    return Question(party=party, verb="GET", resource="ports", seconds=seconds)


def test_a_call_is_shown_while_it_is_under_way_and_afterwards() -> None:
    """Nobody could see which container waits, or for how long it did."""
    clock = Clock()
    activity = Activity(clock)
    with activity.call("NetworkDriver.Join", "req-1") as call:
        call.whom = "web"
        clock.now += 2
        (row,) = activity.report().calls
        assert (row.method, row.seconds, row.request, row.whom) == ("NetworkDriver.Join", 2, "req-1", "web")
        call.outcome = "ok"
    clock.now += 5
    found = activity.report()
    assert found.calls == ()
    (done,) = found.recent
    assert (done.seconds, done.ago, done.outcome, done.whom) == (2, 5, "ok", "web")


def test_a_call_that_breaks_is_not_under_way_for_ever() -> None:
    """An operator would look for a container that is long gone."""
    activity = Activity()
    with suppress(ZeroDivisionError), activity.call("NetworkDriver.Join", "req-1"):
        _ = 1 / 0
    found = activity.report()
    assert (found.calls, found.recent[0].outcome) == ((), "internal")


def test_the_oldest_call_and_the_last_one_that_ended_come_first() -> None:
    """What matters would be at the end of a long list."""
    clock = Clock()
    activity = Activity(clock)
    for number in range(MOST_CALLS + 5):
        with activity.call(f"call-{number}", ""):
            clock.now += 1
    with activity.call("first", ""):
        clock.now += 1
        with activity.call("second", ""):
            found = activity.report()
    assert [row.method for row in found.calls] == ["first", "second"]
    assert len(found.recent) == MOST_CALLS
    assert found.recent[0].method == f"call-{MOST_CALLS + 4}"


def test_only_questions_to_neutron_in_the_last_minute_count() -> None:
    """An hour that was bad would look like one that is; or memory grow with every request."""
    clock = Clock()
    activity = Activity(clock)
    for _ in range(2 * MOST_QUESTIONS):
        activity.note_question(question(seconds=9.0))
    assert activity.report().neutron[0].requests == MOST_QUESTIONS
    clock.now += 61
    assert activity.report().neutron == ()
    activity.note_question(question(DOCKER))
    activity.note_question(question())
    (row,) = activity.report().neutron
    assert (row.requests, row.failed, row.slowest) == (1, 0, 0.1)
