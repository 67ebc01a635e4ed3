# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the service, stops it on a signal, and says in one line why it does not start.

The main thread only waits: for a signal, or for the server, which has a thread of its own, to end by itself. So signal
handlers never run in the middle of the service's work.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, Self

from oslo_config import cfg

from kuryr_libnetwork.cli import server_log, server_signals
from kuryr_libnetwork.cli.systemd import Watchdog, notify
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.docker.waiting import WaitingCalls
from kuryr_libnetwork.errors import ConfigError, KuryrError
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.text import one_line

EXIT_FAILED = 1
EXIT_CONFIG = 2
PROG = "kuryr-server"
DESCRIPTION = (
    "Gives Docker containers OpenStack Neutron ports: a network and IPAM driver named 'kuryr', found by Docker on a "
    "Unix socket. Options not given here are read from /etc/kuryr/kuryr.conf, ~/.kuryr/kuryr.conf and kuryr.conf.d."
)
# Ten seconds are promised; the rest is for the interpreter to exit.
STOP_SECONDS = 9.5
_CAP_NET_ADMIN = 12
_ENDING = (signal.SIGTERM, signal.SIGINT)
_ASKING = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

LOG = logging.getLogger(__name__)


class Service(Protocol):
    """What :func:`kuryr_libnetwork.app.build` returns."""

    def serve(self) -> None:
        """Answer Docker; returns after :meth:`stop`."""
        ...

    def stop(self) -> None:
        """Take no new calls, finish those under way."""
        ...

    def hangs(self) -> list[str]:
        """A text for each part that hangs; never waits."""
        ...

    def status(self) -> str:
        """The service's state in one line; never waits."""
        ...

    @property
    def reload(self) -> Callable[[Settings], list[str]]:
        """Takes over a configuration that was read again; answers why some of it is not taken over."""
        ...


Build = Callable[[Settings, cfg.ConfigOpts], Service]


def main(argv: Sequence[str] | None = None, build: Build | None = None) -> int:
    """Run ``kuryr-server``; returns the exit code. Tests pass a ``build`` of their own."""
    for number in _ASKING:
        signal.signal(number, _do_nothing)  # by default they would kill the process while the service starts
    with closing(WaitingCalls(os.environ)) as waiting:
        try:
            return _start(sys.argv[1:] if argv is None else argv, build)
        except _NotStarted as failure:
            waiting.answer(f"{PROG} does not start: {failure}")
            return failure.code
        except SystemExit as end:  # --help, or arguments that argparse does not know
            if end.code:
                waiting.answer(f"{PROG} does not start: its command line is wrong; its log says more")
            raise


def program(build: Build | None = None) -> NoReturn:
    """The program. It ends without taking the interpreter down.

    Threads that nobody waits for, such as the libraries' own, or the background's while it asks Neutron, would be in
    the middle of it, and crash it now and then.
    """
    code = main(build=build)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a pipe whose reader has gone; a closed file
            stream.flush()
    os._exit(code)


class _NotStarted(Exception):
    """The service did not start; ``line`` has been printed."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


def _start(words: Sequence[str], build: Build | None) -> int:
    try:
        found = config.read(words, prog=PROG, description=DESCRIPTION)
        files = server_signals.Files(found.conf, partial(config.read, words, prog=PROG))
        server_log.set_up(found.conf)
    except ConfigError as error:
        raise _failed(error, EXIT_CONFIG) from error
    for notice in found.notices:
        LOG.log(notice.level, "%s", notice.text)
    _warn_of_missing_rights()
    debug = found.settings.plugin.debug
    try:
        return _run(found, files, build or _real_build())
    except ConfigError as error:
        raise _failed(error, EXIT_CONFIG, debug=debug) from error
    except (KuryrError, OSError) as error:
        raise _failed(error, EXIT_FAILED, debug=debug) from error
    except Exception as error:  # the last boundary: any error becomes one line
        text = f"internal error, --debug shows more: {type(error).__name__}: {error}"
        raise _failed(error, EXIT_FAILED, debug=debug, text=text) from error


def _failed(error: Exception, code: int, *, debug: bool = False, text: str = "") -> _NotStarted:
    if debug:
        traceback.print_exception(error)
    line = one_line(text or str(error))
    server_log.say_at_last(f"{PROG}: {line}")
    return _NotStarted(line, code)


def _warn_of_missing_rights(status: Path = Path("/proc/self/status")) -> None:
    effective = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("CapEff:")), "0")
    if not int(effective, 16) >> _CAP_NET_ADMIN & 1:
        LOG.warning("no CAP_NET_ADMIN: no container can be connected; run as root or give the service this capability")


# -- running -----------------------------------------------------------------------------------------------------


def _real_build() -> Build:
    from kuryr_libnetwork.app import build  # imports everything, so only once the configuration is known to be right

    return build


def _run(found: config.Configuration, files: server_signals.Files, build: Build) -> int:
    with _Wake() as wake, ThreadPoolExecutor(1, "server") as thread:
        service = build(found.settings, found.conf)
        server = thread.submit(service.serve)
        server.add_done_callback(lambda _: wake.up())
        notify("READY=1")
        report = partial(server_signals.report, found.conf)
        watchdog = Watchdog(os.environ, service.hangs, report, service.status)
        while (number := wake.wait(watchdog)) in _ASKING:
            _answer(number, files, service)
        if number is not None:
            _stop(service, server, number.name)
        server.result()
    return 0


def _answer(number: signal.Signals, files: server_signals.Files, service: Service) -> None:
    try:
        if number is signal.SIGHUP:
            files.read_again(service.reload)
        elif number is signal.SIGUSR2:
            server_signals.report(files.conf)
    except Exception:  # a boundary: an operator's request never ends the service
        LOG.exception("%s: unexpected error", number.name)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Used instead of SIG_IGN, which the operator's scripts would inherit. The number reaches :class:`_Wake` anyway."""


class _Wake:
    """What the main thread waits for: a signal, or ``None`` from :meth:`up`.

    The signal's number comes through a socket (``signal.set_wakeup_fd``): if a signal comes just before the main thread
    begins to wait for a lock, a handler alone would not run while it waits.
    """

    def __enter__(self) -> Self:
        self._inner, self._outer = socket.socketpair()
        self._outer.setblocking(False)
        self._seen = False
        signal.set_wakeup_fd(self._outer.fileno())
        for number in _ENDING:
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self._inner.close()
        self._outer.close()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._seen:
            os._exit(EXIT_FAILED)
        self._seen = True

    def up(self) -> None:
        self._outer.send(b"\0")

    def wait(self, watchdog: Watchdog) -> signal.Signals | None:
        self._inner.settimeout(watchdog.interval)
        while True:
            try:
                number = self._inner.recv(1)[0]
            except TimeoutError:
                watchdog.look()
            else:
                return signal.Signals(number) if number else None


def _stop(service: Service, server: Future[None], reason: str) -> None:
    LOG.info("%s: finishing the calls under way", reason)
    notify("STOPPING=1")
    limit = threading.Timer(STOP_SECONDS, _give_up)
    limit.daemon = True
    limit.start()  # never cancelled: it also ends a thread that outlives the server
    service.stop()
    wait([server])


def _give_up() -> None:
    LOG.warning("calls still under way after %s s are left unfinished; the journal knows of them", STOP_SECONDS)
    logging.shutdown()
    os._exit(0)
