# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's calls that wait in systemd's sockets while the service cannot start.

Docker waits for an answer without a time limit, and systemd restarts the service over and over while a call waits. So a
start that fails answers these calls with the reason: Docker's user sees it, and the next call makes systemd try again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from http import HTTPStatus

from kuryr_libnetwork.docker.boundary import Answer, error_body
from kuryr_libnetwork.docker.http import Refused, RequestReader, encode
from kuryr_libnetwork.docker.listeners import handed_over_numbers, refuse_others

PATIENCE = 2.0
"""Seconds for all clients together to read their answers."""
SILENCE = 0.2
"""Seconds to wait for a request that has not arrived yet; Docker writes its requests in one piece."""
_PIECE = 64 * 1024


class WaitingCalls:
    """Keeps systemd's sockets open, independently of the service's own use of them, until :meth:`close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._sockets: list[socket.socket] = []
        for number in handed_over_numbers(environment):
            with suppress(OSError):  # whoever takes the sockets over reports what is wrong with them
                self._sockets.append(socket.fromfd(number, socket.AF_UNIX, socket.SOCK_STREAM))

    def close(self) -> None:
        while self._sockets:
            self._sockets.pop().close()

    def answer(self, text: str) -> None:
        """Tell every call that waits why it is not served."""
        with ExitStack() as stack:
            clients = [stack.enter_context(client) for sock in self._sockets for client in _accepted(sock)]
            deadline = time.monotonic() + PATIENCE
            told = [client for client in clients if time.monotonic() < deadline and _tell(client, text)]
            for client in told:
                _let_read(client, deadline)


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    listening.setblocking(False)
    with suppress(OSError):  # nobody is left
        while True:
            yield listening.accept()[0]


def _tell(client: socket.socket, text: str) -> bool:
    client.settimeout(SILENCE)
    try:
        client.sendall(encode(_judged(client, text)))
        client.shutdown(socket.SHUT_WR)
    except OSError:  # the client has gone, or sends nothing
        return False
    return True


def _let_read(client: socket.socket, deadline: float) -> None:
    """Read until the client closes: closing on unread data would make it lose the answer."""
    with suppress(OSError):
        while (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            if not client.recv(_PIECE):
                return


def _judged(client: socket.socket, text: str) -> Answer:
    stranger = refuse_others(client)
    if stranger:
        return Answer(HTTPStatus.FORBIDDEN, error_body(stranger))
    reader = RequestReader()
    try:
        while reader.feed(data := client.recv(_PIECE)) is None and data:
            pass
    except Refused as refused:
        return refused.answer
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, error_body(text))
