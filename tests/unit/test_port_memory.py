# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a port of a user's was before its container, told by the port's own profile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import Change
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.adoption import CHANGED, PROFILE, remembered, standing, with_profile, without_profile
from kuryr_libnetwork.rules.ownership import LARGEST_PROFILE, PROFILE_KEY, PortMemory, memory_of, without_memory
from tests.unit.test_adoption_rules import after
from tests.unit.values import (
    ADOPTED_ZUN,
    ENDPOINT_ID,
    HOST,
    LEFT_BOUND,
    LEFT_BY_UPSTREAM,
    MEMORY,
    OTHER_HOST,
    PORT,
    docker_ids,
    macs,
    sure,
    uuids,
)

DEVICE_KEYS = ("pci_slot", "physical_network", "card_serial_number")
words = st.text("abc:/-0.", max_size=8)
groups = st.lists(uuids, unique=True, max_size=3)
attributes = {
    "binding:host_id": st.sampled_from(["", HOST]),
    "device_owner": words,
    "device_id": words | docker_ids,
    "mac_address": macs,
    "security_groups": groups,
    "qos_policy_id": st.none() | uuids,
    "admin_state_up": st.booleans(),
    "port_security_enabled": st.booleans(),
    "dns_domain": st.none() | words,
}
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner | st.none(), max_size=2) | st.dictionaries(words, inner | st.none(), max_size=2),
    max_leaves=5,
)
foreign_keys = st.dictionaries(st.sampled_from(["os_vif", "capabilities", "allocation", *DEVICE_KEYS]), json_values)
ports = st.fixed_dictionaries(attributes).flatmap(
    lambda shown: foreign_keys.map(lambda profile: after(PORT, shown, {PROFILE: profile}))
)
wishes = st.fixed_dictionaries({}, optional=attributes)
devices = st.dictionaries(st.sampled_from(DEVICE_KEYS), json_values)


def taken(port: Port, wanted: dict[str, Any], device: dict[str, Any]) -> tuple[Port, tuple[Change, ...]]:
    """The port as its container has it, and what the journal says of that."""
    whole = wanted | ({PROFILE: port.profile | device} if device else {})
    changes = with_profile(rules.changes_of(port, whole), port, HOST, ENDPOINT_ID)
    return after(port, rules.attributes_of(changes)), changes


def given_back(port: Port, changes: tuple[Change, ...]) -> Port:
    return after(port, *rules.restoration(changes))


def same(port: Port, other: Port) -> bool:
    """Whether nothing of the one is otherwise than of the other; groups have no order."""
    return rules.changes_of(port, to_builtins(other)) == ()


def test_every_attribute_that_a_binding_changes_is_tried_here() -> None:
    """The properties below would say nothing about it."""
    assert set(attributes) == CHANGED


# -- giving back ---------------------------------------------------------------------------------------------------


@given(ports, wishes, devices)
def test_a_port_comes_back_as_it_was(port: Port, wanted: dict[str, Any], device: dict[str, Any]) -> None:
    """A port of the user's would keep what its container had, or lose what others wrote into its profile.

    Whether the journal tells it or the port alone, and whether all of it is put back or what still stands.
    """
    there, changes = taken(port, wanted, device)
    assert same(port, given_back(there, changes))
    assert same(port, given_back(there, standing(changes, there, HOST)))
    memory = memory_of(there)
    assert (memory is None) is (changes == ())
    if memory is not None:
        assert (memory.host, memory.endpoint) == (HOST, ENDPOINT_ID)
        found = remembered(there, memory)
        assert same(port, given_back(there, found))
        assert same(port, given_back(there, standing(found, there, HOST)))


@given(ports, wishes, devices, st.dictionaries(st.sampled_from(["nova", "allocation", "migrating_to"]), json_values))
def test_what_others_write_into_the_profile_meanwhile_stays(
    port: Port, wanted: dict[str, Any], device: dict[str, Any], more: dict[str, Any]
) -> None:
    """Neutron replaces a profile as a whole: what Nova or the operator has written meanwhile would be lost."""
    there, changes = taken(port, wanted, device)
    now = replace(there, profile=there.profile | more)
    memory = memory_of(now)
    for told in (changes, remembered(now, memory) if memory else ()):
        back = given_back(now, standing(told, now, HOST))
        assert back.profile == port.profile | more
        assert same(replace(port, profile={}), replace(back, profile={}))


