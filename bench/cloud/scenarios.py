# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to the cloud: all services start anew, nothing, Neutron goes away and comes back, a rack boots."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.cloud.clock import Clock
from bench.cloud.hosts import SimulatedHost, Template
from bench.cloud.neutron import Cloud, Served, Times

Say = Callable[[str], None]
INTERVAL = 60.0
SPREAD, STEADY, AWAY, BACK = 120.0, 120.0, 120.0, 120.0
"""Seconds within which all services start; of the steady state; of Neutron's absence; and after it."""
BOOT, LONGEST = 60.0, 900.0
"""Seconds within which the hosts of a rack boot; and the most until their containers run."""


@dataclass(frozen=True)
class Shape:
    hosts: int
    containers: int
    networks: int
    rack: int
    workers: int
    times: Times = field(default_factory=Times)
    seed: int = 1


@dataclass(frozen=True)
class Phase:
    """The calls of a time. ``seconds``: how long it was. ``note``: what else is to be known."""

    name: str
    seconds: float
    served: Sequence[Served]
    began: float = 0.0
    note: str = ""


class World:
    def __init__(self, shape: Shape, say: Say) -> None:
        self.clock = Clock()
        self.chance = random.Random(shape.seed)  # a simulation is to be repeatable
        names = [f"host-{number:04d}" for number in range(shape.hosts)]
        self.cloud = Cloud(self.clock, shape.workers, shape.times, names)
        template = Template(shape.networks, shape.containers)
        self.hosts = [
            template.copy(self.clock, self.cloud, name, number, INTERVAL, self.chance.random)
            for number, name in enumerate(names)
        ]
        ports = len(self.cloud.store.tables["ports"])
        say(f"{shape.hosts} hosts, {ports} ports, {shape.workers} workers")

    def start(self, hosts: Iterable[SimulatedHost], spread: float) -> None:
        for host in hosts:
            self.clock.start(host.start, self.chance.uniform(0, spread))

    def phase(self, name: str, seconds: float, note: str = "") -> Phase:
        """Let the time pass; the calls that began in it."""
        began = self.clock.now
        self.clock.run(began + seconds)
        return Phase(name, seconds, [each for each in self.cloud.served if each.at >= began], began, note)


def whole_cloud(shape: Shape, say: Say) -> Iterator[Phase]:
    world = World(shape, say)
    world.start(world.hosts, SPREAD)
    yield world.phase(f"all services restarted within {SPREAD:.0f} s", SPREAD + INTERVAL)
    yield world.phase("steady state", STEADY)
    world.cloud.away = True
    yield world.phase(f"Neutron away for {AWAY:.0f} s", AWAY)
    world.cloud.away = False
    yield world.phase(f"the {BACK:.0f} s after it", BACK)
    world.clock.end()


def rack(shape: Shape, say: Say) -> Phase:
    """A rack boots in a cloud of that size; the calls of the others are not in it."""
    world = World(shape, say)
    hosts = world.hosts[: shape.rack]
    for host in hosts:
        after = world.chance.uniform(0, BOOT)
        world.clock.start(host.start, after)
        world.clock.start(host.restart_containers, after)
    name = f"{len(hosts)} hosts boot within {BOOT:.0f} s, each with {shape.containers} containers"
    while world.clock.now < LONGEST and any(host.starting or not host.restarted for host in hosts):
        world.clock.run(world.clock.now + 5)
    up = world.clock.now
    done = world.phase(name, INTERVAL)
    failed = sum(host.failed for host in hosts)
    note = f"all containers run after {up:.0f} s" + f"; {failed} calls of Docker failed" * bool(failed)
    world.clock.end()
    return Phase(name, up, [each for each in world.cloud.served if each.at <= up], done.began, note)
