# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""VFs on the lab's SR-IOV machine: where the time of one goes, all of a card at once, and many cycles of run and rm."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from bench import stats
from bench.operations import is_background
from bench.stats import Section, median, s
from lab.api import Lab
from lab.errors import LabError
from tests.sriov import document
from tests.sriov.guide import Card, Guide
from tests.sriov.reader import Reader

VFS = 7
"""How many VFs a port of an 82576 can have."""
ASKED = ("RequestAddress", "CreateEndpoint", "Join")
_LINE = re.compile(r"(?P<at>[\d-]+ [\d:.]+) \d+ (?:DEBUG|INFO) kuryr_libnetwork\.(?P<rest>.*)")
_CALL = re.compile(r"docker\.boundary (?:NetworkDriver|IpamDriver)\.(\w+) .*\(([\d.]+) ms, (\d+) Neutron calls\)")
_ERRAND = re.compile(r"host\.(?:netlink|sysfs) (.+?): ([\d.]+) ms")
_CARRIER = "wait for the carrier"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Call:
    """``end``: of the call, in seconds of the machine's clock."""

    verb: str
    end: float
    seconds: float
    neutron_calls: int

    @property
    def begin(self) -> float:
        return self.end - self.seconds


@dataclass(frozen=True)
class Story:
    """What kuryr-server's log says of one docker command. ``errands``: at the kernel; task, end and seconds."""

    calls: list[Call]
    errands: list[tuple[str, float, float]]

    def neutron_calls(self) -> int:
        return sum(call.neutron_calls for call in self.calls)

    def parts(self, neutron: float) -> dict[str, float]:
        """Seconds from the start of RequestAddress to the answer to Join; ``neutron``: by Neutron's own log."""
        asked = [call for call in self.calls if call.verb in ASKED]
        begin, end = asked[0].begin, asked[-1].end
        errands = [each for each in self.errands if begin <= each[1] <= end]
        carrier = sum(seconds for task, _, seconds in errands if task.startswith(_CARRIER))
        kernel = sum(seconds for _, _, seconds in errands) - carrier
        ours = sum(call.seconds for call in asked) - neutron - kernel - carrier
        between = end - begin - sum(call.seconds for call in asked)
        return {
            "RequestAddress to Join": end - begin,
            "Neutron": neutron,
            "kernel": kernel,
            "carrier": carrier,
            "our own": ours,
            "Docker, between the calls": between,
        }


def story(text: str) -> Story:
    calls: list[Call] = []
    errands: list[tuple[str, float, float]] = []
    for line in _LINE.finditer(text):
        end = datetime.fromisoformat(line["at"]).timestamp()
        if found := _CALL.match(line["rest"]):
            calls.append(Call(found[1], end, float(found[2]) / 1000, int(found[3])))
        elif found := _ERRAND.match(line["rest"]):
            errands.append((found[1], end, float(found[2]) / 1000))
    return Story(calls, errands)


