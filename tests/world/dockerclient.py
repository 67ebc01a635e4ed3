# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One call, as Docker's Go client sends it and reads the answer (docs/notes/docker-plugin.md, "Transport")."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class PluginError(Exception):
    """What Docker shows its user: the plugin's message."""

    def __init__(self, method: str, message: str, status: int) -> None:
        super().__init__(f"{method}: {message}")
        self.method = method
        self.message = message
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("plugin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class PluginClient:
    """Each call uses a connection of its own; ``host`` is "" as sent by engines before 23.0.7."""

    def __init__(self, path: Path, host: str = "plugin.moby.localhost", timeout: float = 30) -> None:
        self._path = path
        self._host = host
        self._timeout = timeout

    def raw(self, method: str, body: bytes, verb: str = "POST") -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of one request."""
        connection = self._send(method, body, verb)
        try:
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def abandon(self, method: str, arguments: Mapping[str, Any]) -> None:
        """Send a complete request and close the connection, as if Docker timed out or died before the answer."""
        self._send(method, encoded(arguments), "POST").close()

    def call(self, method: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call whose answer is interpreted as Docker does; raises :class:`PluginError`."""
        status, _, text = self.raw(method, b"" if arguments is None else encoded(arguments))
        if status != 200:
            try:
                message = json.loads(text)["Err"]
            except (ValueError, KeyError, TypeError):
                message = text.decode(errors="replace")
            raise PluginError(method, message, status)
        if not text:
            raise PluginError(method, "EOF", status)
        answer: dict[str, Any] = json.loads(text) or {}
        message = answer.get("Err" if method.startswith("NetworkDriver") else "Error")
        if message:
            raise PluginError(method, f"remote: {message}", status)
        return answer

    def _send(self, method: str, body: bytes, verb: str) -> _UnixConnection:
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.putrequest(verb, f"/{method}", skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self._host)
            connection.putheader("User-Agent", "Go-http-client/1.1")
            connection.putheader("Content-Length", str(len(body)))
            connection.putheader("Accept", "application/vnd.docker.plugins.v1.2+json")
            connection.endheaders(body or None)
        except OSError:
            connection.close()
            raise
        return connection


def encoded(arguments: Mapping[str, Any]) -> bytes:
    """As Go's encoder: compact, UTF-8, with ``<``, ``>`` and ``&`` escaped, and a newline at the end."""
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode() + b"\n"
