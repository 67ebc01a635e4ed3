# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Values of options as text: booleans in all of upstream's words, UUIDs in any spelling."""

from __future__ import annotations

import re
import uuid

from kuryr_libnetwork.errors import InvalidOption

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""As Neutron spells it."""
ANY_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
"""As a user may spell it."""
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1123."""
_TRUE = {"1", "t", "true", "on", "y", "yes"}
_FALSE = {"0", "f", "false", "off", "n", "no"}


def boolean(option: str, value: object) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise InvalidOption(option, value, "must be true or false")


def truthy(value: object) -> bool:
    """Booleans of Docker's own options arrive as JSON booleans or as text."""
    return value is True or (isinstance(value, str) and value.strip().lower() in _TRUE)


def uuid_of(option: str, value: str, what: str) -> str:
    """The spelling that Neutron compares."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise InvalidOption(option, value, f"must be the UUID of a Neutron {what}") from None
