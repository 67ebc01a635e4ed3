# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Our own share of a plugin call: the whole service with its real Unix socket and real journal, all else faked.

What a client in Docker's place measures, so it has the client's own work and the fakes' in it as well.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import stats
from bench.stats import Section, median, ms, p95
from kuryr_libnetwork.host.journal import SqliteJournal
from tests.world.dockerside import Docker, PluginClient
from tests.world.plugin import Plugin

CROWD = 100
GOAL = 0.005


class TimedClient(PluginClient):
    """Records how long each verb took."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def call(self, method: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        begin = time.perf_counter()
        answer = super().call(method, arguments)
        self.seconds[method].append(time.perf_counter() - begin)
        return answer


def measure(folder: Path, rounds: int) -> Section:
    """``folder`` must be on a real disk: an fsync of the journal is our share."""
    section = Section(
        "share",
        "Our own share of a plugin call",
        ["call", "median", "p95", f"median with {CROWD} endpoints", "p95"],
    )
    with _running(folder / "empty") as plugin:
        alone = _conversation(plugin, rounds)
    with _running(folder / "crowded") as plugin:
        docker = plugin.docker()
        network = docker.network_create("10.9.0.0/16")
        for _ in range(CROWD):
            docker.run(network)
        crowded = _conversation(plugin, rounds)
    for verb, values in alone.items():
        more = crowded[verb]
        section.rows.append([verb, ms(median(values)), ms(p95(values)), ms(median(more)), ms(p95(more))])
        section.data[verb] = {"alone": stats.summary(values), "with_endpoints": stats.summary(more)}
    worst = max(median(values) for values in alone.values())
    section.notes.append(f"Goal: median below {ms(GOAL)}. The slowest median is {ms(worst)}.")
    section.data["goal_met"] = worst < GOAL
    return section


@contextmanager
def _running(folder: Path) -> Iterator[Plugin]:
    folder.mkdir(parents=True)
    plugin = Plugin(folder)
    journal = SqliteJournal(folder / "kuryr.db")
    plugin.journal = journal  # type: ignore[assignment]  # the test's plugin is written for its fake
    plugin.start()
    try:
        yield plugin
    finally:
        plugin.stop()
        journal.close()


def _conversation(plugin: Plugin, rounds: int) -> dict[str, list[float]]:
    """The calls of an engine for a network and two containers, again and again."""
    docker = Docker(plugin.socket)
    client = TimedClient(plugin.socket)
    docker.client = client
    docker.activate()
    for number in range(-1, rounds):
        if number == 0:
            client.seconds.clear()
            docker.activate()
        network = docker.network_create("10.1.0.0/24")
        boxes = [docker.run(network), docker.run(network, ip="10.1.0.77")]
        for box in boxes:
            client.call(
                "NetworkDriver.EndpointOperInfo", {"NetworkID": network.network_id, "EndpointID": box.endpoint_id}
            )
            docker.rm(box)
        docker.network_rm(network)
    return dict(client.seconds)
