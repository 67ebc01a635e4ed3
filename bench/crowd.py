# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Many containers at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench import stats
from bench.commands import Say
from bench.kinds import BRIDGE, NONE, UPSTREAM, Kind, networks
from bench.operations import PREFIX, Bench
from bench.stats import Section, median, s
from lab.errors import LabError

Times = dict[tuple[str, str], list[float]]


def measure(bench: Bench, kinds: Sequence[Kind], count: int, repeats: int, say: Say) -> Section:
    kinds = [kind for kind in kinds if kind is not NONE]
    names = [f"crowd{number}" for number in range(count)]
    times: Times = defaultdict(list)
    failed: dict[Kind, str] = {}
    with networks(bench, kinds, "crowd", 60) as there:
        for number in range(repeats):
            for kind in (each for each in kinds if each not in failed):
                say(f"{count} containers at once, {kind.label}, {number + 1} of {repeats}")
                try:
                    started = bench.run_together(there[kind], names)
                    times["rm", kind.key].append(bench.rm(*names).seconds)
                    times["run", kind.key].append(started)
                except LabError as error:
                    if kind is not UPSTREAM:
                        raise
                    failed[kind] = " ".join(str(error).split())
                    bench.host.docker("rm", "-f", *(PREFIX + name for name in names), check=False)
    section = _section([kind for kind in kinds if times["run", kind.key]], count, times)
    section.notes += [f"{kind.label}: {text}" for kind, text in failed.items()]
    return section


def _section(kinds: Sequence[Kind], count: int, times: Times) -> Section:
    others = [kind for kind in kinds if kind is not BRIDGE]
    header = ["command", *(kind.label for kind in kinds), *(f"{kind.label} : bridge" for kind in others)]
    section = Section(f"crowd_{count}", f"{count} containers at once, medians", header)
    for key, command in (("run", f"{count} x docker run -d at once"), ("rm", f"one docker rm -f of {count}")):
        found = {kind.key: times[key, kind.key] for kind in kinds}
        ratios = {kind.key: median(found[kind.key]) / median(found[BRIDGE.key]) for kind in others}
        cells = [s(median(values)) for values in found.values()]
        section.rows.append([command, *cells, *(f"{ratio:.1f}" for ratio in ratios.values())])
        section.data[key] = {kind: stats.summary(values) for kind, values in found.items()} | {"ratios": ratios}
    section.notes.append(f"Repeats: {len(times['run', BRIDGE.key])}.")
    return section
