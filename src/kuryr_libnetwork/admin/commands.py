# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of the admin socket, for root: look for leftovers now, change the log level, empty port pools."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from kuryr_libnetwork.errors import InvalidRequest
from kuryr_libnetwork.model.overview import Drained, RoundRow
from kuryr_libnetwork.text import shown

LOG = logging.getLogger(__name__)
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
Command = Callable[[bytes], object]
_Level = Annotated[str, msgspec.Meta(max_length=20)]
_Name = Annotated[str, msgspec.Meta(max_length=100)]
T = TypeVar("T")


class LogLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: _Level


class PoolOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``network``: the beginning of the id of a Docker network, or of its Neutron network; "": all pools."""

    network: _Name


def commands(look_now: Callable[[], RoundRow], drain: Callable[[str], int]) -> dict[str, Command]:
    """The commands by the names of their pages."""

    def drain_pools(body: bytes) -> Drained:
        return Drained(ports=drain(_read("drain", body, PoolOf).network))

    return {"reconcile": lambda _: look_now(), "log-level": set_log_level, "drain": drain_pools}


def _read(page: str, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{page}: {error}") from None


def set_log_level(body: bytes) -> LogLevel:
    """Set the log level until the next start, or until SIGHUP applies a changed ``debug``."""
    wanted = _read("log-level", body, LogLevel)
    if wanted.level not in LEVELS:
        raise InvalidRequest(f"log-level: {shown(wanted.level)}: must be one of {', '.join(LEVELS)}")
    logging.getLogger().setLevel(LEVELS[wanted.level])
    LOG.warning("the log level is %s now, on an operator's request", wanted.level)
    return wanted
