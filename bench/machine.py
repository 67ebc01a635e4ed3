# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The hardware and software of the measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.stats import Section
from lab.api import Host, Lab


def load() -> float:
    return os.getloadavg()[0]


def describe(lab: Lab, began: float) -> Section:
    """``began``: the load average before anything was started."""
    host = lab.host()
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _first_line(["git", "-C", str(lab.paths.repo), "describe", "--always", "--dirty"]),
        "processors": f"{len(os.sched_getaffinity(0))} x {_cpu()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_os_name()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "Docker": _docker(host),
        "Open vSwitch": _first_line(["ovs-vswitchd", "--version"]).rpartition(" ")[2],
        "OVN": _first_line(["ovn-controller", "--version"]).rpartition(" ")[2],
        "Neutron": _package(lab.paths.neutron_venv, "neutron"),
        "load average before": f"{began:.2f}",
    }
    section = Section("machine", "Measured on", ["what", "value"], data=dict(facts))
    section.rows = [[name, value] for name, value in facts.items()]
    return section


def _first_line(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    return (done.stdout.strip().splitlines() or ["unknown"])[0]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _os_name() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "unknown"


def _docker(host: Host) -> str:
    return host.docker("version", "--format", "{{.Server.Version}}").stdout.strip()


def _package(venv: Path, name: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return _first_line([str(venv / "bin" / "python"), "-c", code])
