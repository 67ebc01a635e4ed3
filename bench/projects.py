# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Compose project of several containers, on kuryr and on Docker's bridge, interleaved in one run."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench import stats
from bench.operations import Bench
from bench.stats import Section, median, s
from lab import compose

SERVICES = 7
KINDS = {"bridge": "10.58.0.0/24", "kuryr": "10.59.0.0/24"}
VERBS = {
    "up": ("up", "--detach"),
    "restart": ("restart", "--timeout", "1"),
    "recreate": ("up", "--detach", "--force-recreate", "--timeout", "1"),
    "down": ("down", "--timeout", "1"),
}


def measure(bench: Bench, scratch: Path, runs: int, say: Callable[[str], None]) -> Section:
    scratch.mkdir(parents=True, exist_ok=True)
    command = compose.command(bench.lab.paths.cache)
    files = {kind: _file(scratch, kind) for kind in KINDS}
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(runs):
        say(f"a Compose project of {SERVICES} containers, {number + 1} of {runs}")
        for kind, file in files.items():
            for verb, words in VERBS.items():
                begin = time.monotonic()
                argv = [*command, "--file", str(file), "--project-name", f"bench-{kind}", *words]
                bench.host.run(argv, timeout=300)
                times[verb, kind].append(time.monotonic() - begin)
    return _section(times, runs)


def _file(scratch: Path, kind: str) -> Path:
    """A Compose file; JSON is YAML as well."""
    service = {"image": "busybox", "stop_grace_period": "1s"}
    ipam = {"driver": "kuryr" if kind == "kuryr" else "default", "config": [{"subnet": KINDS[kind]}]}
    project = {
        "services": {f"service{number}": service for number in range(SERVICES)},
        "networks": {"default": {"driver": kind, "ipam": ipam}},
    }
    file = scratch / f"{kind}.json"
    file.write_text(json.dumps(project))
    return file


def _section(times: dict[tuple[str, str], list[float]], runs: int) -> Section:
    section = Section(
        "projects",
        f"docker compose with {SERVICES} containers, medians",
        ["command", "bridge", "kuryr", "kuryr : bridge", "kuryr, best"],
    )
    for verb, words in VERBS.items():
        bridge, kuryr = times[verb, "bridge"], times[verb, "kuryr"]
        ratio = median(kuryr) / median(bridge)
        name = f"compose {' '.join(word for word in words if word not in {'--timeout', '1'})}"
        section.rows.append([name, s(median(bridge)), s(median(kuryr)), f"{ratio:.1f}", s(min(kuryr))])
        section.data[verb] = {"bridge": stats.summary(bridge), "kuryr": stats.summary(kuryr), "ratio": ratio}
    section.notes.append(f"{runs} runs.")
    return section
