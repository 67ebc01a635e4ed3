# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP over a real unix socket: what Docker sends, and what it should never have sent."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.docker.http import MAX_BODY
from kuryr_libnetwork.docker.listeners import tcp_listener
from kuryr_libnetwork.protocol import messages as m
from tests.world.dockerside import PluginClient
from tests.world.edge import ANSWERS, BODIES, ENDPOINT, IDS, LIMIT, NETWORK, Edge, exchange, request, serving, until

JOIN = json.dumps(IDS).encode()
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with serving(tmp_path) as edge:
        yield edge


def lives(edge: Edge) -> bool:
    return edge.post("Plugin.Activate") == (200, {"Implements": ["NetworkDriver", "IpamDriver"]})


# -- what Docker sends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["", "plugin.moby.localhost"])
def test_requests_as_docker_sends_them(edge: Edge, host: str) -> None:
    """Fails if a request without Content-Type, or with the empty Host of engines before 23.0.7, is refused."""
    status, headers, body = PluginClient(edge.path, host).raw("NetworkDriver.Join", JOIN + b"\n")
    assert (status, json.loads(body)) == (200, {})
    assert headers["content-type"].startswith("application/")
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("Plugin.Activate"), 200),
        (request("NetworkDriver.Join", JOIN), 200),
        (request("NetworkDriver.Join"), 400),
        (request("NetworkDriver.Join", b"{"), 400),
        (request("NetworkDriver.Join", JOIN, verb="GET"), 405),
        (request("Plugin.Activate", verb="PUT"), 405),
        (request("NetworkDriver.New", b"{}"), 404),
        (request("%ff%00", b"{}"), 404),
        (b"\r\n" + request("Plugin.Activate"), 200),
        (b"POST /Plugin.Activate HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"POST /Plugin.Activate HTTP/1.1\r\n\r\n", 400),
        (b"POST /Plugin.Activate HTTP/1.0\r\n\r\n", 200),
        (b"POST /Plugin.Activate HTTP/2.0\r\n\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
        (b"\xff\xfe /x HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"POST " + b"/x" * 65536 + b" HTTP/1.1\r\n\r\n", 431),
        (request("Plugin.Activate", b"", "X: " + "x" * 140_000), 431),
        (request("NetworkDriver.Join", b"", length=MAX_BODY + 1), 413),
        (request("NetworkDriver.Join", JOIN, "Content-Length: many", length=-1), 400),
        (request("NetworkDriver.Join", JOIN, length=-5), 400),
        (request("NetworkDriver.Join", JOIN, "Transfer-Encoding: gzip", length=-1), 501),
    ],
)
def test_every_answer_is_json_and_closes(edge: Edge, data: bytes, status: int) -> None:
    """Fails if Docker could reuse a connection that we are about to close, or gets an error that is not JSON."""
    got, headers, body = exchange(edge.connect(), data)
    assert got == status
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    assert isinstance(json.loads(body), dict)
    assert status == 200 or json.loads(body)["Err"].isprintable()
    assert ("allow" in headers) is (status == 405)
    assert status == 200 or edge.verbs.calls == []
    assert lives(edge)


def test_one_request_for_each_connection(edge: Edge) -> None:
    """Fails if a second request on a connection is worked on although its answer can never arrive."""
    status, _, body = exchange(edge.connect(), request("NetworkDriver.Join", JOIN) * 2)
    assert (status, body) == (200, b"{}")
    assert edge.verbs.called == ["join"]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("NetworkDriver.CreateNetwork", {"NetworkID": NETWORK, "Options": None, "IPv4Data": None, "IPv6Data": None}),
        ("NetworkDriver.CreateEndpoint", IDS | {"Interface": None, "Options": None}),
        ("NetworkDriver.Join", IDS | {"Options": None, "SandboxKey": ""}),
        ("NetworkDriver.GwAllocCheck", {"Options": None}),
        ("IpamDriver.RequestPool", {"Options": None, "V6": False}),
        ("IpamDriver.RequestAddress", {"PoolID": "p", "Address": "", "Options": None}),
        ("NetworkDriver.DiscoverNew", {"DiscoveryType": 1, "DiscoveryData": None}),
        ("NetworkDriver.Leave", IDS | {"Whatever": {"comes": ["next"]}}),
    ],
)
def test_null_and_unknown_members(edge: Edge, method: str, arguments: dict[str, object]) -> None:
    """Fails if Go's null lists and objects, or members of a later engine, are refused."""
    assert edge.post(method, arguments)[0] == 200
    assert len(edge.verbs.calls) == 1


# -- what is not whole -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", BODIES)
def test_a_body_cut_off_reaches_no_verb(edge: Edge, method: str) -> None:
    """Fails if a call whose sender ended in the middle of it changes anything."""
    body = json.dumps(BODIES[method][1]).encode()
    with edge.connect() as sock:
        sock.sendall(request(method, body, length=len(body) + 1))
        sock.shutdown(socket.SHUT_WR)
        status, _, answer = exchange(sock, b"")
    assert status == 400
    assert "cut off" in json.loads(answer)["Err"]
    assert edge.verbs.calls == []


