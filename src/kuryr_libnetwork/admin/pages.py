# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The paths of the admin socket: what each answers, and to whom.

A WSGI application, so that any server can carry it. It asks nothing outside of this process: operators must get answers
while Neutron, Docker or the disk give none. Pages that read the journal wait for it no longer than :data:`PATIENCE`;
those about the service itself (``/healthz``) wait for nothing.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from kuryr_libnetwork.bounded import GaveUp, run_within
from kuryr_libnetwork.errors import InvalidRequest, KuryrError
from kuryr_libnetwork.model.overview import Wellbeing
from kuryr_libnetwork.rules.addresses import is_loopback
from kuryr_libnetwork.text import shown

LOG = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE = 5.0
"""Seconds to wait for the journal."""
LONGEST_BODY = 4096
MOST_WAITING = 2
"""Number of questions that may wait for the journal at the same time."""
PLACE = 0.5
"""Seconds to wait for one of these places; unless the disk hangs, one is free within a millisecond."""
JSON = "application/json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
GUARDS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
    ),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)
"""Headers of every answer: a browser runs only the page's own scripts, and shows no answer to other sites."""
_LOCAL_NAMES = ("localhost", "")

Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Page(msgspec.Struct, frozen=True):
    """``rows``: what the page lists; the answer has it under the page's name."""

    status: HTTPStatus
    body: bytes
    kind: str = JSON


class NotNow(Exception):
    """The journal, or whoever is asked, does not answer."""


class Slow:
    """Work that waits for somebody else: for the journal, which may hang with its disk, or for ``whom``."""

    def __init__(self, seconds: float = PATIENCE, most: int = MOST_WAITING, whom: str = "the journal") -> None:
        self._seconds = seconds
        self._whom = whom
        self._free = threading.BoundedSemaphore(most)

    def run(self, work: Callable[[], T]) -> T:
        """The result of the work; raises :class:`NotNow`. Work that was given up keeps its place until it ends."""
        if not self._free.acquire(timeout=PLACE):
            raise NotNow(f"{self._whom} has not answered earlier questions yet")

        def once(_: object) -> T:
            try:
                return work()
            finally:
                self._free.release()

        try:
            return run_within(self._seconds, once)
        except GaveUp:
            raise NotNow(f"{self._whom} has not answered within {self._seconds:g} s") from None


class Pages:
    """``lists``: what ``/v1/NAME`` answers from the journal; ``at_once``: without it. ``wellbeing``: how the service
    is; it waits for nothing.

    ``local_only``: the pages are served at a TCP address, to which a browser could be led by another site's name: only
    requests that name a loopback address are answered. ``commands``: what a POST to ``/v1/NAME`` does with its body.
    ``files``: those of the page for people, by path.
    """

    def __init__(
        self,
        wellbeing: Callable[[], Wellbeing],
        lists: Mapping[str, Callable[[], object]],
        *,
        slow: Slow,
        at_once: Mapping[str, Callable[[], object]] | None = None,
        metrics: Callable[[], bytes] = bytes,
        commands: Mapping[str, Callable[[bytes], object]] | None = None,
        local_only: bool = False,
        files: Mapping[str, Page] | None = None,
    ) -> None:
        self._commands = {f"/v1/{name}": command for name, command in (commands or {}).items()}
        self._metrics = metrics
        self._wellbeing = wellbeing
        self._slow = slow
        self._local_only = local_only
        self._files = files or {}
        self._pages: dict[str, Callable[[], Page]] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._scrape,
        }
        for name, rows in lists.items():
            self._pages[f"/v1/{name}"] = self._listing(name, rows)
        for name, rows in (at_once or {}).items():
            self._pages[f"/v1/{name}"] = partial(_telling, name, rows)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method, path = str(environ["REQUEST_METHOD"]), str(environ.get("PATH_INFO") or "/")
        page = self._refusal(environ) or self._answer(method, path, environ)
        return respond(page, environ, start_response, "POST" if path in self._commands else "GET, HEAD")

    def _refusal(self, environ: Environ) -> Page | None:
        host = str(environ.get("HTTP_HOST", ""))
        if self._local_only and not is_local(host):
            return refused(HTTPStatus.FORBIDDEN, f"host {shown(host)}: only a loopback address may be named here")
        return None

    def _answer(self, method: str, path: str, environ: Environ) -> Page:
        page, command, file = self._pages.get(path), self._commands.get(path), self._files.get(path)
        if file is not None:
            page = partial(_same, file)
        if page is None and command is None:
            known = ", ".join([*self._pages, *self._commands])
            return refused(HTTPStatus.NOT_FOUND, f"{shown(path)} is not served; there are: {known}")
        allowed = ("GET", "HEAD") if page is not None else ("POST",)
        if method not in allowed:
            return refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {allowed[0]}, not {shown(method, 20)}")
        try:
            return page() if page is not None else _page(command(_body(environ)) if command else None)
        except NotNow as error:
            return refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except KuryrError as error:
            return refused(HTTPStatus(error.status), str(error))
        except Exception:  # the boundary
            LOG.exception("%s: unexpected error", path)
            return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of kuryr-server has the details")

    def _health(self) -> Page:
        found = self._wellbeing()
        return _page(found, HTTPStatus.OK if found.live else HTTPStatus.SERVICE_UNAVAILABLE)

    def _readiness(self) -> Page:
        found = self._wellbeing()
        return _page(found, HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    def _scrape(self) -> Page:
        return Page(HTTPStatus.OK, self._metrics(), METRICS)

    def _listing(self, name: str, rows: Callable[[], object]) -> Callable[[], Page]:
        return lambda: _page({name: self._slow.run(rows)})


def _telling(name: str, rows: Callable[[], object]) -> Page:
    return _page({name: rows()})


def respond(page: Page, environ: Environ, start_response: StartResponse, allowed: str) -> Iterable[bytes]:
    """Send a page; nothing but its tag if the client has it already. ``allowed``: the methods, if this one is not."""
    tag = f'"{hashlib.sha256(page.body).hexdigest()[:32]}"'
    if page.status is HTTPStatus.OK and environ.get("HTTP_IF_NONE_MATCH", "") == tag:
        start_response("304 Not Modified", [("ETag", tag), *GUARDS])
        return []
    headers = [("Content-Type", page.kind), ("Content-Length", str(len(page.body))), ("ETag", tag), *GUARDS]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", allowed))
    start_response(f"{page.status.value} {page.status.phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [page.body]


def _same(page: Page) -> Page:
    return page


def _body(environ: Environ) -> bytes:
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length) > LONGEST_BODY:
        raise InvalidRequest(f"a body of at most {LONGEST_BODY} bytes is read")
    read: bytes = environ["wsgi.input"].read(int(length))
    return read


def is_local(host: str) -> bool:
    """Whether a ``Host`` header names this host by a loopback address, or by no name at all."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.removeprefix("[").removesuffix("]")
    return name in _LOCAL_NAMES or is_loopback(name)


def refused(status: HTTPStatus, text: str) -> Page:
    return _page({"error": text}, status)


def _page(told: object, status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page(status, msgspec.json.encode(told) + b"\n")
