# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A port of the user's: taken over, told from those in use, and given back exactly as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import convert, json, to_builtins
from msgspec.structs import replace

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import Change
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
    OWN_PORT,
    UNBOUND_PORT_NAME,
    id_tags,
    intent_description,
    port_name,
)
from kuryr_libnetwork.rules.ownership import OwnProject, memory_of
from tests.fakes.neutron import PROJECT
from tests.unit.values import (
    ADOPTED_ZUN,
    DOCKER_ID,
    ENDPOINT_ID,
    HOST,
    IP,
    LEFT_BOUND,
    LEFT_BY_UPSTREAM,
    MAC,
    OTHER_HOST,
    OTHER_ID,
    OURS,
    OWN,
    PORT,
    PORT_ID,
    SWARM_ID,
    ZUN_CONTAINER,
    docker_ids,
    macs,
    uuids,
)

ZUN_UNBOUND = replace(ADOPTED_ZUN, host_id="")
OUR_MARKS = (
    OWN_PORT,
    EXISTING_PORT,
    *id_tags(OTHER_ID),
    "kuryr.was:binding:host_id=",
    *rules.claim_tags(PORT_ID, "a", 0),
)
user_tags = st.lists(st.sampled_from(["blue", "web", "compute:nova", *OUR_MARKS]), unique=True).map(tuple)
free_ports = st.builds(
    lambda name, tags, up, mac: replace(PORT, name=name, tags=tags, admin_state_up=up, mac_address=mac),
    st.sampled_from(["", "web", "ab-port", UNBOUND_PORT_NAME, port_name(ENDPOINT_ID)]),
    user_tags,
    st.booleans(),
    macs,
)
any_port = free_ports | st.sampled_from([ADOPTED_ZUN, ZUN_UNBOUND])
extras = st.fixed_dictionaries(
    {},
    optional={
        "security_groups": st.lists(uuids, unique=True, max_size=3),
        "qos_policy_id": st.none() | uuids,
        "port_security_enabled": st.booleans(),
        "dns_domain": st.sampled_from(["example.org.", ""]),
        "binding:profile": st.dictionaries(st.sampled_from(["pci_slot", "physical_network"]), st.just("x")),
    },
)


def after(port: Port, *updates: dict[str, Any]) -> Port:
    """The port after these PUTs."""
    shown = to_builtins(port)
    for update in updates:
        shown |= update
    return convert(shown, Port)


def bound(port: Port, endpoint_id: str, wanted: dict[str, Any]) -> tuple[Port, tuple[Change, ...]]:
    """The port as its container has it, and what was changed for that and is remembered."""
    changes = rules.with_profile(rules.changes_of(port, wanted), port, HOST, endpoint_id)
    return after(port, rules.attributes_of(changes)), changes


# -- adopting ----------------------------------------------------------------------------------------------------


@given(free_ports)
def test_a_free_port_is_adopted(port: Port) -> None:
    """``--ip`` would not find the port that the user prepared; or a tag that anybody can write would keep it
    from him.
    """
    rules.may_adopt(port, OURS, HOST, leased=["another"])


@pytest.mark.parametrize(
    "port",
    [
        ADOPTED_ZUN,
        ZUN_UNBOUND,
        LEFT_BOUND,
        LEFT_BY_UPSTREAM,
        replace(LEFT_BOUND, host_id="", device_owner=""),
        replace(LEFT_BOUND, project_id=PROJECT, name=UNBOUND_PORT_NAME),
        replace(PORT, tags=(EXISTING_PORT,), project_id=PROJECT),
        replace(PORT, device_id=ENDPOINT_ID),
        replace(PORT, device_id=SWARM_ID, project_id=PROJECT),
    ],
    ids=[
        "zun",
        "zun unbound",
        "left bound",
        "left bound by upstream",
        "left unbound",
        "our project's",
        "left by upstream's IPAM",
        "left by upstream",
        "left by swarm",
    ],
)
def test_prepared_and_left_ports_are_adopted(port: Port) -> None:
    """Zun's containers would not start, or a port would be lost for ever after a crash or upstream's release."""
    rules.may_adopt(port, OURS, HOST, leased=[])


