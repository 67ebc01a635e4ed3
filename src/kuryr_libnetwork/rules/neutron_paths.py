# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a path of Neutron's API is about, in one of a few words: a label of a metric must not grow with the cloud."""

from __future__ import annotations

RESOURCES = frozenset(
    {
        "agents",
        "extensions",
        "network-ip-availabilities",
        "networks",
        "policies",
        "ports",
        "quotas",
        "security-groups",
        "security-group-rules",
        "subnetpools",
        "subnets",
        "trunks",
    }
)
OTHER = "other"
_PREFIXES = ("v2.0", "qos")


def resource_of(path: str) -> str:
    """``/v2.0/ports/ID/tags`` is about ports; a word that is not known is "other"."""
    parts = [part for part in path.split("/") if part]
    while parts and parts[0] in _PREFIXES:
        parts.pop(0)
    return parts[0] if parts and parts[0] in RESOURCES else OTHER
