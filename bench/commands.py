# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's commands on kuryr, on Docker's bridge and without a network, interleaved in one run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import stats
from bench.operations import Bench
from bench.stats import Section, median, s

Say = Callable[[str], None]
CROWD = 20
KINDS = {"none": "no network", "bridge": "bridge", "kuryr": "kuryr"}
UPSTREAM = {
    "docker run -d": "1.50 s",
    "docker rm -f": "0.57 s",
    "docker network create": "1.5 to 2.2 s",
    "docker network rm": "",
}
_CALL = re.compile(r"(Plugin|NetworkDriver|IpamDriver)\.(\w+) .*\(([\d.]+) ms, (\d+) Neutron calls\)")
Times = dict[tuple[str, str], list[float]]


def measure(bench: Bench, runs: int, say: Say) -> list[Section]:
    times: Times = defaultdict(list)
    parts: dict[str, list[float]] = defaultdict(list)
    verbs: dict[str, list[float]] = defaultdict(list)
    for driver in ("bridge", "kuryr"):
        bench.create(driver, driver, f"--subnet=10.{80 + len(driver)}.0.0/24")
    try:
        for number in range(-1, runs):  # the first one only warms up
            say(f"docker commands, run {number + 1} of {runs}" if number >= 0 else "docker commands, warming up")
            into: Times = times if number >= 0 else defaultdict(list)
            _containers(bench, into, parts if number >= 0 else defaultdict(list), verbs)
            _networks(bench, into)
    finally:
        for driver in ("bridge", "kuryr"):
            bench.remove_network(driver)
    return [_commands(times), _parts(parts, times), _verbs(verbs)]


def _containers(bench: Bench, times: Times, parts: dict[str, list[float]], verbs: dict[str, list[float]]) -> None:
    log = bench.host.kuryr.log
    for kind in KINDS:
        position = log.stat().st_size
        started = bench.run(kind, "box")
        calls = plugin_calls(log, position)
        times["docker run -d", kind].append(started.seconds)
        position = log.stat().st_size
        removed = bench.rm("box")
        times["docker rm -f", kind].append(removed.seconds)
        if kind == "kuryr":
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


def _networks(bench: Bench, times: Times) -> None:
    for number, kind in enumerate(("bridge", "kuryr")):
        created = bench.create(kind, "net", f"--subnet=10.{70 + number}.0.0/24")
        times["docker network create", kind].append(created.seconds)
        times["docker network rm", kind].append(bench.remove_network("net").seconds)


def plugin_calls(log: Path, position: int) -> list[tuple[str, float]]:
    """Verb and seconds of the calls in kuryr-server's log since a position."""
    with log.open("rb") as file:
        file.seek(position)
        text = file.read().decode(errors="replace")
    return [(found[2], float(found[3]) / 1000) for found in _CALL.finditer(text)]


def _commands(times: Times) -> Section:
    section = Section(
        "commands",
        "Docker's commands, medians",
        ["command", "no network", "bridge", "kuryr", "kuryr : bridge", "kuryr p95", "upstream"],
    )
    for command, upstream in UPSTREAM.items():
        found = {kind: times[command, kind] for kind in KINDS if times.get((command, kind))}
        cells = [s(median(found[kind])) if kind in found else "" for kind in KINDS]
        ratio = median(found["kuryr"]) / median(found["bridge"])
        section.rows.append([command, *cells, f"{ratio:.1f}", s(stats.p95(found["kuryr"])), upstream])
        section.data[command] = {kind: stats.summary(values) for kind, values in found.items()} | {"ratio": ratio}
    section.notes.append("upstream: kuryr-libnetwork 18.0.0 in an earlier lab of this kind, on a quiet machine.")
    return section


def _parts(parts: dict[str, list[float]], times: Times) -> Section:
    section = Section("parts", "Where the time of run and rm goes, medians", ["part", "time", "share"])
    wholes = {"run": median(times["docker run -d", "kuryr"]), "rm": median(times["docker rm -f", "kuryr"])}
    for name, values in parts.items():
        share = median(values) / wholes[name.partition(":")[0]]
        section.rows.append([name, s(median(values)), f"{share:.0%}"])
        section.data[name] = stats.summary(values)
    return section


def _verbs(verbs: dict[str, list[float]]) -> Section:
    section = Section("verbs", "The plugin's calls in the lab, with Neutron and kernel", ["call", "median", "p95"])
    for verb, values in verbs.items():
        section.rows.append([verb, stats.ms(median(values)), stats.ms(stats.p95(values))])
        section.data[verb] = stats.summary(values)
    return section


def crowd(bench: Bench, repeats: int, say: Say) -> Section:
    """Twenty containers at once."""
    names = [f"crowd{number}" for number in range(CROWD)]
    times: Times = defaultdict(list)
    for driver in ("bridge", "kuryr"):
        bench.create(driver, f"crowd-{driver}", f"--subnet=10.{60 + len(driver)}.0.0/24")
    try:
        for number in range(repeats):
            for kind in ("bridge", "kuryr"):
                say(f"{CROWD} containers at once on {kind}, {number + 1} of {repeats}")
                times["run", kind].append(bench.run_together(f"crowd-{kind}", names))
                times["rm", kind].append(bench.rm(*names).seconds)
    finally:
        for driver in ("bridge", "kuryr"):
            bench.remove_network(f"crowd-{driver}")
    section = Section(
        "crowd",
        f"{CROWD} containers at once, medians",
        ["command", "bridge", "kuryr", "kuryr : bridge", "kuryr, best", "upstream"],
    )
    for key, command, upstream in (
        ("run", f"{CROWD} x docker run -d at once", "26.3 s"),
        ("rm", f"one docker rm -f of {CROWD}", "10.5 s"),
    ):
        bridge, kuryr = times[key, "bridge"], times[key, "kuryr"]
        ratio = median(kuryr) / median(bridge)
        section.rows.append([command, s(median(bridge)), s(median(kuryr)), f"{ratio:.1f}", s(min(kuryr)), upstream])
        section.data[key] = {"bridge": stats.summary(bridge), "kuryr": stats.summary(kuryr), "ratio": ratio}
    section.notes.append(f"{repeats} repeats.")
    return section
