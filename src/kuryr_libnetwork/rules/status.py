# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How a host is, in as few lines as that takes: one when all is well, else only what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kuryr_libnetwork.model.overview import DeviceRow, EndpointRow, NetworkRow, RoundRow, SuspectRow, Wellbeing
from kuryr_libnetwork.model.value import Value

MANY = 30
"""Looks of which none has ended without an error."""
LATE = 1800.0
"""Seconds without a look for leftovers that ended without an error."""


class Status(Value, frozen=True):
    """``troubles``: in words, with what to do; ``counts``: how much there is, for the one line."""

    live: bool
    ready: bool
    troubles: tuple[str, ...]
    counts: str


class Seen(Value, frozen=True):
    """What the admin socket has told."""

    wellbeing: Wellbeing
    networks: tuple[NetworkRow, ...] = ()
    endpoints: tuple[EndpointRow, ...] = ()
    devices: tuple[DeviceRow, ...] = ()
    suspects: tuple[SuspectRow, ...] = ()
    rounds: RoundRow = RoundRow()


def judge(seen: Seen) -> Status:
    troubles = [
        *seen.wellbeing.reasons,
        *_stuck(seen.suspects),
        *(f"VF {each.pci_address} is in quarantine: {each.reason}" for each in _shut(seen.devices)),
        *_pools(seen.networks),
        *_background(seen.rounds),
    ]
    return Status(live=seen.wellbeing.live, ready=seen.wellbeing.ready, troubles=tuple(troubles), counts=_counts(seen))


def _stuck(suspects: Sequence[SuspectRow]) -> list[str]:
    return [f"{each.kind} {each.key[:36]} cannot be removed: {each.trouble}" for each in suspects if each.trouble]


def _shut(devices: Sequence[DeviceRow]) -> list[DeviceRow]:
    return [each for each in devices if each.state == "quarantined"]


def _pools(networks: Sequence[NetworkRow]) -> list[str]:
    """Port pools that are more than half empty, and are not being filled."""
    return [
        f"port pool of Docker network {each.docker_id[:12]}: {each.spares_ready} of {each.spares_wanted} ports are "
        f"ready, and none are made for {each.spares_paused:.0f} s; the log says why"
        for each in networks
        if each.spares_paused and 2 * each.spares_ready < each.spares_wanted
    ]


def _background(rounds: RoundRow) -> list[str]:
    """A service that looks at its start only has ended its last look long ago, and well."""
    if rounds.succeeded is None or rounds.ended is None:
        failed = rounds.rounds >= MANY
    else:
        failed = rounds.succeeded - rounds.ended > LATE
    return ["the looks for leftovers have failed for half an hour; the log says why"] if failed else []


def _counts(seen: Seen) -> str:
    parts = [_counted(len(seen.networks), "network"), _counted(len(seen.endpoints), "endpoint")]
    states = Counter(each.state for each in seen.devices if each.state != "quarantined")
    if states:
        parts.append(_counted(sum(states.values()), "VF") + " in use")
    watched = sum(not each.trouble for each in seen.suspects)
    if watched:
        parts.append(f"{_counted(watched, 'leftover')} being watched")
    return ", ".join(parts)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
