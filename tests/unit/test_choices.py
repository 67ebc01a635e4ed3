# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the user chose among Neutron's networks, subnets and pools, in either place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from msgspec.structs import replace

from kuryr_libnetwork.errors import Conflict, InvalidOption
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.rules import choices as rules
from kuryr_libnetwork.rules.choices import NET_NAME, NET_SHARED, NET_UUID, POOL, SUBNET, Choices, Ref, choices_of
from kuryr_libnetwork.rules.ownership import OwnProject
from kuryr_libnetwork.rules.parsing import truthy
from tests.unit.values import (
    CIDR,
    CIDR6,
    NET,
    NETWORK,
    OTHER_NET,
    POOL_ID,
    SUBNET as SUBNET4,
    SUBNET6,
    SUBNET_ID,
    SUBNETPOOL,
    uuids,
)

BY_ID = choices_of({SUBNET[0]: SUBNET_ID, POOL[0]: POOL_ID})


def test_no_choices_mean_a_new_network() -> None:
    """A plain ``docker network create`` would look for an existing Neutron network."""
    assert choices_of({}) == Choices()
    for options in ({}, {NET_UUID: "", NET_NAME: ""}, {NET_UUID: None, NET_NAME: None, NET_SHARED: None}):
        assert not choices_of(options).existing


@given(uuids)
def test_a_network_is_named_by_uuid_in_any_spelling(uuid: str) -> None:
    """Neutron, which compares ids as text, would not find an id in capitals."""
    for text in (uuid, uuid.upper(), uuid.replace("-", ""), f" {uuid} "):
        chosen = choices_of({NET_UUID: text})
        assert chosen.network.uuid == uuid
        assert chosen.network.query == {"id": uuid}
        assert chosen.existing


def test_an_id_wins_over_a_name() -> None:
    """A name that several things have would hide the id that the user gave."""
    ref = choices_of({NET_UUID: NET, NET_NAME: "private"}).network
    assert (ref.query, ref.key, ref.value) == ({"id": NET}, NET_UUID, NET)
    named = choices_of({NET_NAME: "private", "com.docker.network.driver.mtu": "1400"}).network
    assert (named.query, named.key, named.value) == ({"name": "private"}, NET_NAME, "private")


def test_every_key_has_its_place() -> None:
    """A key of one family would choose for the other."""
    chosen = choices_of({key: key for key in rules.CHOICE_KEYS if key.endswith("name")})
    found = [chosen.network, *(each(v) for v in (4, 6) for each in (chosen.subnet, chosen.pool))]
    assert [ref.name for ref in found] == [ref.keys[1] for ref in found]
    assert [ref.keys[1] for ref in found[1:]] == [
        "neutron.subnet.name",
        "neutron.pool.name",
        "neutron.subnet.v6.name",
        "neutron.pool.v6.name",
    ]


@pytest.mark.parametrize(("key", "what"), [(NET_UUID, "network"), (SUBNET[0], "subnet"), (POOL[0], "subnetpool")])
@pytest.mark.parametrize("value", ["web", NET[:-1], NET + "0", "None"])
def test_a_wrong_uuid_names_the_option(key: str, what: str, value: str) -> None:
    """The user would read Neutron's or Python's words instead of the option's name."""
    with pytest.raises(InvalidOption, match=f"must be the UUID of a Neutron {what}$") as caught:
        choices_of({key: value})
    assert caught.value.option == key
    assert caught.value.value == value


@pytest.mark.parametrize("value", ["True", "true", "1", "yes", " ON ", "t", "Y", True])
def test_upstreams_words_for_true(value: object) -> None:
    """Zun's "True" would not make a network shared."""
    assert choices_of({NET_SHARED: value}).shared is True


@pytest.mark.parametrize("value", ["False", "false", "0", "no", "off", "F", "n", False])
def test_upstreams_words_for_false(value: object) -> None:
    """Zun's "False" would be taken for not given, or for true."""
    assert choices_of({NET_SHARED: value}).shared is False