@pytest.mark.parametrize(
    "port",
    [
        replace(OWN, description="made by somebody"),
        replace(PORT, name=UNBOUND_PORT_NAME, description=intent_description(OTHER_HOST, "token")),
        replace(PORT, name=port_name(ENDPOINT_ID), device_id=ENDPOINT_ID, tags=OUR_MARKS),
    ],
)
def test_a_users_port_with_our_marks_is_his(port: Port) -> None:
    """Who may write a tag on a port of the user's could keep his containers from it."""
    with pytest.raises(PortNotAdoptable, match="made for another container"):
        rules.may_adopt(replace(port, project_id=PROJECT, tags=(OWN_PORT,)), OURS, HOST, leased=[])
    for project_id in ("", None, PORT.project_id):
        rules.may_adopt(replace(port, project_id=project_id), OURS, HOST, leased=[])


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (replace(OWN, description="made by somebody"), r"another container \(description: made by somebody\)"),
        (replace(OWN, description=None), r"another container \(description: none\)"),
        (replace(OWN, host_id=HOST, device_owner=DEVICE_OWNER), "made for another container"),
        (replace(OWN, profile={"kuryr": "nonsense"}), "made for another container"),
        (replace(PORT, name=UNBOUND_PORT_NAME, project_id=PROJECT), "made for another container"),
        (replace(PORT, host_id=None), "may not see binding:host_id"),
        (replace(ADOPTED_ZUN, host_id=None), "may not see binding:host_id"),
        (replace(LEFT_BOUND, host_id=None), "may not see binding:host_id"),
        (replace(PORT, device_owner="network:dhcp", device_id="dhcp1"), r"Neutron itself \(network:dhcp, device dhcp1"),
        (replace(PORT, device_owner="network:router_interface", host_id=HOST), "belongs to Neutron itself"),
        (
            replace(PORT, device_owner="compute:nova", device_id="vm", host_id=HOST),
            f"{HOST} by compute:nova .device vm",
        ),
        (
            replace(LEFT_BOUND, device_owner="compute:nova", tags=OUR_MARKS),
            f"bound to host {HOST} by compute:nova",
        ),
        (replace(ADOPTED_ZUN, host_id=OTHER_HOST), f"host {OTHER_HOST} by compute:kuryr"),
        (replace(LEFT_BOUND, host_id=OTHER_HOST), f"host {OTHER_HOST} by compute:kuryr"),
        (replace(PORT, host_id=HOST), r"host compute-1 by an unnamed owner \(device none\)"),
        (replace(PORT, device_owner="compute:nova", device_id=ENDPOINT_ID), "reserved by compute:nova"),
        (replace(PORT, device_owner="trunk:subport"), r"reserved by trunk:subport \(device none\)"),
    ],
)
def test_a_port_in_use_is_refused_and_its_owner_named(port: Port, why: str) -> None:
    """A virtual machine, router or container would lose its port to a new container."""
    with pytest.raises(PortNotAdoptable, match=why) as caught:
        rules.may_adopt(port, OURS, HOST, leased=[])
    assert f"port {PORT_ID} (10.0.0.5)" in str(caught.value)


def test_without_projects_every_mark_is_ours() -> None:
    """Where there is no Keystone, the port of one container would be given to another."""
    with pytest.raises(PortNotAdoptable, match="made for another container"):
        rules.may_adopt(replace(OWN, project_id=""), OwnProject(id=""), HOST, leased=[])


def test_a_port_of_a_container_here_is_refused() -> None:
    """Two containers would share one address."""
    with pytest.raises(PortNotAdoptable, match="in use by a container of this host"):
        rules.may_adopt(ADOPTED_ZUN, OURS, HOST, leased=iter(["another", PORT_ID]))


