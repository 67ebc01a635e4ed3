# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A call to the running service, on the socket where Docker calls it."""

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
    connection = _UnixConnection(path, seconds)
    try:
        connection.request("POST", method, json.dumps(body) if body is not None else b"")
        answer = connection.getresponse()
        data = answer.read()
    except OSError as error:
        raise HostError(f"the service does not answer at {path}: {error.strerror or error}") from error
    except http.client.HTTPException as error:
        raise HostError(f"what answers at {path} is no network plugin: {error}") from error
    finally:
        connection.close()
    try:
        told: dict[str, Any] = json.loads(data)
        wrong = told.get("Err", "")
    except (ValueError, AttributeError):
        raise HostError(f"what answers at {path} is no network plugin: {data[:40]!r}") from None
    if wrong:
        raise HostError(str(wrong))
    return told