@pytest.mark.parametrize("value", ["", "maybe", "2", "truee"])
def test_what_is_no_boolean_is_refused(value: str) -> None:
    """A slip of the keyboard would silently make a network private."""
    with pytest.raises(InvalidOption, match="must be true or false"):
        choices_of(rules.agreed({NET_SHARED: value}))


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(True, True), ("true", True), (" True", True), ("1", True), (False, False), ("false", False), ("", False)],
)
def test_dockers_booleans_in_both_forms(value: object, meaning: bool) -> None:
    """``--internal`` would have no effect on engines that send text."""
    assert truthy(value) is meaning


@pytest.mark.parametrize("value", [None, 1, [], {}, "internal"])
def test_anything_else_is_not_true(value: object) -> None:
    """A network would become internal by an accident of types."""
    assert truthy(value) is False


def test_one_place_is_enough_and_two_must_agree() -> None:
    """What is given to one of Docker's two drivers only would be ignored, or the last one would win by accident."""
    ipam = {NET_UUID: NET.upper(), NET_SHARED: "yes"}
    assert rules.agreed({NET_NAME: " n ", "x": "y"}, {NET_UUID: NET}) == {NET_NAME: "n", NET_UUID: NET}
    assert choices_of(rules.agreed({NET_UUID: NET, NET_SHARED: True}, ipam, ipam)) == choices_of(
        {NET_UUID: NET, NET_SHARED: True}
    )
    for network, other in (({NET_UUID: NET}, {NET_UUID: POOL_ID}), ({NET_NAME: "a"}, {NET_NAME: "b"})):
        with pytest.raises(InvalidOption, match="contradicts --ipam-opt") as caught:
            rules.agreed(network, other)
        assert caught.value.option in network
    with pytest.raises(InvalidOption, match=r"contradicts --ipam-opt .*=no"):
        rules.agreed({NET_SHARED: "true"}, {NET_SHARED: "no"})


def test_only_what_is_unique_is_taken() -> None:
    """Containers would land in somebody else's network, or the user would not learn why not."""
    by_name = Ref(keys=(NET_UUID, NET_NAME), name="x")
    assert rules.only(by_name, [NETWORK], "network", OwnProject(id="ours")) == NETWORK
    with pytest.raises(InvalidOption, match=r"neutron\.net\.name=x: no such network in Neutron"):
        rules.only(by_name, [], "network", OwnProject(id="ours"))
    theirs, others = replace(NETWORK, project_id="theirs"), replace(NETWORK, id=OTHER_NET, project_id="others")
    with pytest.raises(
        InvalidOption, match=rf"2 networks have this name \({OTHER_NET}, {NET}\); use neutron\.net\.uuid"
    ):
        rules.only(by_name, [theirs, others], "network", OwnProject(id="ours"))
    with pytest.raises(InvalidOption, match=r"2 networks have this name"):
        rules.only(by_name, [theirs, others], "network", OwnProject(id=""))


def test_of_several_the_services_own_is_meant() -> None:
    """A tenant who gives his network the name of the service's would keep it from being used by name."""
    by_name = Ref(keys=(NET_UUID, NET_NAME), name="x")
    ours, theirs = replace(NETWORK, project_id="ours"), replace(NETWORK, id=OTHER_NET, project_id="theirs")
    assert rules.only(by_name, [theirs, ours], "network", OwnProject(id="ours")) == ours
    with pytest.raises(InvalidOption, match=r"3 networks have this name"):
        rules.only(by_name, [theirs, ours, replace(ours, id=POOL_ID)], "network", OwnProject(id="ours"))


def test_shared_must_be_as_it_is() -> None:
    """Others would be on a network that the user believes to be his own."""
    for shared in (None, False):
        rules.check_network(Choices(shared=shared), NETWORK)
    with pytest.raises(InvalidOption, match="has shared=False"):
        rules.check_network(Choices(shared=True), NETWORK)
    with pytest.raises(InvalidOption, match=r"subnetpool .* has shared=True"):
        rules.check_pool(replace(BY_ID, shared=False), replace(SUBNETPOOL, shared=True), 4, [CIDR])


