# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``./dev simulate``: the load on Neutron of a cloud with many hosts."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.cloud import scenarios
from bench.cloud.figures import by_method, figures_of
from bench.cloud.neutron import Times
from bench.cloud.scenarios import Phase, Shape
from bench.stats import Section

_begin = time.monotonic()


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    times = Times()
    if arguments.times is not None:
        times = Times.measured(json.loads(arguments.times.read_text())["neutron_times"])
    rack = min(arguments.rack, arguments.hosts)
    shape = Shape(arguments.hosts, arguments.containers, arguments.networks, rack, arguments.workers, times)
    phases: list[Phase] = []
    if arguments.scenario in ("all", "cloud"):
        for phase in scenarios.whole_cloud(shape, say):
            phases.append(phase)
            say(phase.name)
    if arguments.scenario in ("all", "rack"):
        phases.append(scenarios.rack(shape, say))
        say(phases[-1].name)
    sections = [_load(shape, phases), _methods(phases)]
    for section in sections:
        print(section.text())
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({each.key: each.data for each in sections}, indent=2) + "\n")
    say(f"the same as JSON: {arguments.json}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev simulate",
        description="the real services of many hosts against one model of Neutron, in simulated time",
    )
    parser.add_argument("--hosts", type=int, default=1000, help="at most 4096 (default: 1000)")
    parser.add_argument("--containers", type=int, default=100, help="of each host (default: 100)")
    parser.add_argument("--networks", type=int, default=3, help="Docker networks of each host (default: 3)")
    parser.add_argument("--rack", type=int, default=40, help="hosts of a rack (default: 40)")
    parser.add_argument(
        "--workers", type=int, default=4096, help="of Neutron (default: 4096, so that the demand shows)"
    )
    parser.add_argument("--times", type=Path, metavar="FILE", help="Neutron's own times, from the JSON of ./dev bench")
    parser.add_argument("--scenario", choices=("all", "cloud", "rack"), default="all")
    parser.add_argument("--json", type=Path, metavar="FILE", default=Path(".dev/results/simulation.json"))
    return parser


def say(text: str) -> None:
    print(f"{time.monotonic() - _begin:6.1f} s  {text}", file=sys.stderr, flush=True)


def _load(shape: Shape, phases: list[Phase]) -> Section:
    title = f"Neutron's load from {shape.hosts} hosts with {shape.containers} containers each"
    header = ["when", "calls/s", "peak", "workers busy", "peak", "needed", "longest wait"]
    section = Section("load", title, header)
    for phase in phases:
        found = figures_of(phase)
        wait = "" if found.refused == len(phase.served) else f"{found.longest_wait:.1f} s"
        figures = [f"{found.calls:.1f}", f"{found.peak:.1f}", f"{found.busy:.1f}", f"{found.busiest:.1f}"]
        section.rows.append([phase.name, *figures, str(found.needed), wait])
        section.data[phase.name] = asdict(found) | {"seconds": phase.seconds, "note": phase.note}
        section.notes += [f"{phase.name}: {phase.note}."] if phase.note else []
    section.notes.append(
        f"Peaks: over 10 s. {shape.workers} workers. Needed: workers with which 99 of 100 calls wait at most 0.5 s."
    )
    return section


def _methods(phases: list[Phase]) -> Section:
    section = Section("methods", "What the workers do", ["when", "call", "calls", "seconds of workers"])
    for phase in phases:
        for method, calls, seconds in by_method(phase)[:5]:
            section.rows.append([phase.name, method, str(calls), f"{seconds:.0f}"])
        section.data[phase.name] = {method: [calls, seconds] for method, calls, seconds in by_method(phase)}
    return section


if __name__ == "__main__":
    sys.exit(main())
