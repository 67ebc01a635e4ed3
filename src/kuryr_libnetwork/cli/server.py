# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Start the service, stop it on a signal, and tell people in one line why it does not start.

The main thread only waits: for a signal, or for the server (in a thread of its own) to end by itself. Signal handlers
therefore never run in the middle of the service's own work.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Protocol, Self

from oslo_config import cfg

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import ConfigError, KuryrError, UnsafePath
from kuryr_libnetwork.host.files import check_folder, claim_place
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.text import one_line, printable, shortened

EXIT_FAILED = 1
EXIT_CONFIG = 2
PROG = "kuryr-server"
DESCRIPTION = (
    "Gives Docker containers OpenStack Neutron ports: a network and IPAM driver named 'kuryr', found by Docker on a "
    "Unix socket. Options not given here are read from /etc/kuryr/kuryr.conf, ~/.kuryr/kuryr.conf and kuryr.conf.d."
)
# Ten seconds are promised; the rest is for the interpreter's own end.
STOP_SECONDS = 9.5
LONGEST_MESSAGE = 20_000
"""Characters; with --debug whole answers of Neutron are logged."""
_CAP_NET_ADMIN = 12
_LINE = "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s %(message)s"
_LINE_FOR_JOURNAL = "%(levelname)s %(name)s %(message)s"

LOG = logging.getLogger(__name__)


class Service(Protocol):
    """What :func:`kuryr_libnetwork.app.build` makes."""

    def serve(self) -> None:
        """Answer Docker; returns after :meth:`stop`."""
        ...

    def stop(self) -> None:
        """Take no new calls, finish those under way."""
        ...


Build = Callable[[Settings, cfg.ConfigOpts], Service]


def main(argv: Sequence[str] | None = None, build: Build | None = None) -> int:
    """Run ``kuryr-server``; the answer is the exit code. Tests give a ``build`` of their own."""
    words = sys.argv[1:] if argv is None else argv
    try:
        found = config.read(words, prog=PROG, description=DESCRIPTION)
        _set_up_logging(found.conf)
    except ConfigError as error:
        return _fail(error, EXIT_CONFIG)
    for notice in found.notices:
        LOG.log(notice.level, "%s", notice.text)
    _warn_of_missing_rights()
    try:
        return _run(found, build or _real_build())
    except ConfigError as error:
        return _fail(error, EXIT_CONFIG, debug=found.settings.plugin.debug)
    except (KuryrError, OSError) as error:
        return _fail(error, EXIT_FAILED, debug=found.settings.plugin.debug)
    except Exception as error:  # noqa: BLE001  # the last boundary: whatever it is, people get one line
        text = f"internal error, --debug shows more: {type(error).__name__}: {error}"
        return _fail(error, EXIT_FAILED, debug=found.settings.plugin.debug, text=text)


def _fail(error: Exception, code: int, *, debug: bool = False, text: str = "") -> int:
    if debug:
        traceback.print_exception(error)
    print(f"{PROG}: {one_line(text or str(error))}", file=sys.stderr)  # the log may be a file nobody looks into
    return code


def _set_up_logging(conf: cfg.ConfigOpts) -> None:
    from oslo_log import log  # loaded by config.read

    under_systemd = "JOURNAL_STREAM" in os.environ
    conf.set_default("logging_default_format_string", _LINE_FOR_JOURNAL if under_systemd else _LINE)
    # use_journal needs systemd's Python bindings; without them stderr gets to the journal as well.
    no_journal = conf.use_journal and importlib.util.find_spec("systemd") is None
    if no_journal:
        conf.set_override("use_journal", False)
        conf.set_override("use_stderr", True)
    try:
        _check_log_files(conf)
        log.setup(conf, "kuryr")
    except (UnsafePath, log.LogConfigError, OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"logging cannot be set up: {error}") from error
    for handler in logging.getLogger().handlers:
        handler.addFilter(OneLine())
    if no_journal:
        LOG.info("use_journal: Python's systemd module is not installed, the log goes to stderr")


class OneLine(logging.Filter):
    """No name and no answer of others can make a line of the log, or fill it; the lines of a traceback are indented."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # words and values do not fit; the handler says so
            return True
        if len(text) > LONGEST_MESSAGE or not text.isprintable():
            record.msg, record.args = shortened(printable(text), LONGEST_MESSAGE), ()
        if record.exc_info and record.exc_info[0] is not None:
            lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
            record.exc_text = "\n".join(f"    {printable(line)}" for line in lines)
            record.exc_info = None
        return True


def _check_log_files(conf: cfg.ConfigOpts) -> None:
    """The log is opened by its path: a link that somebody else put there would have root write to his target."""
    folder = Path(conf.log_dir or "")
    with suppress(OSError):  # the library says what is wrong with a folder that is not there
        if conf.log_file:
            claim_place(folder / conf.log_file)
        elif conf.log_dir:
            check_folder(folder, sticky=False)  # the library chooses the name


def _warn_of_missing_rights(status: Path = Path("/proc/self/status")) -> None:
    effective = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("CapEff:")), "0")
    if not int(effective, 16) >> _CAP_NET_ADMIN & 1:
        LOG.warning("no CAP_NET_ADMIN: no container can be connected; run as root or give the service this capability")


# -- running -----------------------------------------------------------------------------------------------------


def _real_build() -> Build:
    from kuryr_libnetwork.app import build  # imports everything: not before the configuration is known to be right

    return build


def _run(found: config.Configuration, build: Build) -> int:
    with _Wake() as wake, ThreadPoolExecutor(1, "server") as thread:
        service = build(found.settings, found.conf)
        server = thread.submit(service.serve)
        server.add_done_callback(lambda _: wake.up())
        notify("READY=1")
        reason = wake.wait()
        if reason:
            _stop(service, server, reason)
        server.result()
    return 0


class _Wake:
    """What the main thread waits for: the name of a signal, or "" from :meth:`up`.

    The signal's number comes through a socket (``signal.set_wakeup_fd``): a handler alone is not run while the main thread
    waits for a lock, if the signal came just before it began to wait.
    """

    def __enter__(self) -> Self:
        self._inner, self._outer = socket.socketpair()
        self._outer.setblocking(False)
        self._seen = False
        signal.set_wakeup_fd(self._outer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        # Log files that were moved away are reopened by themselves, so there is nothing to do, but the default is to die.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
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

    def wait(self) -> str:
        number = self._inner.recv(1)[0]
        return signal.Signals(number).name if number else ""


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


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); does nothing where it did not ask."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(message.encode())
    except OSError as error:
        LOG.warning("systemd cannot be told %s: %s", message, error)
