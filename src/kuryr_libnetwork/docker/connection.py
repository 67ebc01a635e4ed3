# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One client's connection: the part of its request that has arrived, the part of its answer not yet sent. Never blocks.

A connection belongs to one thread at a time: to the door's while it is read, to a worker's while its call runs.
"""

from __future__ import annotations

import enum
import select
import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE

from kuryr_libnetwork.docker.boundary import Answer
from kuryr_libnetwork.docker.http import CONTINUE, Refused, Request, RequestReader

PIECE = 64 * 1024
"""Bytes read at a time, so that a client that sends fast does not hold up the others."""
_HANDSHAKE = b"\x16"
"""The type byte of the first TLS record."""


class State(enum.Enum):
    READING = enum.auto()
    """The request is not complete, or the TLS handshake is under way."""
    WRITING = enum.auto()
    LINGERING = enum.auto()
    """The answer is sent; what still arrives is discarded. Closing on unread data would make the client lose it."""


class Ended(Exception):
    """The client closed without sending a request."""


class Connection:
    """``tls``: the context for the handshake; ``stranger``: why this client is not served, "" if it is.

    ``deadline``: when, on the monotonic clock, the present state has to be over. ``answer``: the one that
    is being written, where something hangs on whether it arrives.
    """

    def __init__(self, sock: socket.socket, deadline: float, tls: ssl.SSLContext | None, stranger: str) -> None:
        sock.setblocking(False)
        self.deadline = deadline
        self.state = State.READING
        self.interest = EVENT_READ
        self.answer: Answer | None = None
        self._sock = sock
        self._tls = tls
        self._shaken = tls is None
        self._stranger = stranger
        self._reader = RequestReader()
        self._continued = False
        self._rest = memoryview(b"")

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def begun(self) -> bool:
        """Whether anything has arrived."""
        return self._reader.begun or (self._tls is not None and isinstance(self._sock, ssl.SSLSocket))

    @property
    def is_reading_request(self) -> bool:
        """Whether part of the request has arrived, so that the client expects an HTTP answer."""
        return self.state is State.READING and self._shaken and self._reader.begun

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self) -> Request | None:
        """Read what has arrived. Answers the request once it is complete, ``None`` before.

        Raises :class:`Refused`, :class:`Ended`, or ``OSError`` (which includes ``ssl.SSLError``).
        """
        if not self._shaken and not self._shake_hands():
            return None
        if self._stranger:
            raise Refused(HTTPStatus.FORBIDDEN, self._stranger)
        while True:
            data = self._receive()
            if data is None:
                return None
            if not data:
                if self._reader.begun:
                    raise self._reader.end()
                raise Ended
            request = self._reader.feed(data)
            if request is not None:
                return request
            self._continue()
            if not isinstance(self._sock, ssl.SSLSocket):  # decrypted data may be waiting that the selector cannot see
                return None

    def _shake_hands(self) -> bool:
        """Whether the TLS handshake is complete."""
        if self._tls is not None and not isinstance(self._sock, ssl.SSLSocket):
            try:
                first = self._sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return False
            if not first:
                raise Ended
            if first != _HANDSHAKE:
                raise Refused(HTTPStatus.BAD_REQUEST, "only TLS is spoken on this port")
            self._sock = self._tls.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self.interest = EVENT_READ
            return False
        except ssl.SSLWantWriteError:
            self.interest = EVENT_WRITE
            return False
        self.interest = EVENT_READ
        self._shaken = True
        return True

    def _receive(self) -> bytes | None:
        """``None``: nothing more for now; empty: the client has closed its side."""
        try:
            return self._sock.recv(PIECE)
        except (BlockingIOError, ssl.SSLWantReadError):
            self.interest = EVENT_READ
        except ssl.SSLWantWriteError:
            self.interest = EVENT_WRITE
        return None

    def _continue(self) -> None:
        if self._reader.wants_continue and not self._continued:
            self._continued = True
            self._sock.send(CONTINUE)  # the send buffer is empty: all of it fits, or the client has gone

    # -- writing ---------------------------------------------------------------------------------------------------

    def check_peer(self) -> None:
        """Raises ``BrokenPipeError`` if the client has closed: on TCP the first bytes would be lost without an error.

        Docker never closes only its sending side.
        """
        if self._sock.family != socket.AF_UNIX:
            poll = select.poll()
            poll.register(self._sock, select.POLLRDHUP)
            if poll.poll(0):
                raise BrokenPipeError("the client has closed the connection")

    def give(self, data: bytes) -> None:
        """Take the answer that :meth:`write` is to send."""
        self.state = State.WRITING
        self.interest = EVENT_WRITE
        self._rest = memoryview(data)

    def write(self) -> bool:
        """Send as much as the socket takes; answers whether that was all."""
        while self._rest:
            try:
                sent = self._sock.send(self._rest)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self.interest = EVENT_WRITE
                return False
            except ssl.SSLWantReadError:
                self.interest = EVENT_READ
                return False
            self._rest = self._rest[sent:]
        return True

    # -- the end ---------------------------------------------------------------------------------------------------

    def linger(self) -> None:
        """Close the sending side."""
        self.state = State.LINGERING
        self.interest = EVENT_READ
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def drop_unread(self) -> bool:
        """Discard some of what has arrived; answers whether the client has closed."""
        try:
            return not socket.socket.recv(self._sock, PIECE)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()
