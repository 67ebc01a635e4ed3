# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Steps back, last first, when a later step fails."""

from __future__ import annotations

import logging

import pytest

from kuryr_libnetwork.errors import Conflict, KuryrError, LinkError, NeutronUnavailable
from kuryr_libnetwork.services.state.unfinished_removals import UnfinishedRemovals
from kuryr_libnetwork.undo import Undo, take_all


class Steps:
    """Steps back that write down that they were taken; those named in ``failing`` then fail."""

    def __init__(self, *failing: str, error: type[BaseException] = LinkError) -> None:
        self.taken: list[str] = []
        self._failing = failing
        self._error = error

    def add(self, undo: Undo, name: str) -> None:
        undo.add(name, lambda: self.take(name))

    def take(self, name: str) -> str:
        self.taken.append(name)
        if name in self._failing:
            raise self._error(f"{name} is stuck")
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


@pytest.mark.parametrize("second", [KeyError, RecursionError, AttributeError])
def test_a_step_with_a_bug_hides_nothing_either(second: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """A bug in one clean-up would leave everything that comes after it for ever, and be shown instead of the cause."""
    steps = Steps("plug", error=second)
    with pytest.raises(NeutronUnavailable, match="the cause") as caught:
        run(steps, "port", "link", "plug", error=NeutronUnavailable("the cause"))
    assert steps.taken == ["plug", "link", "port"]
    assert caught.value.__cause__ is None
    (record,) = caplog.records
    assert record.getMessage() == "undo failed: plug"
    assert record.exc_info is not None


def test_the_end_of_the_process_is_not_held_up() -> None:
    """A second Ctrl-C would be swallowed, and the remaining steps be skipped."""
    steps = Steps("plug", error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt, match="plug is stuck"):
        run(steps, "port", "link", "plug", error=NeutronUnavailable("the cause"))
    assert steps.taken == ["plug", "link", "port"]


@pytest.mark.parametrize(
    ("failing", "shown"), [((), ""), (("one",), "one"), (("two",), "two"), (("one", "two", "three"), "one")]
)
@pytest.mark.parametrize("error", [LinkError, KeyError])
def test_all_steps_of_a_removal_are_taken_and_the_first_error_shown(
    failing: tuple[str, ...], shown: str, error: type[Exception]
) -> None:
    """An interface that cannot be removed would keep its port on the trunk, or its error be hidden by the next one."""
    steps = Steps(*failing, error=error)
    found = None
    try:
        take_all({name: lambda name=name: steps.take(name) for name in ("one", "two", "three")})  # type: ignore[misc]
    except error as raised:
        found = raised
    assert steps.taken == ["one", "two", "three"]
    assert (str(found).strip("'") if found else "") == (shown and f"{shown} is stuck")


@pytest.mark.parametrize("error", [LinkError("stuck"), KeyError("a bug")])
def test_what_could_not_be_removed_is_remembered_whatever_the_reason(error: Exception) -> None:
    """An endpoint whose removal met a bug would be forgotten by everybody: Docker does not ask twice."""
    forgotten = UnfinishedRemovals()

    def remove() -> None:
        with forgotten.kept("endpoint", "e1"):
            raise error

    with pytest.raises(type(error)):
        remove()
    assert forgotten.all() == {("endpoint", "e1")}
    with forgotten.kept("endpoint", "e1"):
        pass
    assert forgotten.all() == set()


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
