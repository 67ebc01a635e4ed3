# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the bench makes of what it sees: a wrong figure would be in the docs."""

from __future__ import annotations

from bench.cloud.neutron import Times
from bench.first_packet import First, first_of

LOG = """\
2026-11-29T14:00:00.400000000Z PING 10.1.0.3 (10.1.0.3): 56 data bytes
2026-11-29T14:00:00.523456789Z 64 bytes from 10.1.0.3: seq=3 ttl=64 time=0.080 ms
2026-11-29T14:00:00.543456789Z 64 bytes from 10.1.0.3: seq=4 ttl=64 time=0.080 ms
"""
BEGAN = 1795960800.0


def test_the_first_answer() -> None:
    """Packets lost, and seconds, of another answer."""
    found = first_of(LOG, BEGAN)
    assert found is not None
    assert (found.lost, round(found.seconds, 6)) == First(3, 0.523456)
    assert first_of(LOG.splitlines()[0], BEGAN) is None


def test_the_simulation_takes_the_times_that_were_measured() -> None:
    """It would show the load of another Neutron."""
    single = {"median": 0.2}
    found = dict.fromkeys(("POST port", "PUT port, labels", "DELETE port", "PUT tags"), single)
    rows = {"ports": 0.002}
    times = Times.measured(
        {**found, "GET ports, one": {"median": 0.03}, "GET ports, all": {"median": 1.0}, "rows": rows}
    )
    assert times.of("create_port", "POST", 0) == 0.2
    assert round(times.of("find_ports", "GET", 10), 6) == 0.05
