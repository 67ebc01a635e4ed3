# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How Docker's ids and our ownership stand in Neutron's tags, names and descriptions."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.rules import identity
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_POOL,
    EXISTING_PORT,
    LOWER_HALF,
    OWN_PORT,
    SUBPORT_OWNER,
    UNBOUND_PORT_NAME,
    UPPER_HALF,
    docker_id_of,
    id_tags,
    intent_description,
    made_by_us,
    made_on,
    network_tags,
    other_users,
    pool_made_by_us,
    port_name,
    subnet_made_by_us,
)
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnPort, OwnSubnet, OwnSubnetPool
from tests.unit.values import (
    CIDR,
    DOCKER_ID,
    ENDPOINT_ID,
    OTHER_ID,
    POOL_ID,
    PORT,
    SWARM_ID,
    docker_ids,
    hex_ids,
    own_network,
    own_pool,
    own_port,
    own_subnet,
    swarm_ids,
)

user_tags = st.lists(st.text(max_size=60).filter(lambda tag: not tag.startswith("kuryr.")), max_size=5)
bearers = st.sampled_from([own_network, own_pool, own_port])


def said_by(*tags: str) -> str | None:
    """The Docker id of a network of ours with these tags."""
    return docker_id_of(own_network(tags=tags))


@given(docker_ids, user_tags, st.randoms(), bearers)
def test_an_id_comes_back_from_its_tags(
    docker_id: str,
    users: list[str],
    shuffle: Random,
    bearer: Callable[..., OwnNetwork | OwnSubnetPool | OwnPort],
) -> None:
    """A network or port of upstream's service would not be found again after an upgrade."""
    tags = [*users, *id_tags(docker_id)]
    shuffle.shuffle(tags)
    assert docker_id_of(bearer(tags=tuple(tags))) == docker_id


@given(docker_ids)
def test_tags_fit_into_neutron(docker_id: str) -> None:
    """Neutron would refuse a tag of more than 60 characters, and with it the network."""
    assert all(len(tag) <= 60 for tag in network_tags(docker_id, existing=True))


def test_tags_are_upstreams() -> None:
    """Networks made by one service would be strangers to the other."""
    assert network_tags(DOCKER_ID, existing=True) == (
        "kuryr.net.uuid.lh:" + DOCKER_ID[:32],
        "kuryr.net.uuid.uh:" + DOCKER_ID[32:],
        "kuryr.net.existing:" + DOCKER_ID[:12],
    )
    assert network_tags(SWARM_ID, existing=False) == ("kuryr.net.uuid.lh:" + SWARM_ID,)
    assert (OWN_PORT, EXISTING_PORT, EXISTING_POOL) == (
        "compute:kuryr",
        "kuryr.port.existing",
        "kuryr.subnetpool.existing",
    )


def test_names_are_upstreams() -> None:
    """Upstream deletes and finds by these names."""
    assert identity.network_name(DOCKER_ID) == "kuryr-net-01234567"
    assert identity.subnet_name("10.0.0.0/24") == "kuryr-subnet-10.0.0.0/24"
    assert identity.pool_name("kuryrPool", "10.0.0.0/24") == "kuryrPool-10.0.0.0/24"
    assert port_name(ENDPOINT_ID) == ENDPOINT_ID + "-port"
    assert (UNBOUND_PORT_NAME, DEVICE_OWNER) == ("kuryr-unbound-port", "compute:kuryr")


@given(hex_ids, hex_ids)
def test_two_ids_are_no_id(one: str, two: str) -> None:
    """A network with several Docker networks would be taken for one of them, or for a mixture."""
    tags = {*id_tags(one), *id_tags(two)}
    if one[:32] != two[:32]:
        assert said_by(*tags) is None


def test_no_or_half_an_id_is_no_id() -> None:
    """A crash between two tags would make up a Docker network that does not exist."""
    assert said_by() is None
    assert said_by("web", "kuryr.net.existing:012345678901") is None
    assert said_by(id_tags(DOCKER_ID)[1]) is None
    assert said_by(id_tags(DOCKER_ID)[0]) is None
    assert said_by(*id_tags(DOCKER_ID), UPPER_HALF + OTHER_ID[32:]) is None
    assert said_by(LOWER_HALF) is None


@given(swarm_ids, hex_ids)
def test_a_leftover_upper_half_is_not_joined_to_a_swarm_id(swarm: str, gone: str) -> None:
    """A swarm network would get an id of 57 characters, which Docker never uses."""
    assert said_by(*id_tags(swarm), id_tags(gone)[1]) == swarm


def test_docker_ids_are_told_from_other_devices() -> None:
    """A port prepared by Zun or Nova would be taken for a leftover of a dead container."""
    assert identity.is_docker_id(DOCKER_ID)
    assert identity.is_docker_id(SWARM_ID)
    for device in ("", "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d", DOCKER_ID + "0", DOCKER_ID.upper(), DOCKER_ID + "\n"):
        assert not identity.is_docker_id(device)


