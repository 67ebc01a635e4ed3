# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A host on which packages are installed, and containers on it that talk to each other all the time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from tests.systemd.machine import Machine, until
from tests.systemd.world import World
from tests.world.dockerside import Container, Docker, DockerNetwork

INSTALL = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", "--install")
INSTALL_SECONDS = 600.0
# What changes on any host by itself, or is dpkg's own.
_OTHERS = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/log/journal",
    "/var/lib/dpkg",
    "/var/lib/libuuid",
    "/var/cache",
    "/root",
)
_OTHER_FILES = {"/var/log/dpkg.log", "/var/log/alternatives.log", "/etc/ld.so.cache"}
_PINGS = "/tmp/pings"
"""The container that answers has its neighbour's pings written there."""


@dataclass
class Pair:
    network: DockerNetwork
    one: Container
    other: Container


@dataclass
class Host:
    machine: Machine
    world: World

    @cached_property
    def docker(self) -> Docker:
        """One engine, which knows its containers."""
        return self.world.docker

    def install(self, package: str) -> str:
        return self._run(*INSTALL, f"/packages/{package}")

    def script(self, path: str, **environ: str) -> str:
        return self._run("env", *(f"{name}={value}" for name, value in environ.items()), "sh", path)

    def _run(self, *words: str) -> str:
        done = self.machine.try_run(*words, seconds=INSTALL_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def files(self) -> set[str]:
        prune = [word for name in _OTHERS for word in ("-path", name, "-o")]
        found = self.machine.run("find", "/", "(", *prune[:-1], ")", "-prune", "-o", "-print").splitlines()
        return set(found) - _OTHER_FILES

    def pair(self) -> Pair:
        """Two running containers on one Neutron network."""
        network = self.docker.network_create()
        return Pair(network, self.container(network), self.container(network))

    def container(self, network: DockerNetwork) -> Container:
        box = self.docker.run(network, sandbox=self.world.sandbox())
        self.world.move(box)
        name = box.interface["SrcName"]
        self.inside(box, "ip", "link", "set", name, "up")
        self.inside(box, "ip", "address", "add", box.addresses["v4"], "dev", name)
        return box

    def inside(self, box: Container, *words: str) -> str:
        return self.machine.run("nsenter", f"--net={box.sandbox.key}", *words)

    @contextmanager
    def talking(self, pair: Pair) -> Iterator[None]:
        """Fails if one container does not hear the other all the time."""
        ping = ["nsenter", f"--net={pair.one.sandbox.key}", "ping", "-n", "-i", "0.2", "-W", "5", pair.other.ip]
        script = f"exec {' '.join(ping)} >{_PINGS}"
        self.machine.run("systemd-run", "--unit=pinging", "--service-type=exec", "sh", "-c", script)
        self._answered(1)
        yield
        self._answered(self._answers() + 2)
        self.machine.systemctl("kill", "--kill-whom=main", "--signal=INT", "pinging.service")
        for attempt in until():
            with attempt:
                assert "packet loss" in self.machine.read(_PINGS)
        counted = re.search(r"(\d+) packets transmitted, (\d+) received", self.machine.read(_PINGS))
        assert counted is not None
        # The last one may be on its way.
        assert int(counted[1]) - int(counted[2]) <= 1, counted[0]

    def _answers(self) -> int:
        return self.machine.read(_PINGS).count("bytes from")

    def _answered(self, count: int) -> None:
        for attempt in until():
            with attempt:
                assert self._answers() >= count

    def end(self, pair: Pair) -> None:
        """The containers and their network are removed in the ordinary way."""
        for box in (pair.one, pair.other):
            self.docker.rm(box)
        self.docker.network_rm(pair.network)
        assert self.world.leftovers() == []
        assert self.world.neutron.store.all("ports") == []
