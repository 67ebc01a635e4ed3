# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""From bytes to bytes: one request of Docker is decoded, answered and logged here.

The one error boundary of the service. Every exception becomes ``{"Err": m, "Error": m}`` with status 400 or 500: the
network driver's client reads ``Err``, the IPAM driver's ``Error`` or, where the status is not 200, ``Err``
(docs/notes/docker-plugin.md, "Errors"). 404 is for paths that we do not serve, and for nothing else.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec

from kuryr_libnetwork.activity import Activity, Call
from kuryr_libnetwork.calls import count_calls, one_request, request_id
from kuryr_libnetwork.docker.deliveries import Deliveries
from kuryr_libnetwork.errors import InvalidRequest, KuryrError
from kuryr_libnetwork.model.observed import CallDone, ObserveCall, ignore
from kuryr_libnetwork.patience import one_patience
from kuryr_libnetwork.protocol.messages import (
    CreateEndpointRequest,
    CreateNetworkRequest,
    Empty,
    Message,
    RequestAddressRequest,
)
from kuryr_libnetwork.protocol.routes import Kept, Route, Routes
from kuryr_libnetwork.rules.identity import is_docker_id
from kuryr_libnetwork.text import one_line, shown

LOG = logging.getLogger(__name__)

_NAMES = ("network_id", "endpoint_id", "pool_id", "address")
MOST_LEVELS = 32
"""Nested objects and lists; Docker's own messages have four or five levels."""
_SHORT = 12
"""Characters of an id, as Docker itself shows them."""


Whom = Callable[[Message, Message | None], str]


def _nobody(_request: Message, _answer: Message | None) -> str:
    return ""


class Answer(msgspec.Struct, frozen=True):
    """What goes back to Docker; ``undo`` is called if it cannot be delivered, ``arrived`` if it was."""

    status: int
    body: bytes
    undo: Callable[[], object] | None = None
    arrived: Callable[[], object] | None = None
    allow: str = ""


