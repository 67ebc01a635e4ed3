# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus scrapes at ``/metrics``.

Each label has few values, which the code knows beforehand: methods of Docker, codes of errors, states, kinds of things,
physical networks of the host. Only metrics of VFs have ids: of ``sriov_vf_…`` there is one series for each VF of the
host, of ``kuryr_vf_info``, which says what a VF is used for, one for each VF in use. Events are counted in
:class:`Metrics` as they happen; states are read when Prometheus scrapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kuryr_libnetwork.admin.pages import NotNow, Slow
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.model.observed import NEUTRON, CallDone, Question
from kuryr_libnetwork.model.overview import Contact, Counts, RoundRow, VfReport, Wellbeing
from kuryr_libnetwork.model.value import Value

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
"""Seconds; from an answer out of the journal to a wait for a Neutron that does not answer."""
SUSPECTS = ("endpoint", "group", "lease", "network", "plug", "pool", "port")
QUOTAS = ("network", "port", "security_group", "security_group_rule", "subnet", "subnetpool", "trunk")
"""The resources that the service creates in its project."""
SPARE_STATES = ("making", "ready", "used", "cooling", "leaving")
STATES = ("creating", "ready", "deleting")
CARDS_PATIENCE = 3.0
"""Seconds for the drivers of the PFs, which ask their cards for the counters."""
VF_COUNTERS = {
    "rx_bytes": "Bytes received by a VF.",
    "tx_bytes": "Bytes sent by a VF.",
    "rx_packets": "Packets received by a VF.",
    "tx_packets": "Packets sent by a VF.",
    "rx_dropped": "Received packets of a VF that were dropped.",
    "tx_dropped": "Packets that a VF was to send and that were dropped.",
}
DEVICE_STATES = ("taking", "leased", "returning", "quarantined")


class Sources(Value, frozen=True):
    """Where states are read. ``counts`` and ``journal_size`` may wait for the disk. ``interval``: seconds between looks
    for leftovers; 0: at the start only.
    """

    version: str
    host: str
    interval: float
    wellbeing: Callable[[], Wellbeing]
    contacts: Callable[[], Mapping[str, Contact]]
    rounds: Callable[[], RoundRow]
    waiting: Callable[[], int]
    counts: Callable[[], Counts]
    journal_size: Callable[[], int]
    vfs: Callable[[], VfReport] = VfReport


class Metrics:
    """Counts events from the start on; :meth:`show` adds the states, once :meth:`read` is called. Safe for many
    threads.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # each would be a series more
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._calls = Counter(
            "kuryr_calls", "Calls of Docker, by how they ended.", ("method", "outcome"), registry=registry
        )
        self._call_seconds = Histogram(
            "kuryr_call_duration_seconds",
            "How long calls of Docker took.",
            ("method",),
            buckets=SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "kuryr_neutron_requests",
            "Requests to Neutron, repeated ones too, by how they ended.",
            ("verb", "resource", "outcome"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "kuryr_neutron_request_duration_seconds",
            "How long requests to Neutron took, with the login at Keystone where there was one.",
            ("verb", "resource"),
            buckets=SECONDS,
            registry=registry,
        )
        self._others = Counter(
            "kuryr_questions",
            "Questions to Open vSwitch's database and to Docker, by how they ended.",
            ("party", "outcome"),
            registry=registry,
        )
        self._repairs = Counter(
            "kuryr_repairs",
            "Settings of interfaces in use that others had changed and that were made right again.",
            ("kind",),
            registry=registry,
        )

    def note_call(self, call: CallDone) -> None:
        self._calls.labels(call.method, call.outcome).inc()
        self._call_seconds.labels(call.method).observe(call.seconds)

    def note_question(self, question: Question) -> None:
        if question.party != NEUTRON:
            self._others.labels(question.party, question.outcome).inc()
            return
        self._requests.labels(question.verb, question.resource, question.outcome).inc()
        self._request_seconds.labels(question.verb, question.resource).observe(question.seconds)

    def note_repair(self, kind: str) -> None:
        self._repairs.labels(kind).inc()

    def read(self, sources: Sources, health: Health, slow: Slow, cards: Slow | None = None) -> None:
        """From now on show the states of ``sources`` as well. ``slow`` is for the journal, ``cards`` for the PFs."""
        self._registry.register(_State(sources, health, slow, cards or Slow(CARDS_PATIENCE, 1, "a PF's driver")))

    def show(self) -> bytes:
        return generate_latest(self._registry)


class _State:
    """States, read for each scrape. What waits for a disk or a card that hangs is left out; the rest is shown."""

    def __init__(self, sources: Sources, health: Health, slow: Slow, cards: Slow) -> None:
        self._from = sources
        self._health = health
        self._slow = slow
        self._cards = cards

    def describe(self) -> Iterable[Metric]:
        """Empty, so that nothing is read at registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        now = time.time()
        yield self._build()
        yield from self._wellbeing(now)
        yield from self._threads(now)
        with suppress(NotNow):
            yield from _of_counts(self._slow.run(self._from.counts))
        with suppress(NotNow):
            size = self._slow.run(self._from.journal_size)
            yield _gauge("kuryr_journal_size_bytes", "Size of the journal's files.", size)
        with suppress(NotNow):
            yield from _of_vfs(self._cards.run(self._from.vfs))

    def _build(self) -> Metric:
        family = GaugeMetricFamily("kuryr_build_info", "Version, and name of this host.", labels=("version", "host"))
        family.add_metric((self._from.version, self._from.host), 1)
        return family

    def _wellbeing(self, now: float) -> Iterable[Metric]:
        found, rounds = self._from.wellbeing(), self._from.rounds()
        yield _gauge("kuryr_live", "1: nothing in the service hangs.", found.live)
        yield _gauge("kuryr_ready", "1: containers can be connected.", found.ready)
        yield _gauge("kuryr_calls_waiting", "Calls of Docker that no worker has taken yet.", self._from.waiting())
        family = GaugeMetricFamily(
            "kuryr_last_answer_timestamp_seconds", "When a party answered last.", labels=("party",)
        )
        for party, contact in sorted(self._from.contacts().items()):
            if contact.answered is not None:
                family.add_metric((party,), now - contact.answered)
        yield family
        text = "Seconds between looks for leftovers; 0: at the start only."
        yield _gauge("kuryr_reconcile_interval_seconds", text, self._from.interval)
        counter = CounterMetricFamily("kuryr_rounds", "Looks of the background for leftovers.")
        counter.add_metric((), rounds.rounds)
        yield counter
        if rounds.succeeded is not None:
            yield _gauge(
                "kuryr_last_successful_round_timestamp_seconds",
                "When such a look ended last without an error.",
                now - rounds.succeeded,
            )

    def _threads(self, now: float) -> Iterable[Metric]:
        beats = GaugeMetricFamily(
            "kuryr_thread_last_beat_timestamp_seconds", "When a thread was at work last.", labels=("thread",)
        )
        errors = CounterMetricFamily(
            "kuryr_unforeseen_errors", "Errors that the code did not foresee; the log has them.", labels=("thread",)
        )
        silent = self._health.silent(-1.0)
        for thread, state in sorted(self._health.report().items()):
            errors.add_metric((thread,), state.unforeseen)
            if thread in silent:
                beats.add_metric((thread,), now - silent[thread])
        yield beats
        yield errors


