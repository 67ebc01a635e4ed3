# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that hold on to something: that send slowly, or half, or nothing; that do not read; that come in
thousands.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from kuryr_libnetwork.docker.door import Limits
from kuryr_libnetwork.docker.http import MAX_BODY
from kuryr_libnetwork.docker.listeners import tcp_listener
from kuryr_libnetwork.docker.server import Tls
from kuryr_libnetwork.protocol import messages as m
from tests.conversation.transport.test_tls import keys, trusting
from tests.conversation.transport.test_transport import UNDONE
from tests.world.edge import ANSWERS, BODIES, IDS, LIMIT, Edge, exchange, parsed, request, serving, until

__all__ = ["keys"]

JOIN = json.dumps(IDS).encode()
SOON = Limits(request=0.5, answer=0.5, linger=0.2)
Connect = Callable[[], socket.socket]


@contextmanager
def open_door(
    folder: Path, kind: str, keys: Path, limits: Limits | None = None, threads: int = 2
) -> Iterator[tuple[Edge, Connect]]:
    """Served on a unix socket, TCP or TLS."""
    if kind == "unix":
        with serving(folder, threads=threads, limits=limits) as edge:
            yield edge, edge.connect
        return
    tls = Tls(keys / "server.pem", keys / "server.key") if kind == "tls" else None
    listener = tcp_listener("127.0.0.1", 0, encrypted=tls is not None)
    address = listener.socket.getsockname()
    context = trusting(keys)

    def connect() -> socket.socket:
        sock = socket.create_connection(address, LIMIT)
        return context.wrap_socket(sock, server_hostname="127.0.0.1") if tls else sock

    with serving(folder, [listener], threads=threads, tls=tls, limits=limits) as edge:
        yield edge, connect


KINDS = pytest.mark.parametrize("kind", ["unix", "tcp", "tls"])
HALVES = {
    "head": request("NetworkDriver.Join", JOIN)[:30],
    "body": request("NetworkDriver.Join", JOIN, length=1000),
    "chunks": request("NetworkDriver.Join", b"", "Transfer-Encoding: chunked", length=-1) + b"3e8\r\nabc",
    "nothing": b"",
}


@KINDS
@pytest.mark.parametrize("half", HALVES)
def test_half_requests_keep_nobody_waiting(tmp_path: Path, keys: Path, kind: str, half: str) -> None:
    """Nine clients that stop in the middle of a request kept Docker waiting for 30 seconds, or for ever."""
    with open_door(tmp_path, kind, keys) as (edge, connect), ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(connect()).sendall(HALVES[half])
        assert exchange(connect(), request("Plugin.Activate"))[0] == 200
        assert exchange(connect(), request("NetworkDriver.Join", JOIN))[0] == 200
        assert edge.verbs.called == ["join"]


@KINDS
@pytest.mark.parametrize("half", ["head", "body", "chunks"])
def test_the_whole_request_has_a_limit(tmp_path: Path, keys: Path, kind: str, half: str) -> None:
    """A client that sends a byte every few seconds was waited for without an end."""
    with open_door(tmp_path, kind, keys, SOON) as (edge, connect), connect() as sock:
        sock.sendall(HALVES[half])
        sock.settimeout(0.05)
        got = b""
        while not got:
            with suppress(TimeoutError):
                got = sock.recv(65536)
                continue
            sock.sendall(b"x")
        status, headers, body = parsed(got)
        assert (status, headers["connection"]) == (408, "close")
        assert "did not arrive completely within 0.5 s" in json.loads(body)["Err"]
        assert edge.verbs.calls == []


@KINDS
def test_silence_has_a_limit(tmp_path: Path, keys: Path, kind: str) -> None:
    """Connections on which nothing arrives would be kept for ever."""
    with open_door(tmp_path, kind, keys, SOON) as (_, connect), connect() as sock:
        assert sock.recv(1) == b""


