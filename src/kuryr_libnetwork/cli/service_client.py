# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A call to the running service, on the socket where Docker calls it, or a question on that for operators."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kuryr_libnetwork.errors import HostError

SECONDS = 60.0
"""A VF may have to be rebound, and its driver takes its time."""
ADMIN_SECONDS = 10.0
"""More than the service waits for its journal."""

_PLUGIN, _ADMIN = "network plugin", "kuryr-server"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("plugin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path: Path, method: str, body: Mapping[str, Any] | None = None, seconds: float = SECONDS) -> dict[str, Any]:
    """The service's answer; :class:`~kuryr_libnetwork.errors.HostError` with its words, or when there is none."""
    words = json.dumps(body) if body is not None else ""
    told = _decoded(path, _exchange(path, _PLUGIN, ("POST", method, words), seconds), _PLUGIN)
    if wrong := told.get("Err", ""):
        raise HostError(str(wrong))
    return told


def get(path: Path, page: str, seconds: float = ADMIN_SECONDS) -> dict[str, Any]:
    """What the admin socket answers; :class:`~kuryr_libnetwork.errors.HostError` as above."""
    return _told(_decoded(path, _exchange(path, _ADMIN, ("GET", page, ""), seconds), _ADMIN))


def docker_version(path: Path) -> str:
    """Of the engine whose API is at this socket; "" where it does not tell."""
    try:
        told = _decoded(path, _exchange(path, "Docker", ("GET", "/version", ""), ADMIN_SECONDS), "Docker")
    except HostError:
        return ""
    return str(told.get("Version", ""))


class AdminClient:
    """The admin socket of the running service; ``None``: it has none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, page: str) -> dict[str, Any]:
        return get(self._place(), page)

    def post(self, page: str, body: Mapping[str, Any]) -> dict[str, Any]:
        path = self._place()
        return _told(_decoded(path, _exchange(path, _ADMIN, ("POST", page, json.dumps(body)), ADMIN_SECONDS), _ADMIN))

    def raw(self, page: str) -> bytes:
        """As it is: a page that is no JSON."""
        path = self._place()
        return _exchange(path, _ADMIN, ("GET", page, ""), ADMIN_SECONDS)

    def _place(self) -> Path:
        if self._path is None:
            raise HostError("[admin] socket is empty, so the service answers no operators: set it, then restart it")
        return self._path


def _told(told: dict[str, Any]) -> dict[str, Any]:
    if wrong := told.get("error", ""):
        raise HostError(str(wrong))
    return told


def _exchange(path: Path, what: str, asked: tuple[str, str, str], seconds: float) -> bytes:
    verb, target, body = asked
    connection = _UnixConnection(path, seconds)
    try:
        connection.request(verb, target, body.encode())
        return connection.getresponse().read()
    except PermissionError as error:
        raise HostError(f"no permission to ask the service at {path}: run this as root") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise HostError(f"the service does not answer at {path}: {error.strerror}; is it running?") from error
    except OSError as error:
        raise HostError(f"the service does not answer at {path}: {error.strerror or error}") from error
    except http.client.HTTPException as error:
        raise HostError(f"what answers at {path} is no {what}: {error}") from error
    finally:
        connection.close()


def _decoded(path: Path, data: bytes, what: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(data)
        told.get("")
    except (ValueError, AttributeError):
        raise HostError(f"what answers at {path} is no {what}: {data[:40]!r}") from None
    return told
