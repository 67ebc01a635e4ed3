# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Notifications to systemd (sd_notify(3)): that the service is ready, that it is stopping, and that it is alive."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping

from kuryr_libnetwork.text import one_line

LOG = logging.getLogger(__name__)
PER_LIMIT = 3
"""How often the watchdog is fed within systemd's watchdog timeout."""


def notify(message: str) -> None:
    """Does nothing if systemd has not asked for notifications."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(message.encode())
    except OSError as error:
        LOG.warning("systemd cannot be told %s: %s", message, error)


class Watchdog:
    """Fed as long as nothing hangs (``WatchdogSec=`` of the unit); if something does, systemd restarts the service.

    ``hangs``: a text for each part that hangs, without waiting. ``report``: logs what each thread is doing, before the
    restart. ``status``: the service's state, for ``systemctl status``.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        hangs: Callable[[], list[str]],
        report: Callable[[], None],
        status: Callable[[], str] = str,
    ) -> None:
        self._status = status
        self._hangs = hangs
        self._report = report
        self._told = False
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit = environment.get("WATCHDOG_USEC", "") if for_us else ""
        self.interval = int(limit) / 1e6 / PER_LIMIT if limit.isdecimal() and int(limit) else None
        """Seconds between two looks; None if systemd does not watch."""

    def look(self) -> None:
        """Feed the watchdog, or log once why not."""
        hanging = self._asked()
        if not hanging:
            self._told = False
            notify("\n".join(["WATCHDOG=1", *self._status_line()]))
        elif not self._told:
            self._told = True
            LOG.error("%s: systemd is going to restart the service; what each thread is doing:", "; ".join(hanging))
            try:
                self._report()
            except Exception:  # a boundary: the main thread goes on whatever happens in the report
                LOG.exception("the report: unexpected error")

    def _status_line(self) -> list[str]:
        try:
            text = self._status()
        except Exception:  # a boundary: a status line must not end the service
            LOG.exception("how the service is: unexpected error")
            return []
        return [f"STATUS={one_line(text)}"] if text else []

    def _asked(self) -> list[str]:
        try:
            return self._hangs()
        except Exception:  # a boundary: a bug in the question must not end a service that may be well
            LOG.exception("whether the service hangs: unexpected error")
            return []
