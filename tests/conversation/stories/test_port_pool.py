# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Docker network with a port pool: containers start and end without waiting for Neutron."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import SpareRecord
from tests.conversation.faults.trials import V4, V6, is_labelled
from tests.world.dockerside import Container, DockerNetwork
from tests.world.plugin import HOST
from tests.world.rig import DirectDocker, Rig

POOL = "kuryr.port_pool"
COOLING = 130.0


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


def cool(rig: Rig, seconds: float = COOLING) -> None:
    rig.now += seconds
    rig.fill()


def test_nothing_is_made_before_the_first_container(rig: Rig, docker: DirectDocker) -> None:
    """Networks that are only created would cost ports of the quota."""
    docker.network_create(V4, options={POOL: "2"})
    rig.fill()
    assert spares(rig) == []


@pytest.mark.parametrize("more", [{}, {"subnet_v6": V6}])
def test_a_container_starts_and_ends_without_a_call(rig: Rig, docker: DirectDocker, more: dict[str, Any]) -> None:
    """A user of a pool would wait for Neutron all the same."""
    network = pooled(rig, docker, **more)
    assert len(spares(rig, "ready")) == 2
    docker.beside = lambda: None
    first = min(spares(rig), key=lambda spare: spare.since)
    box = docker.run(network)
    assert calls(rig) == []
    port = port_of(rig, box)
    assert port.id == first.port_id
    assert (port.host_id, port.device_owner, port.vif_type, port.mac_address) == (HOST, "compute:kuryr", "ovs", box.mac)
    rig.services.labels.work()
    assert calls(rig) == ["update_port"]
    assert is_labelled(port_of(rig, box), box.endpoint_id)
    rig.fill()
    assert (len(spares(rig, "ready")), calls(rig)) == (2, ["create_port"])
    docker.rm(box)
    assert (calls(rig), [spare.port_id for spare in spares(rig, "cooling")]) == ([], [port.id])


def test_a_released_port_cools_and_is_used_again(rig: Rig, docker: DirectDocker) -> None:
    """A container would get packets that are meant for the one before it; or each would cost a port to make."""
    network = pooled(rig, docker)
    box = docker.run(network)
    before = port_of(rig, box)
    docker.rm(box)
    calls(rig)
    cool(rig, COOLING - 1)
    assert [spare.port_id for spare in spares(rig, "cooling")] == [before.id]
    assert before.id not in {row.port_id for row in rig.ovs.owned()}
    calls(rig)
    cool(rig, 2)
    assert calls(rig) == ["update_port"]
    after = rig.neutron.find_ports(id=before.id)[0]
    assert (after.name, after.mac_address, after.fixed_ips) == (
        "kuryr-spare-port",
        before.mac_address,
        before.fixed_ips,
    )
    assert before.id in {spare.port_id for spare in spares(rig, "ready")}
    boxes = [docker.run(network) for _ in range(3)]
    assert port_of(rig, boxes[2]).id == before.id  # the others have been ready for longer


def test_network_rm_leaves_nothing(rig: Rig, docker: DirectDocker) -> None:
    """The Neutron network could not be deleted, and the pool's ports would stay for ever."""
    network = pooled(rig, docker)
    docker.rm(docker.run(network))
    assert {spare.state for spare in spares(rig)} == {"ready", "cooling"}
    docker.network_rm(network)
    assert rig.neutron.find_networks() == []
    rig.nothing_left()
    assert spares(rig) == []
