# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server for Docker: one :class:`~kuryr_libnetwork.docker.door.Door` for each listener, started and stopped
together.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.docker.door import Door, Limits
from kuryr_libnetwork.docker.listeners import Listener
from kuryr_libnetwork.errors import ConfigError

LOG = logging.getLogger(__name__)


class Tls(NamedTuple):
    """PEM files; with ``client_ca`` only clients with a certificate signed by that authority are served."""

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
    """Replaces OpenSSL's prompt on the terminal, which would block the start."""
    raise ValueError("the key is encrypted; use one without a passphrase")


class PluginServer:
    """Serves Docker on all listeners. ``threads``: calls handled at the same time, per listener."""

    def __init__(
        self,
        boundary: Boundary,
        listeners: Sequence[Listener],
        *,
        threads: int,
        stop_timeout: float = 9,
        tls: Tls | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._listeners = list(listeners)
        context = tls.context() if tls is not None else None
        self._doors = [
            Door(
                boundary,
                each,
                threads=threads,
                stop_timeout=stop_timeout,
                tls=context if each.name.startswith("tcp:") else None,
                limits=limits or Limits(),
            )
            for each in listeners
        ]
        self.ready = threading.Event()
        self._lock = threading.Lock()
        self._begun = False
        self._ending = False
        self._stopped = threading.Event()

    def renew(self, tls: Tls) -> None:
        """Use these files for connections from now on; raises :class:`~kuryr_libnetwork.errors.ConfigError`, and goes
        on with the old ones.
        """
        context = tls.context()
        for door in self._doors:
            door.renew(context)

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        return sum(door.waiting for door in self._doors)

    def stuck(self) -> float:
        """Seconds for which calls at a listener have waited while no worker took any; 0 if none waits."""
        return max((door.stuck() for door in self._doors), default=0.0)

    def wait_for_turn(self) -> None:
        """Block until every listener's thread has completed a turn; for ever if one hangs."""
        self.ready.wait()
        for door in self._doors:
            door.wait_for_turn()

    def serve(self) -> None:
        """Serve until :meth:`stop`, which may be called before this."""
        threads = [threading.Thread(target=each.serve, name=f"listen-{n}") for n, each in enumerate(self._doors)]
        with self._lock:
            if not self._ending:
                self._begun = True
                for each in self._doors:
                    each.start()
                for thread in threads:
                    thread.start()
                LOG.info("listening on %s", ", ".join(each.name for each in self._listeners))
        self.ready.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        self._stopped.wait()

    def stop(self) -> None:
        """Take no more calls, finish running ones within the time-out, remove our socket. A second call waits."""
        with self._lock:
            first, self._ending = not self._ending, True
        if not first:
            self._stopped.wait()
            return
        try:
            for listener in self._listeners:
                listener.remove()
            stoppers = [threading.Thread(target=each.stop) for each in self._doors if self._begun]
            for thread in stoppers:
                thread.start()
            for thread in stoppers:
                thread.join()
            for listener in self._listeners:
                listener.socket.close()
        finally:
            self._stopped.set()
