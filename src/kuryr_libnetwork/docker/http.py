# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The part of HTTP/1.1 that Docker uses: the bytes of a connection become one request, an answer becomes bytes.

h11 parses the grammar; the limits are ours. No I/O.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

import h11

from kuryr_libnetwork.docker.boundary import Answer, error_body

CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json"
MAX_HEADER = 64 * 1024
MAX_BODY = 1024 * 1024
"""Bytes; the largest real request is a few kilobytes."""
MAX_REQUEST = MAX_HEADER + MAX_BODY + MAX_HEADER
"""Bytes on the wire; chunked encoding makes a body longer there."""
MAX_CHUNKS = 1000
"""Parsing a chunk takes some 40 microseconds, during which no other client is served."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request(NamedTuple):
    """``path`` as it was sent, with the slash."""

    method: str
    path: str
    body: bytes


class Refused(Exception):
    """What arrived cannot be served; ``status`` and the text say why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = Answer(status, error_body(text))
        self.status = status


class RequestReader:
    """Reads one request, however it is split into pieces. Anything after it is ignored."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._chunks = 0
        self._size = 0

    @property
    def begun(self) -> bool:
        return self._size > 0

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body."""
        return self._http.they_are_waiting_for_100_continue

    def feed(self, data: bytes) -> Request | None:
        """The request, once it is whole; raises :class:`Refused`."""
        if not self.begun:
            data = data.lstrip(b"\r\n")
            if not data:
                return None
        self._size += len(data)
        if self._size > MAX_REQUEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        try:
            self._http.receive_data(data)
            return self._next()
        except h11.RemoteProtocolError as error:
            raise Refused(error.error_status_hint, f"not a request: {error}") from error

    def end(self) -> Refused:
        """The refusal for a client that closed its sending side in the middle of a request."""
        return Refused(HTTPStatus.BAD_REQUEST, f"the request was cut off after {self._size} bytes")

    def _next(self) -> Request | None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                _check(event)
                self._head = event
            elif isinstance(event, h11.Data):
                self._body += event.data
                self._chunks += event.chunk_start
                if self._chunks > MAX_CHUNKS:
                    raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_CHUNKS} chunks")
                if len(self._body) > MAX_BODY:
                    raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_BODY} bytes")
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                method, path = self._head.method.decode("latin-1"), self._head.target.decode("latin-1")
                return Request(method, path, bytes(self._body))
            else:
                return None


def _check(head: h11.Request) -> None:
    if not head.http_version.startswith(b"1."):
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 is served here")
    for name, value in head.headers:
        if name == b"content-length" and int(value) > MAX_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_BODY} bytes")


def encode(answer: Answer) -> bytes:
    """Every answer closes its connection. If we closed an idle one just as Docker uses it, Docker would repeat the call
    with an empty body (docs/notes/docker-plugin.md, "Retries with an empty body").
    """
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
    ]
    if answer.allow:
        lines.append(f"Allow: {answer.allow}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
