# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Carries the page from the admin socket, which only root can open, to root's browser at a loopback address.

Every user of this host can connect there. So the path begins with a token that only the one who started the command
knows; the page's own requests are relative to it. Only what the page needs is carried, and nothing can be changed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus

from kuryr_libnetwork.admin.pages import Environ, Page, StartResponse, refused, respond
from kuryr_libnetwork.cli.service_client import Answer
from kuryr_libnetwork.errors import HostError

CARRIED = re.compile(r"/([a-z]+\.(js|css|svg)|healthz|v1/wiring)?")
"""The paths of the page's files, and what it asks."""


class PageProxy:
    """A WSGI application. ``fetch``: asks the admin socket. ``names``: the hosts that a browser may name."""

    def __init__(self, fetch: Callable[[str], Answer], token: str, names: Iterable[str]) -> None:
        self._fetch = fetch
        self._start = f"/{token}"
        self._names = frozenset(names)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        page = self._refusal(environ) or self._carried(str(environ.get("PATH_INFO", ""))[len(self._start) :])
        return respond(page, environ, start_response, "GET, HEAD")

    def _refusal(self, environ: Environ) -> Page | None:
        """Another site's name may lead a browser to this address, and another user may try to read here."""
        if environ.get("HTTP_HOST", "") not in self._names:
            return refused(HTTPStatus.FORBIDDEN, "only the address that kuryr page has printed is answered")
        given = str(environ.get("PATH_INFO", ""))[: len(self._start)]
        if not hmac.compare_digest(given.encode(), self._start.encode()):
            return refused(HTTPStatus.FORBIDDEN, "the token is missing or wrong: open the address that was printed")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return refused(HTTPStatus.METHOD_NOT_ALLOWED, "nothing can be changed here")
        return None

    def _carried(self, path: str) -> Page:
        if not CARRIED.fullmatch(path):
            return refused(HTTPStatus.NOT_FOUND, "this is no part of the page")
        try:
            found = self._fetch(path)
        except HostError as error:
            return refused(HTTPStatus.BAD_GATEWAY, str(error))
        return Page(HTTPStatus(found.status), found.body, found.kind)
