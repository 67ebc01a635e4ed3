# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Steps back, last first, when a later step fails."""

from __future__ import annotations

import logging

import pytest

from kuryr_libnetwork.errors import Conflict, KuryrError, LinkError, NeutronUnavailable
from kuryr_libnetwork.services.undo import Undo


class Steps:
    """Steps back that write down that they were taken; those named in ``failing`` then fail."""

    def __init__(self, *failing: str) -> None:
        self.taken: list[str] = []
        self._failing = failing

    def add(self, undo: Undo, name: str) -> None:
        undo.add(name, lambda: self._take(name))

    def _take(self, name: str) -> str:
        self.taken.append(name)
        if name in self._failing:
            raise LinkError(f"{name} is stuck")
        return "what a step answers does not matter"


def run(steps: Steps, *names: str, error: BaseException | None = None) -> None:
    with Undo() as undo:
        for name in names:
            steps.add(undo, name)
        if error is not None:
            raise error


def test_success_takes_no_step_back() -> None:
    """What was just made would be removed again."""
    steps = Steps()
    run(steps, "port", "link")
    assert steps.taken == []


@pytest.mark.parametrize("error", [Conflict("no"), KeyError("a bug"), KeyboardInterrupt()])
def test_any_error_takes_all_steps_last_first(error: BaseException) -> None:
    """A port would be deleted below its interface, or be left behind by a bug or a signal."""
    steps = Steps()
    with pytest.raises(type(error)) as caught:
        run(steps, "port", "link", "plug", error=error)
    assert caught.value is error
    assert steps.taken == ["plug", "link", "port"]


def test_a_step_that_fails_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The user would read of a failed clean-up instead of the cause, and the other steps would not be taken."""
    steps = Steps("plug", "link")
    with caplog.at_level(logging.WARNING), pytest.raises(NeutronUnavailable, match="the cause"):
        run(steps, "port", "link", "plug", error=NeutronUnavailable("the cause"))
    assert steps.taken == ["plug", "link", "port"]
    assert [record.getMessage() for record in caplog.records] == [
        "undo failed: plug: plug is stuck",
        "undo failed: link: link is stuck",
    ]


def test_steps_after_the_failure_are_not_there() -> None:
    """A step forward that was never made would be undone: somebody else's object could be hit."""
    steps = Steps()

    def forward(name: str) -> None:
        if name == "port":
            raise KuryrError("no port")

    def build() -> None:
        with Undo() as undo:
            for name in ("network", "port", "link"):
                forward(name)
                steps.add(undo, name)

    with pytest.raises(KuryrError, match="no port"):
        build()
    assert steps.taken == ["network"]
