# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a phase of the simulation means for Neutron: its calls, the workers that they keep busy, and who waits."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.cloud.neutron import Served
from bench.cloud.scenarios import Phase

WINDOW = 10.0
"""Seconds over which a peak is the mean."""
PATIENCE = 0.5
"""Seconds that 99 of 100 calls may wait for a worker, if there are enough of them."""
MOST = 4096


@dataclass(frozen=True)
class Figures:
    """``calls``, ``peak``: for each second. ``busy``, ``busiest``: workers. ``needed``: how many it takes that hardly
    any call waits.
    """

    calls: float
    peak: float
    busy: float
    busiest: float
    longest_wait: float
    needed: int
    refused: int


def figures_of(phase: Phase) -> Figures:
    served = [each for each in phase.served if not each.refused]
    begins = Counter(int(each.at / WINDOW) for each in phase.served)
    work: Counter[int] = Counter()
    for each in served:
        work[int(each.at / WINDOW)] += math.ceil(each.took * 1e6)
    return Figures(
        calls=len(phase.served) / phase.seconds,
        peak=max(begins.values(), default=0) / WINDOW,
        busy=sum(each.took for each in served) / phase.seconds,
        busiest=max(work.values(), default=0) / 1e6 / WINDOW,
        longest_wait=max((each.waited for each in served), default=0.0),
        needed=workers_needed(served),
        refused=len(phase.served) - len(served),
    )


def waits(served: Iterable[Served], workers: int) -> list[float]:
    """How long each call would wait for one of so many workers, if all came at the times at which they came."""
    free = [0.0] * workers
    found = []
    for each in sorted(served, key=lambda one: one.at):
        begins = max(each.at, heapq.heappop(free))
        heapq.heappush(free, begins + each.took)
        found.append(begins - each.at)
    return found


def workers_needed(served: Sequence[Served]) -> int:
    """The least number of workers with which 99 of 100 calls wait no longer than :data:`PATIENCE`."""
    few, many = 1, MOST
    while few < many:
        middle = (few + many) // 2
        late = sum(wait > PATIENCE for wait in waits(served, middle))
        if late * 100 <= len(served):
            many = middle
        else:
            few = middle + 1
    return few


def by_method(phase: Phase) -> list[tuple[str, int, float]]:
    """Calls and seconds of workers by method, the most expensive first."""
    calls: Counter[str] = Counter(each.method for each in phase.served)
    took: Counter[str] = Counter()
    for each in phase.served:
        took[each.method] += round(each.took * 1e6)
    return [(method, calls[method], micros / 1e6) for method, micros in took.most_common()]