@KINDS
def test_who_came_first_goes_where_all_places_are_taken(
    tmp_path: Path, keys: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Thousands of clients that only connect would use up memory and descriptors, or shut Docker out."""
    with (
        caplog.at_level(logging.INFO),
        open_door(tmp_path, kind, keys, Limits(clients=10)) as (_, connect),
        ExitStack() as opened,
    ):
        socks = [opened.enter_context(connect()) for _ in range(40)]
        assert exchange(connect(), request("NetworkDriver.Join", JOIN))[0] == 200
        gone = [sock for sock in socks if is_closed(sock)]
        assert gone == socks[: len(gone)]
        assert len(gone) >= 30
    (notice,) = [each for each in caplog.records if "too many clients" in each.getMessage()]
    assert notice.levelno == logging.WARNING


def is_closed(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


# -- calls -------------------------------------------------------------------------------------------------------


def test_a_call_under_way_has_no_limit(tmp_path: Path, keys: Path) -> None:
    """A container whose port takes a minute to become ACTIVE would not start."""
    go = threading.Event()

    def slow(_: object) -> m.Message:
        go.wait(LIMIT)
        return ANSWERS["join"]

    with open_door(tmp_path, "unix", keys, SOON, threads=1) as (edge, connect), ThreadPoolExecutor(2) as pool:
        edge.verbs.does["join"] = slow
        calls = [pool.submit(exchange, connect(), request("NetworkDriver.Join", JOIN)) for _ in range(2)]
        until(lambda: edge.server.waiting == 1, "one call is under way, one waits")
        assert connect().recv(1) == b""  # a client that has sent nothing meanwhile is past its limit
        go.set()
        assert [each.result(LIMIT)[0] for each in calls] == [200, 200]


def test_calls_wait_in_a_line_that_has_an_end(tmp_path: Path, keys: Path) -> None:
    """A Docker user who starts thousands of containers while Neutron hangs would use up memory and descriptors."""
    began, go = threading.Event(), threading.Event()

    def slow(_: object) -> m.Message:
        began.set()
        go.wait(LIMIT)
        return ANSWERS["join"]

    with open_door(tmp_path, "unix", keys, Limits(waiting=3), threads=1) as (edge, connect):
        edge.verbs.does["join"] = slow
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(exchange, connect(), request("NetworkDriver.Join", JOIN))]
            assert began.wait(LIMIT)  # it is not in the line any more
            calls += [pool.submit(exchange, connect(), request("NetworkDriver.Join", JOIN)) for _ in range(3)]
            until(lambda: edge.server.waiting == 3, "the line is full")
            status, _, body = exchange(connect(), request("NetworkDriver.Join", JOIN))
            assert status == 503
            assert "3 calls are already waiting" in json.loads(body)["Err"]
            assert exchange(connect(), request("Plugin.Activate"))[0] == 200
            go.set()
            assert [each.result(LIMIT)[0] for each in calls] == [200] * 4
        assert len(edge.verbs.calls) == 4


# -- answers -----------------------------------------------------------------------------------------------------

LARGE = m.JoinResponse(static_routes=[m.StaticRoute(destination=f"{n}", route_type=1) for n in range(200_000)])


@KINDS
def test_an_answer_that_is_not_read_holds_no_worker(
    tmp_path: Path, keys: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two clients that do not read their answers would stop a service with two workers, and what they had made would
    stay.
    """
    with (
        caplog.at_level(logging.INFO),
        open_door(tmp_path, kind, keys, SOON) as (edge, connect),
        ExitStack() as opened,
    ):
        edge.verbs.does["join"] = lambda _: LARGE
        for _ in range(3):
            opened.enter_context(connect()).sendall(request("NetworkDriver.Join", JOIN))
        until(lambda: edge.verbs.called.count("join") == 3, "all three are called, by two workers")
        assert exchange(connect(), request("NetworkDriver.Leave", JOIN))[0] == 200
        until(lambda: caplog.text.count("connection lost") == 3, "the answers are given up")
        assert edge.verbs.calls.count(UNDONE["NetworkDriver.Join"]) == 4  # and the one that was called


@KINDS
def test_an_answer_that_is_read_slowly_arrives(tmp_path: Path, keys: Path, kind: str) -> None:
    """An answer larger than the kernel's buffer would be cut off, or undone although it has arrived."""
    with open_door(tmp_path, kind, keys) as (edge, connect), connect() as sock:
        edge.verbs.does["join"] = lambda _: LARGE
        sock.sendall(request("NetworkDriver.Join", JOIN))
        until(lambda: edge.verbs.calls, "the verb is called")
        status, headers, body = exchange(sock, b"")
        assert (status, int(headers["content-length"])) == (200, len(body))
        assert len(json.loads(body)["StaticRoutes"]) == 200_000
    assert edge.verbs.called == ["join"]


@pytest.mark.parametrize("method", UNDONE)
def test_an_answer_that_is_read_in_part_only_is_undone(
    tmp_path: Path, keys: Path, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a call created would stay behind although Docker believes that the call failed."""
    verb, arguments = BODIES[method]
    large = {"answer": "x" * 5_000_000}
    with caplog.at_level(logging.INFO), open_door(tmp_path, "unix", keys) as (edge, connect):
        edge.verbs.does[verb] = lambda _: Padded.of(ANSWERS[verb], large["answer"])
        with connect() as sock:
            sock.sendall(request(method, json.dumps(arguments).encode()))
            assert sock.recv(1000)
        until(lambda: "connection lost" in caplog.text, "the loss is noticed")
        assert edge.verbs.calls[1:] == [UNDONE[method]]


class Padded:
    """Any answer, made large by a member that nobody reads."""

    @staticmethod
    def of(answer: m.Message, padding: str) -> m.Message:
        kind = type(answer)
        fields = {name: getattr(answer, name) for name in kind.__struct_fields__}
        larger = type("Larger", (kind,), {"__annotations__": {"padding": str}}, frozen=True, kw_only=True)
        made: m.Message = larger(**fields, padding=padding)
        return made


# -- what is refused early ---------------------------------------------------------------------------------------


@KINDS
def test_who_is_refused_while_sending_reads_why(tmp_path: Path, keys: Path, kind: str) -> None:
    """The rest of a request that is too large would reset the connection, and take the answer with it."""
    with open_door(tmp_path, kind, keys) as (edge, connect):
        status, _, body = exchange(connect(), request("NetworkDriver.Join", b" " * (MAX_BODY + 1)))
        assert status == 413
        assert "more than" in json.loads(body)["Err"]
        assert edge.verbs.calls == []


def test_one_that_goes_on_sending_for_ever_is_left(tmp_path: Path, keys: Path) -> None:
    """A client that is refused and goes on sending would be listened to without an end."""
    with open_door(tmp_path, "unix", keys, SOON) as (_, connect), connect() as sock:
        sock.sendall(request("NetworkDriver.Join", b"", length=MAX_BODY + 1))
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:
                sock.sendall(b"x" * 65536)
        assert exchange(connect(), request("Plugin.Activate"))[0] == 200


@pytest.mark.parametrize("extension", [b"", b";" + b"x" * 1000])
def test_chunks_that_are_mostly_overhead_are_refused(tmp_path: Path, keys: Path, extension: bytes) -> None:
    """A body of one megabyte could be a gigabyte on the wire, and minutes of work."""
    data = request("NetworkDriver.Join", b"", "Transfer-Encoding: chunked", length=-1)
    data += (b"1" + extension + b"\r\n \r\n") * (2_000_000 // (6 + len(extension)))
    with open_door(tmp_path, "unix", keys) as (edge, connect):
        assert exchange(connect(), data)[0] == 413
        assert exchange(connect(), request("Plugin.Activate"))[0] == 200
        assert edge.verbs.calls == []


# -- what is asked for before the body ----------------------------------------------------------------------------


@KINDS
def test_a_client_that_waits_for_a_word_gets_it(tmp_path: Path, keys: Path, kind: str) -> None:
    """A client that sends ``Expect: 100-continue`` would wait for a second before it sends its body, or for ever."""
    data = request("NetworkDriver.Join", JOIN, "Expect: 100-continue")
    with open_door(tmp_path, kind, keys) as (edge, connect), connect() as sock:
        sock.sendall(data[: -len(JOIN)])
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert exchange(sock, JOIN)[0] == 200
        assert edge.verbs.called == ["join"]


def test_a_body_that_is_too_large_is_not_asked_for(tmp_path: Path, keys: Path) -> None:
    """A client that asks before it sends a large body would be told to send it."""
    with open_door(tmp_path, "unix", keys) as (_, connect):
        data = request("NetworkDriver.Join", b"", "Expect: 100-continue", length=MAX_BODY + 1)
        assert exchange(connect(), data)[0] == 413


@KINDS
def test_bytes_behind_the_request_do_no_harm(tmp_path: Path, keys: Path, kind: str) -> None:
    """If data after the request is left unread, closing the connection would discard the answer."""
    with open_door(tmp_path, kind, keys) as (edge, connect):
        for more in (b"\n", b"x" * 1000, request("NetworkDriver.Leave", JOIN) * 20):
            status, _, body = exchange(connect(), request("NetworkDriver.Join", JOIN) + more)
            assert (status, body) == (200, b"{}")
    assert edge.verbs.called == ["join"] * 3


# -- the log -----------------------------------------------------------------------------------------------------


def test_bad_requests_cannot_fill_the_log(tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reaches the port could fill the disk with lines of the log."""
    with caplog.at_level(logging.INFO), open_door(tmp_path, "tcp", keys) as (_, connect):
        for _ in range(50):
            assert exchange(connect(), b"nonsense\r\n\r\n")[0] == 400
    assert len([each for each in caplog.records if "refused a request" in each.getMessage()]) == 1
