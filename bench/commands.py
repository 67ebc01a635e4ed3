# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's commands on each kind of network, interleaved in one run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import stats
from bench.kinds import BRIDGE, KURYR, NONE, Kind, networks
from bench.operations import Bench
from bench.stats import Section, median, s

Say = Callable[[str], None]
COMMANDS = ("docker run -d", "docker rm -f", "docker network create", "docker network rm")
_CALL = re.compile(r"(Plugin|NetworkDriver|IpamDriver)\.(\w+) .*\(([\d.]+) ms, (\d+) Neutron calls\)")
Times = dict[tuple[str, str], list[float]]


def measure(bench: Bench, kinds: Sequence[Kind], runs: int, say: Say) -> list[Section]:
    times: Times = defaultdict(list)
    parts: dict[str, list[float]] = defaultdict(list)
    verbs: dict[str, list[float]] = defaultdict(list)
    with networks(bench, kinds, "box", 80) as there:
        for number in range(-1, runs):  # the first one only warms up
            say(f"docker commands, run {number + 1} of {runs}" if number >= 0 else "docker commands, warming up")
            into: Times = times if number >= 0 else defaultdict(list)
            _containers(bench, there, into, parts if number >= 0 else defaultdict(list), verbs)
            _networks(bench, kinds, into)
    return [_commands(times, kinds), _parts(parts, times), _verbs(verbs)]


def _containers(
    bench: Bench, there: dict[Kind, str], times: Times, parts: dict[str, list[float]], verbs: dict[str, list[float]]
) -> None:
    log = bench.host.kuryr.log
    for kind, network in there.items():
        position = log.stat().st_size
        started = bench.run(network, "box")
        calls = plugin_calls(log, position)
        times["docker run -d", kind.key].append(started.seconds)
        position = log.stat().st_size
        removed = bench.rm("box")
        times["docker rm -f", kind.key].append(removed.seconds)
        if kind is KURYR:
            later = plugin_calls(log, position)
            _split(parts, "run", started.seconds, started.neutron, calls)
            _split(parts, "rm", removed.seconds, removed.neutron, later)
            for verb, seconds in [*calls, *later]:
                verbs[verb].append(seconds)


def _split(
    parts: dict[str, list[float]], what: str, wall: float, neutron: float, calls: Sequence[tuple[str, float]]
) -> None:
    plugin = sum(seconds for _, seconds in calls)
    parts[f"{what}: Neutron"].append(neutron)
    parts[f"{what}: the rest of the plugin's calls"].append(plugin - neutron)
    parts[f"{what}: Docker"].append(wall - plugin)


def _networks(bench: Bench, kinds: Sequence[Kind], times: Times) -> None:
    for kind in kinds:
        if kind is not NONE:
            times["docker network create", kind.key].append(kind.create(bench, "net", 70))
            times["docker network rm", kind.key].append(bench.remove_network("net").seconds)


def plugin_calls(log: Path, position: int) -> list[tuple[str, float]]:
    """Verb and seconds of the calls in kuryr-server's log since a position."""
    with log.open("rb") as file:
        file.seek(position)
        text = file.read().decode(errors="replace")
    return [(found[2], float(found[3]) / 1000) for found in _CALL.finditer(text)]


def _commands(times: Times, kinds: Sequence[Kind]) -> Section:
    others = [kind for kind in kinds if kind not in (NONE, BRIDGE)]
    header = ["command", *(kind.label for kind in kinds), *(f"{kind.label} : bridge" for kind in others), "kuryr p95"]
    section = Section("commands", "Docker's commands, medians", header)
    for command in COMMANDS:
        found = {kind.key: times[command, kind.key] for kind in kinds if times.get((command, kind.key))}
        cells = [s(median(found[kind.key])) if kind.key in found else "" for kind in kinds]
        ratios = {kind.key: median(found[kind.key]) / median(found[BRIDGE.key]) for kind in others}
        shown = [f"{ratio:.1f}" for ratio in ratios.values()]
        section.rows.append([command, *cells, *shown, s(stats.p95(found[KURYR.key]))])
        section.data[command] = {key: stats.summary(values) for key, values in found.items()} | {"ratios": ratios}
    return section


def _parts(parts: dict[str, list[float]], times: Times) -> Section:
    section = Section("parts", "Where the time of run and rm goes, medians", ["part", "time", "share"])
    wholes = {"run": median(times["docker run -d", "kuryr"]), "rm": median(times["docker rm -f", "kuryr"])}
    for name, values in parts.items():
        share = median(values) / wholes[name.partition(":")[0]]
        section.rows.append([name, s(median(values)), f"{share:.0%}"])
        section.data[name] = stats.summary(values)
    section.notes.append("Neutron's part of a run has the call in it that is made while the container starts.")
    return section


def _verbs(verbs: dict[str, list[float]]) -> Section:
    section = Section("verbs", "The plugin's calls in the lab, with Neutron and kernel", ["call", "median", "p95"])
    for verb, values in verbs.items():
        section.rows.append([verb, stats.ms(median(values)), stats.ms(stats.p95(values))])
        section.data[verb] = stats.summary(values)
    return section
