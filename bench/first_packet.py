# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""When a container's packets pass: it sends one every 20 ms, from its start on, to a container that runs already."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from bench import stats
from bench.commands import Say
from bench.kinds import NONE, Kind, networks
from bench.operations import PREFIX, Bench
from bench.stats import Section, median, s
from lab.errors import LabError
from lab.process import wait_for

PACKETS, SPACING, LONGEST = 500, 0.02, 15.0
_ANSWER = re.compile(r"(?m)^(\S+) .*\bseq=(\d+) ")


class First(NamedTuple):
    """``lost``: packets before the first answer. ``seconds``: from ``docker run`` to that answer."""

    lost: int
    seconds: float


def measure(bench: Bench, kinds: Sequence[Kind], runs: int, say: Say) -> Section:
    kinds = [kind for kind in kinds if kind is not NONE]
    found: dict[str, list[First]] = defaultdict(list)
    with networks(bench, kinds, "first", 50) as there:
        for kind in kinds:
            bench.run(there[kind], f"peer-{kind.key}")
        try:
            for number in range(runs):
                say(f"first packet, {number + 1} of {runs}")
                for kind in kinds:
                    found[kind.key].append(_first(bench, there[kind], f"peer-{kind.key}"))
        finally:
            bench.rm(*(f"peer-{kind.key}" for kind in kinds))
    section = Section(
        "first_packet",
        "The first packet of a container that passes, medians",
        ["network", "packets lost before it", "most", "from docker run to its answer"],
    )
    for kind in kinds:
        lost, seconds = [each.lost for each in found[kind.key]], [each.seconds for each in found[kind.key]]
        section.rows.append([kind.label, f"{median(lost):.0f}", str(max(lost)), s(median(seconds))])
        section.data[kind.key] = {"lost": stats.summary(lost), "seconds": stats.summary(seconds)}
    section.notes.append(f"A packet every {SPACING * 1000:.0f} ms, to another container of the same network and host.")
    return section


def _first(bench: Bench, network: str, peer: str) -> First:
    address = bench.host.docker_inspect(PREFIX + peer)["NetworkSettings"]["Networks"][PREFIX + network]["IPAddress"]
    began = time.time()
    bench.run(network, "first", command=("ping", "-i", str(SPACING), "-c", str(PACKETS), address))
    found: list[First] = []

    def answered() -> bool:
        first = first_of(bench.host.docker("logs", "-t", f"{PREFIX}first").stdout, began)
        found.extend([first] if first else [])
        return bool(found)

    try:
        if not wait_for(answered, LONGEST):
            msg = f"no packet of a container on {network} was answered within {LONGEST:.0f} s"
            raise LabError(msg)
    finally:
        bench.rm("first")
    return found[0]


def first_of(log: str, began: float) -> First | None:
    """``log``: what ping wrote, with Docker's dates. ``began``: seconds since the epoch."""
    answer = _ANSWER.search(log)
    if answer is None:
        return None
    at = datetime.fromisoformat(answer[1][:26] + "+00:00")
    return First(int(answer[2]), at.timestamp() - began)
