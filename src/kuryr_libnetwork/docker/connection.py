# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One client: what has arrived of its request, what is left of its answer. Nothing here waits.

Belongs to one thread at a time: to the door's while it is read, to a worker's while its call is worked on.
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
"""Bytes that are read at a time, so that a client that sends fast leaves room for others."""
_HANDSHAKE = b"\x16"
"""The type of the first record of TLS."""


class State(enum.Enum):
    READING = enum.auto()
    """The request is not complete, or, with TLS, hands are being shaken."""
    WRITING = enum.auto()
    LINGERING = enum.auto()
    """All has been said; what still arrives is thrown away, for a client that we close on in the middle reads no
    answer.
    """


class Ended(Exception):
    """The client has closed without a request."""


class Connection:
    """``tls``: with which to shake hands; ``stranger``: why whoever is there is not served, if so.

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
        """Whether a part of the request is there, so that the client waits for an answer in HTTP."""
        return self.state is State.READING and self._shaken and self._reader.begun

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self) -> Request | None:
        """Take what has arrived: the request, once it is whole.

        Raises :class:`Refused`, :class:`Ended`, or ``OSError`` (of which ``ssl.SSLError`` is a kind).
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
            if not isinstance(self._sock, ssl.SSLSocket):  # whose records hide from the selector
                return None

    def _shake_hands(self) -> bool:
        """Whether it is done."""
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
        """``None``: nothing more for now; empty: the end."""
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
            self._sock.send(CONTINUE)  # into an empty buffer: it takes all, or the client is lost

    # -- writing ---------------------------------------------------------------------------------------------------

    def check_peer(self) -> None:
        """On TCP the first bytes to a peer that has gone are lost without an error; Docker never closes one
        side only.
        """
        if self._sock.family != socket.AF_UNIX:
            poll = select.poll()
            poll.register(self._sock, select.POLLRDHUP)
            if poll.poll(0):
                raise BrokenPipeError("the client has closed the connection")

    def give(self, data: bytes) -> None:
        """An answer, for :meth:`write`."""
        self.state = State.WRITING
        self.interest = EVENT_WRITE
        self._rest = memoryview(data)

    def write(self) -> bool:
        """Send as much as goes; whether that was all."""
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
        """Send no more."""
        self.state = State.LINGERING
        self.interest = EVENT_READ
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def drop_unread(self) -> bool:
        """Throw away a piece of what has arrived; whether the client has closed."""
        try:
            return not socket.socket.recv(self._sock, PIECE)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()