class VfBench:
    def __init__(self, lab: Lab, say: Say) -> None:
        self.lab = lab
        self.say = say
        self.machine = lab.machine()
        self.guide = Guide(lab, self.machine)
        self._log = self.machine.kuryr.log

    def prepare(self) -> None:
        self.say("waiting for Neutron's SR-IOV agent, and taking the settings of docs/sriov.md")
        self.machine.wait_for_agent(300)
        Reader(self.machine).write_settings(document.SERVICE, self.machine.kuryr_conf)
        self.machine.kuryr.restart()
        self.machine.set_vfs("pf0", VFS)
        self.network = self.guide.network(150)
        self.net = self.guide.docker_network(self.network, "-o", "kuryr.vnic_type=direct", "-o", "kuryr.pf=pf0")

    def told(self, work: Callable[[], Any]) -> tuple[Any, Story, float]:
        """What ``work`` answers, what the service's log says of it, and the seconds that Neutron took."""
        position, access = self._log.stat().st_size, self.lab.neutron_log_position()
        answer = work()
        with self._log.open("rb") as file:
            file.seek(position)
            text = file.read().decode(errors="replace")
        calls = [call for call in self.lab.neutron_calls(access) if not is_background(call)]
        return answer, story(text), sum(call.milliseconds for call in calls) / 1000

    # -- one container ---------------------------------------------------------------------------------------------

    def one_by_one(self, runs: int) -> list[Section]:
        parts: dict[str, list[float]] = defaultdict(list)
        counts: dict[str, list[int]] = defaultdict(list)
        slots = self.guide.vfs()
        for number in range(-1, runs):  # the first one only warms up
            self.say(f"one container with a VF, run {number + 1} of {runs}")
            box, begun, neutron = self.told(partial(self.guide.run, self.net))
            _, ended, _ = self.told(partial(self.guide.rm, box))
            adopted = self._adopt(slots[0], number + 20)
            if number >= 0:
                for name, seconds in begun.parts(neutron).items():
                    parts[name].append(seconds)
                counts["run, automatic"].append(begun.neutron_calls())
                counts["rm, automatic"].append(ended.neutron_calls())
                for name, found in zip(("run, adopting a port", "rm, adopted port"), adopted, strict=True):
                    counts[name].append(found.neutron_calls())
        return [_parts(parts, runs), _counts(counts)]

    def _adopt(self, slot: str, number: int) -> tuple[Story, Story]:
        """The guide's way: a port of the user's, with a VF that he chose."""
        address = self.network["cidr"].replace(".0/24", f".{number}")
        port = self.guide.port(self.network, slot, address)
        box, begun, _ = self.told(partial(self.guide.run, self.net, f"--ip={address}"))
        _, ended, _ = self.told(partial(self.guide.rm, box))
        self.lab.neutron("DELETE", f"/v2.0/ports/{port['id']}")
        return begun, ended

    # -- many ------------------------------------------------------------------------------------------------------

    def cycles(self, cycles: int) -> Section:
        """All VFs at once, again and again; after each round every one of them must be as it was before."""
        times: dict[str, list[float]] = defaultdict(list)
        before = Card(self.machine).picture()
        rounds = -(-cycles // VFS)
        for number in range(rounds):
            self.say(f"{VFS} containers with a VF at once, {number + 1} of {rounds}")
            begin = time.monotonic()
            boxes = self.guide.run_together(self.net, VFS)
            times[f"{VFS} x docker run -d at once"].append(time.monotonic() - begin)
            slots = {self.guide.pci_of(box) for box in boxes}
            begin = time.monotonic()
            self.guide.rm(*boxes)
            times[f"one docker rm -f of {VFS}"].append(time.monotonic() - begin)
            if slots != set(self.guide.vfs()) or Card(self.machine).picture() != before:
                msg = f"round {number + 1}: the VFs are not what they were; see {self._log}"
                raise LabError(msg)
        return _cycles(times, rounds)


def measure(lab: Lab, runs: int, cycles: int, say: Say) -> Iterable[Section]:
    bench = VfBench(lab, say)
    bench.prepare()
    many = bench.cycles(cycles)
    yield from bench.one_by_one(runs)
    yield many
    bench.guide.tidy()


def _parts(parts: dict[str, list[float]], runs: int) -> Section:
    section = Section(
        "sriov_parts", "A VF: from RequestAddress to the answer to Join, medians", ["part", "time", "p95"]
    )
    section.rows = [[name, s(median(values)), s(stats.p95(values))] for name, values in parts.items()]
    section.data = {name: stats.summary(values) for name, values in parts.items()}
    section.notes.append(
        f"{runs} runs, vnic_type direct, one container at a time. kernel: netlink and sysfs, with pyroute2's work "
        "around it; carrier: waiting for the VF's link."
    )
    return section


def _counts(counts: dict[str, list[int]]) -> Section:
    goals = {"run, automatic": 2, "rm, automatic": 1, "run, adopting a port": 3, "rm, adopted port": 2}
    section = Section("sriov_calls", "A VF: Neutron calls", ["operation", "calls", "goal"])
    section.rows = [[name, str(max(found)), f"≤ {goals[name]}"] for name, found in counts.items()]
    section.data = {name: {"calls": max(found), "goal": goals[name]} for name, found in counts.items()}
    return section


def _cycles(times: dict[str, list[float]], rounds: int) -> Section:
    section = Section("sriov_cycles", f"{VFS} VFs of one card at once", ["command", "median", "best", "worst"])
    section.rows = [[name, s(median(values)), s(min(values)), s(max(values))] for name, values in times.items()]
    section.data = {"cycles": rounds * VFS, **{name: stats.summary(values) for name, values in times.items()}}
    section.notes.append(
        f"{rounds * VFS} cycles of run and rm; after each round all VFs were at home, as before the first."
    )
    return section
