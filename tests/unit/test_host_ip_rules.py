# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The host's own IP on an interface: what has to change for it not to be there."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.rules.host_ip import ROUTED, SILENT, is_silent, to_change

USUAL = HostIp(rp_filter=0, arp_ignore=0, addr_gen_mode=0, disable_ipv6=0, accept_ra=1)
WITHOUT_IPV6 = replace(USUAL, addr_gen_mode=None, disable_ipv6=None, accept_ra=None)
HOST_IPS = st.builds(HostIp, **{name: st.none() | st.integers(0, 3) for name in HostIp.__struct_fields__})


@pytest.mark.parametrize(
    ("found", "wanted", "changes"),
    [
        (USUAL, SILENT, {"rp_filter": 2, "arp_ignore": 1, "addr_gen_mode": 1, "disable_ipv6": 1, "accept_ra": 0}),
        (WITHOUT_IPV6, SILENT, {"rp_filter": 2, "arp_ignore": 1}),
        (USUAL, ROUTED, {"accept_ra": 0}),
        (SILENT, SILENT, {}),
        (USUAL, HostIp(), {}),
    ],
)
def test_only_what_differs_is_set(found: HostIp, wanted: HostIp, changes: dict[str, int]) -> None:
    """A host without IPv6 would have no containers, or one that the host routes to no router."""
    assert to_change(found, wanted) == changes


@given(HOST_IPS, HOST_IPS)
def test_after_the_changes_there_are_none(found: HostIp, wanted: HostIp) -> None:
    """An interface would be refused for what it does not have, or be set again in every round."""
    after = replace(found, **to_change(found, wanted))
    assert to_change(after, wanted) == {}
    assert is_silent(replace(found, **to_change(found, SILENT)))


@pytest.mark.parametrize("open_door", ["rp_filter", "arp_ignore", "disable_ipv6"])
def test_one_open_door_is_enough(open_door: str) -> None:
    """A host that answers would be taken for a silent one."""
    assert not is_silent(replace(SILENT, **{open_door: 0}))


def test_without_a_family_it_is_silent() -> None:
    """The background would try for ever to turn off what is not there."""
    assert is_silent(HostIp())
    assert is_silent(replace(SILENT, addr_gen_mode=None, disable_ipv6=None, accept_ra=None))
    assert is_silent(replace(SILENT, addr_gen_mode=0, accept_ra=1))