@pytest.mark.parametrize("device_id", [ENDPOINT_ID, DOCKER_ID, SWARM_ID])
def test_what_upstreams_last_container_left_is_not_part_of_the_port(device_id: str) -> None:
    """The user's port would come back with the device of a container that is gone."""
    assert rules.as_found(replace(PORT, device_id=device_id)) == PORT


@pytest.mark.parametrize(
    "port",
    [
        PORT,
        ADOPTED_ZUN,
        ZUN_UNBOUND,
        LEFT_BOUND,
        replace(PORT, device_id="vm"),
        replace(PORT, device_id=ZUN_CONTAINER),
        replace(PORT, device_id=ENDPOINT_ID, device_owner=DEVICE_OWNER),
        replace(PORT, device_id=ENDPOINT_ID, host_id=HOST),
    ],
)
def test_a_device_of_the_users_is_part_of_the_port(port: Port) -> None:
    """Zun, or whoever prepared the port, would not find it any more once its container ended."""
    assert rules.as_found(port) == port


def test_the_mac_of_another_port_is_explained() -> None:
    """The user would read that a MAC is in use, and not how to use the port that he made for it."""
    mine = replace(PORT, fixed_ips=(replace(IP, ip_address="10.0.0.9"),))
    assert rules.why_not_by_mac(mine, MAC, [IP], OURS, HOST, []) == (
        f"--mac-address {MAC} is that of port {PORT_ID}, whose address is 10.0.0.9, but Docker chose 10.0.0.5 before "
        "it told the MAC; to use the port add --ip 10.0.0.9"
    )
    assert "no address; give it one" in rules.why_not_by_mac(replace(PORT, fixed_ips=()), MAC, [IP], OURS, HOST, [])
    taken = rules.why_not_by_mac(replace(ADOPTED_ZUN, host_id=OTHER_HOST), MAC, [IP], OURS, HOST, [])
    assert f"is in use: port {PORT_ID} (10.0.0.5) is bound to host {OTHER_HOST}" in taken


# -- changing and putting back -----------------------------------------------------------------------------------


def test_an_adopted_port_keeps_its_name_and_device() -> None:
    """Zun would not find its port any more."""
    attributes = rules.binding(ZUN_UNBOUND, ENDPOINT_ID, HOST, MAC)
    assert attributes["device_id"] == ZUN_CONTAINER
    assert "name" not in attributes
    assert rules.binding(PORT, ENDPOINT_ID, HOST, "")["device_id"] == ENDPOINT_ID


@pytest.mark.parametrize("mac", ["", MAC, MAC.upper()])
def test_a_prepared_port_needs_no_change(mac: str) -> None:
    """Each container of Zun would wait for an update for nothing (docs/notes/upstream.md, "Binding a port")."""
    assert rules.changes_of(ADOPTED_ZUN, rules.binding(ADOPTED_ZUN, ENDPOINT_ID, HOST, mac)) == ()


def test_groups_have_no_order() -> None:
    """A port would be changed, and later put back, where Neutron lists the same groups otherwise."""
    assert rules.changes_of(replace(PORT, security_groups=("a", "b")), {"security_groups": ["b", "a"]}) == ()


@given(any_port, docker_ids, st.just("") | macs, extras)
def test_what_was_changed_is_put_back(port: Port, endpoint_id: str, mac: str, more: dict[str, Any]) -> None:
    """A port of the user would come back with another device, owner, host, state, MAC, group, policy or profile."""
    wanted = rules.binding(port, endpoint_id, HOST, "" if port.host_id else mac) | more
    there, changes = bound(port, endpoint_id, wanted)
    assert (there.host_id, there.device_owner, there.name, there.tags) == (HOST, DEVICE_OWNER, port.name, port.tags)
    assert json.decode(json.encode(changes), type=tuple[Change, ...]) == changes
    assert rules.untouched(changes, port)
    for back in (rules.restoration(changes), rules.restoration(rules.standing(changes, there, HOST))):
        assert rules.changes_of(port, to_builtins(after(there, *back))) == ()


