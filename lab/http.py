# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP requests to the lab's servers, over sockets in other network namespaces."""

import ctypes
import http.client
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from lab.errors import LabError

CLONE_NEWNET = 0x40000000
Connect = Callable[[], socket.socket]


def unix(path: Path, timeout: float = 60) -> Connect:
    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            raise
        return sock

    return connect


def inside(netns: str, address: tuple[str, int], timeout: float = 60) -> Connect:
    """Connect from within a network namespace."""
    return lambda: _made_inside(netns, lambda: socket.create_connection(address, timeout))


def knock(netns: str, address: str) -> None:
    """Send one datagram from within a network namespace, whether somebody listens or not."""
    with _made_inside(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.sendto(b"", (address, 9))


def _made_inside(netns: str, make: Connect) -> socket.socket:
    """Make a socket in a network namespace.

    A socket stays in the namespace in which it was created, and each thread has its own namespace. So a new thread
    enters the namespace, creates the socket, and ends.
    """
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def work() -> None:
        try:
            _enter(netns)
            made.append(make())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _enter(netns: str) -> None:
    # os.setns exists from Python 3.12 on, Debian 12 has 3.11.
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), netns)
    finally:
        os.close(handle)


class Refused(LabError):
    """An answer other than 2xx; ``status`` is its code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    headers: Message
    data: bytes


def ask(
    connect: Connect,
    method: str,
    path: str,
    body: bytes | None = None,
    content: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request. Raises `Refused`, which contains the answer, for any answer other than 2xx."""
    connection = http.client.HTTPConnection("lab")
    connection.sock = connect()
    try:
        always = {"Content-Type": content, "User-Agent": "kuryr-lab", "Connection": "close"}
        connection.request(method, path, body, {**always, **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status // 100 != 2:
        msg = f"{method} {path}: {answer.status} {data.decode(errors='replace').strip()[:500]}"
        raise Refused(msg, answer.status)
    return Answer(answer.headers, data)


def call(
    connect: Connect,
    method: str,
    path: str,
    body: bytes | None = None,
    content: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Like `ask`, but answers only the data."""
    return ask(connect, method, path, body, content, headers).data


def answers(connect: Connect, method: str, path: str, body: bytes | None = None) -> bool:
    try:
        call(connect, method, path, body)
    except (OSError, http.client.HTTPException, LabError):
        return False
    return True
