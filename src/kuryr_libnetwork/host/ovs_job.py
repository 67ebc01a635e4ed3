# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One transaction of Open vSwitch's database, as ovsdbapp wants to have it, that can be given up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from kuryr_libnetwork.errors import OvsdbUnavailable

A = TypeVar("A")
LOOK_AGAIN = 1000
"""Milliseconds."""


class Job(Generic[A]):
    """A command and its API, as ovsdbapp's transaction wants to have them.

    A caller that has given up marks its job as abandoned: what still waits then is not done behind its back.
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
        if self.idl.state == self.idl.IDL_S_MONITORING:  # else half the rows are missing, and the commit will say so
            self.result = [self._action(self.idl.tables, txn)]

    def give_up(self) -> None:
        """The library would wait for an answer for ever, even after one that is none."""
        self._abandoned = True
        if self._txn is not None:
            self._txn.abort()

    def post_commit(self, txn: Any) -> None:
        """Nothing to do."""


def look_again(txn: Any) -> None:
    """Have the transaction look from time to time whether it has been given up."""
    txn.wait = partial(_wait, txn.wait)


def _wait(wait: Callable[[Any], object], poller: Any) -> None:
    wait(poller)
    poller.timer_wait(LOOK_AGAIN)
