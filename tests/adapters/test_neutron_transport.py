# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Endless, truncated or foreign answers, and redirects: each becomes one of our errors, in limited time and memory."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from keystoneauth1.adapter import Adapter

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.model.neutron import SubPort
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.errors import NoAnswer
from kuryr_libnetwork.neutron.session import build_adapter
from kuryr_libnetwork.neutron.transport import guard
from tests.adapters.neutron_client import configured, connect, without_keystone
from tests.fakes.keystone import FakeKeystone, credentials
from tests.fakes.loopback import Answer, Loopback, Request
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront

PATIENCE = 20
MIB = 1 << 20
Change = Callable[[NeutronClient], object]


@contextmanager
def raw_server(say: Callable[[socket.socket, threading.Event], None]) -> Iterator[tuple[str, list[int]]]:
    """A server that sends scripted bytes to each connection; the list has an entry for each that has ended."""
    over, ended = threading.Event(), []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(PATIENCE)
            connection.recv(65536)
            say(connection, over)
        ended.append(1)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threads.submit(serve, server.accept()[0])

    with ThreadPoolExecutor(8) as threads, socket.create_server(("127.0.0.1", 0)) as server:
        threads.submit(accept, server)
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", ended
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)


# -- bodies --------------------------------------------------------------------------------------------------------


def limited(url: str, largest: int = MIB) -> NeutronClient:
    def factory() -> Adapter:
        adapter = build_adapter(configured({"auth_type": "none", "endpoint": url}), timeout=PATIENCE)
        adapter.session.session.hooks["response"].clear()
        guard(adapter.session.session, largest)
        return adapter

    return NeutronClient(factory, PATIENCE, sleep=lambda _: None)


def test_a_body_has_a_largest_size(front: NeutronFront) -> None:
    """One answer would take all the memory of the host."""
    client = limited(front.url)
    small = json.dumps({"ports": [], "x": "a" * (MIB - 1000)}).encode()
    large = json.dumps({"ports": [], "x": "a" * (MIB + 1000)}).encode()
    front.answers += [Answer(200, small), Answer(200, large), Answer(409, large)]
    assert client.find_ports() == []
    with pytest.raises(NeutronUnavailable, match=r"GET http.*/v2\.0/ports: it is longer than 1 MiB"):
        client.find_ports()
    with pytest.raises(NeutronUnavailable, match=r"DELETE http.*/v2\.0/ports/p1: it is longer than 1 MiB"):
        client.delete_port("p1")
    assert len(front.requests) == 3


def test_a_packed_body_counts_as_what_comes_out_of_it(front: NeutronFront) -> None:
    """A few packed kilobytes would take all the memory of the host."""
    client = limited(front.url)
    packed = (("Content-Encoding", "gzip"),)
    front.answers += [
        Answer(200, gzip.compress(b'{"ports": []}' + b" " * (8 * MIB)), packed),
        Answer(200, gzip.compress(b'{"ports": []}'), packed),
        *[Answer(200, b"not packed", packed)] * 3,
    ]
    with pytest.raises(NeutronUnavailable, match="longer than 1 MiB"):
        client.find_ports()
    assert client.find_ports() == []
    with pytest.raises(NeutronUnavailable):
        client.find_ports()


def test_keystones_bodies_are_bounded_as_well(front: NeutronFront) -> None:
    """A Keystone, or whoever answers for it, would take all the memory of the host."""
    with FakeKeystone({("one", "public"): front.url}) as keystone:
        keystone.answers.append(Answer(200, b" " * (65 * MIB)))
        with pytest.raises(NeutronUnavailable, match=f"GET {keystone.url}/v3: it is longer than 64 MiB"):
            connect(credentials(f"{keystone.url}/v3")).find_ports()