@given(ports, wishes, devices)
def test_a_port_that_has_gone_to_another_host_is_left_alone(
    port: Port, wanted: dict[str, Any], device: dict[str, Any]
) -> None:
    """A virtual machine to which the user has given his port would lose it."""
    there, changes = taken(port, wanted, device)
    assert standing(changes, replace(there, host_id=OTHER_HOST), HOST) == ()


def test_a_key_that_others_have_changed_is_theirs() -> None:
    """Nova's device would be taken off the port, or its container's stay."""
    port = replace(PORT, profile={"pci_slot": "user", "os_vif": {"a": 1}, "physical_network": "p1"})
    wanted = {PROFILE: {"pci_slot": "ours", "os_vif": {"a": 1}, "card_serial_number": "c"}}
    changes = with_profile(rules.changes_of(port, wanted), port, HOST, ENDPOINT_ID)
    there = after(port, rules.attributes_of(changes))
    assert without_memory(there.profile) == wanted[PROFILE]
    now = replace(there, profile={**there.profile, "pci_slot": "novas"})
    (back,) = standing(changes, now, HOST)
    assert back == Change(
        name=PROFILE,
        before={"pci_slot": "novas", "os_vif": {"a": 1}, "physical_network": "p1"},
        ours=now.profile,
    )
    emptied = replace(there, profile={})
    assert standing(changes, emptied, HOST)[0].before == {"physical_network": "p1"}


def test_a_profile_without_anything_of_ours_is_not_written() -> None:
    """Each release would cost a PUT that only some roles may make."""
    _, changes = taken(PORT, {"binding:host_id": HOST}, {})
    for profile in ({}, {"pci_slot": "novas"}):
        there = replace(PORT, host_id=HOST, profile=profile)
        assert [change.name for change in standing(changes, there, HOST)] == ["binding:host_id"]


# -- what is remembered --------------------------------------------------------------------------------------------


def test_an_ordinary_port_remembers_how_it_was() -> None:
    """After a crash nobody would know that the port was free, and of what MAC."""
    _, changes = taken(PORT, rules.binding(PORT, ENDPOINT_ID, HOST, "02:42:AC:11:00:02"), {})
    assert changes[-1] == Change(
        name=PROFILE,
        before={},
        ours={
            PROFILE_KEY: {
                "host": HOST,
                "endpoint": ENDPOINT_ID,
                "was": {"binding:host_id": "", "device_owner": "", "device_id": "", "mac_address": PORT.mac_address},
                "profile_was": {},
            }
        },
    )
    assert [change.name for change in changes].count(PROFILE) == 1


def test_the_keys_of_the_profile_that_a_device_needs_are_remembered_singly() -> None:
    """The device of a container that is gone would stay on the user's port, or the user's own one be lost."""
    port = replace(PORT, profile={"physical_network": "users", "os_vif": True})
    there, _ = taken(port, {}, {"physical_network": "ours", "pci_slot": "0000:05:00.1"})
    assert sure(memory_of(there)).profile_was == {"physical_network": "users", "pci_slot": None}
    assert without_memory(there.profile) == {"physical_network": "ours", "os_vif": True, "pci_slot": "0000:05:00.1"}


def test_where_nothing_is_changed_nothing_is_remembered() -> None:
    """Each container of Zun would cost a PUT of the profile alone (docs/notes/upstream.md, "Binding a port")."""
    assert with_profile([], ADOPTED_ZUN, HOST, ENDPOINT_ID) == ()
    assert taken(ADOPTED_ZUN, rules.binding(ADOPTED_ZUN, ENDPOINT_ID, HOST, ""), {}) == (ADOPTED_ZUN, ())


def test_a_memory_that_is_too_large_is_in_the_journal_alone() -> None:
    """Neutron would refuse the PUT, and the container would not start."""
    full = {"operators": "x" * (LARGEST_PROFILE - 100)}
    port = replace(PORT, profile=full)
    plain = rules.changes_of(port, {"binding:host_id": HOST})
    assert with_profile(plain, port, HOST, ENDPOINT_ID) == plain
    there, changes = taken(port, {"binding:host_id": HOST}, {"pci_slot": "0000:05:00.1"})
    assert there.profile == {**full, "pci_slot": "0000:05:00.1"}
    assert memory_of(there) is None
    assert same(port, given_back(there, standing(changes, there, HOST)))


