# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Limits on every answer, Keystone's as well as Neutron's.

* The size of a body, and the time for reading it, are limited. The time-outs of requests count from packet to packet:
  a server that sends a byte now and then would keep a thread and a connection forever, even after the caller gave up.
* A redirect to another server is refused. keystoneauth would follow it with the token, or with the password.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.text import shown

LARGEST = 64 * 1024 * 1024
"""Largest answer, in bytes. A port takes about 2,000."""
PIECE = 64 * 1024
REDIRECTS = (301, 302, 303, 305, 307, 308)
_PORTS = {"http": 80, "https": 443}


def guard(session: requests.Session, largest: int = LARGEST) -> None:
    """Have every answer in this session checked before its body is read."""

    def check(response: requests.Response, *_: Any, **how: Any) -> requests.Response:
        # keystoneauth always sets a time-out: one number, or one for the connection and one for the answer
        told = how.get("timeout")
        seconds = told[1] if isinstance(told, tuple) else told
        response.raw = _Bounded(response.raw, f"{response.request.method} {_place(response.url)}", largest, seconds)
        check_redirect(response)
        return response

    session.hooks["response"].append(check)


def check_redirect(response: requests.Response) -> None:
    """Raises for a redirect to anywhere but the same server, or the same host with TLS."""
    location = response.headers.get("Location")
    if response.status_code not in REDIRECTS or not location:
        return
    try:
        asked, target = urlsplit(response.url), urlsplit(urljoin(response.url, location))
        allowed = _same_server(asked, target)
    except ValueError:  # not a URL, or a malformed port
        allowed = False
    if not allowed:
        response.close()
        raise NeutronUnavailable(
            f"{_place(response.url)} redirects to {shown(location)}, where nothing is sent; correct its address in "
            f"kuryr.conf or in Keystone's catalog"
        )


def _same_server(asked: SplitResult, target: SplitResult) -> bool:
    if asked.hostname != target.hostname or target.scheme not in _PORTS:
        return False
    before, after = asked.port or _PORTS[asked.scheme], target.port or _PORTS[target.scheme]
    if asked.scheme == target.scheme:
        return before == after
    return (target.scheme, after) == ("https", 443)


def _place(url: str) -> str:
    """A URL without its query, which is long and contains ids."""
    return shown(url.partition("?")[0], 120)


class _Bounded:
    """Wraps a response of urllib3 to limit its body as requests reads it; everything else is passed through."""

    def __init__(self, raw: Any, asked: str, largest: int, seconds: float | None) -> None:
        self._raw = raw
        self._asked = asked
        self._largest = largest
        self._end = None if seconds is None else time.monotonic() + seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, _: int, *, decode_content: bool) -> Iterator[bytes]:
        size = 0
        for piece in self._pieces(decode_content):
            size += len(piece)
            if size > self._largest:
                self._raw.close()
                raise NeutronUnavailable(
                    f"no usable answer to {self._asked}: it is longer than {self._largest >> 20} MiB"
                )
            if self._end is not None and time.monotonic() > self._end:
                self._raw.close()
                raise requests.exceptions.ReadTimeout(f"{self._asked}: the answer does not end")
            yield piece

    def _pieces(self, decode: bool) -> Iterator[bytes]:
        """Pieces of the body as soon as they arrive; urllib3's ``stream`` waits until a piece is full."""
        while piece := self._raw.read1(PIECE, decode_content=decode):
            yield piece
