# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a Neutron port's network interfaces are called on this host, and how they are marked as ours.

Scripts and monitoring of operators know upstream's names (docs/notes/upstream.md, "Interfaces on the host"), so they
are taken whenever free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

HOST_PREFIX = "tap"
CONTAINER_PREFIX = "t_c"
UPSTREAM_LENGTH = 14
"""Upstream cuts here; the kernel allows one character more (IFNAMSIZ is 16 with the closing zero)."""

DEVICE_PREFIX = "kv"
DEVICE_DIGITS = 11

HYBRID_PREFIXES = ("qbr", "qvb", "qvo")
BRIDGE_PREFIX = "brq"
ALIAS_PREFIX = "kuryr:"
PART_PREFIX = "kuryr-part:"
BRIDGE_MARK = "kuryr-bridge:"
SUFFIXES = "0123456789abcdefghijklmnopqrstuvwxyz"
MAX_ALTERNATIVES = len(SUFFIXES)


def host_name(port_id: str, alternative: int = 0) -> str:
    """The host's end of the port's veth pair; ``alternative`` 0 is upstream's name."""
    return _name(HOST_PREFIX, port_id, alternative)


def container_name(port_id: str, alternative: int = 0) -> str:
    """The end that Docker moves into the container; ``alternative`` 0 is upstream's name."""
    return _name(CONTAINER_PREFIX, port_id, alternative)


def name_pairs(port_id: str) -> Iterator[tuple[str, str]]:
    """The names to try for host's and container's end: upstream's, then with a character more."""
    for alternative in range(MAX_ALTERNATIVES + 1):
        yield host_name(port_id, alternative), container_name(port_id, alternative)


def device_name(port_id: str) -> str:
    """What the device of a VF or PF is called between the host and the container.

    No ``ethN``: Docker moves a device under its host name first, and fails where the container has one of that name.
    """
    return DEVICE_PREFIX + port_id.replace("-", "")[:DEVICE_DIGITS]


class HybridNames(NamedTuple):
    """A bridge of Linux, and the pair that joins it to Open vSwitch: the bridge's end, and Open vSwitch's."""

    bridge: str
    inner: str
    outer: str


def hybrid_names(port_id: str) -> HybridNames:
    """What stands between the host's end and Open vSwitch where the agent's firewall works with iptables."""
    return HybridNames(*(_name(prefix, port_id, 0) for prefix in HYBRID_PREFIXES))


def network_bridge(network_id: str) -> str:
    """The bridge of a Neutron network where the Linux bridge agent is at work."""
    return _name(BRIDGE_PREFIX, network_id, 0)


def _name(prefix: str, port_id: str, alternative: int) -> str:
    name = (prefix + port_id)[:UPSTREAM_LENGTH]
    return name + SUFFIXES[alternative - 1] if alternative else name


def alias(port_id: str) -> str:
    """The kernel's ifalias of both ends: it survives a rename and tells our links from anybody else's."""
    return ALIAS_PREFIX + port_id


def part_alias(port_id: str) -> str:
    """The ifalias of :func:`hybrid_names`; not that of the pair, whose ends are told from all others by it."""
    return PART_PREFIX + port_id


def bridge_alias(bridge: str) -> str:
    """The ifalias of a network's bridge that the service made."""
    return BRIDGE_MARK + bridge


def port_of_alias(text: str) -> str:
    """The port id in such an alias; "" for any other text."""
    return text.removeprefix(ALIAS_PREFIX) if text.startswith(ALIAS_PREFIX) else ""