@pytest.mark.parametrize("end", [1, 30, 60, len(request("NetworkDriver.Join", JOIN)) - 1])
def test_a_peer_gone_in_the_middle_reaches_no_verb(edge: Edge, end: int) -> None:
    """Fails if a request that never arrived completely is worked on, or its sender's end harms the service."""
    for _ in range(20):
        with edge.connect() as sock:
            sock.sendall(request("NetworkDriver.Join", JOIN)[:end])
    assert lives(edge)
    assert edge.verbs.calls == []


@pytest.mark.parametrize("count", [1, 100])
def test_bare_connections_do_no_harm(edge: Edge, count: int, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if the probe of a managed plugin, a connection without a byte, ends or blocks the service."""
    with caplog.at_level(logging.WARNING):
        for _ in range(count):
            edge.connect().close()
        assert lives(edge)
    assert caplog.records == []


def test_silent_connections_hold_no_thread(edge: Edge) -> None:
    """Fails if connections on which nothing arrives keep calls waiting."""
    silent = [edge.connect() for _ in range(100)]
    assert edge.post("NetworkDriver.Join", IDS) == (200, {})
    assert lives(edge)
    for sock in silent:
        sock.close()


@pytest.mark.parametrize("sizes", [[1, 5, 1000], [7]])
def test_chunked_bodies(edge: Edge, sizes: list[int]) -> None:
    """Fails if a client that sends its body in chunks is misunderstood."""
    data, rest = b"", JOIN
    for size in sizes:
        part, rest = rest[:size], rest[size:]
        data += b"%x\r\n%s\r\n" % (len(part), part)
    data += b"%x\r\n%s\r\n" % (len(rest), rest) if rest else b""
    head = request("NetworkDriver.Join", b"", CHUNKED, length=-1)
    assert exchange(edge.connect(), head + data + b"0\r\n\r\n")[0] == 200
    assert edge.verbs.called == ["join"]


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"%x\r\n%s" % (len(JOIN), JOIN),
        b"%x\r\n%sXY0\r\n\r\n" % (len(JOIN), JOIN),
        b"%x\r\n%s\r\n" % (len(JOIN), JOIN),
        b"%x\r\n" % (MAX_BODY + 1),
        b"10000\r\n" + b" " * 65536 + b"\r\n",
    ],
    ids=["size", "no-end-of-chunk", "wrong-end-of-chunk", "no-last-chunk", "large", "cut-off-blank"],
)
def test_broken_chunks_reach_no_verb(edge: Edge, data: bytes) -> None:
    """Fails if a chunked body that is broken, cut off or too large is worked on."""
    with edge.connect() as sock:
        sock.sendall(request("NetworkDriver.Join", b"", CHUNKED, length=-1) + data)
        sock.shutdown(socket.SHUT_WR)
        status, _, body = exchange(sock, b"")
    assert status in {400, 413}
    assert json.loads(body)["Err"].isprintable()
    assert edge.verbs.calls == []


def test_a_large_body_within_the_limit(edge: Edge) -> None:
    """Fails if a body is refused below the limit, or taken above it."""
    room = MAX_BODY - len(JOIN)
    assert exchange(edge.connect(), request("NetworkDriver.Join", JOIN + b" " * room))[0] == 200
    assert exchange(edge.connect(), request("NetworkDriver.Join", JOIN + b" " * (room + 1)))[0] == 413
    assert edge.verbs.called == ["join"]


# -- many at once ------------------------------------------------------------------------------------------------


def test_a_hundred_calls_at_once(edge: Edge) -> None:
    """Fails if answers of parallel calls are lost or mixed up."""
    edge.verbs.does["endpoint_oper_info"] = lambda asked: m.OperInfoResponse(value={"id": asked.endpoint_id})
    ids = [f"{n:064x}" for n in range(100)]
    with ThreadPoolExecutor(100) as pool:
        calls = [{"NetworkID": NETWORK, "EndpointID": each} for each in ids]
        answers = list(pool.map(lambda each: edge.post("NetworkDriver.EndpointOperInfo", each), calls))
    assert answers == [(200, {"Value": {"id": each}}) for each in ids]


def test_constants_are_answered_while_all_verbs_hang(tmp_path: Path) -> None:
    """Fails if a cloud that hangs makes Docker's handshake fail, which Docker never forgets."""
    with serving(tmp_path, threads=32) as edge, ThreadPoolExecutor(200) as pool:
        go = threading.Event()

        def hang(_: object) -> m.Message:
            go.wait(LIMIT)
            return ANSWERS["join"]

        edge.verbs.does["join"] = hang
        hanging = [pool.submit(edge.post, "NetworkDriver.Join", IDS) for _ in range(200)]
        until(lambda: len(edge.verbs.calls) == 32, "32 calls at work")
        assert lives(edge)
        for method in ("NetworkDriver", "IpamDriver"):
            assert edge.post(f"{method}.GetCapabilities")[0] == 200
        assert edge.post("IpamDriver.GetDefaultAddressSpaces")[0] == 200
        assert edge.post("NetworkDriver.New", {})[0] == 404
        assert len(edge.verbs.calls) == 32
        go.set()
        assert [each.result(LIMIT) for each in hanging] == [(200, {})] * 200


# -- answers that do not arrive ----------------------------------------------------------------------------------

UNDONE: dict[str, tuple[str, m.Message]] = {
    "NetworkDriver.CreateNetwork": ("delete_network", m.NetworkRequest(network_id=NETWORK)),
    "NetworkDriver.CreateEndpoint": ("delete_endpoint", m.EndpointRequest(network_id=NETWORK, endpoint_id=ENDPOINT)),
    "NetworkDriver.Join": ("leave", m.EndpointRequest(network_id=NETWORK, endpoint_id=ENDPOINT)),
    "IpamDriver.RequestPool": ("release_pool", m.ReleasePoolRequest(pool_id="pool-1")),
    "IpamDriver.RequestAddress": ("release_address", m.ReleaseAddressRequest(pool_id="pool-1", address="10.1.0.7")),
}


@pytest.mark.parametrize("method", BODIES)
def test_what_docker_is_not_told_is_undone(edge: Edge, method: str, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if something that Docker believes to have failed stays behind, or anything else is called for it."""
    verb, arguments = BODIES[method]
    gone = threading.Event()

    def late(_: object) -> m.Message:
        gone.wait(LIMIT)
        return ANSWERS[verb]

    edge.verbs.does[verb] = late
    with caplog.at_level(logging.INFO), edge.connect() as sock:
        sock.sendall(request(method, json.dumps(arguments).encode()))
        until(lambda: edge.verbs.calls, "the verb is called")
        sock.close()
        gone.set()
        until(lambda: "connection lost" in caplog.text, "the failed answer is noticed")
    undone = [UNDONE[method]] if method in UNDONE else []
    assert edge.verbs.calls[1:] == undone
    assert not any(each.exc_info for each in caplog.records)
    assert lives(edge)


def test_an_error_that_does_not_arrive_undoes_nothing(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if a call that failed is undone a second time."""
    gone = threading.Event()

    def late(_: object) -> m.Message:
        gone.wait(LIMIT)
        raise RuntimeError

    edge.verbs.does["join"] = late
    with caplog.at_level(logging.INFO), edge.connect() as sock:
        sock.sendall(request("NetworkDriver.Join", JOIN))
        until(lambda: edge.verbs.calls, "the verb is called")
        sock.close()
        gone.set()
        until(lambda: "connection lost" in caplog.text, "the failed answer is noticed")
    assert edge.verbs.called == ["join"]


def test_what_docker_is_not_told_over_tcp_is_undone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if an answer over TCP counts as delivered although its client had gone before."""
    listener = tcp_listener("127.0.0.1", 0, encrypted=False)
    with serving(tmp_path, [listener]) as edge, caplog.at_level(logging.INFO):
        gone = threading.Event()

        def late(_: object) -> m.Message:
            gone.wait(LIMIT)
            return ANSWERS["join"]

        edge.verbs.does["join"] = late
        with socket.create_connection(listener.socket.getsockname(), LIMIT) as sock:
            sock.sendall(request("NetworkDriver.Join", JOIN))
            until(lambda: edge.verbs.calls, "the verb is called")
        gone.set()
        until(lambda: "connection lost" in caplog.text, "the failed answer is noticed")
        assert edge.verbs.calls[1:] == [UNDONE["NetworkDriver.Join"]]


# -- whether it moves, as the watchdog asks ----------------------------------------------------------------------


class Gate:
    """What comes here hangs until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, *_: object) -> bool:
        self.reached.set()
        return self.open.wait(LIMIT)


def moves(edge: Edge, seconds: float) -> bool:
    question = threading.Thread(target=edge.server.wait_for_turn, daemon=True)
    question.start()
    question.join(seconds)
    return not question.is_alive()


def test_a_door_whose_calls_all_hang_moves(tmp_path: Path) -> None:
    """Fails if a slow Neutron is taken for a service that hangs."""
    gate = Gate()
    with serving(tmp_path, threads=1) as edge, ThreadPoolExecutor(1) as pool:
        edge.verbs.does["join"] = lambda _: ANSWERS["join"] if gate() else ANSWERS["leave"]
        call = pool.submit(edge.post, "NetworkDriver.Join", IDS)
        assert gate.reached.wait(LIMIT)
        assert moves(edge, LIMIT)
        gate.open.set()
        assert call.result()[0] == 200


def test_a_door_whose_thread_hangs_does_not_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the watchdog believes that Docker is served, though nobody reads its calls."""
    gate = Gate()
    monkeypatch.setattr(Boundary, "answers_at_once", gate)
    with serving(tmp_path) as edge, ThreadPoolExecutor(1) as pool:
        pool.submit(edge.post, "Plugin.Activate")
        assert gate.reached.wait(LIMIT)
        assert not moves(edge, 0.2)
        gate.open.set()
        assert moves(edge, LIMIT)
