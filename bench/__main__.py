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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import (
    calls,
    commands,
    crowd,
    first_packet,
    growth,
    imports,
    machine,
    neutron_times,
    plots,
    process,
    projects,
    share,
    sriov,
    upstream,
)
from bench.kinds import BRIDGE, KURYR, NONE, UPSTREAM, Kind, pooled
from bench.operations import Bench
from bench.stats import Section
from kuryr_libnetwork.errors import KuryrError
from lab import api, lifecycle
from lab.errors import LabError
from lab.paths import LabPaths
from lab.sriov.machine import Fleet
from tests.world.dockerside import PluginError

_begin = time.monotonic()
WARM = ("calls", "commands", "first-packet", "crowd-20", "crowd-100")
"""The parts that measure Docker's commands: what is called for the first time is slow."""
PARTS = (*WARM, "projects", "neutron", "share", "start", "growth", "memory", "imports")


def main() -> int:
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _bench(arguments)
    except (LabError, KuryrError, PluginError, OSError, subprocess.SubprocessError) as error:
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
    parser.add_argument(
        "--without-upstream", action="store_true", help="upstream's release is not measured beside ours"
    )
    parser.add_argument(
        "--pool-option",
        default="",
        metavar="KEY=VALUE",
        help="a network with this option is measured as well: the pool",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"only these: {', '.join(PARTS)}")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="where to write the plots, such as docs/images")
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
            sections.extend(_measure(Bench(lab), scratch, runs, arguments))
    print()
    for section in sections:
        print(section.text())
    target = arguments.json or paths.dev / "results" / ("bench-sriov.json" if arguments.sriov else "bench.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({each.key: each.data for each in sections}, indent=2, ensure_ascii=False) + "\n")
    say(f"the same as JSON: {target}")
    for file in plots.draw({each.key: each.data for each in sections}, arguments.plots) if arguments.plots else []:
        say(f"a plot: {file}")


def _measure(bench: Bench, scratch: Path, runs: int, arguments: argparse.Namespace) -> Iterator[Section]:
    with ExitStack() as after:
        beside = not arguments.without_upstream and upstream.is_installed(bench)
        if beside:
            after.enter_context(upstream.running(bench))
        pool = [pooled(arguments.pool_option)] if arguments.pool_option else []
        kinds = [NONE, BRIDGE, KURYR, *pool, *([UPSTREAM] if beside else [])]
        if not arguments.only or {*arguments.only} & {*WARM}:
            _warm(bench, kinds)
        for name, measure in _parts(bench, kinds, scratch, runs, quick=arguments.quick).items():
            if not arguments.only or name in arguments.only:
                say(f"measuring {name}")
                yield from measure()
    say(f"load average at the end: {machine.load():.2f}")


def _parts(
    bench: Bench, kinds: Sequence[Kind], scratch: Path, runs: int, *, quick: bool
) -> dict[str, Callable[[], Iterable[Section]]]:
    """All parts, by the names of ``--only``; upstream is not among a hundred containers, which take it minutes."""
    few, paths = [kind for kind in kinds if kind is not UPSTREAM], bench.lab.paths
    hundred = {} if quick else {"crowd-100": lambda: [crowd.measure(bench, few, 100, 1, say)]}
    return {
        "calls": lambda: [calls.measure(bench, beside=UPSTREAM in kinds)],
        "commands": lambda: commands.measure(bench, kinds, runs, say),
        "first-packet": lambda: [first_packet.measure(bench, kinds, min(runs, 5), say)],
        "crowd-20": lambda: [crowd.measure(bench, kinds, 20, 1 if quick else 2, say)],
        **hundred,
        "projects": lambda: [projects.measure(bench, scratch / "projects", 1 if quick else 3, say)],
        "neutron": lambda: [neutron_times.measure(bench, 10 if quick else 60, say)],
        "share": lambda: [share.measure(scratch / "share", 5 if quick else 50)],
        "start": lambda: [process.starts(paths, scratch / "start", runs, say)],
        "growth": lambda: [growth.measure(bench, scratch / "growth", 3 if quick else 20, say)],
        "memory": lambda: [process.memory(bench, 20 if quick else 100, say)],
        "imports": lambda: [found] if (found := imports.measure(paths, runs)) is not None else [],
    }


def _warm(bench: Bench, kinds: Sequence[Kind]) -> None:
    """Warm up: a fresh Neutron, and a fresh service, load code at the first call of each kind."""
    say("warming up Neutron and the services")
    for kind in kinds:
        for _ in range(0 if kind in (NONE, BRIDGE) else 1 if kind is UPSTREAM else 3):
            kind.create(bench, "warm", 90)
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
