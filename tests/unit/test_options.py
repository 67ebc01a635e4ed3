# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The options of ``docker network create``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.protocol.messages import ENDPOINT_IFNAME
from kuryr_libnetwork.rules.options import (
    KNOWN,
    MTU,
    NetworkOptions,
    check_mtu,
    fingerprint,
    interface_name,
    parse_network_options,
    parse_pool_options,
    refuse_unknown,
    without_effect,
)

words = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def test_no_options_mean_nothing_special() -> None:
    """A plain ``docker network create`` would ask for a device that nobody wants."""
    assert parse_network_options({}) == NetworkOptions()


def test_ipam_options_are_the_choices_only() -> None:
    """An option of the network given to the IPAM driver would be ignored without a word."""
    assert parse_pool_options({"neutron.pool.name": "p", "x": "y", "neutron.net.uuid": ""}) == {
        "neutron.pool.name": "p"
    }
    with pytest.raises(InvalidOption, match="give it with -o, not with --ipam-opt"):
        parse_pool_options({"kuryr.pf": "eth0"})
    with pytest.raises(InvalidOption, match="no such option; known are neutron"):
        parse_pool_options({"neutron.pool.nmae": "x"})
    with pytest.raises(InvalidOption, match="must be the UUID of a Neutron subnetpool"):
        parse_pool_options({"neutron.pool.uuid": "x"})


@pytest.mark.parametrize("key", ["neutron.net.uid", "kuryr.shared", "neutron.", "neutron.net.uuid "])
def test_a_mistyped_key_is_refused_by_name(key: str) -> None:
    """A slip of the keyboard in an option's name would make a network that nobody wanted."""
    with pytest.raises(InvalidOption, match="no such option; known are neutron") as caught:
        parse_network_options({key: "x"})
    assert caught.value.option == key


def test_keys_of_others_are_left_alone() -> None:
    """Docker's own options, and those of tools, would make ``docker network create`` fail."""
    refuse_unknown(dict.fromkeys((*KNOWN, "com.docker.network.bridge.name", "neutronic", "x"), "x"))


@given(st.dictionaries(words, json_values, max_size=5))
def test_a_repeated_request_has_the_same_fingerprint(request: dict[str, Any]) -> None:
    """Docker's repeated call would be refused as a contradiction, because its members came in another order."""
    other_order = dict(reversed(list(request.items())))
    assert fingerprint(request) == fingerprint(other_order) == fingerprint(json.loads(json.dumps(request)))


@given(st.dictionaries(words, json_values, max_size=5), st.dictionaries(words, json_values, max_size=5))
def test_other_requests_have_other_fingerprints(one: dict[str, Any], two: dict[str, Any]) -> None:
    """A contradicting request would be answered as if it were the first one."""
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (fingerprint(one) == fingerprint(two)) is same


@pytest.mark.parametrize("text", ["575", "65536", "-1300", "1300.0", "jumbo", "1" * 5000])
def test_an_mtu_that_no_network_has_is_refused(text: str) -> None:
    """It would be taken for none, or fail as netlink's error when the first container starts."""
    with pytest.raises(InvalidOption, match=r"driver.mtu=.* must be a number of bytes from 576 to 65535"):
        parse_network_options({MTU: text})


@pytest.mark.parametrize(("mtu", "most", "versions"), [(0, 1442, {4, 6}), (1300, 1300, {4, 6}), (1000, 1442, {4})])
def test_an_mtu_that_the_network_carries(mtu: int, most: int, versions: set[int]) -> None:
    """A good one would be refused."""
    assert parse_network_options({MTU: str(mtu or "")}).mtu == mtu
    check_mtu(mtu, most, versions)


@pytest.mark.parametrize(
    ("mtu", "versions", "why"), [(1443, {4}, "carries at most 1442"), (1279, {4, 6}, "IPv6, .* needs at least 1280")]
)
def test_an_mtu_that_the_network_does_not_carry(mtu: int, versions: set[int], why: str) -> None:
    """Large packets would be lost without a word, or the container have no IPv6."""
    with pytest.raises(InvalidOption, match=why):
        check_mtu(mtu, 1442, versions)


def test_options_of_dockers_own_drivers_are_known_to_have_no_effect() -> None:
    """A user would believe that his containers are kept apart."""
    given = {"com.docker.network.bridge.enable_icc": "false", MTU: "1300", "neutron.net.name": "n", "com.example": "x"}
    assert without_effect(given) == ["com.docker.network.bridge.enable_icc"]


@pytest.mark.parametrize("options", [{}, {ENDPOINT_IFNAME: ""}, {ENDPOINT_IFNAME: None}])
def test_no_name_is_wanted(options: dict[str, Any]) -> None:
    """Every container would be warned of a name that nobody gave."""
    assert interface_name(options) == ""


@pytest.mark.parametrize("name", ["lan", "web.0", "x" * 15])
def test_a_name_for_the_interface(name: str) -> None:
    """The name would be lost on its way to Docker."""
    assert interface_name({ENDPOINT_IFNAME: name}) == name


@pytest.mark.parametrize("name", ["x" * 16, "a b", "a/b", "a:b", "eth%d", "a\n"])
def test_a_name_that_no_interface_can_have(name: str) -> None:
    """The start would fail late, in the kernel's words."""
    with pytest.raises(InvalidOption, match="the name of an interface"):
        interface_name({ENDPOINT_IFNAME: name})
