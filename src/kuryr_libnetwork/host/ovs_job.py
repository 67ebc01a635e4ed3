# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One transaction of Open vSwitch's database, in the form that ovsdbapp expects, that can be abandoned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from kuryr_libnetwork.errors import OvsdbUnavailable

A = TypeVar("A")
LOOK_AGAIN = 1000
"""Milliseconds."""


class Job(Generic[A]):
    """A command and its API, in the form that ovsdbapp's transaction expects.

    A caller that gives up marks its job as abandoned, so that a job still waiting is not executed later.
    """

    def __init__(self, idl: Any, action: Callable[[Any, Any], A]) -> None:
        self.idl = idl
        self.result: list[A] = []
        self._abandoned = False
        self._txn: Any = None
        self._action = action

    def run_idl(self, txn: Any) -> None:
        if self._abandoned:
            raise OvsdbUnavailable("given up")
        self._txn = txn
        look_again(txn)
        if self.idl.state == self.idl.IDL_S_MONITORING:  # else rows are still missing, and the commit fails
            self.result = [self._action(self.idl.tables, txn)]

    def give_up(self) -> None:
        """Abandon the job; the library would wait forever for an answer, even after an invalid one."""
        self._abandoned = True
        if self._txn is not None:
            self._txn.abort()

    def post_commit(self, txn: Any) -> None:
        """Nothing to do."""


def look_again(txn: Any) -> None:
    """Have the transaction check from time to time whether it has been abandoned."""
    txn.wait = partial(_wait, txn.wait)


def _wait(wait: Callable[[Any], object], poller: Any) -> None:
    wait(poller)
    poller.timer_wait(LOOK_AGAIN)
