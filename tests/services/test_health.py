# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Threads that go on, and say how they fare."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from kuryr_libnetwork import health
from kuryr_libnetwork.health import Health, ThreadState, described


@pytest.fixture
def hook() -> Iterator[None]:
    before = threading.excepthook
    yield
    threading.excepthook = before


def test_what_a_thread_does_is_reported() -> None:
    """Nobody could see that the background is dead, or how often it stumbled."""
    found = Health(now=lambda: 7.0)
    found.beat("reconciler")
    found.unforeseen("announcer", "announce", KeyError("x"))
    found.unforeseen("announcer", "announce", RecursionError("too deep"))
    assert found.report() == {
        "reconciler": ThreadState(last_beat=7.0),
        "announcer": ThreadState(unforeseen=2, last_error="RecursionError: too deep"),
    }


def test_an_unforeseen_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """A bug could not be found from the log of the machine on which it happened."""
    found = Health()
    found.unforeseen("reconciler", "remove port p", KeyError("x"))
    found.unforeseen("reconciler", "remove port p", KeyError("x"), log=False)
    (record,) = caplog.records
    assert record.getMessage() == "reconciler: remove port p: unexpected error"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert found.report()["reconciler"].unforeseen == 2


def test_a_thread_whose_work_fails_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One unforeseen error would end the background for good, while the service looks well."""
    monkeypatch.setattr(health, "PAUSE", 0.0)
    runs: list[int] = []

    def work() -> None:
        runs.append(len(runs))
        if len(runs) < 4:
            raise AttributeError("poison")

    found = Health()
    thread = found.thread("reconciler", work)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert (len(runs), found.report()["reconciler"].unforeseen) == (4, 3)


@pytest.mark.usefixtures("hook")
def test_the_end_of_any_other_thread_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A thread of a library would end with a traceback on stderr, which nobody counts and which is not in the log."""
    found = Health()
    found.watch_all_threads()

    def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("bad"), SystemExit(0)):
        thread = threading.Thread(target=fail, args=(error,), name="stranger-7")
        thread.start()
        thread.join(10)
    assert found.report() == {"stranger-N": ThreadState(unforeseen=1, last_error="ValueError: bad")}
    assert [record.getMessage() for record in caplog.records] == ["stranger-7: the thread has ended: unexpected error"]


def test_errors_are_described_in_one_short_line() -> None:
    """A body of megabytes would stand in the log, and in the report."""
    assert described(ValueError("a\n b")) == "ValueError: a b"
    assert len(described(ValueError("x" * 10_000))) == 200
