# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The error boundary: what Docker is told, what the log says, and which requests never reach a verb."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from kuryr_libnetwork.calls import note_neutron_call, request_id
from kuryr_libnetwork.docker.boundary import Answer, Boundary
from kuryr_libnetwork.errors import ConfigError, KuryrError, NeutronConflict, NeutronUnavailable
from kuryr_libnetwork.patience import waiting_for
from kuryr_libnetwork.protocol import messages as m
from kuryr_libnetwork.protocol.routes import Kept
from tests.world.edge import ANSWERS, BODIES, ENDPOINT, IDS, NETWORK, Verbs, boundary_of

SECRET = "S3cr3t-passw0rd"
SWARM_ID = "z2k5yh0v9m1x7c3b8n4q6w5e1"


@pytest.fixture
def verbs() -> Verbs:
    return Verbs()


@pytest.fixture
def boundary(verbs: Verbs, caplog: pytest.LogCaptureFixture) -> Iterator[Boundary]:
    with caplog.at_level(logging.INFO, logger="kuryr_libnetwork"):
        yield boundary_of(verbs)


def post(boundary: Boundary, method: str, arguments: object) -> Answer:
    body = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    return boundary.handle("POST", f"/{method}", body)


def error_of(answer: Answer) -> str:
    """The message, after the checks that every error answer must pass."""
    told = json.loads(answer.body)
    assert set(told) == {"Err", "Error"}
    assert told["Err"] == told["Error"]
    text: str = told["Err"]
    assert text
    assert text.isprintable()
    return text


@pytest.mark.parametrize("method", BODIES)
def test_every_path_reaches_its_verb(boundary: Boundary, verbs: Verbs, method: str) -> None:
    """Fails if a path is missing or joined to another verb."""
    verb, arguments = BODIES[method]
    answer = post(boundary, method, arguments)
    assert answer.status == 200
    assert verbs.called == [verb]
    assert isinstance(json.loads(answer.body), dict)


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
@pytest.mark.parametrize("method", BODIES)
def test_an_empty_body_reaches_no_verb(boundary: Boundary, verbs: Verbs, method: str, body: bytes) -> None:
    """Fails if Docker's retry without arguments changes anything."""
    answer = post(boundary, method, body)
    assert answer.status == 400
    assert "empty request body" in error_of(answer)
    assert verbs.calls == []


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"{", "truncated"),
        (b"null", "got `null`"),
        (b"[]", "got `array`"),
        (b"{}", "NetworkID"),
        (b'{"NetworkID": 5}', "`$.NetworkID`"),
        (b'{"NetworkID": null}', "`$.NetworkID`"),
        (b'{"NetworkID": "\xff"}', "utf-8"),
        (b'{"NetworkID": "a"} x', "malformed"),
        (b'{"NetworkID": "' + NETWORK.encode() + b'", "Options": {"x": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_what_is_not_the_message_reaches_no_verb(boundary: Boundary, verbs: Verbs, body: bytes, part: str) -> None:
    """Fails if a malformed body is taken for our own failure, or its error is not one line that names the place."""
    answer = post(boundary, "NetworkDriver.CreateNetwork", body)
    assert answer.status == 400
    assert part in error_of(answer)
    assert verbs.calls == []


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "../etc",
        NETWORK[:-1],
        NETWORK + "0",
        NETWORK.upper(),
        NETWORK + "\n",
        SWARM_ID + "\n",
        "é" * 25,
        "x" * 500_000,
    ],
    ids=["empty", "path", "short", "long", "upper", "newline", "swarm-newline", "not-ascii", "huge"],
)
@pytest.mark.parametrize("name", ["NetworkID", "EndpointID"])
def test_malformed_ids_reach_no_verb(boundary: Boundary, verbs: Verbs, name: str, bad: str) -> None:
    """Fails if an id that Docker never makes can reach names of files, links or ports."""
    answer = post(boundary, "NetworkDriver.Leave", IDS | {name: bad})
    assert answer.status == 400
    assert len(error_of(answer)) < 300
    assert verbs.calls == []


def test_ids_of_swarm_are_taken(boundary: Boundary, verbs: Verbs) -> None:
    """Fails if networks of a swarm, whose ids have 25 characters, are refused."""
    assert post(boundary, "NetworkDriver.CreateNetwork", {"NetworkID": SWARM_ID}).status == 200
    assert verbs.calls[0][1].network_id == SWARM_ID


