# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""From bytes to bytes: one request of Docker is decoded, answered and logged here.

The one error boundary of the service. Every exception becomes ``{"Err": m, "Error": m}`` with status 400 or 500: the
network driver's client reads ``Err``, the IPAM driver's ``Error`` or, where the status is not 200, ``Err`` (§1.4).
404 is for paths that we do not serve, and for nothing else.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec

from kuryr_libnetwork.calls import count_calls
from kuryr_libnetwork.docker.messages import Empty, Message
from kuryr_libnetwork.docker.routes import Route, Routes
from kuryr_libnetwork.errors import InvalidRequest, KuryrError

LOG = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{64}|[0-9a-z]{25}")
_NAMES = ("network_id", "endpoint_id", "pool_id", "address")
_SHORT = 12


class Answer(msgspec.Struct, frozen=True):
    """What goes back to Docker; ``undo`` is called if it cannot be delivered."""

    status: int
    body: bytes
    undo: Callable[[], object] | None = None
    allow: str = ""


class Boundary:
    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._decoders = {
            path: msgspec.json.Decoder(route.request) for path, route in routes.items() if route.request is not None
        }

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request; never raises."""
        route = self._routes.get(path)
        if route is None:
            return Answer(404, _error(f"{path} is not served by this plugin"))
        if method != "POST":
            return Answer(405, _error(f"{path} takes POST, not {method}"), allow="POST")
        started = time.monotonic()
        request: Message = Empty()
        with count_calls() as calls:
            try:
                request = self._decode(path, route, body)
                answer = route.answer(request)
                status, encoded, outcome = 200, msgspec.json.encode(answer), "ok"
                undo = _undo(path, route, request, answer)
            except KuryrError as error:
                status, encoded, outcome, undo = error.status, _error(str(error)), f"{error.code}: {error}", None
            except Exception:  # the boundary
                number = secrets.token_hex(4)
                LOG.exception("%s: unexpected error %s", path, number)
                text = f"internal error {number}; the log of kuryr-server has the details"
                status, encoded, outcome, undo = 500, _error(text), text, None
        elapsed = (time.monotonic() - started) * 1000
        level = logging.INFO if status == 200 else logging.WARNING
        LOG.log(level, "%s%s %s (%.1f ms, %d Neutron calls)", path[1:], _ids(request), outcome, elapsed, calls.neutron)
        LOG.debug("%s <- %s -> %s", path[1:], body, encoded)
        return Answer(status, encoded, undo)

    def _decode(self, path: str, route: Route[Any, Any], body: bytes) -> Message:
        """An empty body is Docker's retry of a call that was cut off: the arguments are lost, nothing may happen."""
        decoder = self._decoders.get(path)
        if decoder is None or route.request is None:
            return Empty()
        if not body.strip():
            raise InvalidRequest(
                f"{path[1:]}: empty request body; Docker repeated a call that was cut off (moby#35459)"
            )
        try:
            request: Message = decoder.decode(body)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"{path[1:]}: {error}") from None
        for name in ("network_id", "endpoint_id"):
            value = getattr(request, name, None)
            if value is not None and not _ID.fullmatch(value):
                raise InvalidRequest(f"{path[1:]}: {value!r} is not a Docker id (64 hexadecimal or 25 characters)")
        return request


def _undo(path: str, route: Route[Any, Any], request: Message, answer: Message) -> Callable[[], object] | None:
    if route.undo is None:
        return None
    step = route.undo

    def run() -> None:
        LOG.warning("%s: Docker did not take the answer; undone", path[1:])
        try:
            step(request, answer)
        except KuryrError as error:
            LOG.warning("%s: undo failed: %s", path[1:], error)

    return run


def _ids(request: Message) -> str:
    values = [getattr(request, name, "") for name in _NAMES]
    return "".join(f" {value if '.' in value or ':' in value else value[:_SHORT]}" for value in values if value)


def _error(text: str) -> bytes:
    line = " ".join(text.split())
    return msgspec.json.encode({"Err": line, "Error": line})
