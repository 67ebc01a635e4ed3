# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the drivers rely on in Linux bridges, tested on the kernel's and on the fake."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.model.links import VethSpec
from tests.fakes.host import FakeLinks
from tests.linux.inside import Inside
from tests.linux.namespace import Namespace, namespace

SPEC = VethSpec(host_name="qvo1", container_name="qvb1", mac="", mtu=1442, alias="kuryr-part:p1")


def test_a_bridge_is_made_up_and_marked(links: Inside | FakeLinks) -> None:
    """No packet would pass, or nobody would know later whose bridge it is."""
    links.create_bridge("qbr1", "kuryr-part:p1")
    made = links.get("qbr1")
    assert made is not None
    assert (made.kind, made.up, made.alias) == ("bridge", True, "kuryr-part:p1")
    assert links.members("qbr1") == []


def test_interfaces_join_and_are_up_then(links: Inside | FakeLinks) -> None:
    """The container's packets would end at an empty bridge."""
    links.create_bridge("qbr1", "a")
    links.create_veth(SPEC)
    for _ in range(2):
        links.add_to_bridge("qvb1", "qbr1")
        assert links.members("qbr1") == ["qvb1"]
    both = [links.get(name) for name in ("qvb1", "qvo1")]
    assert [(link.up, link.mtu) for link in both if link] == [(True, 1442), (True, 1442)]


def test_an_interface_moves_from_one_bridge_to_another(links: Inside | FakeLinks) -> None:
    """The interface would stay in the bridge of an earlier container."""
    for bridge in ("qbr1", "qbr2"):
        links.create_bridge(bridge, "a")
    links.create_veth(SPEC)
    for bridge in ("qbr1", "qbr2"):
        links.add_to_bridge("qvb1", bridge)
    assert (links.members("qbr1"), links.members("qbr2")) == ([], ["qvb1"])


def test_an_interface_leaves_as_it_is_deleted_and_outlives_its_bridge(links: Inside | FakeLinks) -> None:
    """A bridge would never be empty, or take the interfaces along."""
    links.create_bridge("qbr1", "a")
    links.create_veth(SPEC)
    links.add_to_bridge("qvb1", "qbr1")
    links.delete("qbr1")
    assert links.get("qvb1") is not None
    links.create_bridge("qbr1", "a")
    assert links.members("qbr1") == []
    links.add_to_bridge("qvb1", "qbr1")
    links.delete("qvo1")
    assert links.members("qbr1") == []


def test_what_is_missing_or_taken_is_said(links: Inside | FakeLinks) -> None:
    """Somebody else's bridge would be changed, or an error of the library escape."""
    links.create_bridge("qbr1", "a")
    with pytest.raises(LinkExists):
        links.create_bridge("qbr1", "b")
    with pytest.raises(LinkError):
        links.create_bridge("a-name-that-is-much-too-long", "b")
    with pytest.raises(LinkNotFound):
        links.add_to_bridge("nothing", "qbr1")
    links.create_veth(SPEC)
    with pytest.raises(LinkNotFound):
        links.add_to_bridge("qvb1", "nothing")
    with pytest.raises(LinkError):
        links.add_to_bridge("qvb1", "qvo1")
    assert links.members("nothing") == []


def shown(inside: Namespace, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(inside.command("ip", "-details", "-json", "addr", "show", name))
    return next(each for each in found if each)


def test_the_host_is_not_on_the_bridge_and_packets_pass_at_once() -> None:
    """Containers could reach the host past every firewall, or had no network for half a minute."""
    with namespace() as inside:
        Inside(inside).create_bridge("qbr1", "a")
        bridge = shown(inside, "qbr1")
        assert bridge["addr_info"] == []
        data = bridge["linkinfo"]["info_data"]
        assert (data["forward_delay"], data["stp_state"], data["mcast_snooping"]) == (0, 0, 0)


def test_a_failure_after_the_bridge_was_made_takes_it_away() -> None:
    """An alias that the kernel refuses (it takes 255 characters) would leave a bridge nobody knows."""
    with namespace() as inside:
        links = Inside(inside)
        with pytest.raises(LinkError):
            links.create_bridge("qbr1", "x" * 300)
        assert links.get("qbr1") is None