def test_unknown_paths_and_other_methods(boundary: Boundary, verbs: Verbs) -> None:
    """Fails if 404 is used for anything but a path that is not served, or 405 does not say what is allowed."""
    unknown = boundary.handle("POST", "/NetworkDriver.New", b"{}")
    other = boundary.handle("GET", "/NetworkDriver.Leave", b"{}")
    assert (unknown.status, other.status, other.allow) == (404, 405, "POST")
    assert "NetworkDriver.New" in error_of(unknown)
    assert "GET" in error_of(other)
    assert verbs.calls == []


def test_a_long_or_binary_path_is_not_repeated(boundary: Boundary, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if a stranger can fill the log, or write lines of his own into it."""
    for path in ("/" + "x" * 60_000, "/a\nINFO root forged"):
        assert len(error_of(boundary.handle("POST", path, b""))) < 300
    assert all(len(each.getMessage()) < 300 and "\n" not in each.getMessage() for each in caplog.records)


@pytest.mark.parametrize(
    ("error", "status"),
    [(NeutronConflict("taken\n\n  by  x"), 400), (NeutronUnavailable("gone"), 500), (KuryrError("k"), 500)],
)
def test_our_errors_have_their_status_and_one_line(
    boundary: Boundary, verbs: Verbs, caplog: pytest.LogCaptureFixture, error: KuryrError, status: int
) -> None:
    """Fails if Docker cannot show the reason of a failure for both kinds of driver, in one line."""

    def fail(_: object) -> m.Message:
        raise error

    verbs.does["join"] = fail
    answer = post(boundary, "NetworkDriver.Join", IDS)
    assert answer.status == status
    assert error_of(answer) == " ".join(str(error).split())
    assert answer.undo is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert "\n" not in record.getMessage()
    assert error.code in record.getMessage()


def test_the_unexpected_has_a_number_and_tells_nothing(
    boundary: Boundary, verbs: Verbs, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails if an answer gives away what stands in an exception, or the log lacks the traceback to its number."""

    def fail(_: object) -> m.Message:
        raise RuntimeError(SECRET)

    verbs.does["request_pool"] = fail
    answer = post(boundary, "IpamDriver.RequestPool", {})
    assert answer.status == 500
    assert SECRET.encode() not in answer.body
    number = re.search(r"[0-9a-f]{8}", error_of(answer))
    assert number
    traced = [each for each in caplog.records if each.exc_info]
    assert len(traced) == 1
    assert number.group() in traced[0].getMessage()


def test_an_answer_that_cannot_be_encoded_is_undone(boundary: Boundary, verbs: Verbs) -> None:
    """Fails if what a verb made stays behind although Docker is told that it failed."""
    verbs.does["create_endpoint"] = lambda _: m.CreateEndpointResponse(interface=m.EndpointInterface(address="\ud800"))
    assert post(boundary, "NetworkDriver.CreateEndpoint", IDS).status == 500
    assert verbs.called == ["create_endpoint", "delete_endpoint"]


def test_one_line_for_each_call(boundary: Boundary, verbs: Verbs, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if the log does not say which call was made for what, how it ended, how long it took and what it cost."""

    def ask(_: object) -> m.Message:
        note_neutron_call("GET", "/ports")
        note_neutron_call("PUT", "/ports/1")
        return ANSWERS["join"]

    verbs.does["join"] = ask
    post(boundary, "NetworkDriver.Join", IDS)
    post(boundary, "IpamDriver.RequestAddress", {"PoolID": "p" * 40, "Address": "10.1.0.7"})
    joined, address = (each.getMessage() for each in caplog.records)
    assert re.fullmatch(
        rf"NetworkDriver\.Join {NETWORK[:12]} {ENDPOINT[:12]} ok \([0-9.]+ ms, 2 Neutron calls\)", joined
    )
    assert re.fullmatch(r"IpamDriver\.RequestAddress p{12} 10\.1\.0\.7 ok \([0-9.]+ ms, 0 Neutron calls\)", address)


def test_the_line_says_for_whom(verbs: Verbs, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if an operator cannot find the container of a line, if what goes is not named, or if that ends a call."""

    def whom(request: m.Message, answer: m.Message | None) -> str:
        if isinstance(request, m.JoinRequest):
            return "web, port p" if answer else ""
        if isinstance(request, m.EndpointRequest):
            return "" if answer else "old\nline"
        raise ValueError("nobody")

    boundary = boundary_of(verbs, whom=whom)
    with caplog.at_level(logging.INFO, logger="kuryr_libnetwork"):
        assert post(boundary, "NetworkDriver.Join", IDS).status == 200
        assert post(boundary, "NetworkDriver.Leave", IDS).status == 200
        assert post(boundary, "IpamDriver.ReleasePool", {"PoolID": "p"}).status == 200
    lines = [each.getMessage() for each in caplog.records if "Neutron calls" in each.getMessage()]
    assert [line.partition("calls)")[2] for line in lines] == [" for web, port p", " for old line", ""]


def test_each_call_and_its_way_back_have_one_id(boundary: Boundary, verbs: Verbs) -> None:
    """Fails if what belongs together cannot be found by one word in both logs."""
    seen: list[str] = []

    def note(_: object) -> m.Message:
        seen.append(request_id())
        return ANSWERS["create_endpoint"]

    verbs.does["create_endpoint"] = verbs.does["delete_endpoint"] = note
    verb, arguments = BODIES["NetworkDriver.CreateEndpoint"]
    assert verb == "create_endpoint"
    first = post(boundary, "NetworkDriver.CreateEndpoint", arguments)
    assert first.undo is not None
    first.undo()
    post(boundary, "NetworkDriver.CreateEndpoint", arguments)
    assert seen[0] == seen[1] != seen[2]
    assert request_id() == ""


def test_no_text_of_a_request_makes_a_line_of_the_log(boundary: Boundary, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if the ids of a pool or an address can forge a line of the log, or fill it."""
    post(boundary, "IpamDriver.ReleaseAddress", {"PoolID": "a\nb", "Address": "::\n" + "x" * 100_000})
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 300


UNDONE = {
    "NetworkDriver.CreateNetwork": ("delete_network", m.NetworkRequest(network_id=NETWORK)),
    "NetworkDriver.CreateEndpoint": ("delete_endpoint", m.EndpointRequest(network_id=NETWORK, endpoint_id=ENDPOINT)),
    "NetworkDriver.Join": ("leave", m.EndpointRequest(network_id=NETWORK, endpoint_id=ENDPOINT)),
    "IpamDriver.RequestPool": ("release_pool", m.ReleasePoolRequest(pool_id="pool-1")),
    "IpamDriver.RequestAddress": (
        "release_address",
        m.ReleaseAddressRequest(pool_id="pool-1", address="10.1.0.7"),
    ),
}


@pytest.mark.parametrize("method", BODIES)
def test_only_what_makes_something_is_undone(boundary: Boundary, verbs: Verbs, method: str) -> None:
    """Fails if the way back of a call is missing, goes to the wrong object, or exists for a call that needs none."""
    answer = post(boundary, method, BODIES[method][1])
    assert (answer.undo is not None) is (method in UNDONE)
    if answer.undo is not None:
        answer.undo()
        assert verbs.calls[1:] == [UNDONE[method]]


@pytest.mark.parametrize("method", UNDONE)
def test_an_answer_that_tells_what_was_there_before_is_not_undone(
    boundary: Boundary, verbs: Verbs, method: str
) -> None:
    """Fails if a lost answer to a repeated call ends what the first one made."""
    verb, arguments = BODIES[method]
    made = post(boundary, method, arguments)
    assert made.arrived is not None
    made.arrived()
    verbs.does[verb] = lambda _: Kept(ANSWERS[verb])
    kept = post(boundary, method, arguments)
    assert (kept.status, kept.body, kept.undo) == (made.status, made.body, None)


REPEATED = ["NetworkDriver.CreateNetwork", "NetworkDriver.CreateEndpoint", "IpamDriver.RequestAddress"]


def repeated(boundary: Boundary, verbs: Verbs, method: str) -> tuple[Answer, Answer]:
    """The answers to a call and to the same one again, both still on their way."""
    verb, arguments = BODIES[method]
    if method.endswith("RequestAddress"):
        arguments = {**arguments, "Address": "10.1.0.7"}
    first = post(boundary, method, arguments)
    verbs.does[verb] = lambda _: Kept(ANSWERS[verb])
    return first, post(boundary, method, arguments)


def tell(answer: Answer, *, arrived: bool) -> None:
    step = answer.arrived if arrived else answer.undo
    if step is not None:
        step()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("arrives", [0, 1])
@pytest.mark.parametrize("method", REPEATED)
def test_one_of_two_answers_for_one_thing_keeps_it(
    boundary: Boundary, verbs: Verbs, method: str, arrives: int, order: tuple[int, int]
) -> None:
    """Fails if the lost answer to the first call ends what Docker knows by the second one, or the other way."""
    answers = repeated(boundary, verbs, method)
    for number in order:
        tell(answers[number], arrived=number == arrives)
    assert [verb for verb in verbs.called if verb.startswith(("delete", "release"))] == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("method", REPEATED)
def test_a_thing_of_which_no_answer_arrives_ends(
    boundary: Boundary, verbs: Verbs, method: str, order: tuple[int, int]
) -> None:
    """Fails if nobody undoes what Docker was never told."""
    answers = repeated(boundary, verbs, method)
    for number in order:
        tell(answers[number], arrived=False)
    assert verbs.called[2:] == [UNDONE[method][0]]


@pytest.mark.parametrize("ends", ["refused", "answered"])
@pytest.mark.parametrize("method", REPEATED)
def test_nothing_is_undone_while_a_repeated_call_is_at_work(
    boundary: Boundary, verbs: Verbs, method: str, ends: str
) -> None:
    """Fails if the second call answers with what the first one's lost answer takes away at that moment."""
    verb, arguments = BODIES[method]
    if method.endswith("RequestAddress"):
        arguments = {**arguments, "Address": "10.1.0.7"}
    first = post(boundary, method, arguments)

    def lose(_: object) -> Kept[m.Message]:
        tell(first, arrived=False)
        assert len(verbs.called) == 2
        if ends == "refused":
            raise KuryrError("not so")
        return Kept(ANSWERS[verb])

    verbs.does[verb] = lose
    second = post(boundary, method, arguments)
    tell(second, arrived=True)
    assert verbs.called[2:] == ([UNDONE[method][0]] if ends == "refused" else [])


def test_a_call_waits_for_the_end_of_an_undo(boundary: Boundary, verbs: Verbs) -> None:
    """Fails if a call finds a thing that is about to go, and Docker is told that it is there."""
    method, (verb, arguments) = "NetworkDriver.CreateEndpoint", BODIES["NetworkDriver.CreateEndpoint"]
    first = post(boundary, method, arguments)
    begun, goes_on = threading.Event(), threading.Event()

    def slowly(_: object) -> m.Message:
        begun.set()
        assert goes_on.wait(60)
        return m.Empty()

    verbs.does["delete_endpoint"] = slowly
    with ThreadPoolExecutor(2) as threads:
        undo = threads.submit(tell, first, arrived=False)
        assert begun.wait(60)
        second = threads.submit(post, boundary, method, arguments)
        while not boundary.deliveries.waiting:
            assert not second.done()
        assert verbs.called == [verb, "delete_endpoint"]
        goes_on.set()
        undo.result()
        assert second.result().status == 200
    assert verbs.called == [verb, "delete_endpoint", verb]


def test_each_call_has_one_patience_of_its_own(boundary: Boundary, verbs: Verbs) -> None:
    """Fails if several questions to a frozen Neutron wait one after the other, or one call spoils the next one's."""
    given: list[float] = []

    def ask(_: object) -> m.Message:
        for _ in range(30):
            with suppress(TimeoutError), waiting_for("Neutron", 20.0, TimeoutError) as seconds:
                given.append(seconds)
                raise TimeoutError
        return ANSWERS["join"]

    verbs.does["join"] = ask
    for _ in range(2):
        post(boundary, "NetworkDriver.Join", IDS)
    assert given[0] == given[30] == 20
    assert all(seconds < 20 for seconds in given[1:30])


@pytest.mark.parametrize("error", [ConfigError("no"), RuntimeError("broken")])
def test_an_undo_that_fails_is_only_logged(
    boundary: Boundary, verbs: Verbs, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Fails if a failing way back ends a worker or is not in the log."""

    def fail(_: object) -> m.Message:
        raise error

    verbs.does["leave"] = fail
    answer = post(boundary, "NetworkDriver.Join", IDS)
    assert answer.undo is not None
    answer.undo()
    assert "undo failed" in caplog.records[-1].getMessage()
