# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Undoes the steps taken so far, last first, if a later step fails.

A leaf. Every step is undone, whatever another one raises, and the caller gets the first error: a failed clean-up never
hides the cause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from kuryr_libnetwork.errors import KuryrError

LOG = logging.getLogger(__name__)
Step = Callable[[], object]


class Undo:
    """A context that collects an undo for each step, and runs them if its body raises.

    What a failed undo leaves behind is in the journal, for the reconciler.
    """

    def __init__(self) -> None:
        self._steps = ExitStack()

    def add(self, what: str, step: Step) -> None:
        self._steps.callback(_attempt, what, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._steps.pop_all()
        self._steps.close()


def take_all(steps: Mapping[str, Step]) -> None:
    """Run all steps in this order, whatever they raise; then raise the first error, if any. Keys say what each does."""
    later = list(steps.items())
    for step in steps.values():
        with Undo() as undo:
            del later[0]
            for each in reversed(later):
                undo.add(*each)
            step()


def _attempt(what: str, step: Step) -> None:
    try:
        step()
    except KuryrError as error:
        LOG.warning("undo failed: %s: %s", what, error)
    except (
        Exception
    ):  # a boundary: the error that began it is on its way to the caller, and the other steps must follow
        LOG.exception("undo failed: %s", what)
