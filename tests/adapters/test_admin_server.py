# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The admin socket over real sockets: many clients, slow ones, silent ones, and its end."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.admin.pages import Pages, Slow
from kuryr_libnetwork.admin.server import LIMITS, THREAD, AdminServer, Place, tcp_socket
from kuryr_libnetwork.docker.listeners import unix_listener
from kuryr_libnetwork.errors import AddressInUse
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.model.overview import Wellbeing
from lab.process import wait_for

LIMIT = 10
WELL = Wellbeing(live=True, ready=True)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=LIMIT)
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path)


def connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    sock.connect(str(path))
    return sock


def ask(path: Path, what: str = "/healthz") -> tuple[int, Any]:
    connection = UnixConnection(path)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a") / "admin.sock"


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(path: Path, health: Health) -> Iterator[AdminServer]:
    listener = unix_listener(path, "[admin] socket")
    pages = Pages(lambda: WELL, {"rows": lambda: ["x" * 1000] * 1000}, slow=Slow())
    server = AdminServer([Place(listener.socket, listener.name, pages, listener.remove)], health)
    server.start()
    yield server
    server.stop()


def test_it_answers_and_ends(path: Path, server: AdminServer) -> None:
    """Fails if others than root get in, or if the end leaves the file, the threads or a client behind."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask(path)[1]["live"] is True
    assert len(ask(path, "/v1/rows")[1]["rows"]) == 1000
    with connected(path) as idle:
        assert ask(path)[0] == 200
        server.stop()
        assert idle.recv(1) == b""
    assert not path.exists()
    names = ("admin", "waitress")
    assert wait_for(lambda: not any(each.name.startswith(names) for each in threading.enumerate()), LIMIT)


@pytest.mark.usefixtures("server")
def test_clients_that_say_nothing_or_do_not_read_hold_up_nobody(path: Path) -> None:
    """Fails if as many clients as there are threads can shut out the operator."""
    with ExitStack() as open_clients:
        for number in range(4 * LIMITS["threads"]):
            client = open_clients.enter_context(connected(path))
            client.sendall(b"GET /v1/rows HTTP/1.1\r\nHost: x\r\n" + (b"" if number % 2 else b"\r\n"))
        assert ask(path)[0] == 200


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "words",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_question_is_refused(path: Path, words: bytes) -> None:
    """Fails if it ends the server, or fills its memory."""
    with connected(path) as client:
        client.sendall(words)
        status = int(client.recv(4096).split()[1])
        assert 400 <= status < 500 or status == 501
    assert ask(path)[0] == 200


def test_more_descriptors_than_select_knows(path: Path, health: Health) -> None:
    """Fails if a host with many containers, whose service has many files open, cannot be asked any more."""
    with ExitStack() as kept:
        for _ in range(1100):
            kept.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        listener = unix_listener(path, "[admin] socket")
        server = AdminServer([Place(listener.socket, "unix", Pages(lambda: WELL, {}, slow=Slow()))], health)
        server.start()
        try:
            assert ask(path)[0] == 200
        finally:
            server.stop()


def test_a_server_that_cannot_begin_is_told_and_ends_nothing(path: Path, health: Health) -> None:
    """Fails if containers are not served because operators are not."""
    closed = socket.socket(socket.AF_UNIX)
    closed.close()
    server = AdminServer([Place(closed, "unix:x", Pages(lambda: WELL, {}, slow=Slow()))], health)
    server.start()
    assert health.report()[THREAD].unforeseen == 1
    server.stop()


def test_a_stop_may_come_before_the_start(path: Path, health: Health) -> None:
    """A service that is stopped while it starts would log an internal error."""
    listener = unix_listener(path, "[admin] socket")
    server = AdminServer([Place(listener.socket, listener.name, lambda *_: [], listener.remove)], health)
    server.stop()
    server.start()
    assert not path.exists()
    assert health.report() == {}


def test_tcp_on_loopback(health: Health) -> None:
    """Fails if Prometheus cannot scrape, or a taken port is not told."""
    sock = tcp_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    server = AdminServer([Place(sock, "tcp", Pages(lambda: WELL, {}, slow=Slow(), local_only=True))], health)
    server.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        with pytest.raises(AddressInUse, match=f"cannot listen on 127.0.0.1:{port}"):
            tcp_socket("127.0.0.1", port)
    finally:
        server.stop()
