# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a Neutron port's network interfaces are called on this host, and how they are marked as ours.

Operators' scripts and monitoring know upstream's names (docs/notes/upstream.md, "Interfaces on the host"), so these are
used whenever they are free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

HOST_PREFIX = "tap"
CONTAINER_PREFIX = "t_c"
UPSTREAM_LENGTH = 14
"""Where upstream cuts names; the kernel allows one character more (IFNAMSIZ is 16 with the closing zero)."""

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
    """The names to try for the host's and the container's end: upstream's, then those with a character appended."""
    for alternative in range(MAX_ALTERNATIVES + 1):
        yield host_name(port_id, alternative), container_name(port_id, alternative)


def device_name(port_id: str) -> str:
    """The temporary name of a VF's or PF's device while it moves between host and container.

    Not ``ethN``: Docker moves a device under this name first, and fails if the container has one of that name.
    """
    return DEVICE_PREFIX + port_id.replace("-", "")[:DEVICE_DIGITS]


class HybridNames(NamedTuple):
    """A Linux bridge, and the pair that connects it to Open vSwitch: the bridge's end, and Open vSwitch's."""

    bridge: str
    inner: str
    outer: str


def hybrid_names(port_id: str) -> HybridNames:
    """The interfaces between the host's end and Open vSwitch if the agent's firewall uses iptables."""
    return HybridNames(*(_name(prefix, port_id, 0) for prefix in HYBRID_PREFIXES))


def network_bridge(network_id: str) -> str:
    """The bridge of a Neutron network, as the Linux bridge agent names it."""
    return _name(BRIDGE_PREFIX, network_id, 0)


def _name(prefix: str, port_id: str, alternative: int) -> str:
    name = (prefix + port_id)[:UPSTREAM_LENGTH]
    return name + SUFFIXES[alternative - 1] if alternative else name


def alias(port_id: str) -> str:
    """The ifalias of both ends: it survives a rename, and distinguishes our links from others."""
    return ALIAS_PREFIX + port_id


def part_alias(port_id: str) -> str:
    """The ifalias of the interfaces of :func:`hybrid_names`; it differs from that of the veth pair's ends."""
    return PART_PREFIX + port_id


def bridge_alias(bridge: str) -> str:
    """The ifalias of a network's bridge that the service created."""
    return BRIDGE_MARK + bridge


def port_of_alias(text: str) -> str:
    """The port id in such an alias; "" for any other text."""
    return text.removeprefix(ALIAS_PREFIX) if text.startswith(ALIAS_PREFIX) else ""
