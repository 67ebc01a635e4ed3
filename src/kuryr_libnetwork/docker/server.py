# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server for Docker: cheroot's threads around :class:`~kuryr_libnetwork.docker.boundary.Boundary`.

Every answer closes its connection: an idle connection that we close just when Docker uses it makes Docker repeat the call
with an empty body (docker-plugin-protocol §1.5). Each listener has its own small pool of worker threads.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from cheroot import server as cheroot_server
from cheroot.workers.threadpool import ThreadPool

from kuryr_libnetwork.docker.boundary import Answer, Boundary
from kuryr_libnetwork.docker.listeners import BACKLOG, Listener
from kuryr_libnetwork.errors import ConfigError

LOG = logging.getLogger(__name__)

CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json"
MAX_BODY = 1024 * 1024
"""Bytes; the largest real request is a few kilobytes."""
MAX_HEADER = 64 * 1024
READ_TIMEOUT = 30
"""Seconds that a client may take to send its request, or to take the answer."""


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
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            files = f"ssl_cert_file={self.certificate}, ssl_key_file={self.key}, ssl_ca_file={self.client_ca}"
            raise ConfigError(f"[DEFAULT] {files}: {error}") from None
        return context


class PluginServer:
    """Serves Docker on all listeners. ``threads``: calls that are answered at the same time, per listener."""

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
        self._stopped = threading.Event()

    def serve(self) -> None:
        """Answer until :meth:`stop`."""
        threads = [threading.Thread(target=each.serve, name=f"listen-{n}") for n, each in enumerate(self._servers)]
        for each in self._servers:
            each.prepare()
        for thread in threads:
            thread.start()
        LOG.info("listening on %s", ", ".join(each.name for each in self._listeners))
        self.ready.set()
        for thread in threads:
            thread.join()
        self._stopped.wait()

    def stop(self) -> None:
        """Take no more calls, finish those under way within the time-out, remove our socket."""
        for listener in self._listeners:
            listener.remove()
        stoppers = [threading.Thread(target=each.stop) for each in self._servers]
        for thread in stoppers:
            thread.start()
        for thread in stoppers:
            thread.join()
        self._stopped.set()


class _Server(cheroot_server.HTTPServer):
    def __init__(
        self, boundary: Boundary, listener: Listener, *, threads: int, stop_timeout: int, tls: Tls | None
    ) -> None:
        # A string as address makes cheroot call bind_unix_socket, whatever the kind of the socket that we have.
        super().__init__(bind_addr=listener.name, gateway=_Gateway)
        self.boundary = boundary
        self._listener = listener
        self.request_queue_size = BACKLOG
        self.timeout = READ_TIMEOUT
        self.shutdown_timeout = stop_timeout
        self.max_request_body_size = MAX_BODY
        self.max_request_header_size = MAX_HEADER
        self.requests = ThreadPool(self, min=threads, max=threads)
        if tls is not None and listener.name.startswith("tcp:"):
            from cheroot.ssl.builtin import BuiltinSSLAdapter  # only here: most services listen on a unix socket

            self.ssl_adapter = BuiltinSSLAdapter(str(tls.certificate), str(tls.key))
            self.ssl_adapter.context = tls.context()

    def bind_unix_socket(self, bind_addr: str) -> None:  # noqa: ARG002  # cheroot's form; the socket is bound already
        self.socket = self._listener.socket

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        LOG.log(logging.WARNING if traceback else min(level, logging.INFO), "%s", msg, exc_info=traceback)


class _Gateway(cheroot_server.Gateway):
    """One request: read the whole body, answer, and undo what Docker cannot be told."""

    def respond(self) -> None:
        req: Any = self.req
        body = self._body()
        if body is None:
            return
        answer = req.server.boundary.handle(req.method.decode("ascii"), req.path.decode("latin-1"), body)
        try:
            self._write(answer)
        except OSError:
            if answer.undo is not None:
                answer.undo()
            raise

    def _body(self) -> bytes | None:
        """The whole body, or ``None`` when the client went away in the middle of it: then nothing may happen."""
        length = int(self.req.inheaders.get(b"Content-Length", 0))
        body: bytes = self.req.rfile.read()
        if not self.req.chunked_read and len(body) < length:
            LOG.warning(
                "request for %s cut off after %d of %d bytes", self.req.path.decode("latin-1"), len(body), length
            )
            self.req.close_connection = True
            self._write(Answer(400, b'{"Err":"request cut off","Error":"request cut off"}'))
            return None
        return body

    def _write(self, answer: Answer) -> None:
        req: Any = self.req
        req.close_connection = True
        req.status = f"{answer.status} {HTTPStatus(answer.status).phrase}".encode()
        req.outheaders = [
            (b"Content-Type", CONTENT_TYPE.encode()),
            (b"Content-Length", str(len(answer.body)).encode()),
            (b"Connection", b"close"),
        ]
        if answer.allow:
            req.outheaders.append((b"Allow", answer.allow.encode()))
        req.ensure_headers_sent()
        req.write(answer.body)
