# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where kuryr-server's log goes, by oslo.log's options, and what its lines look like there.

systemd's journal notes the time of each line itself, and takes its priority from ``<N>`` at the beginning
(sd-daemon(3)), so that ``journalctl -p warning`` finds the warnings. A file or a terminal gets date and time.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from oslo_config import cfg

from kuryr_libnetwork.calls import request_id
from kuryr_libnetwork.errors import ConfigError, UnsafePath
from kuryr_libnetwork.host.files import check_folder, claim_place
from kuryr_libnetwork.text import printable, shortened

LONGEST_MESSAGE = 20_000
"""Longest text of a message, in characters; with --debug whole answers of Neutron are logged."""
LINE = "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s %(message)s"
LINE_FOR_JOURNAL = "%(levelname)s %(name)s %(message)s"
_FORMAT_OPTION = "logging_default_format_string"
# syslog(3)
_ERROR = 3
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, _ERROR), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7

LOG = logging.getLogger(__name__)


def set_up(conf: cfg.ConfigOpts) -> None:
    """Set up logging; raises :class:`~kuryr_libnetwork.errors.ConfigError`."""
    from oslo_log import log  # loaded by config.read

    conf.set_default(_FORMAT_OPTION, LINE)
    # use_journal needs systemd's Python bindings; without them stderr reaches the journal as well.
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
        _set_format(conf, handler)
    if no_journal:
        LOG.info("use_journal: Python's systemd module is not installed, the log goes to stderr")


def _check_log_files(conf: cfg.ConfigOpts) -> None:
    """Refuse unsafe places: the log is opened by its path, and root would follow a link that another user put there."""
    folder = Path(conf.log_dir or "")
    with suppress(OSError):  # the library explains a missing folder itself
        if conf.log_file:
            claim_place(folder / conf.log_file)
        elif conf.log_dir:
            check_folder(folder, sticky=False)  # the library chooses the name


def _set_format(conf: cfg.ConfigOpts, handler: logging.Handler) -> None:
    """The operator's formats are kept; the default is replaced: oslo.log's formatter writes an error's text twice."""
    if conf.use_json or conf.log_config_append or not isinstance(handler, logging.StreamHandler):
        return
    journal = is_journal(handler.stream)
    location = conf.get_location(_FORMAT_OPTION)
    if location is None or location.location is cfg.Locations.set_default:
        handler.setFormatter(logging.Formatter(LINE_FOR_JOURNAL if journal else LINE, conf.log_date_format))
    if journal and handler.formatter is not None:
        handler.setFormatter(WithPriority(handler.formatter))


def is_journal(stream: Any, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream is connected to systemd's journal, which names the file by device and inode."""
    wanted = environment.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):  # not a file, or closed
        return False
    return wanted == f"{found.st_dev}:{found.st_ino}"


class WithPriority(logging.Formatter):
    """Puts the priority before each line of a message, because each becomes an entry of its own in the journal."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).split("\n"))


def say_at_last(line: str) -> None:
    """Write why the service ends to stderr: the log may be a file that nobody reads."""
    print(f"<{_ERROR}>{line}" if is_journal(sys.stderr) else line, file=sys.stderr)


class OneLine(logging.Filter):
    """Makes one line of limited length of each message, whatever names and answers of others are in it; the lines of a
    traceback are indented. Messages logged during a call of Docker end in its id.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # message and arguments do not match; the handler reports it
            return True
        request = request_id()
        if len(text) > LONGEST_MESSAGE or not text.isprintable():
            record.msg, record.args = shortened(printable(text), LONGEST_MESSAGE), ()
        if request and not hasattr(record, "request_id"):  # once, however many handlers there are
            record.request_id = request
            record.extra = {**getattr(record, "extra", {}), "request_id": request}  # use_json reads it from here
            record.msg, record.args = f"{record.getMessage()} [{request}]", ()
        if record.exc_info and record.exc_info[0] is not None:
            lines = "".join(traceback.format_exception(*record.exc_info)).splitlines()
            record.exc_text = "\n".join(f"    {printable(line)}" for line in lines)
            record.exc_info = None
        return True
