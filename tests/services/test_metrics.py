# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus scrapes: names, labels, and that a disk that hangs leaves the rest readable."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from kuryr_libnetwork.admin.metrics import Metrics, Sources
from kuryr_libnetwork.admin.pages import Slow
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.host.journal import journal_size
from kuryr_libnetwork.model.neutron import FreeAddresses
from kuryr_libnetwork.model.observed import NEUTRON, OVS, CallDone, Question
from kuryr_libnetwork.model.overview import Contact, Counts, RoundRow, VfReport, VfTraffic, VfUse, Wellbeing
from kuryr_libnetwork.model.sriov import VfCounters
from lab.prometheus import program

PROMTOOL = program("promtool")
COUNTS = Counts(
    networks={"ready": 2},
    endpoints={"ready": 3, "creating": 1},
    ports=4,
    adopted_ports=1,
    devices={("leased", "physnet2"): 2},
    free_devices={"physnet2": 6},
    free_quota={"port": 12, "router": 3},
    addresses=(FreeAddresses(subnet_id="s", subnet_name="front", free=250),),
    suspects={"lease": 2},
    stuck={"lease": 1},
)
VFS = VfReport(
    uses=(VfUse(pci_address="0000:01:10.1", pf="pf0", vf=1, container="web", network="n", port="p"),),
    traffic=tuple(
        VfTraffic(
            pci_address=f"0000:01:10.{number}",
            pf="pf0",
            vf=number,
            numa_node=number - 1,
            counted=VfCounters(rx_bytes=1000 + number, tx_dropped=number),
        )
        for number in range(2)
    ),
)
SOURCES = Sources(
    version="19.0.0",
    host="h1",
    interval=60,
    wellbeing=lambda: Wellbeing(live=True, ready=False, reasons=("x",)),
    contacts=lambda: {NEUTRON: Contact(answered=3.0), OVS: Contact(failed=1.0)},
    rounds=lambda: RoundRow(rounds=7, ended=1.0, succeeded=61.0),
    waiting=lambda: 5,
    counts=lambda: COUNTS,
    journal_size=lambda: 4096,
    vfs=lambda: VFS,
)


