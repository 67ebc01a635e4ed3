# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A client of the running service: calls on Docker's socket, and questions on the admin socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kuryr_libnetwork.errors import HostError

SECONDS = 60.0
"""Seconds for a call: a VF may have to be rebound, which can take its driver long."""
ADMIN_SECONDS = 10.0
"""Seconds for a question: more than the service waits for its journal."""

_PLUGIN, _ADMIN = "network plugin", "kuryr-server"


class Answer(NamedTuple):
    """``kind``: its media type."""

    status: int
    kind: str
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("plugin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path: Path, method: str, body: Mapping[str, Any] | None = None, seconds: float = SECONDS) -> dict[str, Any]:
    """The service's answer; raises :class:`~kuryr_libnetwork.errors.HostError` with its error, or if there is none."""
    words = json.dumps(body) if body is not None else ""
    told = _decoded(path, _exchange(path, _PLUGIN, ("POST", method, words), seconds), _PLUGIN)
    if wrong := told.get("Err", ""):
        raise HostError(str(wrong))
    return told


def get(path: Path, page: str, seconds: float = ADMIN_SECONDS) -> dict[str, Any]:
    """The admin socket's answer; raises :class:`~kuryr_libnetwork.errors.HostError` as :func:`call` does."""
    return _told(_decoded(path, _exchange(path, _ADMIN, ("GET", page, ""), seconds), _ADMIN))


def docker_version(path: Path) -> str:
    """The version of the engine whose API is at this socket; "" if it does not tell."""
    try:
        told = _decoded(path, _exchange(path, "Docker", ("GET", "/version", ""), ADMIN_SECONDS), "Docker")
    except HostError:
        return ""
    return str(told.get("Version", ""))


class AdminClient:
    """The admin socket of the running service. ``path`` ``None``: it has none, and each call raises."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, page: str) -> dict[str, Any]:
        return get(self._place(), page)

    def post(self, page: str, body: Mapping[str, Any]) -> dict[str, Any]:
        path = self._place()
        return _told(_decoded(path, _exchange(path, _ADMIN, ("POST", page, json.dumps(body)), ADMIN_SECONDS), _ADMIN))

    def raw(self, page: str) -> bytes:
        """The answer as it is, for pages that are not JSON."""
        path = self._place()
        return _exchange(path, _ADMIN, ("GET", page, ""), ADMIN_SECONDS)

    def fetch(self, page: str) -> Answer:
        """The answer with its status, whatever that is."""
        return _answer(self._place(), _ADMIN, ("GET", page, ""), ADMIN_SECONDS)

    def _place(self) -> Path:
        if self._path is None:
            raise HostError("[admin] socket is empty, so the service answers no operators: set it, then restart it")
        return self._path


def _told(told: dict[str, Any]) -> dict[str, Any]:
    if wrong := told.get("error", ""):
        raise HostError(str(wrong))
    return told


def _exchange(path: Path, what: str, asked: tuple[str, str, str], seconds: float) -> bytes:
    return _answer(path, what, asked, seconds).body


def _answer(path: Path, what: str, asked: tuple[str, str, str], seconds: float) -> Answer:
    verb, target, body = asked
    connection = _UnixConnection(path, seconds)
    try:
        connection.request(verb, target, body.encode())
        found = connection.getresponse()
        return Answer(found.status, found.getheader("Content-Type", ""), found.read())
    except PermissionError as error:
        raise HostError(f"no permission to ask the service at {path}: run this as root") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise HostError(f"the service does not answer at {path}: {error.strerror}; is it running?") from error
    except OSError as error:
        raise HostError(f"the service does not answer at {path}: {error.strerror or error}") from error
    except http.client.HTTPException as error:
        raise HostError(f"what answers at {path} is not a {what}: {error}") from error
    finally:
        connection.close()


def _decoded(path: Path, data: bytes, what: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(data)
        told.get("")
    except (ValueError, AttributeError):
        raise HostError(f"what answers at {path} is not a {what}: {data[:40]!r}") from None
    return told
