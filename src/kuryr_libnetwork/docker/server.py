# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server for Docker: cheroot's threads around :class:`~kuryr_libnetwork.docker.boundary.Boundary`.

Every answer closes its connection: an idle connection that we close just when Docker uses it makes Docker repeat the call
with an empty body (docker-plugin-protocol §1.5). Each listener has its own :class:`~.workers.Workers`. A connection on which
nothing arrives holds no thread, and a TLS handshake is a reader's work: neither keeps others waiting.
"""

from __future__ import annotations

import errno
import functools
import logging
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from cheroot import errors as cheroot_errors
from cheroot import server as cheroot_server
from cheroot.makefile import MakeFile
from cheroot.ssl import Adapter

from kuryr_libnetwork.docker.boundary import Answer, Boundary, error_body
from kuryr_libnetwork.docker.listeners import BACKLOG, Listener
from kuryr_libnetwork.docker.workers import Workers
from kuryr_libnetwork.errors import ConfigError

LOG = logging.getLogger(__name__)

CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json"
MAX_BODY = 1024 * 1024
"""Bytes; the largest real request is a few kilobytes."""
MAX_HEADER = 64 * 1024
READ_TIMEOUT = 30
"""Seconds that a client may take to send its request, or to take the answer."""
EXHAUSTED_PAUSE = 1
"""Seconds until the next try to accept, when there is no descriptor or memory for a connection."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
HANDSHAKE_TIMEOUT = 5
"""Seconds for a TLS handshake, from its first byte on."""
LINGER_TIMEOUT = 1
"""Seconds of silence after which a refused client is not listened to any more."""

_HANDSHAKE = b"\x16"
"""The type of the first record of TLS."""
WAKE_INTERVAL = 0.1
"""Seconds after which the accepting thread notices a stop."""


class Tls(NamedTuple):
    """Files in PEM form; with ``client_ca`` only clients with a certificate of that authority are served."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            files = f"ssl_cert_file={self.certificate}, ssl_key_file={self.key}, ssl_ca_file={self.client_ca}"
            raise ConfigError(f"[DEFAULT] {files}: {error}") from None
        return context


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal, which would stop the start."""
    raise ValueError("the key is encrypted; a service needs one without passphrase")


class PluginServer:
    """Serves Docker on all listeners. ``threads``: calls that are worked on at the same time, per listener."""

    def __init__(
        self,
        boundary: Boundary,
        listeners: Sequence[Listener],
        *,
        threads: int,
        stop_timeout: int = 9,
        tls: Tls | None = None,
    ) -> None:
        self._listeners = list(listeners)
        self._servers = [
            _Server(boundary, each, threads=threads, stop_timeout=stop_timeout, tls=tls) for each in listeners
        ]
        self.ready = threading.Event()
        self._lock = threading.Lock()
        self._ending = False
        self._stopped = threading.Event()

    def serve(self) -> None:
        """Answer until :meth:`stop`, which may come first."""
        threads = [threading.Thread(target=each.serve, name=f"listen-{n}") for n, each in enumerate(self._servers)]
        with self._lock:
            if not self._ending:
                for each in self._servers:
                    each.prepare()
                for thread in threads:
                    thread.start()
                LOG.info("listening on %s", ", ".join(each.name for each in self._listeners))
        self.ready.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        self._stopped.wait()

    def stop(self) -> None:
        """Take no more calls, finish those under way within the time-out, remove our socket. A second call waits."""
        with self._lock:
            first, self._ending = not self._ending, True
        if not first:
            self._stopped.wait()
            return
        try:
            for listener in self._listeners:
                listener.remove()
            stoppers = [threading.Thread(target=each.stop) for each in self._servers]
            for thread in stoppers:
                thread.start()
            for thread in stoppers:
                thread.join()
            for listener in self._listeners:
                listener.socket.close()
        finally:
            self._stopped.set()


class _Server(cheroot_server.HTTPServer):
    _connections: Any

    def __init__(
        self, boundary: Boundary, listener: Listener, *, threads: int, stop_timeout: int, tls: Tls | None
    ) -> None:
        # A string as address makes cheroot call bind_unix_socket, whatever the kind of the socket that we have.
        super().__init__(bind_addr=listener.name, gateway=_Gateway)
        self.boundary = boundary
        self._listener = listener
        self.ConnectionClass = _Connection
        self.request_queue_size = BACKLOG
        self.timeout = READ_TIMEOUT
        self.expiration_interval = WAKE_INTERVAL
        self.shutdown_timeout = stop_timeout
        self.max_request_body_size = MAX_BODY
        self.max_request_header_size = MAX_HEADER
        self.requests = Workers(threads)
        self._pause = threading.Event()
        if tls is not None and listener.name.startswith("tcp:"):
            self.ssl_adapter = _TlsAdapter(tls)

    def bind_unix_socket(self, bind_addr: str) -> None:  # noqa: ARG002  # cheroot's form; the socket is bound already
        self.socket = self._listener.socket

    def process_conn(self, conn: _Connection) -> None:
        """A new connection waits with the selector until something arrives; then a reader takes it."""
        if conn.work is None and not conn.seen:
            conn.seen = True
            self._connections.put(conn)
        else:
            self.requests.put(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            self._make_room(error)
            return
        LOG.log(logging.WARNING if traceback else min(level, logging.INFO), "%s", msg, exc_info=traceback)

    def _make_room(self, error: OSError) -> None:
        """Called in the accepting thread, which would otherwise try again at once, for ever, and log each time."""
        LOG.warning("cannot accept: %s; closing connections on which nothing arrives", error.strerror)
        self._connections._expire(time.time() - EXHAUSTED_PAUSE)
        self._pause.wait(EXHAUSTED_PAUSE)


class _TlsAdapter(Adapter):
    """Wraps without a handshake: cheroot calls it in the only thread that accepts."""

    def __init__(self, tls: Tls) -> None:
        self.context = tls.context()

    def bind(self, sock: Any) -> Any:
        return sock

    def wrap(self, sock: Any) -> tuple[ssl.SSLSocket, dict[str, str]]:
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}

    def get_environ(self) -> dict[str, str]:
        return {}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        return MakeFile(sock, mode, bufsize)


