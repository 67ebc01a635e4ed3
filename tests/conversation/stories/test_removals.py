# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker removed goes: at once where all is well, and else later, also without a journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.fakes.neutron import PROJECT
from tests.world.dockerside import DockerNetwork
from tests.world.rig import DirectDocker, Rig
from tests.world.threads import at_once, interleaved

CIDR, V6 = "10.1.0.0/24", "fd00:1::/64"


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


# -- several at a time ------------------------------------------------------------------------------------------------


def in_turn(rig: Rig, networks: list[DockerNetwork]) -> None:
    for network in networks:
        DirectDocker(rig).network_rm(network)


def backwards(rig: Rig, networks: list[DockerNetwork]) -> None:
    in_turn(rig, networks[::-1])


def together(rig: Rig, networks: list[DockerNetwork]) -> None:
    with interleaved(rig.outside):
        calls = at_once([partial(DirectDocker(rig).network_rm, network) for network in networks])
        for call in calls:
            call.result()


def shared(rig: Rig, *, subnet: bool, project: str | None) -> dict[str, str]:
    """The options for a Neutron network that is there."""
    theirs: dict[str, Any] = {"project_id": project} if project else {}
    network = rig.neutron.seed_network(name="shared", **theirs)
    if subnet:
        rig.neutron.seed_subnet(network.id, CIDR, **theirs)
        rig.neutron.seed_subnet(network.id, V6, **theirs)
    return {"neutron.net.uuid": network.id}


@pytest.mark.parametrize("remove", [in_turn, backwards, together])
@pytest.mark.parametrize("project", [None, PROJECT], ids=["of-a-tenant", "of-our-project"])
@pytest.mark.parametrize("subnet", [True, False], ids=["its-subnets", "our-subnets"])
@pytest.mark.parametrize("count", [2, 4])
def test_docker_networks_of_one_neutron_network_go_together(
    rig: Rig,
    docker: DirectDocker,
    remove: Callable[[Rig, list[DockerNetwork]], None],
    project: str | None,
    subnet: bool,
    count: int,
) -> None:
    """``docker network rm same1 same2`` would leave subnetpools, and subnets of ours, until the background has looked twice."""
    options = shared(rig, subnet=subnet, project=project)
    before = rig.state()
    networks = [docker.network_create(CIDR, subnet_v6=V6, options=options) for _ in range(count)]
    boxes = [docker.run(network) for network in networks]
    for box in boxes:
        docker.rm(box)
    remove(rig, networks)
    assert rig.state() == before


def test_networks_that_kuryr_made_go_with_their_last_user(rig: Rig, docker: DirectDocker) -> None:
    """The Neutron network would stay with a pool until the background has looked twice."""
    before = rig.state()
    first = docker.network_create(CIDR)
    (made,) = rig.neutron.find_networks()
    second = docker.network_create(CIDR, options={"neutron.net.uuid": made.id})
    together(rig, [first, second])
    assert rig.state() == before