def test_a_subnet_must_be_of_its_network_and_family() -> None:
    """Containers would get addresses of another network, which the cloud drops."""
    ref = BY_ID.subnet(4)
    rules.check_subnet(ref, SUBNET4, 4, NETWORK)
    rules.check_subnet(ref, SUBNET4, 4, None)
    with pytest.raises(InvalidOption, match=f"is not in Neutron network {OTHER_NET}, but in {NET}"):
        rules.check_subnet(ref, SUBNET4, 4, replace(NETWORK, id=OTHER_NET))
    with pytest.raises(InvalidOption, match="is an IPv6 subnet"):
        rules.check_subnet(ref, SUBNET6, 4, NETWORK)


def test_a_subnet_must_have_dockers_cidr() -> None:
    """Docker would believe in another subnet than containers are on."""
    rules.check_cidr(BY_ID.subnet(4), SUBNET4, ["10.9.0.0/24", CIDR])
    words = r"CIDR is 10\.0\.0\.0/24, Docker's is 10\.9\.0\.0/24; give --subnet=10\.0\.0\.0/24, or give .* --ipam-opt"
    with pytest.raises(InvalidOption, match=words):
        rules.check_cidr(BY_ID.subnet(4), SUBNET4, ["10.9.0.0/24"])


def test_a_pool_must_hold_the_cidr() -> None:
    """Neutron would refuse the subnet in words that nobody understands."""
    wide = replace(SUBNETPOOL, prefixes=("192.168.0.0/16", "10.0.0.0/8"))
    for pool, cidrs in ((SUBNETPOOL, [CIDR]), (wide, [CIDR, "10.200.0.0/16"]), (SUBNETPOOL, [])):
        rules.check_pool(BY_ID, pool, 4, cidrs)
    for pool, cidr in ((SUBNETPOOL, "10.0.0.0/16"), (SUBNETPOOL, "10.0.1.0/24"), (wide, "11.0.0.0/24")):
        with pytest.raises(InvalidOption, match=f"the subnetpool holds .*, and not {cidr}"):
            rules.check_pool(BY_ID, pool, 4, [cidr])
    with pytest.raises(InvalidOption, match="holds nothing, and not"):
        rules.check_pool(BY_ID, replace(SUBNETPOOL, prefixes=()), 4, [CIDR])
    with pytest.raises(InvalidOption, match="is an IPv6 subnetpool"):
        rules.check_pool(BY_ID, replace(SUBNETPOOL, ip_version=6, prefixes=(CIDR6,)), 4, [CIDR])
    assert not rules.holds(SUBNETPOOL, CIDR6)


@pytest.mark.parametrize(
    ("versions", "choose", "words"),
    [
        ([4], lambda: choices_of({"neutron.subnet.v6.name": "x"}), "no IPv6: add --ipv6 and a --subnet"),
        ([4], lambda: choices_of({"neutron.pool.v6.name": "x"}), "no IPv6: add --ipv6 and a --subnet"),
        ([6], lambda: choices_of({"neutron.subnet.name": "x"}), "no IPv4: it was switched off by --ipv4=false"),
    ],
)
def test_a_choice_for_a_family_that_is_not_there(
    versions: list[IpVersion], choose: Callable[[], Choices], words: str
) -> None:
    """An option without effect would leave the user in the belief that it had one."""
    with pytest.raises(InvalidOption, match=words):
        rules.check_families(choose(), versions)
    rules.check_families(choose(), [4, 6])


def test_a_network_that_is_set_down_is_refused() -> None:
    """Its containers would start without a word, and reach nobody."""
    rules.check_up(NETWORK)
    with pytest.raises(Conflict, match=f"openstack network set --enable {NETWORK.id}"):
        rules.check_up(replace(NETWORK, admin_state_up=False))
