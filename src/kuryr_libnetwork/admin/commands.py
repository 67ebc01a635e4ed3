# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of the admin socket, for root: look for leftovers now, and change the log level."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated

import msgspec

from kuryr_libnetwork.errors import InvalidRequest
from kuryr_libnetwork.model.overview import RoundRow
from kuryr_libnetwork.text import shown

LOG = logging.getLogger(__name__)
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
Command = Callable[[bytes], object]
_Level = Annotated[str, msgspec.Meta(max_length=20)]


class LogLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: _Level


def commands(look_now: Callable[[], RoundRow]) -> dict[str, Command]:
    """The commands by the names of their pages."""
    return {"reconcile": lambda _: look_now(), "log-level": set_log_level}


def set_log_level(body: bytes) -> LogLevel:
    """Set the log level until the next start, or until SIGHUP applies a changed ``debug``."""
    try:
        wanted = msgspec.json.decode(body, type=LogLevel)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"log-level: {error}") from None
    if wanted.level not in LEVELS:
        raise InvalidRequest(f"log-level: {shown(wanted.level)}: must be one of {', '.join(LEVELS)}")
    logging.getLogger().setLevel(LEVELS[wanted.level])
    LOG.warning("the log level is %s now, on an operator's request", wanted.level)
    return wanted