def scraped(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels, in alphabetical order."""
    families = text_string_to_metric_families(metrics.show().decode())
    return {
        (each.name, tuple(sorted(each.labels.values()))): each.value for family in families for each in family.samples
    }


def without_foreign_names(said: str) -> list[str]:
    """What promtool says, without what it says of ``pciAddr``, a label of sriov-network-metrics-exporter, and of a name
    of kuryr-kubernetes.
    """
    known = re.compile(
        r"(sriov_vf_\w+|kuryr_vf_info) label names should be written in 'snake_case' not 'camelCase'"
        r'|kuryr_quota_free_count non-histogram and non-summary metrics should not have "_count" suffix'
    )
    return [line for line in said.splitlines() if not known.fullmatch(line)]


def metrics_of(
    sources: Sources = SOURCES, health: Health | None = None, slow: Slow | None = None, cards: Slow | None = None
) -> Metrics:
    metrics = Metrics()
    metrics.read(sources, health or Health(), slow or Slow(), cards)
    return metrics


def filled() -> Metrics:
    health = Health()
    health.beat("reconciler")
    health.unforeseen("routes", "its whole work", ValueError("x"), log=False)
    metrics = metrics_of(health=health)
    metrics.note_call(CallDone(method="NetworkDriver.Join", seconds=0.02))
    metrics.note_question(Question(party=NEUTRON, verb="GET", resource="ports", seconds=0.2))
    metrics.note_question(Question(party=OVS, verb="transact", resource="database", seconds=0.2, outcome="ovsdb"))
    metrics.note_repair("vf")
    return metrics


def test_what_happened_is_counted() -> None:
    """Nobody would see which calls fail, or that Neutron has become slow."""
    found = scraped(filled())
    assert found["kuryr_calls_total", ("NetworkDriver.Join", "ok")] == 1
    assert found["kuryr_call_duration_seconds_count", ("NetworkDriver.Join",)] == 1
    assert found["kuryr_call_duration_seconds_bucket", ("0.025", "NetworkDriver.Join")] == 1
    assert found["kuryr_neutron_requests_total", ("GET", "ok", "ports")] == 1
    assert found["kuryr_neutron_request_duration_seconds_bucket", ("0.1", "GET", "ports")] == 0
    assert found["kuryr_questions_total", (OVS, "ovsdb")] == 1
    assert found["kuryr_repairs_total", ("vf",)] == 1


def test_what_there_is_is_read() -> None:
    """An operator would count containers and VFs by hand."""
    found = scraped(filled())
    assert (found["kuryr_live", ()], found["kuryr_ready", ()], found["kuryr_calls_waiting", ()]) == (1, 0, 5)
    assert [found["kuryr_endpoints", (state,)] for state in ("creating", "ready", "deleting")] == [1, 3, 0]
    assert (found["kuryr_ports", ("user",)], found["kuryr_ports", ("kuryr",)]) == (1, 3)
    assert (found["kuryr_vfs", ("leased", "physnet2")], found["kuryr_vfs", ("free", "physnet2")]) == (2, 6)
    assert found["kuryr_vfs", ("physnet2", "quarantined")] == 0
    assert (found["kuryr_stuck_removals", ("lease",)], found["kuryr_stuck_removals", ("port",)]) == (1, 0)
    assert found["kuryr_journal_size_bytes", ()] == 4096
    assert {labels for name, labels in found if name == "kuryr_quota_free_count"} == {("port",)}
    assert found["kuryr_quota_free_count", ("port",)] == 12
    assert found["kuryr_port_quota_per_subnet", ("front", "s")] == 250
    assert found["kuryr_rounds_total", ()] == 7
    assert found["kuryr_unforeseen_errors_total", ("routes",)] == 1
    parties = {labels for name, labels in found if name == "kuryr_last_answer_timestamp_seconds"}
    assert parties == {(NEUTRON,)}
    threads = {labels for name, labels in found if name == "kuryr_thread_last_beat_timestamp_seconds"}
    assert threads == {("reconciler",)}
    assert found["kuryr_build_info", ("19.0.0", "h1")] == 1


def test_a_disk_that_hangs_leaves_the_rest() -> None:
    """Prometheus would see nothing of the host, least of all what is wrong with it."""
    gate = threading.Event()
    sources = replace(SOURCES, counts=lambda: (gate.wait() and COUNTS) or COUNTS, journal_size=lambda: int(gate.wait()))
    try:
        found = scraped(metrics_of(sources, slow=Slow(seconds=0.01)))
        assert found["kuryr_live", ()] == 1
        names = {name for name, _ in found}
        assert not names & {"kuryr_endpoints", "kuryr_journal_size_bytes"}
    finally:
        gate.set()


def test_nothing_grows_with_the_cloud() -> None:
    """Prometheus would drown in series: one for each container, port or network that there ever was."""
    metrics = metrics_of()
    few = len(scraped(metrics))
    for number in range(50):
        counts = replace(COUNTS, endpoints={"ready": number}, networks={"ready": number})
        scraped(metrics_of(replace(SOURCES, counts=lambda counts=counts: counts)))
    assert len(scraped(metrics)) == few


def test_size_of_the_journal(tmp_path: Path) -> None:
    """A journal that grows without end would be found when the disk is full."""
    path = tmp_path / "kuryr.db"
    assert journal_size(path) == 0
    path.write_bytes(b"x" * 100)
    (tmp_path / "kuryr.db-wal").write_bytes(b"x" * 20)
    assert journal_size(path) == 120


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not there; ./dev test downloads it")
@pytest.mark.parametrize("make", [metrics_of, filled])
def test_names_follow_the_rules_of_prometheus(make: Callable[[], Metrics]) -> None:
    """Whoever reads them in Prometheus would take a counter for a gauge, or milliseconds for seconds."""
    words = [str(PROMTOOL), "check", "metrics"]
    done = subprocess.run(words, input=make().show(), capture_output=True, check=False)
    assert without_foreign_names(done.stdout.decode() + done.stderr.decode()) == []


def test_vfs_have_the_names_that_dashboards_of_others_know() -> None:
    """Dashboards made for sriov-network-metrics-exporter would stay empty, and no VF be found by its container."""
    shown = filled().show().decode().splitlines()
    assert 'sriov_vf_rx_bytes{numa_node="0",pciAddr="0000:01:10.1",pf="pf0",vf="1"} 1001.0' in shown
    assert 'sriov_vf_tx_dropped{numa_node="",pciAddr="0000:01:10.0",pf="pf0",vf="0"} 0.0' in shown
    assert {name for name, _ in scraped(filled()) if name.startswith("sriov_")} == {
        f"sriov_vf_{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "dropped")
    }
    told = 'container="web",network="n",pciAddr="0000:01:10.1",pf="pf0",port="p",vf="1"'
    assert f"kuryr_vf_info{{{told}}} 1.0" in shown


def test_a_card_that_hangs_leaves_the_rest() -> None:
    """Prometheus would see nothing of a host whose network card has trouble."""
    gate = threading.Event()
    metrics = metrics_of(replace(SOURCES, vfs=lambda: (gate.wait() and VFS) or VFS), cards=Slow(seconds=0.01))
    try:
        names = {name for name, _ in scraped(metrics)}
        assert "kuryr_endpoints" in names
        assert "kuryr_vf_info" not in names
    finally:
        gate.set()
