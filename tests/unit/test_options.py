# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The options of ``docker network create``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.rules.options import (
    KNOWN,
    NET_NAME,
    NET_SHARED,
    NET_UUID,
    NetworkOptions,
    fingerprint,
    parse_network_options,
    refuse_unknown,
    truthy,
)
from tests.unit.values import NET, uuids

words = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def test_no_options_mean_a_new_network() -> None:
    """A plain ``docker network create`` would look for an existing Neutron network."""
    assert parse_network_options({}) == NetworkOptions()
    assert not parse_network_options({}).existing
    assert not parse_network_options({NET_UUID: "", NET_NAME: ""}).existing


def test_null_means_not_given() -> None:
    """A client that sends null would ask for a network named None."""
    assert parse_network_options({NET_UUID: None, NET_NAME: None, NET_SHARED: None}) == NetworkOptions()


@given(uuids)
def test_a_network_is_named_by_uuid_in_any_spelling(uuid: str) -> None:
    """Neutron, which compares ids as text, would not find an id in capitals."""
    for text in (uuid, uuid.upper(), uuid.replace("-", "")):
        options = parse_network_options({NET_UUID: text})
        assert options.network_uuid == uuid
        assert options.existing


def test_a_network_is_named_by_name() -> None:
    """``-o neutron.net.name`` would make a new network."""
    options = parse_network_options({NET_NAME: "private", "com.docker.network.driver.mtu": "1400"})
    assert options == NetworkOptions(network_name="private")
    assert options.existing


@pytest.mark.parametrize("value", ["web", NET[:-1], NET + "0", "None"])
def test_a_wrong_uuid_names_the_option(value: str) -> None:
    """The user would read Neutron's or Python's words instead of the option's name."""
    with pytest.raises(InvalidOption, match=r"^option neutron\.net\.uuid=.*: must be the UUID") as caught:
        parse_network_options({NET_UUID: value})
    assert caught.value.option == NET_UUID
    assert caught.value.value == value


@pytest.mark.parametrize("value", ["True", "true", "1", "yes", " ON ", "t", "Y", True])
def test_upstreams_words_for_true(value: object) -> None:
    """Zun's "True" would not make a network shared."""
    assert parse_network_options({NET_SHARED: value}).shared is True


@pytest.mark.parametrize("value", ["False", "false", "0", "no", "off", "F", "n", False])
def test_upstreams_words_for_false(value: object) -> None:
    """Zun's "False" would be taken for not given, or for true."""
    assert parse_network_options({NET_SHARED: value}).shared is False


@pytest.mark.parametrize("value", ["", "maybe", "2", "truee"])
def test_what_is_no_boolean_is_refused(value: str) -> None:
    """A slip of the keyboard would silently make a network private."""
    with pytest.raises(InvalidOption, match="must be true or false"):
        parse_network_options({NET_SHARED: value})


@pytest.mark.parametrize("key", ["neutron.net.uid", "kuryr.shared", "neutron.", "neutron.net.uuid "])
def test_a_mistyped_key_is_refused_by_name(key: str) -> None:
    """A slip of the keyboard in an option's name would make a network that nobody wanted."""
    with pytest.raises(InvalidOption, match="no such option; known are neutron") as caught:
        parse_network_options({key: "x"})
    assert caught.value.option == key


def test_keys_of_others_are_left_alone() -> None:
    """Docker's own options, and those of tools, would make ``docker network create`` fail."""
    refuse_unknown(dict.fromkeys((*KNOWN, "com.docker.network.bridge.name", "neutronic", "x"), "x"))


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
