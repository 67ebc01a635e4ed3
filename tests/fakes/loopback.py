# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A small WSGI server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from cheroot.wsgi import Server


class Request(NamedTuple):
    """``token`` is the ``X-Auth-Token``, ``if_match`` the header of that name, as is ``request_id``; ``body`` is
    decoded JSON.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    token: str
    body: Any
    if_match: str = ""
    request_id: str = ""


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(status: int, body: Any, *headers: tuple[str, str]) -> Answer:
    return Answer(status, json.dumps(body).encode(), headers)


class Loopback:
    """Serves :meth:`answer` at :attr:`url` while the ``with`` block lasts. ``requests``: all that came in."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._server = Server(("127.0.0.1", 0), self._serve, numthreads=8)
        self._server.shutdown_timeout = 1
        self._server.expiration_interval = 0.01

    def __enter__(self) -> Self:
        self._server.prepare()
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()

    @property
    def url(self) -> str:
        host, port = self._server.bind_addr
        return f"http://{host}:{port}"

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length)) if length else None
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        token, if_match = environ.get("HTTP_X_AUTH_TOKEN", ""), environ.get("HTTP_IF_MATCH", "")
        told = environ.get("HTTP_X_OPENSTACK_REQUEST_ID", "")
        request = Request(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, token, body, if_match, told)
        self.requests.append(request)
        answer = self.answer(request)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body))), *answer.headers]
        start_response(f"{answer.status} .", headers)
        return [answer.body]
