# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the tiers that need a lab, with labs of their own that are gone afterwards."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import engines, releases
from lab.backend import OVN
from lab.cli import CANNOT_BE_HAD
from lab.paths import LabPaths
from lab.progress import say
from lab.suite.children import Children
from lab.suite.results import Outcome, broken, left_out
from lab.suite.runner import RESULTS, Runner
from lab.suite.tiers import TIERS, Tier

NAME = "test"
AT_ONCE = 3
"""The number of labs that run side by side: one keeps four fifths of a processor busy."""
ON_ML2_OVS = ("test_ml2_ovs.py",)
GUIDE = ("test_guide.py",)
QUICK_CLIENTS = ("-m", "quick", "-k", "h1")
FEW = 12
"""Up to this number, running the tests takes no longer than starting another lab."""


@dataclass(frozen=True)
class Cloud:
    """What a lab has, by the names of `lab.backend` and `lab.releases`."""

    backend: str = OVN.name
    neutron: str = releases.NEWEST.name

    @property
    def options(self) -> list[str]:
        return ["--backend", self.backend, "--neutron", self.neutron]

    def __str__(self) -> str:
        return f"backend: {self.backend}; {releases.named(self.neutron)}"


def cloud(runner: Runner, tier: Tier, has: Cloud, *, every_engine: bool) -> list[Outcome]:
    """Two engines at once: the tests for one host use h1's, those for what only newer engines do the newest
    there is.
    """
    count = runner.count(tier)
    if not count:
        return []
    if not every_engine:
        return [_cloud_on(runner, tier, "cloud", "own,newest", has, count)]
    found = engines.Choice(LabPaths(NAME).cache).all
    pairs = [(each, engines.OWN if each == found[-1] else engines.NEWEST) for each in found]
    return [
        _cloud_on(runner, tier, f"cloud-{first.version.split('.')[0]}", f"{first.release},{second}", has, count)
        for first, second in pairs
    ]


def clients(runner: Runner, tier: Tier, has: Cloud) -> list[Outcome]:
    """Each client on two engines."""
    if not runner.count(tier):
        return []
    say(f"== a lab of two hosts for {tier.folder} ({has})")
    with _labs(runner, [NAME], ["--hosts", "2", "--engine", "own,newest", *has.options]) as up:
        return [runner.tier(tier, tier.report, env={"KURYR_LAB": NAME}) if up else broken(tier.report)]


def sriov(runner: Runner, tier: Tier) -> list[Outcome]:
    if not runner.count(tier):
        return []
    # Only administrators can see a network's physical network.
    options = ["--sriov", "2", "--role", "admin"]
    say(f"== a lab with two SR-IOV machines for {tier.folder}")
    # An emulated machine may hang on a busy one. Then the lab is tried again, never a test.
    with _labs(runner, [NAME], options, attempts=2) as up:
        return [runner.tier(tier, tier.report, env={"KURYR_LAB": NAME}) if up else broken(tier.report)]


def beside(runner: Runner) -> list[Outcome]:
    """What of a whole run has a small lab of its own, and is done beside all the rest."""
    tiers = {tier.name: tier for tier in TIERS}
    return [
        _on_ml2_ovs(runner, tiers["cloud"]),
        _quick_clients(runner, tiers["clients"]),
        _guide(runner, tiers["sriov"]),
    ]


def _on_ml2_ovs(runner: Runner, tier: Tier) -> Outcome:
    """What is ML2/OVS's own; all other tests run there as well, with `--backend ovs`."""
    name, report = f"{NAME}-ovs", "cloud-ovs"
    with _labs(runner, [name], ["--backend", "ovs", "--engine", "newest"]) as up:
        return runner.tier(tier, report, env={"KURYR_LAB": name}, only=ON_ML2_OVS) if up else broken(report)


def _quick_clients(runner: Runner, tier: Tier) -> Outcome:
    """One engine, and of each client what says most."""
    name = f"{NAME}-clients"
    with _labs(runner, [name], ["--engine", "newest"]) as up:
        return runner.tier(tier, tier.report, QUICK_CLIENTS, {"KURYR_LAB": name}) if up else broken(tier.report)


def _guide(runner: Runner, tier: Tier) -> Outcome:
    """The SR-IOV guide, from its first to its last command."""
    name, report = f"{NAME}-sriov", "sriov-guide"
    log = RESULTS / f"{report}.machine.log"
    code = runner.children.run([sys.executable, "-m", "lab", "machine"], log=log)
    if code:
        why = (log.read_text(errors="replace").strip() or "no output").splitlines()[-1]
        return left_out(report, why) if code == CANNOT_BE_HAD else broken(report, why)
    with _labs(runner, [name], ["--sriov", "1", "--role", "admin"], attempts=2) as up:
        return runner.tier(tier, report, env={"KURYR_LAB": name}, only=GUIDE) if up else broken(report)


def _cloud_on(runner: Runner, tier: Tier, report: str, chosen: str, has: Cloud, count: int) -> Outcome:
    names = [NAME] if count <= FEW else [f"{NAME}{number}" for number in range(1, AT_ONCE + 1)]
    say(f"== {len(names)} lab(s) of two hosts for {tier.folder} (Docker Engines: {chosen}; {has})")
    shared = ["--numprocesses", str(len(names)), "--dist", "loadfile"] if len(names) > 1 else []
    with _labs(runner, names, ["--hosts", "2", "--engine", chosen, *has.options]) as up:
        return runner.tier(tier, report, shared, {"KURYR_LAB": ",".join(names)}) if up else broken(report)


@contextmanager
def _labs(runner: Runner, names: Sequence[str], options: Sequence[str], *, attempts: int = 1) -> Iterator[bool]:
    """Whether all of them are up."""
    try:
        yield all(runner.together([partial(_up, runner, name, options, attempts) for name in names], len(names)))
    finally:
        # The run's own children may have been ended already.
        last = Children()
        for name in names:
            _lab(last, "down", name)


def _up(runner: Runner, name: str, options: Sequence[str], attempts: int) -> bool:
    _lab(runner.children, "down", name)
    return any(_start(runner, name, options) for _ in range(attempts))


def _start(runner: Runner, name: str, options: Sequence[str]) -> bool:
    """Its output is held back until the end, because other labs may be starting."""
    log = RESULTS / f"lab-{name}.log"
    code = _lab(runner.children, "up", name, *options, log=log)
    say(log.read_text(errors="replace").rstrip())
    return code == 0


def _lab(children: Children, verb: str, name: str, *options: str, log: Path | None = None) -> int:
    return children.run([sys.executable, "-m", "lab", verb, "--name", name, *options], log=log)
