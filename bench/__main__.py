# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``./dev bench``: a lab of its own, every measurement, one table each, and all of it as JSON."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import calls, commands, growth, imports, machine, process, projects, share, sriov
from bench.operations import Bench
from bench.stats import Section
from lab import api, lifecycle
from lab.errors import LabError
from lab.paths import LabPaths
from lab.sriov.machine import Fleet
from tests.world.dockerside import PluginError

_begin = time.monotonic()


def main() -> int:
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _bench(arguments)
    except (LabError, PluginError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev bench", description="measure kuryr-libnetwork in a lab of its own")
    parser.add_argument("--runs", type=int, default=10, help="interleaved runs of each docker command (default: 10)")
    parser.add_argument("--quick", action="store_true", help="three runs of everything: to see that it works")
    parser.add_argument("--name", default="bench", help="name of the lab (default: bench); it must not be up")
    parser.add_argument("--sriov", action="store_true", help="VFs, on an emulated SR-IOV machine, and nothing else")
    parser.add_argument("--cycles", type=int, default=200, help="with --sriov: containers in all (default: 200)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="default: .dev/results/bench.json, or bench-sriov.json"
    )
    return parser


def say(text: str) -> None:
    print(f"{time.monotonic() - _begin:6.1f} s  {text}", file=sys.stderr, flush=True)


def _bench(arguments: argparse.Namespace) -> None:
    paths = LabPaths(arguments.name)
    runs = 3 if arguments.quick else max(1, arguments.runs)
    load = machine.load()
    sections: list[Section] = []
    with _scratch(paths) as scratch, _lab(paths, Fleet(1) if arguments.sriov else Fleet()) as lab:
        sections.append(machine.describe(lab, load))
        if arguments.sriov:
            cycles = sriov.VFS if arguments.quick else max(1, arguments.cycles)
            sections.extend(sriov.measure(lab, runs, cycles, say))
        else:
            sections.extend(_measure(Bench(lab), scratch, runs, quick=arguments.quick))
    print()
    for section in sections:
        print(section.text())
    target = arguments.json or paths.dev / "results" / ("bench-sriov.json" if arguments.sriov else "bench.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({each.key: each.data for each in sections}, indent=2, ensure_ascii=False) + "\n")
    say(f"the same as JSON: {target}")


def _measure(bench: Bench, scratch: Path, runs: int, *, quick: bool) -> Iterator[Section]:
    _warm(bench)
    say("Neutron calls per operation")
    yield calls.measure(bench)
    yield from commands.measure(bench, runs, say)
    yield commands.crowd(bench, 1 if quick else 3, say)
    yield projects.measure(bench, scratch / "projects", 1 if quick else 3, say)
    say("our own share of a call")
    yield share.measure(scratch / "share", 5 if quick else 50)
    yield process.starts(bench.lab.paths, scratch / "start", runs, say)
    say("what grows with the number of endpoints")
    yield growth.measure(bench.lab.paths, scratch / "growth", 3 if quick else 20, say)
    yield process.memory(bench, 20 if quick else 100, say)
    say("imports")
    found = imports.measure(bench.lab.paths, runs)
    if found is not None:
        yield found
    say(f"load average at the end: {machine.load():.2f}")


def _warm(bench: Bench) -> None:
    """Warm up: a fresh Neutron, and a fresh service, load code at the first call of each kind."""
    say("warming up Neutron and the service")
    for _ in range(3):
        bench.create("kuryr", "warm", "--subnet=10.99.0.0/24")
        names = [f"warm{number}" for number in range(4)]
        bench.run_together("warm", names)
        bench.rm(*names)
        bench.remove_network("warm")


@contextmanager
def _scratch(paths: LabPaths) -> Iterator[Path]:
    """On the lab's disk, not in /tmp, which may be in memory: an fsync must reach a disk."""
    folder = paths.dev / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lab(paths: LabPaths, fleet: Fleet) -> Iterator[api.Lab]:
    if any(lifecycle.status(paths).values()):
        msg = f"the lab {paths.name!r} is up; ./dev down --name {paths.name}, or choose another --name"
        raise LabError(msg)
    lifecycle.up(paths, 1, fleet=fleet, role="admin" if fleet.machines else None)
    try:
        yield api.connect(paths.name)
    finally:
        lifecycle.down(paths)


if __name__ == "__main__":
    sys.exit(main())