def test_what_a_former_container_has_left_in_the_profile_is_replaced() -> None:
    """The port would be given back as it was before another container."""
    there, changes = taken(replace(LEFT_BOUND, host_id="", device_owner=""), {"binding:host_id": HOST}, {})
    assert memory_of(there) == PortMemory(host=HOST, endpoint=ENDPOINT_ID, was={"binding:host_id": ""})
    assert given_back(there, standing(changes, there, HOST)).profile == {}


@given(ports, wishes, devices)
def test_a_role_that_may_not_write_the_profile_changes_the_rest(
    port: Port, wanted: dict[str, Any], device: dict[str, Any]
) -> None:
    """Containers would not start where the service has an administrator's role alone, or start without their device."""
    _, changes = taken(port, wanted, device)
    less = without_profile(changes)
    there = after(port, rules.attributes_of(less))
    assert memory_of(there) is None
    assert all(change.before != change.ours for change in less)
    assert (there.profile == port.profile | device) is (device != {} or there.profile == port.profile)
    assert {change.name for change in less} - {PROFILE} == {change.name for change in changes} - {PROFILE}
    assert same(port, given_back(there, less))


# -- believing it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    sorted({*to_builtins(PORT), "tags", "project_id", "tenant_id", "binding", "kuryr", "", "nonsense"} - CHANGED),
)
def test_nothing_that_no_binding_changes_is_ever_put_back(name: str) -> None:
    """A memory that somebody has made up would give the port another name, network, owner, address or set of rules."""
    memory = replace(MEMORY, was={**MEMORY.was, name: "made up"})
    found = remembered(LEFT_BOUND, memory)
    assert found == remembered(LEFT_BOUND, MEMORY)
    assert {change.name for change in found} == {"binding:host_id", "device_owner", "device_id", PROFILE}


@given(st.dictionaries(st.text(max_size=20) | st.sampled_from(sorted(CHANGED)), json_values | st.none()))
def test_only_the_attributes_of_a_binding_are_put_back(was: dict[str, Any]) -> None:
    """The same for whatever may stand in a memory."""
    for change in remembered(LEFT_BOUND, replace(MEMORY, was=was))[:-1]:
        assert change.name in CHANGED
        assert change.before == was[change.name] or sorted(change.before) == sorted(was[change.name])
        assert change.before != change.ours


def test_the_memory_is_taken_off_with_what_it_tells() -> None:
    """A port of the user's would be given back once more, when it has long been somebody else's."""
    back = given_back(LEFT_BOUND, remembered(LEFT_BOUND, MEMORY))
    assert back == replace(PORT, name="web", tags=("blue",))
    nothing = PortMemory(host=HOST, endpoint=ENDPOINT_ID)
    only = replace(PORT, profile={PROFILE_KEY: to_builtins(nothing), "os_vif": True})
    assert remembered(only, nothing) == (Change(name=PROFILE, before={"os_vif": True}, ours=only.profile),)
    sly = replace(nothing, profile_was={PROFILE_KEY: to_builtins(MEMORY)})
    assert remembered(only, sly)[-1].before == {"os_vif": True}


@given(ports)
def test_of_a_port_without_a_memory_only_the_binding_is_taken_off(port: Port) -> None:
    """A port that upstream adopted would lose more than its container gave it: what that was, nobody knows."""
    changes = rules.unbinding(port)
    back = given_back(port, changes)
    assert (back.host_id, back.device_owner, back.device_id) == ("", "", "")
    assert back == replace(port, host_id="", device_owner="", device_id="")
    assert all(change.before == "" != change.ours for change in changes)
    assert standing(changes, port, HOST) == changes


def test_a_port_that_is_free_needs_no_unbinding() -> None:
    """The end of a container that never came up would cost a PUT."""
    assert rules.unbinding(PORT) == ()
    assert rules.unbinding(replace(PORT, host_id=None)) == ()
    assert rules.restoration(rules.unbinding(LEFT_BY_UPSTREAM)) == [
        {"binding:host_id": "", "device_owner": "", "device_id": ""}
    ]
