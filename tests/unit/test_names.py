# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The names and marks of a port's network interfaces."""

from __future__ import annotations

from hypothesis import given, strategies as st

from kuryr_libnetwork.rules import names

PORT = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60"
port_ids = st.uuids().map(str)
alternatives = st.integers(0, names.MAX_ALTERNATIVES)


def test_names_are_upstreams() -> None:
    """Scripts and monitoring that look for upstream's interface names would find nothing."""
    assert names.host_name(PORT) == "tap0f9e3a55-7c"
    assert names.container_name(PORT) == "t_c0f9e3a55-7c"


@given(port_ids, alternatives)
def test_the_kernel_accepts_every_name(port_id: str, alternative: int) -> None:
    """A container whose interface name is taken could not start: the alternative would be too long."""
    assert 0 < len(names.host_name(port_id, alternative)) <= 15
    assert 0 < len(names.container_name(port_id, alternative)) <= 15


@given(port_ids)
def test_alternatives_differ(port_id: str) -> None:
    """Looking for a free name would try the same taken name again."""
    every = {names.host_name(port_id, n) for n in range(names.MAX_ALTERNATIVES + 1)}
    every |= {names.container_name(port_id, n) for n in range(names.MAX_ALTERNATIVES + 1)}
    assert len(every) == 2 * (names.MAX_ALTERNATIVES + 1)


@given(port_ids)
def test_upstreams_names_are_tried_first(port_id: str) -> None:
    """Scripts that know upstream's names would not find the interface."""
    pairs = list(names.name_pairs(port_id))
    assert pairs[0] == (names.host_name(port_id), names.container_name(port_id))
    assert len(pairs) == names.MAX_ALTERNATIVES + 1


@given(port_ids)
def test_an_alias_names_its_port(port_id: str) -> None:
    """A renamed interface could not be traced to its port."""
    assert names.port_of_alias(names.alias(port_id)) == port_id


def test_a_foreign_alias_names_no_port() -> None:
    """Somebody else's interface would be taken for ours, and removed."""
    assert names.port_of_alias("uplink to rack 4") == ""
    assert names.port_of_alias("") == ""


@given(port_ids)
def test_what_stands_between_has_a_name_of_its_own(port_id: str) -> None:
    """An interface would be taken for another one of the same port, or have a name that the kernel refuses."""
    every = [
        *names.hybrid_names(port_id),
        names.host_name(port_id),
        names.container_name(port_id),
        names.device_name(port_id),
        names.network_bridge(port_id),
    ]
    assert len(set(every)) == len(every)
    assert all(0 < len(name) <= 15 for name in every)


@given(port_ids)
def test_only_a_pairs_ends_name_their_port(port_id: str) -> None:
    """A bridge, or what joins it to Open vSwitch, would be taken for a container's interface."""
    for text in (names.part_alias(port_id), names.bridge_alias(names.network_bridge(port_id))):
        assert names.port_of_alias(text) == ""
        assert port_id[:8] in text