def test_only_what_a_binding_changes_is_told_to_neutron() -> None:
    """Neutron would refuse the whole update for an attribute that only administrators may change."""
    wanted = rules.binding(PORT, ENDPOINT_ID, HOST, "02:42:ac:11:00:02")
    assert set(wanted) <= rules.CHANGED
    assert [change.name for change in rules.changes_of(PORT, wanted)] == [
        "binding:host_id",
        "device_owner",
        "device_id",
        "mac_address",
    ]
    assert rules.changes_of(PORT, wanted)[0] == Change(name="binding:host_id", before="", ours=HOST)


@given(macs, macs)
def test_the_mac_comes_back_only_after_the_binding_is_gone(before: str, now: str) -> None:
    """Neutron would refuse the whole update (409 PortBound), and the port would stay bound for ever."""
    _, changes = bound(replace(PORT, mac_address=before), ENDPOINT_ID, rules.binding(PORT, ENDPOINT_ID, HOST, now))
    first, *rest = rules.restoration(changes)
    assert "mac_address" not in first
    assert first["binding:host_id"] == ""
    assert [put["mac_address"] for put in rest] == ([] if before == now else [before])


def test_until_the_mac_is_back_the_port_is_known_to_be_ours() -> None:
    """Without the journal nobody would find the port whose MAC is still the container's, or know what it was."""
    _, changes = bound(PORT, ENDPOINT_ID, rules.binding(PORT, ENDPOINT_ID, HOST, "02:00:00:00:00:09"))
    first, last = rules.restoration(changes)
    assert last == {"mac_address": PORT.mac_address, "device_owner": "", "binding:profile": {}}
    there = after(after(PORT, rules.attributes_of(changes)), first)
    memory = memory_of(there)
    assert memory is not None
    assert rules.remembered(there, memory) == tuple(change for change in changes if change.name in last)


def test_neutron_itself_gives_the_port_of_a_whole_pf_its_mac_back() -> None:
    """It does so when the owner goes, and would overwrite the MAC that comes with it."""
    own = {"pci_slot": "0000:05:00.0", "device_mac_address": "02:00:00:00:00:09"}
    wanted = rules.binding(PORT, ENDPOINT_ID, HOST, "02:00:00:00:00:09") | {"binding:profile": own}
    _, changes = bound(PORT, ENDPOINT_ID, wanted)
    first, last = rules.restoration(changes)
    assert first["device_owner"] == ""
    assert last == {"mac_address": PORT.mac_address}


def test_what_the_owner_did_meanwhile_stays() -> None:
    """A port that its owner gave to somebody else would be taken away again."""
    changes = rules.changes_of(
        PORT, rules.binding(replace(PORT, admin_state_up=False), ENDPOINT_ID, HOST, "02:00:00:00:00:09")
    )
    there = after(PORT, rules.attributes_of(changes))
    unbound = replace(there, host_id="", device_id="", device_owner="")
    assert [change.name for change in rules.standing(changes, unbound, HOST)] == ["mac_address"]
    assert rules.standing(changes, replace(there, host_id=OTHER_HOST), HOST) == ()
    assert rules.standing(changes, replace(there, host_id=None), HOST) == ()
    renamed = replace(there, name="other", device_owner="compute:nova")
    assert {change.name for change in rules.standing(changes, renamed, HOST)} == {
        "binding:host_id",
        "device_id",
        "mac_address",
    }
    assert not rules.untouched(changes, renamed)


