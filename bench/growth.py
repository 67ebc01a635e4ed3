# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What grows with the number of endpoints of a host: nothing but memory and the background's work for each of them.

The service over its real journal, all else faked and empty, so that the fakes do not grow; and the real process on a
journal of that size.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import process, stats
from bench.operations import Bench
from bench.share import TimedClient
from bench.stats import Section, median, ms, s
from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.host.journal import JOURNAL_FILE, SqliteJournal
from kuryr_libnetwork.model.neutron import FixedIp
from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, PlugRecord
from lab.errors import LabError
from lab.paths import LabPaths
from lab.process import wait_for
from tests.world.dockerside import Docker
from tests.world.plugin import Plugin

COUNTS = (10, 100, 1000, 3000)
FREE = 20.0
START_GOAL, GROWTH_GOAL, MEMORY_GOAL = 1.0, 1.2, 30.0
"""Seconds; times; KB for each endpoint."""


def fill(journal: SqliteJournal, count: int, docker_id: str, neutron_id: str, subnet_id: str) -> None:
    """Endpoints with their leases, as they are in use."""
    with journal.transaction():
        for number in range(count):
            port_id = f"{number:08x}-0000-4000-8000-000000000000"
            endpoint_id, ip = f"{number:064x}", f"10.77.{100 + number // 250}.{number % 250 + 1}"
            mac = f"fa:16:3e:77:{number // 256:02x}:{number % 256:02x}"
            lease = LeaseRecord(
                port_id=port_id,
                docker_network_id=docker_id,
                neutron_network_id=neutron_id,
                mac_address=mac,
                vnic_type="normal",
                held=(FixedIp(subnet_id=subnet_id, ip_address=ip),),
                endpoint_id=endpoint_id,
                bound=True,
            )
            plug = PlugRecord(
                driver="veth",
                binding="veth",
                port_id=port_id,
                vif_type="ovs",
                host_ifname=f"tap{port_id}"[:14],
                container_ifname=f"t_c{port_id}"[:14],
                bridge="br-int",
            )
            endpoint = EndpointRecord(
                endpoint_id=endpoint_id,
                docker_network_id=docker_id,
                port_id=port_id,
                state="ready",
                plug=plug,
                mac_address=mac,
                address=f"{ip}/16",
                sandbox_key=f"/run/docker/netns/{number:012x}",
            )
            journal.leases.put(lease)
            journal.endpoints.put(endpoint)


def measure(bench: Bench, folder: Path, rounds: int, say: Callable[[str], None]) -> Section:
    """``folder`` must be on a real disk."""
    header = ["endpoints", "docker run", "run and rm, our share", "the background for one", "start to first answer"]
    section = Section("growth", "What grows with the number of endpoints", [*header, "resident"])
    for count in COUNTS:
        say(f"{count} endpoints")
        run = _docker_run(bench, folder / f"lab-{count}", count, min(rounds, 7))
        share, background = _service(folder / f"service-{count}", count, rounds)
        seconds, resident = _process(bench.lab.paths, folder / f"process-{count}", count, rounds)
        cells = [s(run), ms(share), f"{background * 1e6:.0f} µs", s(seconds), f"{resident:.1f} MB"]
        section.rows.append([str(count), *cells])
        section.data[str(count)] = {
            "run": run, "share": share, "background": background, "start": seconds, "resident": resident
        }  # fmt: skip
    few, many = section.data[str(COUNTS[0])], section.data[str(COUNTS[-1])]
    growth = many["share"] / few["share"]
    kilobytes = (many["resident"] - few["resident"]) * 1000 / (COUNTS[-1] - COUNTS[0])
    section.notes.append(
        f"From {COUNTS[0]} to {COUNTS[-1]} endpoints our share grows {growth:.2f} times (goal {GROWTH_GOAL}), memory "
        f"by {kilobytes:.1f} KB for each (goal {MEMORY_GOAL:.0f} KB); start: goal {START_GOAL:.0f} s. The endpoints "
        "are in the journal; docker run is that of the lab, the median."
    )
    section.data |= {"growth": growth, "kilobytes": kilobytes}
    return section


def _docker_run(bench: Bench, folder: Path, count: int, rounds: int) -> float:
    """Seconds of ``docker run``, the median, with so many endpoints in the service's journal."""
    service, state = bench.host.kuryr, bench.host.paths.kuryr_state
    bench.create("kuryr", "grown", "--subnet=10.77.0.0/16")
    service.stop()
    shutil.copytree(state, folder)
    journal = _opened(state / JOURNAL_FILE)
    (record,) = [each for each in journal.networks.all() if each.subnets[0].cidr == "10.77.0.0/16"]
    fill(journal, count, record.docker_id, record.neutron_id, record.subnets[0].subnet_id)
    journal.close()
    try:
        service.start()
        found = []
        for _ in range(rounds + 1):
            found.append(bench.run("grown", "box").seconds)
            bench.rm("box")
    finally:
        service.stop()
        shutil.rmtree(state)
        shutil.copytree(folder, state)
        service.start()
        bench.remove_network("grown")
    return median(found[1:])


def _service(folder: Path, count: int, rounds: int) -> tuple[float, float]:
    """Seconds of a container's calls, the least; processor seconds of a round of the background, for one endpoint."""
    with _running(folder) as (plugin, journal):
        docker = Docker(plugin.socket)
        docker.client = client = TimedClient(plugin.socket)
        network = docker.network_create("10.77.0.0/16")
        (record,) = journal.networks.all()
        fill(journal, count, network.network_id, record.neutron_id, record.subnets[0].subnet_id)
        found = []
        for _ in range(rounds + 1):
            client.seconds.clear()
            docker.rm(docker.run(network))
            found.append(sum(sum(values) for values in client.seconds.values()))
        plugin.services.reconciler.round()
        begin = time.thread_time()
        plugin.services.reconciler.round()
        return min(found[1:]), (time.thread_time() - begin) / count


def _opened(path: Path) -> SqliteJournal:
    """The journal, once the service that has been stopped has left it."""
    found: list[SqliteJournal] = []

    def is_free() -> bool:
        with suppress(JournalError):
            found.append(SqliteJournal(path))
        return bool(found)

    if not wait_for(is_free, FREE):
        msg = f"kuryr-server still holds {path} {FREE:.0f} s after it was stopped"
        raise LabError(msg)
    return found[0]


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Plugin, SqliteJournal]]:
    folder.mkdir(parents=True)
    plugin = Plugin(folder)
    journal = SqliteJournal(folder / "kuryr.db")
    plugin.journal = journal  # type: ignore[assignment]  # the test's plugin is written for its fake
    plugin.start()
    try:
        yield plugin, journal
    finally:
        plugin.stop()
        journal.close()


def _process(paths: LabPaths, folder: Path, count: int, runs: int) -> tuple[float, float]:
    """Seconds to the first answer, and MB then."""
    folder.mkdir(parents=True)
    journal = SqliteJournal(folder / "state" / JOURNAL_FILE)
    fill(journal, count, "f" * 64, "network", "subnet")
    journal.close()
    process.configure(folder)
    residents: list[float] = []

    def answered(server: subprocess.Popen[bytes]) -> None:
        residents.append(process.resident(server.pid))

    found = [process.start(paths, folder, answered) for _ in range(min(runs, 5) + 1)][1:]
    return median(found), stats.median(residents)
