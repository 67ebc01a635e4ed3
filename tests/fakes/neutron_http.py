# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A :class:`FakeNeutron` behind Neutron's REST dialect, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import parse_qs, quote, unquote, urlencode
from wsgiref.types import StartResponse, WSGIEnvironment

from cheroot.wsgi import Server

from kuryr_libnetwork.errors import (
    KuryrError,
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
)
from kuryr_libnetwork.model import TagOwner
from tests.fakes.neutron import FakeNeutron, Fault

_STATUS: dict[type[KuryrError], int] = {
    NeutronNotFound: 404,
    NeutronConflict: 409,
    NeutronRefused: 400,
    NeutronForbidden: 403,
    NeutronError: 500,
}
_KINDS = ("networks", "subnets", "subnetpools", "ports", "agents")

Query = dict[str, list[str]]


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    """A request as the front saw it; ``token`` is the ``X-Auth-Token``."""

    method: str
    path: str
    query: Query
    token: str


class NeutronFront:
    """Serves ``fake`` at :attr:`url` while the ``with`` block lasts.

    ``page_size`` cuts lists as ``pagination_max_limit`` does. ``answers``: what the next requests get instead of the
    cloud's own answer. ``requests``: all that came in. ``tokens``: if set, any other token gets 401.
    """

    def __init__(self, fake: FakeNeutron, page_size: int | None = None) -> None:
        self.fake = fake
        self.page_size = page_size
        self.answers: list[Answer] = []
        self.requests: list[Request] = []
        self.tokens: set[str] | None = None
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

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length)) if length else None
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        token = environ.get("HTTP_X_AUTH_TOKEN", "")
        request = Request(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, token)
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else self._answer(request, body)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body))), *answer.headers]
        start_response(f"{answer.status} .", headers)
        return [answer.body]

    def _answer(self, request: Request, body: Any) -> Answer:
        if self.tokens is not None and request.token not in self.tokens:
            return _json(401, {"error": {"code": 401, "title": "Unauthorized", "message": "bad token"}})
        root, _, rest = request.path.lstrip("/").partition("/")
        if root != "v2.0":
            return Answer(404, b"<html>The resource could not be found.</html>")
        try:
            return self._route(request, rest.split("/"), body)
        except KuryrError as error:
            return _told(error)
        except Fault as fault:
            return _fault(fault)

    def _route(self, request: Request, parts: list[str], body: Any) -> Answer:
        what, rest = parts[0], [unquote(part) for part in parts[1:]]
        if what == "extensions":
            self.fake.extensions()
            return _json(200, {"extensions": [{"alias": alias} for alias in sorted(self.fake.extension_aliases)]})
        if what not in _KINDS:
            return Answer(404, b"<html>The resource could not be found.</html>")
        if len(rest) > 1 and rest[1] == "tags":
            return self._tags(request.method, cast("TagOwner", what), rest[0], rest[2:], body)
        if request.method == "GET":
            return self._list(what, request) if not rest else self._show(what, rest[0])
        if request.method == "DELETE":
            getattr(self.fake, f"delete_{what[:-1]}")(rest[0])
            return Answer(204)
        if request.method == "PUT":
            self.fake.update_port(rest[0], body["port"])
            return self._show(what, rest[0])
        return self._create(what, body)

    def _create(self, what: str, body: dict[str, Any]) -> Answer:
        if what in body:
            wanted = dict(body[what][0])
            made = self.fake.create_port(wanted, wanted.pop("tags", ()))
            return _json(201, {what: [self.fake.store.get(what, made.id)]})
        made = getattr(self.fake, f"create_{what[:-1]}")(body[what[:-1]])
        return _json(201, {what[:-1]: self.fake.store.get(what, made.id)})

    def _show(self, what: str, resource_id: str) -> Answer:
        return _json(200, {what[:-1]: self.fake.store.get(what, resource_id)})

    def _list(self, what: str, request: Request) -> Answer:
        query = dict(request.query)
        marker = query.pop("marker", [""])[0]
        found = getattr(self.fake, f"find_{what}")(**query)
        shown = [self.fake.store.get(what, each.id) for each in found]
        if marker:
            shown = shown[[each["id"] for each in shown].index(marker) + 1 :]
        answer: dict[str, Any] = {what: shown}
        if self.page_size and len(shown) > self.page_size:
            answer[what] = shown[: self.page_size]
            following = urlencode({**query, "marker": answer[what][-1]["id"]}, doseq=True)
            # As behind a proxy: Neutron does not know how it was reached.
            answer[f"{what}_links"] = [{"rel": "next", "href": f"http://inner.example/{quote(what)}?{following}"}]
        return _json(200, answer)

    def _tags(self, method: str, owner: TagOwner, resource_id: str, rest: list[str], body: Any) -> Answer:
        if resource_id not in self.fake.store.tables[owner]:
            # Release 29 stumbles over its own policy check here.
            return _fault(Fault(500, "HTTPInternalServerError", "Request Failed: internal server error."))
        if method == "DELETE":
            self.fake.remove_tag(owner, resource_id, rest[0])
            return Answer(204)
        if rest:
            self.fake.add_one_tag(owner, resource_id, rest[0])
            return Answer(201, b"null")
        if method == "POST":
            self.fake.add_tags(owner, resource_id, body["tags"])
        else:
            self.fake.set_tags(owner, resource_id, body["tags"])
        return _json(200, body)


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _fault(fault: Fault) -> Answer:
    error = {"type": fault.kind, "message": fault.message, "detail": ""}
    return _json(fault.status, {"NeutronError": error})


def _told(error: KuryrError) -> Answer:
    if isinstance(error.__cause__, Fault):
        return _fault(error.__cause__)
    return _fault(Fault(_STATUS.get(type(error), 503), "Planned", str(error)))
