# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which Docker networks are on Neutron networks of another project."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import Network, Subnet
from kuryr_libnetwork.rules.foreign_networks import foreign_networks, named_by
from kuryr_libnetwork.rules.ownership import OwnProject

OURS, THEIRS = "1" * 32, "2" * 32
DOCKER, OTHER = "a" * 64, "b" * 64
UUID, SUBNET = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
NETWORK = Network(id=UUID, name="tenant", project_id=THEIRS)
PART = Subnet(id=SUBNET, network_id=UUID, name="front", cidr="10.0.0.0/24", ip_version=4, project_id=THEIRS)


def foreign(*networks: Network, subnets: tuple[Subnet, ...] = (), **options: str) -> list[tuple[str, ...]]:
    named = named_by({DOCKER: NetworkWord(options={key.replace("_", "."): value for key, value in options.items()})})
    unnamed = [] if named else [DOCKER]
    found = foreign_networks(named, unnamed, networks, subnets, OwnProject(id=OURS))
    assert all((each.docker_id, each.named) == (DOCKER, bool(named)) for each in found)
    return [tuple(network.id for network in each.networks) for each in found]


@pytest.mark.parametrize(
    "options",
    [
        {"neutron_net_uuid": UUID},
        {"neutron_net_name": "tenant"},
        {"neutron_subnet_name": "front"},
        {"neutron_subnet_v6_uuid": SUBNET},
    ],
)
def test_a_network_that_the_user_chose(options: dict[str, str]) -> None:
    """Docker networks would be lost whose user named their Neutron network another way."""
    assert foreign(NETWORK, subnets=(PART,), **options) == [(UUID,)]


def test_either_place_counts() -> None:
    """What the user said with --ipam-opt alone would not be found."""
    word = NetworkWord(ipam_options={"neutron.net.uuid": UUID})
    assert named_by({DOCKER: word, OTHER: NetworkWord()})[DOCKER].uuid == UUID
    assert OTHER not in named_by({DOCKER: word, OTHER: NetworkWord()})


def test_what_cannot_be_meant_is_nothing_that_was_chosen() -> None:
    """A network of another driver would end the check."""
    contradiction = NetworkWord(options={"neutron.net.uuid": UUID}, ipam_options={"neutron.net.uuid": SUBNET})
    assert named_by({DOCKER: NetworkWord(options={"neutron.net.uuid": "x"}), OTHER: contradiction}) == {}


def test_what_is_not_there_or_ours_is_not_told() -> None:
    """A host would be held up for networks that are recorded where they are believed."""
    ours = Network(id=SUBNET, name="tenant", project_id=OURS)
    assert foreign(neutron_net_uuid=UUID) == []
    assert foreign(ours, neutron_net_uuid=SUBNET) == []
    assert foreign(NETWORK, ours, neutron_net_name="tenant") == []  # of several of one name ours is meant


def test_several_of_one_name_are_all_told() -> None:
    """The operator would look for the wrong one."""
    second = Network(id=SUBNET, name="tenant", project_id=THEIRS)
    assert foreign(NETWORK, second, neutron_net_name="tenant") == [(UUID, SUBNET)]


def test_a_network_that_upstream_made_in_another_project() -> None:
    """A service that logs in to another project than upstream's did would lose its networks, and nobody know why."""
    made = Network(id=UUID, name=f"kuryr-net-{DOCKER[:8]}", project_id=THEIRS)
    assert foreign(made) == [(UUID,)]
    assert foreign(Network(id=UUID, name=f"kuryr-net-{OTHER[:8]}", project_id=THEIRS)) == []


def test_without_projects_nothing_is_foreign() -> None:
    """A cloud without Keystone would be warned of every network."""
    named = named_by({DOCKER: NetworkWord(options={"neutron.net.uuid": UUID})})
    assert foreign_networks(named, [], [NETWORK], [], OwnProject(id="")) == []
