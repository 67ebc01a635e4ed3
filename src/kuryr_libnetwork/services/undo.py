# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Steps back: what has been done so far is undone, last first, when a later step fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kuryr_libnetwork.errors import KuryrError

LOG = logging.getLogger(__name__)


class Undo:
    """A context that collects one step back per step forward, and takes them if its body raises.

    A step back that fails is logged and does not hide the first error; what it leaves stands in the journal for the
    reconciler.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def add(self, what: str, step: Callable[[], object]) -> None:
        self._steps.append((what, step))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        for what, step in reversed(self._steps):
            try:
                step()
            except KuryrError as second:
                LOG.warning("undo failed: %s: %s", what, second)
