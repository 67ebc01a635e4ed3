# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What is taken for this host's own after the journal was lost, and what is left to others."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.rules import recovery as rules
from kuryr_libnetwork.rules.adoption import claim_tags, claimants
from kuryr_libnetwork.rules.identity import (
    AUX_OWNER,
    id_tags,
    intent_description,
    intent_token,
    network_name,
    network_tags,
    pool_tags,
)
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnPort, OwnSubnet, OwnSubnetPool
from tests.unit.values import (
    DOCKER_ID,
    ENDPOINT_ID,
    HOST,
    OTHER_HOST,
    OTHER_ID,
    PORT_ID,
    RECORD,
    SWARM_ID,
    own_network,
    own_pool,
    own_port,
    own_subnet,
)


def by(host: str = HOST, docker_id: str = "") -> str:
    return intent_description(host, intent_token(host, "0" * 16, docker_id))


def there(
    networks: tuple[OwnNetwork, ...] = (),
    subnets: tuple[OwnSubnet, ...] = (),
    pools: tuple[OwnSubnetPool, ...] = (),
    aux_ports: tuple[OwnPort, ...] = (),
) -> rules.There:
    return rules.There(networks, subnets, pools, aux_ports)


MINE = own_network(description=by(HOST, DOCKER_ID), tags=id_tags(DOCKER_ID))
OF_THE_USER = own_network(tags=network_tags(DOCKER_ID, existing=True))
RECORDING = pool_tags(DOCKER_ID, MINE.id)


@pytest.mark.parametrize(
    "found",
    [
        there((MINE,)),
        there((replace(MINE, description=by(), name=network_name(DOCKER_ID)),)),
        there((OF_THE_USER,), pools=(own_pool(description=by(), tags=id_tags(DOCKER_ID)),)),
        there((OF_THE_USER,), (own_subnet(description=by(HOST, DOCKER_ID)),)),
        there((OF_THE_USER,), aux_ports=(own_port(description=by(), device_id=DOCKER_ID, device_owner=AUX_OWNER),)),
        there(
            (replace(OF_THE_USER, tags=OF_THE_USER.tags[2:]),),
            pools=(own_pool(description=by(), tags=id_tags(DOCKER_ID)),),
        ),
    ],
    ids=["description", "name", "pool", "subnet", "auxiliary-address", "half-removed"],
)
def test_a_docker_network_of_this_host(found: rules.There) -> None:
    """A network that could not be removed would stay for ever once the journal is lost."""
    assert rules.recorded_networks(HOST, found) == {DOCKER_ID: found.networks[0]}


def test_a_docker_network_on_a_network_of_others() -> None:
    """Its subnetpool and its ports for auxiliary addresses would stay."""
    assert rules.recorded_networks(HOST, there(pools=(own_pool(description=by(), tags=RECORDING),))) == {
        DOCKER_ID: None
    }


@pytest.mark.parametrize(
    "found",
    [
        there((OF_THE_USER,)),
        there((replace(MINE, description=by(OTHER_HOST, DOCKER_ID)),)),
        there((replace(MINE, description=by(HOST, OTHER_ID)),)),
        there((replace(MINE, description=by(), name="of-the-user"),)),
        there((replace(MINE, description=by(HOST, SWARM_ID), tags=id_tags(SWARM_ID)),)),
        there((OF_THE_USER,), pools=(own_pool(description=by(OTHER_HOST), tags=RECORDING),)),
        there(pools=(own_pool(description=by(), tags=id_tags(DOCKER_ID)),)),
    ],
    ids=["nobody", "other-host", "other-network", "name", "swarm", "pool-of-another", "on-no-network"],
)
def test_nobody_elses_docker_network(found: rules.There) -> None:
    """Another host's Docker would lose the network under its containers."""
    assert rules.recorded_networks(HOST, found) == {}


POOL = own_pool(description=by())


def test_pools_that_nothing_uses() -> None:
    """One for each docker network create that failed would stay."""
    gone, kept = replace(POOL, tags=RECORDING), replace(POOL, description=by(OTHER_HOST))
    swarm = replace(POOL, tags=pool_tags(SWARM_ID, MINE.id))
    assert rules.unused_pools(HOST, there(pools=(POOL, kept, swarm)), set()) == [POOL]
    assert rules.unused_pools(HOST, there(pools=(gone,)), set()) == [gone]
    assert rules.unused_pools(HOST, there(pools=(gone,)), {DOCKER_ID}) == []
    assert rules.unused_pools(HOST, there((), (own_subnet(tags=(POOL.id,)),), (POOL,)), set()) == []


LOST_NETWORK = replace(MINE, tags=())
LOST_SUBNET = own_subnet(description=by(HOST, DOCKER_ID), tags=())
LOST_PORT = own_port(description=by(), device_id=DOCKER_ID, device_owner=AUX_OWNER)
LOST = there((LOST_NETWORK,), (LOST_SUBNET,), (), (LOST_PORT,))


def test_what_nothing_records_is_found_by_its_description() -> None:
    """A creation whose answer never came, and whose intent is lost, would leave it for ever."""
    assert rules.cut_off(HOST, LOST, [], set()) == [
        ("networks", LOST_NETWORK.description),
        ("subnets", LOST_SUBNET.description),
        ("ports", LOST_PORT.description),
    ]
    assert rules.cut_off(OTHER_HOST, LOST, [], set()) == []
    assert rules.cut_off(HOST, LOST, [], {DOCKER_ID}) == []


def test_what_is_used_or_left_to_others_stays() -> None:
    """A subnet would go under the containers of a Docker network that uses it."""
    tagged = there((MINE,), (replace(LOST_SUBNET, tags=("kuryr.net.left",)),))
    assert rules.cut_off(HOST, tagged, [], set()) == []
    uses = replace(RECORD, docker_id=OTHER_ID, neutron_id=LOST_NETWORK.id)
    uses = replace(uses, subnets=(replace(RECORD.subnets[0], subnet_id=LOST_SUBNET.id),))
    assert rules.cut_off(HOST, there((LOST_NETWORK,), (LOST_SUBNET,)), [uses], {OTHER_ID}) == []
    recorded = own_pool(description=by(OTHER_HOST), tags=pool_tags(OTHER_ID, LOST_NETWORK.id))
    assert rules.cut_off(HOST, there((LOST_NETWORK,), pools=(recorded,)), [], set()) == []
    old = replace(LOST_NETWORK, description=by())
    assert rules.cut_off(HOST, there((old,)), [], set()) == []


def test_whose_claims_stand_on_a_pool() -> None:
    """A claim of a process that died would stay."""
    tags = ("kuryr.claimant:x", "blue", *claim_tags(PORT_ID, ENDPOINT_ID, 0))
    assert claimants(own_pool(tags=tags)) == {ENDPOINT_ID[:24]}


def test_the_first_look_of_each_host_has_a_time_of_its_own() -> None:
    """Hosts that start together would all read the whole cloud at once."""
    assert rules.first_look(known=True, grace=120, chance=0.0) == 0.0
    assert rules.first_look(known=True, grace=120, chance=0.5) == 43200.0
    assert rules.first_look(known=False, grace=120, chance=0.5) == 300.0
