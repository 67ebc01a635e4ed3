# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Networks of one CIDR are created one after the other, and attempts that failed hold up each other only once."""

from __future__ import annotations

import threading

import pytest

from kuryr_libnetwork.errors import Busy
from kuryr_libnetwork.services.networks.turns import Turns
from tests.world.threads import at_once

CIDR = "10.1.0.0/24"
SHORT = 0.3
LONG = 30.0


class Host:
    """``open``: the pools whose network has not come; ``seen``: how many there were when another one was made."""

    def __init__(self, limit: float) -> None:
        self.turns = Turns(self._ages, limit)
        self.open: list[str] = []
        self.seen: list[int] = []

    def _ages(self, cidr: str) -> list[float]:
        return [0.0 for pool in self.open if pool == cidr]

    def request(self, cidr: str = CIDR) -> str:
        """One RequestPool; what became of it."""
        try:
            with self.turns.take(cidr):
                self.seen.append(self.open.count(cidr))
                self.open.append(cidr)
        except Busy:
            return "busy"
        return "made"

    def create(self) -> str:
        """RequestPool and CreateNetwork."""
        found = self.request()
        self.open.remove(CIDR)
        self.turns.network_came(CIDR)
        return found


def test_many_networks_come_one_after_the_other() -> None:
    """CreateNetwork would find the pool of another network of the same CIDR."""
    host = Host(LONG)
    assert [call.result() for call in at_once([host.create] * 16)] == ["made"] * 16
    assert host.seen == [0] * 16


def test_nobody_waits_for_several_attempts_that_failed() -> None:
    """The third docker network create would hang for twenty seconds, the fourth for thirty."""
    host = Host(SHORT)
    assert host.request() == "made"
    calls = at_once([host.request] * 8)
    assert {call.result() for call in calls} == {"busy"}


def test_another_cidr_does_not_wait() -> None:
    """One creation that failed would hold up all others of the host."""
    host = Host(LONG)
    assert [host.request(CIDR), host.request("10.2.0.0/24")] == ["made", "made"]


def test_who_fails_lets_the_next_one_go_on() -> None:
    """Nobody could create a network of this CIDR until the service is started again."""
    host = Host(LONG)
    with pytest.raises(KeyError), host.turns.take(CIDR):
        raise KeyError
    assert host.request() == "made"


def test_who_waits_goes_on_as_long_as_networks_come() -> None:
    """On a slow cloud, the last of many networks would fail although each of them came in time."""
    host = Host(2.0)
    host.request()
    never = threading.Event()

    def come_again() -> str:
        for _ in range(25):
            never.wait(0.1)
            host.turns.network_came(CIDR)
        host.open.clear()
        host.turns.network_came(CIDR)
        return "came"

    assert [call.result() for call in at_once([host.request, come_again])] == ["made", "came"]
