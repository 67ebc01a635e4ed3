# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the drivers rely on in network interfaces, tested on the kernel's and on the fake."""

from __future__ import annotations

import msgspec
import pytest

from kuryr_libnetwork.errors import LinkError, LinkExists
from kuryr_libnetwork.model.links import VethSpec
from tests.fakes.host import FakeLinks
from tests.linux.inside import Inside
from tests.linux.namespace import namespace

SPEC = VethSpec(
    host_name="tap0f9e3a55-7c", container_name="t_c0f9e3a55-7c", mac="fa:16:3e:00:00:01", mtu=1442, alias="kuryr:p1"
)
BOTH = [SPEC.container_name, SPEC.host_name]


def aliased(links: Inside | FakeLinks, alias: str) -> list[str]:
    return sorted(link.name for link in links.find_by_alias(alias))


def test_a_pair_is_made_as_asked(links: Inside | FakeLinks) -> None:
    """The container would have another MAC or MTU than its Neutron port, or no packet would leave the host's end."""
    links.create_veth(SPEC)
    host, container = links.get(SPEC.host_name), links.get(SPEC.container_name)
    assert host is not None
    assert container is not None
    assert (host.kind, host.mtu, host.up, host.alias) == ("veth", 1442, True, "kuryr:p1")
    assert (container.kind, container.mtu, container.alias) == ("veth", 1442, "kuryr:p1")
    assert container.mac == SPEC.mac
    assert host.mac != SPEC.mac
    assert host.index != container.index


def test_what_is_not_there_is_none(links: Inside | FakeLinks) -> None:
    """Looking whether a name is free would fail."""
    assert links.get("tapnothing") is None
    assert links.find_by_alias("kuryr:nothing") == []


@pytest.mark.parametrize("name", ["a-name-that-is-much-too-long", "x" * 300])
def test_a_name_that_cannot_be_is_refused_or_none(links: Inside | FakeLinks, name: str) -> None:
    """An error of the netlink library would escape."""
    with pytest.raises(LinkError):
        links.create_veth(msgspec.structs.replace(SPEC, host_name=name))
    assert links.names() == []


@pytest.mark.parametrize(
    "other", [{}, {"host_name": "tapother"}, {"container_name": "t_cother"}], ids=["both", "container", "host"]
)
def test_a_taken_name_is_said_and_nothing_changes(links: Inside | FakeLinks, other: dict[str, str]) -> None:
    """Somebody else's interface would be replaced, or half a pair would stay."""
    links.create_veth(SPEC)
    with pytest.raises(LinkExists):
        links.create_veth(msgspec.structs.replace(SPEC, alias="kuryr:p2", **other))
    assert links.names() == BOTH
    assert aliased(links, "kuryr:p1") == BOTH


def test_a_refused_mtu_leaves_nothing_behind(links: Inside | FakeLinks) -> None:
    """Each try with a wrong MTU would leave interfaces on the host."""
    with pytest.raises(LinkError):
        links.create_veth(msgspec.structs.replace(SPEC, mtu=10))
    assert links.names() == []


def test_deleting_one_end_deletes_both_and_once_only(links: Inside | FakeLinks) -> None:
    """A second cleaning up would fail, or the other end would stay."""
    links.create_veth(SPEC)
    assert links.delete(SPEC.host_name)
    assert not links.delete(SPEC.host_name)
    assert not links.delete(SPEC.container_name)
    assert links.names() == []


def test_an_alias_survives_a_rename_and_is_matched_whole(links: Inside | FakeLinks) -> None:
    """A renamed interface would never be found again, or that of another port would be taken for it."""
    links.create_veth(SPEC)
    links.create_veth(msgspec.structs.replace(SPEC, host_name="tap2", container_name="t_c2", alias="kuryr:p12"))
    links.rename(SPEC.host_name, "veth77")
    assert aliased(links, "kuryr:p1") == sorted([SPEC.container_name, "veth77"])


def test_an_altname_is_no_name() -> None:
    """Somebody else's interface would be deleted because it has our name as an alternative one."""
    with namespace() as inside:
        links = Inside(inside)
        inside.command("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "beyond")
        inside.command("ip", "link", "property", "add", "dev", "uplink", "altname", SPEC.host_name)
        assert links.get(SPEC.host_name) is None
        assert not links.delete(SPEC.host_name)
        assert links.names() == ["beyond", "uplink"]


def test_a_failure_after_the_pair_was_made_takes_it_away() -> None:
    """An alias that the kernel refuses (it takes 255 characters) would leave a pair nobody knows."""
    with namespace() as inside:
        links = Inside(inside)
        with pytest.raises(LinkError):
            links.create_veth(msgspec.structs.replace(SPEC, alias="x" * 300))
        assert links.names() == []


def test_a_list_tells_the_same_as_a_look_at_each() -> None:
    """The background would judge containers by other facts than a call of Docker."""
    with namespace() as inside:
        links = Inside(inside)
        links.create_veth(SPEC)
        links.create_veth(msgspec.structs.replace(SPEC, host_name="tap2", container_name="t_c2", routed=True, mtu=1000))
        links.create_bridge("qbr1", "kuryr:b")
        inside.command("ip", "link", "add", "plain", "type", "bridge")
        inside.command("ip", "link", "set", "lo", "up")
        listed = links.all()
        assert {"lo", "plain", "qbr1", "tap2", "t_c2", *BOTH} == {link.name for link in listed}
        assert [links.get(link.name) for link in listed] == listed
