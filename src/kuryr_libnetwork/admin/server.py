# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Serves the pages of the admin socket: waitress, in threads of its own, which never delay the service.

waitress reads whole requests and writes whole answers in one thread for all clients, so slow ones occupy no worker;
connections that stay open too long, ask for too much, or are too many, are closed.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kuryr_libnetwork.errors import AddressInUse
from kuryr_libnetwork.health import Health

LOG = logging.getLogger(__name__)
THREAD = "admin"
THREADS = 4
"""Number of questions that are answered at the same time."""
PAUSE = 1.0
"""Seconds until a listener that has failed as a whole is tried again."""
LIMITS: dict[str, Any] = {
    "threads": THREADS,
    "connection_limit": 50,
    "channel_timeout": 10,
    "cleanup_interval": 5,
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": 16 * 1024,
    "recv_bytes": 8 * 1024,
    "asyncore_use_poll": True,  # select() knows no descriptor beyond 1023
    "clear_untrusted_proxy_headers": True,
    "expose_tracebacks": False,
    "ident": "kuryr-server",
}

Application = Callable[..., Any]


class Place(NamedTuple):
    """A listening socket, the application that answers there, and how to remove its file, if we created one."""

    socket: socket.socket
    name: str
    application: Application
    remove: Callable[[], None] = lambda: None


class AdminServer:
    """Serves until :meth:`stop`. Failures here are logged and counted, and do not affect the rest of the service."""

    def __init__(self, places: Sequence[Place], health: Health) -> None:
        self._places = list(places)
        self._health = health
        self._running: list[tuple[Any, dict[int, Any], threading.Thread]] = []
        self._ended = threading.Event()
        self._turn = threading.Lock()

    def start(self) -> None:
        """Serve from now on, unless :meth:`stop` came first: the service may be stopped while it is starting."""
        for place in self._places:
            try:
                with self._turn:
                    if not self._ended.is_set():
                        self._begin(place)
            except Exception as error:  # noqa: BLE001  # a boundary: whatever it is, containers go on without
                self._health.unforeseen(THREAD, f"listen on {place.name}", error)

    def _begin(self, place: Place) -> None:
        import waitress  # not before the service answers Docker

        # A browser asks for several files at once; that some wait for a moment is no news.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        open_channels: dict[int, Any] = {}
        server = waitress.create_server(place.application, map=open_channels, sockets=[place.socket], **LIMITS)
        thread = threading.Thread(target=self._serve, args=(server, place.name), name=THREAD, daemon=True)
        self._running.append((server, open_channels, thread))
        thread.start()
        LOG.info("operators are answered on %s", place.name)

    def _serve(self, server: Any, name: str) -> None:
        while not self._ended.is_set():
            try:
                server.run()
            except Exception as error:  # noqa: BLE001  # the thread's boundary
                self._health.unforeseen(THREAD, f"serve {name}", error)
            self._ended.wait(PAUSE)

    def stop(self, seconds: float = 0.5) -> None:
        with self._turn:
            self._ended.set()
            running, self._running = self._running, []  # not twice: the trigger is a descriptor
        for place in self._places:
            place.remove()
        for server, open_channels, thread in running:
            server.trigger.pull_trigger(lambda server=server, each=open_channels: server.asyncore.close_all(each))
            thread.join(seconds)
            server.task_dispatcher.shutdown(timeout=seconds)
        for place in self._places:
            place.socket.close()


def tcp_socket(host: str, port: int, what: str = "[admin] listen") -> socket.socket:
    """A listening TCP socket; raises :class:`~kuryr_libnetwork.errors.AddressInUse`. ``what``: who wants it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise AddressInUse(f"{what}: cannot listen on {host}:{port}: {error.strerror or error}") from None
    return sock
