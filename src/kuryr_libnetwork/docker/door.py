# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One listener: a thread that waits for all of its clients at once, and workers for their calls.

No client occupies a thread. Until its request is complete it takes one of :attr:`Limits.clients` places, for at most
:attr:`Limits.request` seconds after connecting. If all places are taken, the client that has been there longest is
dropped: Docker's own requests arrive in one piece. A running call has no time limit here, because Docker waits for it.
Requests that need no verb are answered at once, even while every verb hangs: Docker never forgets a failed handshake.

Only the door's thread touches the selector. A worker gets the connection together with its call and sends the answer
itself; it hands the connection back only if the client does not take the whole answer at once.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from queue import Empty, SimpleQueue
from selectors import EVENT_READ
from typing import NamedTuple

from kuryr_libnetwork.docker.boundary import Answer, Boundary
from kuryr_libnetwork.docker.connection import Connection, Ended, State
from kuryr_libnetwork.docker.http import Refused, Request, encode
from kuryr_libnetwork.docker.listeners import Listener
from kuryr_libnetwork.docker.workers import Job, Workers

LOG = logging.getLogger(__name__)
ACCEPTED_AT_ONCE = 64
"""Connections accepted in a row before the existing ones get their turn."""
EXHAUSTED_PAUSE = 1.0
"""Seconds until accepting is tried again after the process ran out of descriptors or memory."""
NOTICE_PAUSE = 60.0
"""Seconds within which each kind of client error is logged only once."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Limits(NamedTuple):
    """Times in seconds; ``clients`` and ``waiting`` are numbers of connections."""

    request: float = 30.0
    """For the whole request, including TLS handshake and body."""
    answer: float = 30.0
    """For the client to take the answer."""
    linger: float = 1.0
    """For a refused client to read the reason; from connecting on, to begin a request when the service stops."""
    clients: int = 256
    """Connections that have not yet sent their whole request, or not yet read their whole answer."""
    waiting: int = 512
    """Calls that wait for a worker."""


class Notices:
    """Logs client errors: one line a minute for each kind, with a count, so that no client can flood the log."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def say(self, level: int, kind: str, text: object) -> None:
        now = time.monotonic()
        if now - self._said.get(kind, -NOTICE_PAUSE) < NOTICE_PAUSE:
            self._unsaid[kind] += 1
            return
        more = self._unsaid.pop(kind, 0)
        LOG.log(level, "%s: %s%s", kind, text, f" (and {more} more since the last such line)" if more else "")
        self._said[kind] = now


