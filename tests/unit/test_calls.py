# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The counter behind "N Neutron calls" in the log, and the id of a piece of work."""

from __future__ import annotations

import contextvars
import re
import threading

import pytest

from kuryr_libnetwork.calls import count_calls, note_neutron_call, one_request, request_id


def test_only_what_happens_inside_is_counted() -> None:
    """Fails if a call of Docker is charged with the Neutron calls of its predecessor on the same thread."""
    note_neutron_call("GET", "/before")
    with count_calls() as first:
        note_neutron_call("GET", "/networks")
    note_neutron_call("GET", "/between")
    with count_calls() as second:
        note_neutron_call("POST", "/ports")
        note_neutron_call("PUT", "/ports/1")
    assert first.requests == (("GET", "/networks"),)
    assert (first.neutron, second.neutron) == (1, 2)


def test_counters_nest() -> None:
    """Fails if counting a part of the work hides that part from the whole."""
    with count_calls() as whole:
        note_neutron_call("GET", "/a")
        with count_calls() as part:
            note_neutron_call("GET", "/b")
    assert (whole.neutron, part.neutron) == (2, 1)


def test_an_exception_ends_the_count() -> None:
    """Fails if the calls after a failed one are still charged to it."""
    with pytest.raises(ValueError, match="broken"), count_calls() as counter:
        raise ValueError("broken")
    note_neutron_call("GET", "/after")
    assert counter.neutron == 0


def test_threads_have_their_own_counters() -> None:
    """Fails if parallel calls of Docker count each other's Neutron calls."""
    inside, go_on = threading.Event(), threading.Event()
    counts: list[int] = []

    def other() -> None:
        with count_calls() as counter:
            note_neutron_call("GET", "/other")
            inside.set()
            assert go_on.wait(20)
        counts.append(counter.neutron)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(20)
    with count_calls() as mine:
        for _ in range(3):
            note_neutron_call("GET", "/mine")
    go_on.set()
    thread.join(20)
    assert (mine.neutron, counts) == (3, [1])


def test_a_copied_context_counts_for_its_caller() -> None:
    """Fails if the work that a call of Docker hands to a helper thread is missing in its count."""
    with count_calls() as counter:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(note_neutron_call, "GET", "/helper"))
        thread.start()
        thread.join(20)
    assert counter.requests == (("GET", "/helper"),)


def test_one_piece_of_work_has_one_id() -> None:
    """Fails if the lines of two calls of Docker cannot be told apart, or if OpenStack's services do not take the id."""
    assert request_id() == ""
    with one_request() as first:
        assert request_id() == first
        with one_request("req-known"):
            assert request_id() == "req-known"
        assert request_id() == first
    with one_request() as second:
        assert second != first
    assert request_id() == ""
    # Source: oslo.middleware, request_id.py (ID_FORMAT).
    assert re.fullmatch(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first)
