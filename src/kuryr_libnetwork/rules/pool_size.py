# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How many ports a port pool keeps ready.

A pool is as large as the network's latest bursts: whoever starts twenty containers at once is likely to do it again. It
grows at once and shrinks late, and only from well above its size, so that ports are not made and deleted in turn. A
port that cools counts against the limits and never as ready. Nothing is kept for a network on which no container of
this host was ever started, or, with ``auto``, none for an hour.
"""

from __future__ import annotations

from collections.abc import Collection

from kuryr_libnetwork.model.records import PoolSize
from kuryr_libnetwork.model.settings import PortPoolSettings
from kuryr_libnetwork.model.value import Value

BURST = 60.0
"""Seconds: starts within it count as one burst."""
MEMORY = 3600.0
"""Seconds after which a start is forgotten."""
BREATH = 1.0
"""Seconds after a start before a pool that is still half full is filled up."""
SHRINK_AFTER = 180.0
"""Seconds without a start before a pool shrinks."""


class PoolCount(Value, frozen=True):
    """The ports of one pool that no container has."""

    making: int = 0
    ready: int = 0
    cooling: int = 0

    @property
    def idle(self) -> int:
        return self.making + self.ready + self.cooling


def target(size: PoolSize, starts: Collection[float], settings: PortPoolSettings, *, known: bool) -> int:
    """How many ports are to be ready. ``starts``: seconds since each start of a container on the network.

    ``known``: a container has been started there, at any time.
    """
    most = min(settings.max_per_network, settings.max_per_host)
    if size != "auto":
        return min(size, most) if known else 0
    recent = [age for age in starts if age < MEMORY]
    if not recent:
        return 0
    return min(max(_largest_burst(recent), settings.min_auto), most)


def _largest_burst(ages: Collection[float]) -> int:
    ordered = sorted(ages)
    first = most = 0
    for last, age in enumerate(ordered):
        while age - ordered[first] > BURST:
            first += 1
        most = max(most, last - first + 1)
    return most


def to_make(wanted: int, count: PoolCount, on_host: int, settings: PortPoolSettings) -> int:
    """How many ports to create now. ``on_host``: the idle ports of all pools of this host."""
    missing = wanted - count.ready - count.making
    room = min(settings.max_per_network - count.idle, settings.max_per_host - on_host)
    return max(0, min(missing, room))


def may_wait(wanted: int, count: PoolCount, idle: float) -> bool:
    """Whether the pool is full enough to be filled a moment later: containers that are just starting take the host's
    time, and Neutron's. ``idle``: seconds since the last start on the network.
    """
    return idle < BREATH and 2 * count.ready >= wanted


def planned(wanted: int, count: PoolCount) -> int:
    """The ports that a pool comes to if nothing is used: those that cool, and those that are, or are to be, ready."""
    return count.cooling + max(wanted, count.ready + count.making)


def may_cool(wanted: int, count: PoolCount, on_host: int, settings: PortPoolSettings) -> bool:
    """Whether a released port is kept, to be used again: cooling ports must leave room for those to be ready.

    ``on_host``: the sum of what is :func:`planned` for all pools of this host.
    """
    return wanted > 0 and planned(wanted, count) < settings.max_per_network and on_host < settings.max_per_host


def high_mark(wanted: int) -> int:
    """Up to which number of ready ports a pool is not made smaller."""
    return wanted + -(-wanted // 4)


def to_remove(wanted: int, count: PoolCount, idle: float) -> int:
    """How many of the ready ports to delete. ``idle``: seconds since the last start on the network."""
    if count.ready <= high_mark(wanted) or idle < SHRINK_AFTER:
        return 0
    return count.ready - wanted
