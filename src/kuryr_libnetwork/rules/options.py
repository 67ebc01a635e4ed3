# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The options of ``docker network create`` that this service understands (kuryr-compat §2).

Keys below ``neutron.`` and ``kuryr.`` are ours: an unknown one is a mistake of the user and refused by name before
anything is made. All other keys belong to Docker or to nobody and are left alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model import Value

NET_UUID = "neutron.net.uuid"
NET_NAME = "neutron.net.name"
NET_SHARED = "neutron.net.shared"
KNOWN = (NET_UUID, NET_NAME, NET_SHARED)
OWN_PREFIXES = ("neutron.", "kuryr.")

_TRUE = {"1", "t", "true", "on", "y", "yes"}
_FALSE = {"0", "f", "false", "off", "n", "no"}


class NetworkOptions(Value, frozen=True):
    """``network_uuid`` wins over ``network_name``; neither: a new Neutron network. ``shared``: ``None`` when not given."""

    network_uuid: str = ""
    network_name: str = ""
    shared: bool | None = None

    @property
    def existing(self) -> bool:
        return bool(self.network_uuid or self.network_name)


def parse_network_options(options: Mapping[str, Any]) -> NetworkOptions:
    """Decide what the user asked for; raises :class:`InvalidOption` for what cannot be meant."""
    refuse_unknown(options)
    given = {key: value for key, value in options.items() if value is not None}
    network_uuid = str(given.get(NET_UUID, ""))
    return NetworkOptions(
        network_uuid=_uuid(NET_UUID, network_uuid) if network_uuid else "",
        network_name=str(given.get(NET_NAME, "")),
        shared=_boolean(NET_SHARED, given[NET_SHARED]) if NET_SHARED in given else None,
    )


def refuse_unknown(options: Mapping[str, Any]) -> None:
    """Refuse keys in our own name space that mean nothing here."""
    for key in options:
        if key.startswith(OWN_PREFIXES) and key not in KNOWN:
            raise InvalidOption(key, options[key], f"no such option; known are {', '.join(KNOWN)}")


def truthy(value: object) -> bool:
    """Booleans of Docker's own options arrive as JSON booleans or as text (docker-plugin-protocol §5.17)."""
    return value is True or (isinstance(value, str) and value.strip().lower() in _TRUE)


def fingerprint(request: Mapping[str, Any]) -> str:
    """One spelling of a request, to tell a repeated one from a contradicting one."""
    return json.dumps(request, sort_keys=True, separators=(",", ":"), default=str)


def _uuid(option: str, value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise InvalidOption(option, value, "must be the UUID of a Neutron network") from None


def _boolean(option: str, value: object) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise InvalidOption(option, value, "must be true or false")