@given(st.lists(docker_ids, unique_by=lambda i: i[:12], min_size=1, max_size=8), user_tags, st.booleans())
def test_other_users_are_counted(ids: list[str], users: list[str], existing: bool) -> None:
    """A Neutron network would go while other Docker networks use it, or stay for ever."""
    tags = (*users, *(tag for each in ids for tag in network_tags(each, existing=existing)))
    assert other_users(own_network(tags=tags), ids[0]) == len(ids) - 1


@given(hex_ids, hex_ids, st.integers(0, 2))
def test_any_single_tag_of_another_counts(mine: str, other: str, which: int) -> None:
    """Another host's network, whose tags upstream is just setting one by one, would be deleted below it."""
    tag = network_tags(other, existing=True)[which]
    if tag not in network_tags(mine, existing=True):
        assert other_users(own_network(tags=(*network_tags(mine, existing=False), tag)), mine) == 1


@given(user_tags.map(lambda tags: [tag for tag in tags if tag != OWN_PORT]), st.randoms())
def test_only_our_tags_are_taken_off(users: list[str], shuffle: Random) -> None:
    """Tags of the user would be lost when an adopted port is put back, or ours would stay on it."""
    users += ["kuryr", "kuryr.net.existing:0123", "kuryr.claim:x", "compute:nova", ""]
    ours = [OWN_PORT, EXISTING_PORT, "kuryr.was:mac_address=x", "kuryr.was:", *id_tags(DOCKER_ID)]
    tags = [*users, *ours]
    shuffle.shuffle(tags)
    port = replace(PORT, tags=tuple(tags))
    assert sorted(identity.owners_tags(port)) == sorted(users)
    assert identity.is_marked(port)
    assert not identity.is_marked(replace(port, tags=tuple(users)))


@given(
    st.text(min_size=1, max_size=64),
    st.uuids().map(str),
    st.sampled_from([own_network, own_subnet, own_pool, own_port]),
)
def test_a_description_names_its_host(
    host: str, token: str, maker: Callable[..., OwnNetwork | OwnSubnet | OwnSubnetPool | OwnPort]
) -> None:
    """A port that another host is about to bind would be taken for ours, also where a host's name has a comma."""
    assert made_on(maker(description=intent_description(host, token))) == host


@given(st.text(min_size=1, max_size=64), docker_ids, st.sampled_from([own_network, own_subnet]))
def test_a_description_names_the_docker_network_that_it_is_for(
    host: str, docker_id: str, maker: Callable[..., OwnNetwork | OwnSubnet]
) -> None:
    """Without the journal nobody could tell whose network it is, once its tags are gone."""
    token = identity.intent_token(host, "0" * 16, docker_id)
    made = maker(description=intent_description(host, token))
    assert identity.made_for(made) == docker_id
    assert made_on(made) == host
    assert identity.token_of(made.description) == token


@pytest.mark.parametrize(("host", "docker_id"), [("h", "of, nobody"), ("h", ""), ("h" * 200, DOCKER_ID)])
def test_a_description_without_room_for_the_docker_network(host: str, docker_id: str) -> None:
    """Neutron would refuse a description of more than 255 characters, and with it the network."""
    token = identity.intent_token(host, "0" * 16, docker_id)
    assert token == "0" * 16
    assert identity.made_for(own_network(description=intent_description(host, token))) == ""


@pytest.mark.parametrize("description", [None, "", "of, the user", "made by kuryr-libnetwork on h1"])
def test_a_description_of_the_users_has_no_token(description: str | None) -> None:
    """Something of the user's would be looked for, and removed."""
    assert identity.token_of(description) == ""


def test_only_a_network_of_one_host_is_gone_with_it() -> None:
    """A network of a swarm would be taken from the hosts that still have it."""
    assert identity.is_of_one_host(DOCKER_ID)
    assert not identity.is_of_one_host(SWARM_ID)
    assert not identity.is_of_one_host("x" * 64)


@pytest.mark.parametrize("description", [None, "", "web server, made by kuryr-libnetwork on c1, x", "made by kuryr"])
def test_a_description_of_the_users_names_no_host(description: str | None) -> None:
    """The user's own description would decide over a port."""
    assert made_on(own_port(description=description)) == ""


NAMED = own_port(name=port_name(ENDPOINT_ID), device_id=ENDPOINT_ID)
UNBOUND = own_port(name=UNBOUND_PORT_NAME)


