# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The forms that texts in kuryr.conf have to have; the error line of a value says what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable

from oslo_config import types

from kuryr_libnetwork.rules.vifs import NAME as VIF_TYPE_NAME

_DRIVER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_DST_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,10}")
_OVSDB = re.compile(r"unix:/[^\s:]+|tcp:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_PRINTABLE = re.compile(r"\S(.*\S)?")
_HOST = re.compile(r"[!-~]{1,255}")
_IFNAME = re.compile(r"(?!\.{1,2}$)[^\s/:]{0,15}")


class Checked(types.String):
    """A string that has to pass a check; ``allowed`` completes the error line."""

    def __init__(self, allowed: str, check: Callable[[str], bool], type_name: str = "string value") -> None:
        super().__init__(type_name=type_name)
        self.allowed = allowed
        self.check = check

    def __call__(self, value: object) -> str:
        text: str = super().__call__(value)
        if not self.check(text):
            raise ValueError(f"must be {self.allowed}")
        return text


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _is_absolute(text: str) -> bool:
    return text.startswith("/") and "\0" not in text


ABSOLUTE = Checked("an absolute path", _is_absolute, "path")
ABSOLUTE_OR_EMPTY = Checked("an absolute path, or empty for none", lambda t: not t or _is_absolute(t), "path")
SOCKET = Checked("an absolute path of at most 107 bytes", lambda t: _is_absolute(t) and len(t.encode()) <= 107, "path")
ENGINE_SOCKET = Checked(
    "an absolute path of at most 107 bytes, or empty for no look at Docker",
    lambda t: not t or (_is_absolute(t) and len(t.encode()) <= 107),
    "path",
)
DRIVER = Checked("a driver's name or full module path", _matches(_DRIVER_NAME))
VIF_TYPE = Checked("a binding:vif_type, as ovs, bridge or tap", _matches(VIF_TYPE_NAME))
TEXT_OR_EMPTY = Checked("a text of visible characters, or empty", lambda t: not t or _matches(_PRINTABLE)(t))
TEXT = Checked("a text that is not empty", _matches(_PRINTABLE))
POOL_PREFIX = Checked("a text of 1 to 200 characters", lambda t: 1 <= len(t.strip()) <= 200)
HOST = Checked("a host name of 1 to 255 visible characters", _matches(_HOST))
DST_PREFIX = Checked("1 to 11 of the characters A-Z a-z 0-9 _ . - with a letter first", _matches(_DST_PREFIX))
INTERFACE_OR_EMPTY = Checked("an interface name of at most 15 characters, or empty", _matches(_IFNAME))
OVSDB = Checked("unix:/absolute/path or tcp:ADDRESS:PORT", _matches(_OVSDB))
