# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What fails in the background is told once, put off more and more, and stops nothing else."""

from __future__ import annotations

import logging

import pytest

from kuryr_libnetwork.errors import Busy, KuryrError, NeutronRefused, NeutronUnavailable
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.services.state.attempts import FIRST_WAIT, LONGEST_WAIT, Attempts

WHAT = "remove port p"


class Desk:
    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health()
        self.attempts = Attempts(self.health, "reconciler", lambda: self.now)

    def fail(self, error: Exception, what: str = WHAT) -> bool:
        def work() -> None:
            raise error

        return self.attempts.run(what, work)

    def rounds(self, error: Exception, hours: float) -> list[float]:
        """One round a minute: the minutes in which the work was tried."""
        tried = []
        for minute in range(int(hours * 60)):
            self.now = minute * 60.0
            if self.attempts.is_due(WHAT):
                tried.append(self.now / 60)
                self.fail(error)
        return tried


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_success_and_its_answer() -> None:
    """The background would do nothing, or believe that it has."""
    desk = Desk()
    assert desk.attempts.run(WHAT, lambda: None)
    assert desk.attempts.result(WHAT, lambda: 1, 0) == 1
    assert desk.attempts.is_due(WHAT)
    assert not desk.attempts.has_failed(WHAT)
    assert desk.health.report()["reconciler"].unforeseen == 0


def test_each_piece_of_work_is_a_sign_of_life() -> None:
    """A round with much to do would be taken for one that hangs."""
    desk = Desk()
    beats: list[float | None] = []
    for _ in range(2):
        desk.attempts.run(WHAT, lambda: beats.append(desk.health.report()["reconciler"].last_beat))
    first, second = beats
    assert first is not None
    assert second is not None
    assert second > first


@pytest.mark.parametrize("error", [NeutronRefused("not so"), AttributeError("'int' object has no attribute 'items'")])
def test_a_failure_is_told_once_and_put_off_more_and_more(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """One poisoned port would fill the log, and ask Neutron the same for ever, each minute."""
    desk = Desk()
    tried = desk.rounds(error, hours=24)
    assert tried[:6] == [0, 1, 2, 4, 8, 16]
    assert tried[-1] - tried[-2] == LONGEST_WAIT / 60
    assert len(tried) == 30
    assert len(told(caplog)) == 1
    assert desk.attempts.has_failed(WHAT)


def test_an_unforeseen_error_is_counted_each_time() -> None:
    """A bug that happens for days would look like one that happened once."""
    desk = Desk()
    tried = desk.rounds(KeyError("x"), hours=1)
    assert desk.health.report()["reconciler"].unforeseen == len(tried)


def test_whoever_does_not_answer_puts_nothing_off(caplog: pytest.LogCaptureFixture) -> None:
    """After an outage of Neutron everything would stay for another hour; or each round of it write the same lines."""
    desk = Desk()
    assert len(desk.rounds(NeutronUnavailable("no answer"), hours=2)) == 120
    assert len(told(caplog)) == 1


def test_another_reason_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The log would show the reason of last week. The number of the request is no reason."""
    desk = Desk()
    for text in ("no (req-5dbb2c2d-aaaa-bbbb-cccc-000000000001)", "no (req-77bb2c2d-aaaa-bbbb-cccc-000000000002)"):
        desk.fail(NeutronRefused(text))
    desk.fail(NeutronRefused("never"))
    assert [line.partition(": ")[2] for line in told(caplog)] == [
        "no (req-5dbb2c2d-aaaa-bbbb-cccc-000000000001); it is tried again",
        "never; it is tried again",
    ]


def test_a_success_at_last_is_told_and_the_next_failure_again(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would know that it is over; or of the next outage."""
    desk = Desk()
    with caplog.at_level(logging.INFO):
        desk.fail(NeutronUnavailable("no answer"))
        assert desk.attempts.run(WHAT, lambda: None)
        desk.fail(NeutronUnavailable("no answer"))
    assert [record.getMessage() for record in caplog.records] == [
        "cannot remove port p: no answer; it is tried again",
        "remove port p: done at last",
        "cannot remove port p: no answer; it is tried again",
    ]


def test_what_is_busy_has_neither_failed_nor_succeeded(caplog: pytest.LogCaptureFixture) -> None:
    """Each call of Docker would look like an error of the background."""
    desk = Desk()
    assert not desk.fail(Busy("held"))
    assert desk.attempts.is_due(WHAT)
    assert not desk.attempts.has_failed(WHAT)
    assert told(caplog) == []


@pytest.mark.parametrize("error", [KuryrError("no"), RecursionError()])
def test_a_failed_question_has_the_answer_for_that(error: Exception) -> None:
    """One interface that cannot be looked at would end the look at all others."""
    desk = Desk()

    def ask() -> list[int]:
        raise error

    assert desk.attempts.result(WHAT, ask, [5]) == [5]


def test_one_piece_of_work_is_none_of_the_others() -> None:
    """A poisoned port would put off everything else."""
    desk = Desk()
    for _ in range(5):
        desk.fail(NeutronRefused("no"))
    assert not desk.attempts.is_due(WHAT)
    assert desk.attempts.is_due("remove port q")


def test_work_that_is_gone_is_forgotten() -> None:
    """The memory of the service would grow with every failure of its life."""
    desk = Desk()
    for _ in range(3):
        desk.fail(NeutronRefused("no"))
        desk.fail(NeutronRefused("no"), "remove port q")
    desk.attempts.forget(WHAT)
    assert desk.attempts.is_due(WHAT)
    assert desk.attempts.has_failed("remove port q")
    desk.now = FIRST_WAIT + 3 * LONGEST_WAIT
    desk.fail(NeutronRefused("no"))
    assert not desk.attempts.has_failed("remove port q")