class Door:
    def __init__(
        self,
        boundary: Boundary,
        listener: Listener,
        *,
        threads: int,
        stop_timeout: float,
        tls: ssl.SSLContext | None,
        limits: Limits,
    ) -> None:
        self._boundary = boundary
        self._listener = listener
        self._stop_timeout = stop_timeout
        self._tls = tls
        self._limits = limits
        self._workers = Workers(threads)
        self._notices = Notices()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._clients: dict[Connection, None] = {}  # in order of arrival
        self._returned: SimpleQueue[Connection] = SimpleQueue()
        self._asked: SimpleQueue[threading.Event] = SimpleQueue()
        self._accept_again = 0.0
        self._stopping = False
        self._all_read = threading.Event()
        self._hold = threading.Event()
        self._last_moment: float | None = None

    @property
    def waiting(self) -> int:
        return self._workers.waiting

    def stuck(self) -> float:
        """Seconds for which calls have waited while no worker took any; 0 if none waits."""
        return self._workers.stuck()

    def wait_for_turn(self) -> None:
        """Block until the door's thread has completed a turn; for ever if it hangs or does not run."""
        moved = threading.Event()
        self._asked.put(moved)
        self._wake()
        moved.wait()

    def renew(self, tls: ssl.SSLContext) -> None:
        """Use TLS with these files for connections from now on, if this door has TLS."""
        if self._tls is not None:
            self._tls = tls

    def start(self) -> None:
        """Before :meth:`serve`."""
        self._workers.start()
        for sock in (self._listener.socket, self._wake_in, self._wake_out):
            sock.setblocking(False)
        self._selector.register(self._wake_in, EVENT_READ, self._woken)
        self._selector.register(self._listener.socket, EVENT_READ, self._accept)

    def serve(self) -> None:
        """Serve clients until :meth:`stop`; the body of the door's thread."""
        while self._last_moment is None or (self._clients and time.monotonic() < self._last_moment):
            try:
                self._turn()
            except Exception:  # a thread's boundary: whatever it is, the service goes on
                LOG.exception("unexpected error while serving %s", self._listener.name)
                self._hold.wait(EXHAUSTED_PAUSE)  # so that an error that repeats does not fill the log
        for connection in list(self._clients):
            self._forget(connection, OSError("the service is stopping"))
        self._workers.drop_waiting()
        self._selector.close()
        self._wake_in.close()

    def stop(self) -> None:
        """Accept nothing more and finish running calls within the time-out. Only after :meth:`start`."""
        end = time.monotonic() + self._stop_timeout
        self._stopping = True
        self._wake()
        self._all_read.wait(self._stop_timeout / 4)
        self._workers.stop(end - time.monotonic())
        self._last_moment = end
        self._wake()

    # -- the door's thread -----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._pause()):
            key.data()
        self._expire(time.monotonic())
        if self._stopping and not self._all_read.is_set():
            self._take_no_more()

    def _pause(self) -> float | None:
        ends = [connection.deadline for connection in self._clients]
        if self._accept_again:
            ends.append(self._accept_again)
        if self._last_moment is not None:
            ends.append(self._last_moment)
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _wake(self) -> None:
        with suppress(OSError):  # full: the thread wakes up anyway; broken: it has ended
            self._wake_out.send(b"\0")

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            self._wake_in.recv(4096)
        with suppress(Empty):
            while True:
                self._asked.get_nowait().set()
        with suppress(Empty):
            while True:
                self._write_on(self._returned.get_nowait())

    def _take_no_more(self) -> None:
        """Clients whose request has begun to arrive get part of the remaining time. Of the others those who have just
        connected get a moment: Docker sends its request at once, and would repeat a lost one with an empty body.
        """
        if self._listener.socket.fileno() in self._selector.get_map():
            self._selector.unregister(self._listener.socket)
            self._accept_again = 0.0
            end = time.monotonic() + self._stop_timeout / 4
            for connection in self._reading():
                if not connection.begun:
                    self._go_on(connection)  # what has arrived since the last look
            for connection in self._reading():
                connected = connection.deadline - self._limits.request
                connection.deadline = min(
                    end, connection.deadline if connection.begun else connected + self._limits.linger
                )
            self._expire(time.monotonic())
        if not self._reading():
            self._all_read.set()

    def _reading(self) -> list[Connection]:
        return [connection for connection in self._clients if connection.state is State.READING]

    # -- coming ----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, _ = self._listener.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._make_room(error)
                else:
                    self._notices.say(logging.INFO, "lost a client", error)
                return
            self._welcome(sock)

    def _make_room(self, error: OSError) -> None:
        text = f"{error.strerror}; closing connections on which nothing arrives"
        self._notices.say(logging.WARNING, "cannot accept", text)
        for connection in self._reading():
            if not connection.begun:
                self._forget(connection)
        self._selector.unregister(self._listener.socket)
        self._accept_again = time.monotonic() + EXHAUSTED_PAUSE

    def _welcome(self, sock: socket.socket) -> None:
        stranger = self._listener.refuses(sock)
        if stranger:
            self._notices.say(logging.WARNING, f"not served at {self._listener.name}", stranger)
        if len(self._clients) >= self._limits.clients:
            self._make_place()
        connection = Connection(sock, time.monotonic() + self._limits.request, self._tls, stranger)
        self._clients[connection] = None
        self._selector.register(connection, connection.interest, partial(self._go_on, connection))
        if stranger and self._tls is None:
            self._go_on(connection)  # what a stranger sends is not parsed

    def _make_place(self) -> None:
        """Drop the oldest client: an answered one, else one still sending (not Docker), else one still reading."""
        order = (State.LINGERING, State.READING, State.WRITING)
        longest = min(self._clients, key=lambda connection: order.index(connection.state))
        text = f"{len(self._clients)} clients have not sent their request, or not read their answer"
        self._notices.say(logging.WARNING, f"too many clients at {self._listener.name}", text)
        self._forget(longest, OSError("too many clients"))

    # -- going on --------------------------------------------------------------------------------------------------

    def _go_on(self, connection: Connection) -> None:
        try:
            if connection.state is State.READING:
                self._read(connection)
            elif connection.state is State.WRITING:
                self._write(connection)
            elif connection.drop_unread():
                self._forget(connection)
            self._watch(connection)
        except Ended:
            self._forget(connection)
        except OSError as error:
            self._fail(connection, error)
        except Exception:  # a connection's boundary: a broken one must not fail again in the next turn
            LOG.exception("unexpected error while serving a client of %s", self._listener.name)
            self._forget(connection, OSError("unexpected error"))

    def _fail(self, connection: Connection, error: OSError) -> None:
        """After a failed TLS handshake the client gets time to read the alert before the connection closes."""
        if isinstance(error, ssl.SSLError) and connection.state is State.READING:
            self._notices.say(logging.INFO, f"TLS handshake failed at {self._listener.name}", error)
            self._linger(connection)
        else:
            self._forget(connection, error)

    def _watch(self, connection: Connection) -> None:
        if connection in self._clients:
            key = self._selector.get_key(connection)
            if key.events != connection.interest:
                self._selector.modify(connection, connection.interest, key.data)

    def _read(self, connection: Connection) -> None:
        try:
            request = connection.read()
        except Refused as refused:
            self._refuse(connection, refused)
            return
        if request is None:
            return
        if self._boundary.answers_at_once(request.method, request.path):
            self._answer(connection, self._boundary.handle(*request))
        elif self._workers.waiting >= self._limits.waiting:
            text = f"{self._limits.waiting} calls are already waiting for Neutron or the kernel; try again later"
            self._refuse(connection, Refused(HTTPStatus.SERVICE_UNAVAILABLE, text))
        else:
            self._let_go(connection)
            self._workers.put(Job(partial(self._call, connection, request), connection.close))

    def _refuse(self, connection: Connection, refused: Refused) -> None:
        if refused.status != HTTPStatus.FORBIDDEN:  # already logged when the client connected
            self._notices.say(logging.WARNING, "refused a request", f"{refused.status} {refused}")
        self._answer(connection, refused.answer)

    def _answer(self, connection: Connection, answer: Answer) -> None:
        connection.deadline = time.monotonic() + self._limits.answer
        connection.give(encode(answer))
        try:
            self._write(connection)
        except OSError as error:
            self._forget(connection, error)

    def _write(self, connection: Connection) -> None:
        if connection.write():
            self._arrived(connection)
            self._linger(connection)
        else:
            self._watch(connection)

    def _arrived(self, connection: Connection) -> None:
        answer, connection.answer = connection.answer, None
        if answer is not None and answer.arrived is not None:
            answer.arrived()

    def _linger(self, connection: Connection) -> None:
        connection.linger()
        connection.deadline = time.monotonic() + self._limits.linger
        if connection.drop_unread():
            self._forget(connection)
        else:
            self._watch(connection)

    def _write_on(self, connection: Connection) -> None:
        connection.deadline = time.monotonic() + self._limits.answer
        self._clients[connection] = None
        self._selector.register(connection, connection.interest, partial(self._go_on, connection))

    def _expire(self, now: float) -> None:
        if self._accept_again and now >= self._accept_again:
            self._accept_again = 0.0
            self._selector.register(self._listener.socket, EVENT_READ, self._accept)
        for connection in [each for each in self._clients if each.deadline <= now]:
            if connection.is_reading_request:
                late = f"the request did not arrive completely within {self._limits.request:g} s"
                text = "the service is stopping" if self._stopping else late
                self._refuse(connection, Refused(HTTPStatus.REQUEST_TIMEOUT, text))
            else:
                self._forget(connection, TimeoutError("the client did not read its answer"))

    # -- going -----------------------------------------------------------------------------------------------------

    def _let_go(self, connection: Connection) -> None:
        del self._clients[connection]
        self._selector.unregister(connection)

    def _forget(self, connection: Connection, error: OSError | None = None) -> None:
        self._let_go(connection)
        connection.close()
        if connection.answer is not None and connection.answer.undo is not None:  # which may take its time
            undo = partial(_undo, connection.answer.undo, error)
            self._workers.put(Job(undo, undo))

    # -- a worker's thread -----------------------------------------------------------------------------------------

    def _call(self, connection: Connection, request: Request) -> None:
        """Call the verb, and undo what Docker cannot be told."""
        answer = self._boundary.handle(*request)
        try:
            connection.check_peer()
            connection.give(encode(answer))
            if not connection.write():
                connection.answer = answer
                self._returned.put(connection)
                self._wake()
                return
        except OSError as error:
            connection.close()
            _undo(answer.undo, error)
            return
        if answer.arrived is not None:
            answer.arrived()
        connection.drop_unread()  # which would take the answer with it
        connection.close()


def _undo(undo: Callable[[], object] | None, error: OSError | None) -> None:
    if undo is not None:
        undo()
    LOG.info("connection lost: %s", error)
