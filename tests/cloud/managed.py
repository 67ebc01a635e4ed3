# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The managed plugin on a host of the lab, in the place of the host's kuryr-server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.api import Host, Lab
from lab.errors import LabError

NAME = "kuryr:latest"
CONFIG = """\
[DEFAULT]
host = {host}

[neutron]
{login}"""


class ManagedPlugin:
    """Docker's ``kuryr:latest``, with nothing set but where the lab has other folders than a machine."""

    def __init__(self, lab: Lab, host: Host) -> None:
        self.host = host
        self.folder = host.paths.state / "managed"
        for name in ("config", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        text = CONFIG.format(host=host.name, login=host.person.options())
        (self.folder / "config" / "kuryr.conf").write_text(text)
        self._log_begin = len(host.dockerd.log.read_text())

    def create(self, bundle: Path, name: str = NAME) -> None:
        self.host.docker("plugin", "create", name, str(bundle))

    def settle(self) -> None:
        sources = {"config": self.folder / "config", "state": self.folder / "state"}
        sources["docker-socket"] = self.host.paths.docker_socket
        self.host.docker("plugin", "set", NAME, *(f"{name}.source={path}" for name, path in sources.items()))

    def enable(self) -> None:
        self.host.docker("plugin", "enable", NAME)

    def disable(self) -> None:
        """With ``-f``, for networks use it."""
        self.host.docker("plugin", "disable", "-f", NAME)

    def inspect(self, template: str) -> str:
        return self.host.docker("plugin", "inspect", "--format", template, NAME).stdout.strip()

    def calls(self) -> list[str]:
        """The verbs that Docker called so far: what the plugin prints is in Docker's log."""
        lines = self.host.dockerd.log.read_text()[self._log_begin :].splitlines()
        said = [line.partition(" kuryr_libnetwork.docker.boundary ")[2] for line in lines]
        return [text.split()[0] for text in said if text]

    def remove(self) -> None:
        self.host.docker("plugin", "disable", "-f", NAME, check=False)
        self.host.docker("plugin", "rm", "-f", NAME, check=False)


@contextmanager
def installed(lab: Lab, host: Host, bundle: Path) -> Iterator[ManagedPlugin]:
    """Two services must not be on one host: each would take the other's ports for leftovers."""
    host.kuryr.stop()
    plugin = ManagedPlugin(lab, host)
    try:
        plugin.create(bundle)
        plugin.settle()
        plugin.enable()
        yield plugin
    finally:
        plugin.remove()
        host.kuryr.start()


@contextmanager
def swarm(host: Host) -> Iterator[None]:
    """A swarm of this one node."""
    host.docker("swarm", "init", "--advertise-addr", host.address)
    try:
        yield
    finally:
        with contextlib.suppress(LabError):
            host.docker("swarm", "leave", "--force")


def tasks(host: Host, service: str) -> list[str]:
    """The running containers of a service."""
    names = ("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={service}")
    return host.docker(*names).stdout.split()


def addresses(host: Host, container: str) -> dict[str, str]:
    found = json.loads(host.docker("inspect", container).stdout)[0]["NetworkSettings"]["Networks"]
    return {name: settings["IPAddress"] for name, settings in found.items()}
