# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service does side by side (:mod:`kuryr_libnetwork.services.state.beside`), in an order that is always the
same, so that calls can be numbered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kuryr_libnetwork.services.state.beside import Begin, Step


class InTurn:
    """``late``: a step is done when the block ends, else where it is begun: the two ends of what threads may do."""

    def __init__(self, *, late: bool = False) -> None:
        self._late = late

    @contextmanager
    def steps(self) -> Iterator[Begin]:
        left: list[Step] = []
        errors: list[BaseException] = []

        def do(step: Step) -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - raised again below
                errors.append(error)

        try:
            yield left.append if self._late else do
        finally:
            for step in left:
                do(step)
        if errors:
            raise errors[0]
