# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Decodes option values: booleans in all of upstream's spellings, UUIDs in any form."""

from __future__ import annotations

import re
import uuid

from kuryr_libnetwork.errors import InvalidOption

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID as Neutron writes it."""
ANY_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
"""A UUID as users may write it."""
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
    """The UUID in the form that Neutron uses, for its comparisons."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise InvalidOption(option, value, f"must be the UUID of a Neutron {what}") from None
