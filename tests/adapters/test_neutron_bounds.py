# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""No call to Neutron holds its caller for longer than allowed, and none takes effect after its caller has gone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from keystoneauth1.adapter import Adapter

from kuryr_libnetwork.bounded import Depart, GaveUp, run_within
from kuryr_libnetwork.calls import count_calls, note_neutron_call
from kuryr_libnetwork.errors import NeutronError, NeutronUnavailable
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.errors import NoAnswer, NotConnected
from kuryr_libnetwork.neutron.session import build_adapter
from kuryr_libnetwork.patience import one_patience
from tests.adapters.neutron_client import configured, connect, without_keystone
from tests.fakes.loopback import Answer
from tests.fakes.neutron_http import NeutronFront

PATIENCE = 20


class Held:
    """Work that continues only when told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []

    def wait(self) -> None:
        self.threads.append(threading.current_thread())
        self.go_on.wait(PATIENCE)

    def finish(self) -> None:
        self.go_on.set()
        for thread in self.threads:
            thread.join(PATIENCE)


@contextmanager
def trickle() -> Iterator[str]:
    """A server whose answer's body comes in byte by byte and never ends."""
    over = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999\r\n\r\n")
            while not over.wait(0.01):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        threads.submit(serve, server)
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()


def test_work_that_nobody_waits_for_does_not_depart() -> None:
    """A port would be made after its caller had cleaned up, and stay for ever."""
    held, done = Held(), []

    def work(depart: Depart) -> None:
        held.wait()
        depart()
        done.append("sent")

    with pytest.raises(GaveUp) as late:
        run_within(0.05, work)
    held.finish()
    assert (late.value.departed, done) == (False, [])


def test_work_that_departed_may_take_effect() -> None:
    """A port that may have been made would be taken for one that was not, and never be looked for."""
    held = Held()

    def work(depart: Depart) -> None:
        depart()
        held.wait()

    with pytest.raises(GaveUp) as late:
        run_within(0.05, work)
    held.finish()
    assert late.value.departed


def test_answers_errors_and_counts_reach_the_caller() -> None:
    """An exception would get lost in a thread, or calls would not be counted."""

    def work(depart: Depart) -> str:
        note_neutron_call("GET", "/v2.0/ports")
        return "answer"

    def fail(depart: Depart) -> str:
        raise KeyError("a defect")

    with count_calls() as counter:
        assert run_within(PATIENCE, work) == "answer"
    assert counter.neutron == 1
    with pytest.raises(KeyError, match="a defect"):
        run_within(PATIENCE, fail)


def test_a_login_that_takes_too_long_sends_nothing_later(front: NeutronFront) -> None:
    """One hung login would hang every container, and when it finally ends create networks that nobody waits for."""
    held = Held()

    def factory() -> Adapter:
        held.wait()
        return build_adapter(configured({"auth_type": "none", "endpoint": front.url}), timeout=PATIENCE)

    client = NeutronClient(factory, timeout=0.2)
    with count_calls() as counter:
        for name in ("logs in", "waits for the other's login"):
            with pytest.raises(NotConnected, match="POST"):
                client.create_network({"name": name})
    held.finish()
    assert (front.requests, counter.neutron, len(held.threads)) == ([], 0, 1)
    assert client.find_networks() == []


def test_callers_do_not_queue_for_a_silent_keystone() -> None:
    """With Keystone hung, the last of many containers would wait for all the others' time-outs."""
    callers = 8
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        auth_url = f"http://127.0.0.1:{silent.getsockname()[1]}/v3"
        user = {"username": "kuryr", "password": "x", "user_domain_id": "default"}
        project = {"project_name": "service", "project_domain_id": "default"}
        client = connect({"auth_type": "password", "auth_url": auth_url, **user, **project}, timeout=0.5)

        def ask(_: int) -> type[Exception]:
            with pytest.raises(NeutronUnavailable) as caught:
                client.delete_port("p")
            return caught.type

        with ThreadPoolExecutor(callers) as threads:
            assert len(list(threads.map(ask, range(callers)))) == callers
        silent.setblocking(False)
        assert _waiting(silent) < callers


def _waiting(server: socket.socket) -> int:
    for number in range(1000):
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return number
    raise AssertionError("no end of connections")


@pytest.mark.parametrize(
    "ask",
    [lambda client: client.delete_port("p"), lambda client: client.find_ports()],
    ids=["DELETE", "GET"],
)
def test_an_answer_in_drops_ends_with_the_time_out(ask: Callable[[NeutronClient], None]) -> None:
    """A broken proxy would hang Docker for ever, one byte at a time."""
    with trickle() as url, pytest.raises(NoAnswer, match="timed out"):
        ask(without_keystone(url, timeout=0.3))


def test_neutrons_own_words_for_503_are_told(front: NeutronFront) -> None:
    """The operator would not learn that Neutron has run out of MAC addresses."""
    error = {"type": "MacAddressGenerationFailure", "message": "Unable to generate unique mac", "detail": ""}
    front.answers.append(Answer(503, json.dumps({"NeutronError": error}).encode()))
    with pytest.raises(NoAnswer, match="HTTP 503: Unable to generate unique mac"):
        without_keystone(front.url).create_port({})


def test_a_host_name_that_cannot_be_one_is_one_of_our_errors() -> None:
    """A typing error in ``endpoint`` would end in a traceback."""
    with pytest.raises(NeutronError, match="label"):
        without_keystone(f"http://{'a' * 70}.example:9696").find_ports()


@pytest.mark.parametrize("links", [[3], {"rel": "next"}, [{"rel": "next"}], "x"])
def test_links_that_cannot_be_followed_are_no_answer(front: NeutronFront, links: object) -> None:
    """A page would be dropped silently, or a proxy's invention end in a traceback."""
    front.answers.append(Answer(200, json.dumps({"ports": [], "ports_links": links}).encode()))
    with pytest.raises(NeutronUnavailable, match="no usable answer"):
        without_keystone(front.url).find_ports()


def test_one_call_of_docker_waits_once_for_a_frozen_neutron() -> None:
    """A docker start would hang for a minute and more, each question with its own time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        client = without_keystone(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
        with one_patience(spare=0), count_calls() as counter:
            for _ in range(20):
                with pytest.raises(NeutronUnavailable):
                    client.delete_port("p")
            with pytest.raises(NotConnected, match=r"GET .* was not tried"):
                client.find_ports()
            with pytest.raises(NotConnected, match="was not tried"):
                client.account()
        assert counter.neutron == 1
        with count_calls() as counter, pytest.raises(NoAnswer):
            client.delete_port("p")
        assert counter.neutron == 1


def test_a_call_whose_answers_come_slowly_is_not_cut_off(front: NeutronFront) -> None:
    """A busy cloud, which answers each question in time, would fail every call that asks several."""
    client = without_keystone(front.url, timeout=20)
    with one_patience(spare=0) as patience:
        patience.waited("Neutron", 15)
        assert client.find_networks() == []
        assert patience.seconds("Neutron", 20) == 20