def _of_counts(counts: Counts) -> Iterable[Metric]:
    yield _by("kuryr_networks", "Docker networks.", ("state",), _filled(counts.networks, STATES))
    yield _by("kuryr_endpoints", "Containers' endpoints.", ("state",), _filled(counts.endpoints, STATES))
    made = counts.ports - counts.adopted_ports
    ports: dict[tuple[str, ...], int] = {("user",): counts.adopted_ports, ("kuryr",): made}
    yield _by("kuryr_ports", "Neutron ports leased for containers, by who made them.", ("made_by",), ports)
    text = "Ports of port pools by what they are; used: a container has it."
    yield _by("kuryr_port_pool_ports", text, ("state",), _filled(counts.spares, SPARE_STATES))
    yield _gauge("kuryr_port_pool_wanted", "How many ports of port pools are to be ready.", counts.spares_wanted)
    yield _gauge("kuryr_pools", "Docker's IPAM pools.", counts.pools)
    yield _gauge("kuryr_intents", "Creations in Neutron whose outcome is not known yet.", counts.intents)
    text = "What nobody seems to use, and is removed after reconcile_grace."
    yield _by("kuryr_suspects", text, ("kind",), _filled(counts.suspects, SUSPECTS))
    text = "Removals that were tried and failed; they are tried again."
    yield _by("kuryr_stuck_removals", text, ("kind",), _filled(counts.stuck, SUSPECTS))
    text = "How many more of a resource the service's project may have in Neutron; none where there is no limit."
    free = counts.free_quota
    quota: dict[tuple[str, ...], int] = {(kind,): free[kind] for kind in QUOTAS if kind in free}
    yield _by("kuryr_quota_free_count", text, ("resource",), quota)
    text = "How many addresses of a subnet of a Docker network are free, where Neutron tells the service."
    subnets: dict[tuple[str, ...], float] = {(each.subnet_id, each.subnet_name): each.free for each in counts.addresses}
    yield _by("kuryr_port_quota_per_subnet", text, ("subnet_id", "subnet_name"), subnets)
    networks = sorted({name for _, name in counts.devices} | set(counts.free_devices))
    devices: dict[tuple[str, ...], int] = {
        (state, name): counts.devices.get((state, name), 0) for name in networks for state in DEVICE_STATES
    }
    devices |= {("free", name): counts.free_devices[name] for name in networks if name in counts.free_devices}
    yield _by("kuryr_vfs", "VFs and PFs by what they are to containers.", ("state", "physical_network"), devices)


def _of_vfs(report: VfReport) -> Iterable[Metric]:
    """Names and labels of the counters are those of sriov-network-metrics-exporter, so that its dashboards work. They
    lack the ending of a counter, so the type is "untyped".
    """
    families = {name: Metric(f"sriov_vf_{name}", text, "unknown") for name, text in VF_COUNTERS.items()}
    for row in report.traffic:
        numa = "" if row.numa_node < 0 else str(row.numa_node)
        labels = {"pf": row.pf, "vf": str(row.vf), "pciAddr": row.pci_address, "numa_node": numa}
        for name, family in families.items():
            family.add_sample(family.name, labels, getattr(row.counted, name))
    yield from families.values() if report.traffic else ()
    names = ("pciAddr", "pf", "vf", "container", "network", "port")
    uses = GaugeMetricFamily("kuryr_vf_info", "Which container, network and port of Neutron has a VF.", labels=names)
    for use in report.uses:
        uses.add_metric((use.pci_address, use.pf, str(use.vf), use.container, use.network, use.port), 1)
    yield uses


def _filled(counts: Mapping[str, int], names: Iterable[str]) -> dict[tuple[str, ...], int]:
    """Counts with 0 for absent names: an alert on a missing series would never end, or never begin."""
    return {(name,): counts.get(name, 0) for name in names}


def _by(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