class _Request(cheroot_server.HTTPRequest):
    def read_request_headers(self) -> bool:
        """Refuse a length such as -1 as well: it would read until the client closes, without a limit."""
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if self.inheaders.get(b"Content-Length", b"0").isdigit():
            return True
        self.simple_response("400 Bad Request", "Malformed Content-Length Header.")
        return False

    def simple_response(self, status: str, msg: str = "") -> None:
        """What cheroot itself refuses, in the form of all our answers."""
        code, _, phrase = str(status).partition(" ")
        LOG.warning("refused a request: %s %s", status, msg)
        with suppress(OSError):
            _write(self, Answer(int(code), error_body(msg or phrase)))


class _Connection(cheroot_server.HTTPConnection):
    RequestHandlerClass = _Request
    seen = False
    work: functools.partial[None] | None = None
    """The verb to call and to answer, once the request has been read."""

    def communicate(self) -> bool:
        """Read one request; never keeps the connection."""
        if not isinstance(self.socket, ssl.SSLSocket) or self._shake_hands(self.socket):
            super().communicate()  # type: ignore[no-untyped-call]
        return False

    def _shake_hands(self, sock: ssl.SSLSocket) -> bool:
        sock.settimeout(HANDSHAKE_TIMEOUT)
        try:
            first = socket.socket.recv(sock, 1, socket.MSG_PEEK)
            if first not in {b"", _HANDSHAKE}:
                socket.socket.recv(sock, MAX_HEADER)  # what stays unread would take the answer with it
                socket.socket.sendall(sock, _encode(Answer(400, error_body("only TLS is spoken on this port"))))
                return False
            sock.do_handshake()
        except OSError as error:
            LOG.info("TLS handshake failed: %s", error)
            if isinstance(error, ssl.SSLError):
                _let_read(sock)
            return False
        sock.settimeout(READ_TIMEOUT)
        return True


def _let_read(sock: ssl.SSLSocket) -> None:
    """Let the client read why it was refused: what stays unread here would make the close a reset, which takes that away."""
    sock.settimeout(LINGER_TIMEOUT)
    deadline = time.monotonic() + HANDSHAKE_TIMEOUT
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_WR)
        while time.monotonic() < deadline and socket.socket.recv(sock, MAX_HEADER):
            pass


class _Gateway(cheroot_server.Gateway):
    """One request: read the whole body, then answer at once or leave it to a worker."""

    def respond(self) -> None:
        req: Any = self.req
        req.close_connection = True
        body = self._body()
        if body is None:
            req.ready = False  # nothing more to write
            return
        method, path = req.method.decode("latin-1"), req.path.decode("latin-1")
        boundary: Boundary = req.server.boundary
        if boundary.answers_at_once(method, path):
            _write(req, boundary.handle(method, path, body))
        else:
            req.ready = False
            req.conn.work = functools.partial(_serve, req, method, path, body)

    def _body(self) -> bytes | None:
        """The whole body, or ``None`` when the client went away in the middle of it: then nothing may happen."""
        req: Any = self.req
        length = int(req.inheaders.get(b"Content-Length", 0))
        try:
            body: bytes = req.rfile.read()
        except (ValueError, OSError, cheroot_errors.MaxSizeExceeded) as error:  # chunks
            req.simple_response("400 Bad Request", f"request body: {error}")
            return None
        if not req.chunked_read and len(body) != length:
            req.simple_response("400 Bad Request", f"request cut off after {len(body)} of {length} bytes")
            return None
        return body


def _serve(req: Any, method: str, path: str, body: bytes) -> None:
    """Call the verb, and undo what Docker cannot be told."""
    answer = req.server.boundary.handle(method, path, body)
    try:
        _check_peer(req.conn.socket)
        _write(req, answer)
    except OSError:
        if answer.undo is not None:
            answer.undo()
        raise


def _check_peer(sock: socket.socket) -> None:
    """On TCP the first bytes to a peer that has gone are lost without an error; Docker never closes one side only."""
    if sock.family != socket.AF_UNIX:
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        if poll.poll(0):
            raise BrokenPipeError("the client has closed the connection")


def _write(req: Any, answer: Answer) -> None:
    req.close_connection = req.sent_headers = True
    req.conn.wfile.write(_encode(answer))


def _encode(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
    ]
    if answer.allow:
        lines.append(f"Allow: {answer.allow}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