def _endless(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not over.is_set():
        connection.sendall(b" " * 65536)


def test_a_body_without_end_ends() -> None:
    """A server that never stops would fill the memory for as long as it may take."""
    with raw_server(_endless) as (url, _), pytest.raises(NeutronUnavailable, match="longer than 1 MiB"):
        limited(url).find_ports()


def test_an_answer_in_drops_holds_no_thread() -> None:
    """Each caller that gave up would leave a thread and a connection behind, for as long as the server wants."""
    before = set(threading.enumerate())

    def drip(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
        while not over.wait(0.01):
            connection.sendall(b" ")

    with raw_server(drip) as (url, ended):
        with pytest.raises(NoAnswer):
            without_keystone(url, timeout=0.2).delete_port("p1")
        for thread in set(threading.enumerate()) - before:
            if thread.name == "neutron":
                thread.join(PATIENCE)
                assert not thread.is_alive()
        while not ended:
            threading.Event().wait(0.01)


@pytest.mark.parametrize(
    "said",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"ports": []}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{"ports": []}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"ports": []}\r\n0\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n{"ports": []}',
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0" * 100,
        b"",
    ],
    ids=lambda said: repr(said[-30:]),
)
def test_an_answer_that_is_cut_off_or_no_http(said: bytes) -> None:
    """Half a list would be taken for all there is, or the service end in a traceback."""
    with raw_server(lambda connection, _: connection.sendall(said)) as (url, _):
        client = without_keystone(url)
        for ask in (lambda: client.find_ports(), lambda: client.create_port({})):
            with pytest.raises(NeutronUnavailable, match=r"no .*answer") as caught:
                ask()
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream", "", "application/json; charset=latin-1"])
def test_the_body_counts_and_not_what_is_said_of_it(front: NeutronFront, client: NeutronClient, kind: str) -> None:
    """A proxy's page would be believed for its header, or Neutron's own answer be refused for it."""
    front.answers += [Answer(200, body, (("Content-Type", kind),)) for body in (b"<html>", b'{"ports": []}')]
    with pytest.raises(NeutronUnavailable, match="not JSON"):
        client.find_ports()
    assert client.find_ports() == []


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_no_body_where_there_has_to_be_one(front: NeutronFront, client: NeutronClient, status: int) -> None:
    """A thing that may have been made would be lost, or an empty list get everything removed."""
    asks: list[Change] = [
        lambda client: client.find_ports(),
        lambda client: client.create_port({}),
        lambda client: client.create_network({}),
        lambda client: client.update_port("p1", {}),
        lambda client: client.add_subport("t1", SubPort(port_id="p1")),
    ]
    for ask in asks:
        front.answers.append(Answer(status))
        with pytest.raises(NeutronUnavailable, match="no usable answer"):
            ask(client)


def test_a_page_is_no_sign_that_something_is_gone(front: NeutronFront, client: NeutronClient) -> None:
    """A port would be forgotten because a proxy wants somebody to log in."""
    front.answers.append(Answer(200, b"<html>Log in</html>", (("Content-Type", "text/html"),)))
    with pytest.raises(NeutronUnavailable, match="not JSON"):
        client.delete_port("p1")


# -- redirects -----------------------------------------------------------------------------------------------------

REDIRECTS = (301, 302, 303, 305, 307, 308)


@pytest.mark.parametrize("status", [300, 304, *REDIRECTS])
@pytest.mark.parametrize("path", ["", "/v2.0/ports/p2"])
def test_no_redirect_of_neutron_is_followed(front: NeutronFront, client: NeutronClient, status: int, path: str) -> None:
    """The token would be sent to whoever is named, or another port be deleted."""
    asks: list[Change] = [lambda client: client.find_ports(), lambda client: client.delete_port("p1")]
    with NeutronFront(FakeNeutron()) as elsewhere:
        for place in (f"{elsewhere.url}{path}", path or "//x", "http://[::1", "http://x:y/", "file:///etc/passwd"):
            for ask in asks:
                front.answers.append(Answer(status, b"", (("Location", place),)))
                with pytest.raises(NeutronUnavailable, match="redirect") as caught:
                    ask(client)
                assert "\n" not in str(caught.value)
        assert elsewhere.requests == []
    assert front.answers == []
    assert len(front.requests) == 10


class Redirecting(Loopback):
    """Redirects every request to ``target``."""

    def __init__(self, target: str, status: int) -> None:
        super().__init__()
        self._target = target
        self._status = status

    def answer(self, request: Request) -> Answer:
        return Answer(self._status, b"", (("Location", self._target + request.path),))


@pytest.mark.parametrize("status", REDIRECTS)
def test_keystones_redirect_goes_nowhere_else(front: NeutronFront, status: int) -> None:
    """The password would be sent to whoever is named."""
    with FakeKeystone({("one", "public"): front.url}) as elsewhere, Redirecting(elsewhere.url, status) as keystone:
        with pytest.raises(NeutronUnavailable, match=f"{keystone.url}/v3.* redirects to {elsewhere.url}"):
            connect(credentials(f"{keystone.url}/v3")).find_ports()
        assert elsewhere.requests == []


def test_keystone_may_redirect_to_itself(front: NeutronFront) -> None:
    """A Keystone behind a web server that corrects addresses would not be found."""
    with FakeKeystone({("one", "public"): front.url}) as keystone:
        keystone.answers.append(Answer(301, b"", (("Location", "/v3/"),)))
        assert connect(credentials(f"{keystone.url}/v3")).find_ports() == []
        keystone.answers += [Answer(301, b"", (("Location", "/v3/"),))] * 50
        with pytest.raises(NeutronUnavailable):
            connect(credentials(f"{keystone.url}/v3")).find_ports()
