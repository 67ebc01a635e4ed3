# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the stories of port pools do and ask."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import SpareRecord
from tests.world.dockerside import Container, DockerNetwork
from tests.world.rig import DirectDocker, Rig

POOL = "kuryr.port_pool"
COOLING = 130.0
V4 = "10.1.0.0/24"


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture(params=[27, 29])
def docker(rig: Rig, request: pytest.FixtureRequest) -> DirectDocker:
    docker = DirectDocker(rig, request.param)
    rig.neutron.extensions()
    return docker


def pooled(rig: Rig, docker: DirectDocker, size: str = "2", **more: Any) -> DockerNetwork:
    """A network whose pool is full: its first container was an ordinary one."""
    network = docker.network_create(V4, options={POOL: size}, **more)
    docker.rm(docker.run(network))
    rig.fill()
    rig.neutron.calls.clear()
    return network


def spares(rig: Rig, state: str = "") -> list[SpareRecord]:
    return [spare for spare in rig.journal.spares.all() if state in ("", spare.state)]


def calls(rig: Rig) -> list[str]:
    """Neutron calls since the last question."""
    names = [name for name, *_ in rig.neutron.calls if name != "extensions"]
    rig.neutron.calls.clear()
    return names


def port_of(rig: Rig, box: Container) -> Port:
    ips = {box.ip, box.ip6} - {""}
    (port,) = [each for each in rig.neutron.user_ports() if ips <= {ip.ip_address for ip in each.fixed_ips}]
    return port


def away(rig: Rig) -> None:
    def hook(method: str, arguments: tuple[Any, ...]) -> None:
        raise NeutronUnavailable("Neutron is away")

    rig.neutron.hook = hook


def back(rig: Rig) -> None:
    rig.neutron.hook = lambda method, arguments: None


def cool(rig: Rig, seconds: float = COOLING) -> None:
    rig.now += seconds
    rig.fill()


def restarted(rig: Rig, *, lose_journal: bool = False) -> None:
    """A new process whose background has looked, but whose filler has not been at work yet."""
    rig.revive(lose_journal=lose_journal)


class Everything(set[str]):
    def __contains__(self, item: object) -> bool:
        return True
