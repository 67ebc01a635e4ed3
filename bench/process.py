# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The real kuryr-server process: how soon it answers, and how much memory it takes."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import stats
from bench.operations import Bench, is_background
from bench.stats import Section, median, s
from lab import http
from lab.errors import LabError
from lab.paths import LabPaths
from lab.process import clean_environment, wait_for
from tests.world.dockerside import Docker, DockerNetwork

START_GOAL = 1.0
UPSTREAM_MEGABYTES = 98
LOOK_TIMEOUT = 120
_CONF = """\
[DEFAULT]
host = bench
state_path = {folder}/state
socket_path = {folder}/kuryr.sock
[neutron]
auth_type = none
endpoint = http://127.0.0.1:9
[admin]
socket = {folder}/admin.sock
"""


def starts(paths: LabPaths, folder: Path, runs: int, say: Callable[[str], None]) -> Section:
    """From the start of the process to its first answer, without any cloud: it must not need one."""
    folder.mkdir(parents=True)
    configure(folder)
    found = [start(paths, folder) for _ in range(runs + 1)][1:]  # the first one reads the disk
    say(f"{runs} starts of kuryr-server")
    section = Section("start", "Start of the process to its first answer", ["starts", "median", "p95", "goal"])
    section.rows = [[str(runs), s(median(found)), s(stats.p95(found)), f"< {START_GOAL:.0f} s"]]
    section.data = stats.summary(found)
    return section


def configure(folder: Path) -> None:
    """A service without any cloud."""
    (folder / "kuryr.conf").write_text(_CONF.format(folder=folder))


def start(paths: LabPaths, folder: Path, answered: Callable[[subprocess.Popen[bytes]], None] = lambda _: None) -> float:
    """Seconds to the first answer; ``answered`` is called then."""
    begin = time.monotonic()
    with (folder / "log").open("a") as log:
        server = subprocess.Popen(
            [paths.kuryr_server, "--config-file", folder / "kuryr.conf"],
            env=clean_environment(),
            stdout=log,
            stderr=log,
        )
    try:
        while not http.answers(http.unix(folder / "kuryr.sock"), "POST", "/Plugin.Activate"):
            if server.poll() is not None or time.monotonic() - begin > 20:
                msg = f"kuryr-server does not start; see {folder / 'log'}"
                raise LabError(msg)
            time.sleep(0.002)  # manners between two questions
        seconds = time.monotonic() - begin
        answered(server)
        return seconds
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def memory(bench: Bench, endpoints: int, say: Callable[[str], None]) -> Section:
    """Creates endpoints as Docker does, but without containers, which would only take time."""
    service = bench.host.kuryr
    service.restart()
    docker = Docker(bench.host.paths.plugin_socket)
    readings = {"after the start": resident(service.pid)}
    network = docker.network_create("10.95.0.0/16")
    try:
        boxes = [docker.run(network)]
        readings["after 1 endpoint"] = resident(service.pid)
        say(f"{endpoints} endpoints for the memory")
        with ThreadPoolExecutor(4) as pool:
            boxes += pool.map(lambda _: docker.run(network), range(endpoints - 1))
            readings[f"after {endpoints} endpoints"] = resident(service.pid)
            say("waiting for the reconciler to look at them")
            seconds = _look_of_reconciler(bench)
            readings["after a look of the reconciler"] = resident(service.pid)
            there = bench.host.run(["ip", "-oneline", "link"]).stdout.count(": tap")
            for _ in pool.map(docker.rm, boxes):
                pass
    finally:
        _end(docker, network)
    readings["after all have gone"] = resident(service.pid)
    section = Section("memory", "Resident memory of kuryr-server", ["when", "MB", "upstream"])
    section.rows = [[when, f"{value:.1f}", ""] for when, value in readings.items()]
    section.rows[2][2] = f"{UPSTREAM_MEGABYTES}"
    section.data = {**readings, "look_seconds": seconds, "endpoints_at_look": there}
    section.notes.append(
        f"The reconciler looked at {there} endpoints for about {seconds:.0f} s, as it does once a minute."
        if seconds is not None
        else f"No look of the reconciler was seen within {LOOK_TIMEOUT} s."
    )
    return section


def _look_of_reconciler(bench: Bench) -> float | None:
    """The seconds of one whole round, which in Neutron's access log starts with subnets and ends with ports."""
    position = bench.lab.neutron_log_position()

    def epochs(path: str) -> list[int]:
        calls = [call for call in bench.lab.neutron_calls(position) if is_background(call)]
        return [call.epoch for call in calls if call.uri.startswith(path)]

    def whole() -> bool:
        begins, ends = epochs("/v2.0/subnets"), epochs("/v2.0/ports")
        return bool(begins and [end for end in ends if end >= begins[0]])

    if not wait_for(whole, LOOK_TIMEOUT):
        return None
    begin = epochs("/v2.0/subnets")[0]
    return float(min(end for end in epochs("/v2.0/ports") if end >= begin) - begin)


def _end(docker: Docker, network: DockerNetwork) -> None:
    docker.network_rm(network)


def resident(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