@pytest.mark.parametrize(
    "port",
    [
        own_port(tags=(OWN_PORT,)),
        own_port(tags=("web", OWN_PORT), name="renamed"),
        own_port(tags=(OWN_PORT,), device_id=ENDPOINT_ID, device_owner=DEVICE_OWNER),
        replace(NAMED, device_owner=DEVICE_OWNER),
        UNBOUND,
        replace(UNBOUND, device_id=ENDPOINT_ID, device_owner=DEVICE_OWNER),
        replace(UNBOUND, device_id=ENDPOINT_ID, device_owner=SUBPORT_OWNER),
    ],
)
def test_ports_that_kuryr_made(port: OwnPort) -> None:
    """Ports would leak."""
    assert made_by_us(port)


@pytest.mark.parametrize(
    "port",
    [
        own_port(),
        own_port(tags=(OWN_PORT, EXISTING_PORT)),
        replace(UNBOUND, tags=(EXISTING_PORT,)),
        *(
            own_port(name=UNBOUND_PORT_NAME, tags=(OWN_PORT,), device_owner=owner)
            for owner in ("compute:nova", "Octavia", "network:dhcp", "kuryr:aux-address")
        ),
        NAMED,
        replace(NAMED, device_owner="compute:nova"),
        replace(NAMED, device_owner=DEVICE_OWNER, name=port_name(OTHER_ID)),
        own_port(name="-port", device_owner=DEVICE_OWNER),
        replace(UNBOUND, device_owner="compute:nova", host_id="other"),
        own_port(
            tags=("kuryr.was:device_id=", *id_tags(ENDPOINT_ID)), device_id=ENDPOINT_ID, device_owner=DEVICE_OWNER
        ),
    ],
)
def test_ports_that_kuryr_did_not_make(port: OwnPort) -> None:
    """A port of the user would be deleted with the container."""
    assert not made_by_us(port)


def test_subnets_that_kuryr_made() -> None:
    """A subnet of the operator would be deleted with the network, or ours would stay."""
    assert subnet_made_by_us(own_subnet(name=identity.subnet_name(CIDR)))
    for name in ("", "private", "kuryr-subnet", "my-kuryr-subnet-10.0.0.0/24", "Kuryr-subnet-10.0.0.0/24"):
        assert not subnet_made_by_us(own_subnet(name=name))


def test_pools_that_kuryr_made() -> None:
    """A pool of the operator would be deleted with the network, or ours would stay."""
    assert pool_made_by_us(own_pool(), "kuryrPool")
    mapped = own_pool(ip_version=6, prefixes=("2001:DB8:0::/64",), name="kuryrPool-2001:db8::/64")
    assert pool_made_by_us(mapped, "kuryrPool")
    assert not pool_made_by_us(own_pool(tags=(EXISTING_POOL,)), "kuryrPool")
    assert not pool_made_by_us(own_pool(prefixes=("10.0.0.0/24", "10.2.0.0/24")), "kuryrPool")
    assert not pool_made_by_us(own_pool(prefixes=()), "kuryrPool")
    assert not pool_made_by_us(own_pool(), "other")
    further = own_pool(name="kuryrPool-10.0.0.0/24-1a2b3c4d", description=intent_description("h", "t"))
    assert pool_made_by_us(further, "kuryrPool")
    assert not pool_made_by_us(replace(further, description="mine"), "kuryrPool")
    assert not pool_made_by_us(replace(further, name="kuryrPool-10.0.0.0/240"), "kuryrPool")


@given(
    docker_ids, st.uuids().map(str), st.sampled_from(["", "10.0.0.64/26", "2001:db8:1111:2222:3333:4444:5555:6666/127"])
)
def test_a_pool_records_its_network(docker_id: str, neutron_id: str, ip_range: str) -> None:
    """A Docker network without room on its Neutron network could not be found again."""
    tags = identity.pool_tags(docker_id, neutron_id, ip_range)
    assert all(len(tag) <= 60 for tag in tags)
    pool, plain = own_pool(tags=("web", *tags)), own_pool(tags=("web",))
    assert docker_id_of(pool) == docker_id
    assert (identity.network_of_pool(pool), identity.range_of_pool(pool)) == (neutron_id, ip_range)
    assert (identity.network_of_pool(plain), identity.range_of_pool(plain)) == ("", "")


def test_room_on_a_network() -> None:
    """A Docker network would be recorded by half of its tags, or there would be no room to say that there are more."""
    new = network_tags(DOCKER_ID, existing=True)
    full = own_network(tags=tuple(f"t{n}" for n in range(identity.MAX_TAGS - len(new) - 1)))
    assert identity.room_for(full, new)
    assert not identity.room_for(replace(full, tags=(*full.tags, "one more")), new)
    assert identity.room_for(replace(full, tags=(*full.tags, identity.MORE_USERS)), new)
    assert identity.room_for(replace(full, tags=(*full.tags, *new)), new)


def test_marks_of_pools_on_a_subnet() -> None:
    """A tag of the user's would be taken for a pool."""
    assert identity.pool_marks(own_subnet(tags=("web", POOL_ID, POOL_ID.upper(), POOL_ID + "0"))) == (POOL_ID,)