@pytest.mark.parametrize(
    ("now", "stands"),
    [
        (["a", "b"], True),
        (["b", "a"], True),
        (["a", "b", "exposed"], True),
        (["a"], False),
        (["a", "b", "owners"], False),
    ],
)
def test_groups_that_come_and_go_do_not_hide_those_of_the_container(now: list[str], stands: bool) -> None:
    """The user's port would keep the groups that its container said, because another one was opened besides."""
    changes = rules.changes_of(PORT, {"security_groups": ["b", "a"]})
    there = replace(PORT, security_groups=tuple(now))
    assert (rules.standing(changes, there, HOST, ["exposed"]) == changes) is stands


@pytest.mark.parametrize(
    ("now", "groups", "as_left"),
    [
        ({}, None, True),
        ({"name": "other", "status": "ACTIVE", "tags": ("new",)}, None, True),
        ({"device_owner": "compute:nova"}, None, False),
        ({"profile": {"theirs": "new"}}, None, False),
        ({"host_id": ""}, None, False),
        ({"security_groups": ("other",)}, None, True),
        ({"security_groups": ("other",)}, ["b", "a"], False),
        ({"security_groups": ("b", "exposed", "a")}, ["b", "a"], True),
        ({"security_groups": ("exposed", "a")}, ["b", "a"], False),
    ],
)
def test_a_port_that_is_not_as_it_was_left_is_looked_at_again(
    now: dict[str, Any], groups: list[str] | None, as_left: bool
) -> None:
    """A wrong answer would be taken for what the port's owner did, and the port would stay a container's in part."""
    there, changes = bound(PORT, ENDPOINT_ID, rules.binding(PORT, ENDPOINT_ID, HOST, ""))
    assert rules.as_left(changes, replace(there, **now), groups, ["exposed"]) is as_left


def test_groups_that_the_binding_has_chosen_are_those_it_left() -> None:
    """Each port with groups of its own for a container would be looked at twice."""
    changes = rules.changes_of(PORT, {"security_groups": ["c"]})
    there = replace(PORT, security_groups=("c", "exposed"))
    assert rules.as_left(changes, there, ["a", "b"], ["exposed"])
    assert not rules.as_left(changes, there, ["a", "b"], [])


@given(any_port, docker_ids, st.sampled_from(["", "02:42:ac:11:00:02"]), extras)
def test_a_lease_made_from_the_port_alone_is_known(
    port: Port, endpoint_id: str, mac: str, more: dict[str, Any]
) -> None:
    """What one answer says of a port would be put back without a second one; or each port would be looked at twice."""
    there, changes = bound(port, endpoint_id, rules.binding(port, endpoint_id, HOST, mac) | more)
    assert not rules.is_rebuilt(changes, port)
    memory = memory_of(there)
    assert rules.is_rebuilt(rules.remembered(there, memory) if memory else (), there) is bool(memory)


def test_two_answers_about_one_port_are_compared() -> None:
    """A port would be given back by an answer that the next one does not confirm."""
    other = replace(PORT, name="x", status="ACTIVE", device_owner="x", profile={"x": 1}, security_groups=("a",))
    assert rules.differences(PORT, other) == ["binding:profile", "device_owner", "security_groups"]
    assert rules.differences(replace(PORT, security_groups=("b", "a")), replace(PORT, security_groups=("a", "b"))) == []


@pytest.mark.parametrize(
    ("vnic_type", "profile", "mac"),
    [
        ("direct-physical", {"device_mac_address": "AA:BB:CC:00:00:01"}, {"mac_address": "aa:bb:cc:00:00:01"}),
        ("direct-physical", {}, {}),
        ("direct", {"device_mac_address": "AA:BB:CC:00:00:01"}, {}),
    ],
)
def test_neutron_gives_a_pfs_port_the_pfs_mac(vnic_type: str, profile: dict[str, str], mac: dict[str, str]) -> None:
    """The user's port would never get its own MAC back."""
    assert rules.by_neutron(replace(PORT, vnic_type=vnic_type), {"binding:profile": profile}) == mac
    assert rules.by_neutron(replace(PORT, vnic_type=vnic_type, profile=profile), {}) == mac