class Boundary:
    """``observe`` is told of each call that is served. ``whom``: for whom a call is, from what it asks and, once there
    is one, its answer; "" where that is not known. ``activity`` has the calls under way.
    """

    def __init__(
        self,
        routes: Routes,
        observe: ObserveCall = ignore,
        whom: Whom = _nobody,
        activity: Activity | None = None,
    ) -> None:
        self._activity = activity or Activity()
        self._whom = whom
        self._routes = routes
        self._observe = observe
        self.deliveries = Deliveries()
        self._decoders = {
            path: msgspec.json.Decoder(route.request) for path, route in routes.items() if route.request is not None
        }

    def answers_at_once(self, method: str, path: str) -> bool:
        """Whether the answer needs no verb: a constant, or a refusal."""
        route = self._routes.get(path)
        return route is None or method != "POST" or route.request is None

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request; never raises."""
        route = self._routes.get(path)
        if route is None or method != "POST":
            return _refuse(method, path, known=route is not None)
        with one_request() as number, self._activity.call(path[1:], number) as call:
            return self._serve(path, route, body, call)

    def _serve(self, path: str, route: Route[Any, Any], body: bytes, call: Call) -> Answer:
        started = time.monotonic()
        request: Message = Empty()
        whom = ""
        with count_calls() as calls, one_patience():
            try:
                request = self._decode(path, route, body)
                whom = call.whom = self._named(request, None)
                answer, message = self._answer(path, route, request)
                whom = self._named(request, message) or whom
                outcome, code = "ok", "ok"
            except KuryrError as error:
                answer, outcome = Answer(error.status, error_body(str(error))), f"{error.code}: {error}"
                code = error.code
            except Exception:  # the boundary
                number = secrets.token_hex(4)
                LOG.exception("%s: unexpected error %s", path, number)
                outcome = f"internal error {number}; the log of kuryr-server has the details"
                answer, code = Answer(500, error_body(outcome)), "internal"
        seconds = time.monotonic() - started
        call.whom, call.outcome = whom, code
        self._observe(CallDone(method=path[1:], seconds=seconds, outcome=code))
        level = logging.INFO if answer.status == 200 else logging.WARNING
        text = f"{_ids(request)} {one_line(outcome)}"
        told = f" for {one_line(whom)}" if whom else ""
        LOG.log(level, "%s%s (%.1f ms, %d Neutron calls)%s", path[1:], text, seconds * 1000, calls.neutron, told)
        LOG.debug("%s <- %s -> %s", path[1:], body, answer.body)
        return answer

    def _named(self, request: Message, answer: Message | None) -> str:
        try:
            return self._whom(request, answer)
        except Exception:  # a boundary: a call does not fail for the words of its line in the log
            LOG.exception("for whom a call is: unexpected error")
            return ""

    def _answer(self, path: str, route: Route[Any, Any], request: Message) -> tuple[Answer, Message]:
        if route.undo is None:
            answer = route.answer(request)
            message = answer.answer if isinstance(answer, Kept) else answer
            return Answer(200, msgspec.json.encode(message)), message
        delivery = self.deliveries.begin(_thing(path, request))
        try:
            answer = route.answer(request)
            if not isinstance(answer, Kept):
                delivery.made(_undo(path, route.undo, request, answer))
            message = answer.answer if isinstance(answer, Kept) else answer
            body = msgspec.json.encode(message)
        except BaseException:
            delivery.lost()
            raise
        if delivery.is_open:
            return Answer(200, body, delivery.lost, delivery.arrived), message
        delivery.arrived()  # Docker knows already what it tells
        return Answer(200, body), message

    def _decode(self, path: str, route: Route[Any, Any], body: bytes) -> Message:
        """Refuses an empty body: Docker repeats a call that was cut off, but without its arguments."""
        decoder = self._decoders.get(path)
        if decoder is None or route.request is None:
            return Empty()
        if not body.strip():
            raise InvalidRequest(
                f"{path[1:]}: empty request body; Docker repeated a call that was cut off (moby#35459)"
            )
        try:
            request: Message = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"{path[1:]}: {error}") from None
        if _is_deep(request):
            raise InvalidRequest(f"{path[1:]}: more than {MOST_LEVELS} levels of nested objects and lists")
        for name in ("network_id", "endpoint_id"):
            value = getattr(request, name, None)
            if value is not None and not is_docker_id(value):
                raise InvalidRequest(
                    f"{path[1:]}: '{shown(value)}' is not a Docker id (64 hexadecimal or 25 characters)"
                )
        return request


def _refuse(method: str, path: str, *, known: bool) -> Answer:
    what = shown(path)
    text = f"{what} takes POST, not {shown(method, 20)}" if known else f"{what} is not served by this plugin"
    LOG.warning("%s", text)
    return Answer(405, error_body(text), allow="POST") if known else Answer(404, error_body(text))


def _is_deep(request: Message) -> bool:
    """Whether it is nested too deeply. Goes level by level: recursion would hit the interpreter's own limit."""
    level: list[object] = [msgspec.structs.astuple(request)]
    for _ in range(MOST_LEVELS):
        level = [inner for each in level for inner in _members(each) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _thing(path: str, request: Message) -> Hashable:
    """What a call makes: calls for the same one are repeated ones. Whoever leaves the choice to us gets another one
    each time.
    """
    if isinstance(request, RequestAddressRequest) and request.address:
        return path, request.pool_id, request.address
    if isinstance(request, CreateNetworkRequest):
        return path, request.network_id
    if isinstance(request, CreateEndpointRequest):
        return path, request.endpoint_id
    return object()


def _undo(path: str, step: Callable[[Any, Any], object], request: Message, answer: Message) -> Callable[[], object]:
    work = request_id()

    def run() -> None:
        with one_request(work):
            back()

    def back() -> None:
        text = f"{path[1:]}{_ids(request)}"
        LOG.warning("%s: Docker did not get the answer; undoing the call", text)
        try:
            step(request, answer)
        except KuryrError as error:
            LOG.warning("%s: undo failed: %s", text, one_line(str(error)))
        except Exception:  # a boundary: nobody is left to tell
            LOG.exception("%s: undo failed", text)

    return run


def _ids(request: Message) -> str:
    values = [getattr(request, name, "") for name in _NAMES]
    return "".join(" " + (shown(each) if set(each) & {".", ":"} else shown(each[:_SHORT])) for each in values if each)


def error_body(text: str) -> bytes:
    """One line, under the names that both of Docker's clients read."""
    line = one_line(text)
    return msgspec.json.encode({"Err": line, "Error": line})
