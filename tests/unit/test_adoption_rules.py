# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A port of the user's: taken over, told from those in use, and given back exactly as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, json, to_builtins
from msgspec.structs import replace

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.model import Change, Port
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.identity import DEVICE_OWNER, EXISTING_PORT, UNBOUND_PORT_NAME, id_tags
from tests.unit.values import (
    ADOPTED_ZUN,
    ENDPOINT_ID,
    HOST,
    IP,
    LEFT_BOUND,
    MAC,
    OTHER_HOST,
    OTHER_ID,
    OWN,
    PORT,
    PORT_ID,
    ZUN_CONTAINER,
    docker_ids,
    hex_ids,
    macs,
    uuids,
)

ZUN_UNBOUND = replace(ADOPTED_ZUN, host_id="")
user_tags = st.lists(st.sampled_from(["blue", "web", "kuryr", "compute:nova"]), unique=True).map(tuple)
free_ports = st.builds(
    lambda name, tags, up, mac: replace(PORT, name=name, tags=tags, admin_state_up=up, mac_address=mac),
    st.sampled_from(["", "web", "ab-port"]),
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
    """The port as its container has it, and what was changed for that."""
    changes = rules.changes_of(port, wanted)
    tags = (*port.tags, *rules.claim_tags(endpoint_id, changes))
    return replace(after(port, rules.attributes_of(changes)), tags=tags), changes


# -- adopting ----------------------------------------------------------------------------------------------------


@given(free_ports)
def test_a_free_port_is_adopted(port: Port) -> None:
    """``--ip`` would not find the port that the user prepared."""
    rules.may_adopt(port, HOST, leased=["another"])


@pytest.mark.parametrize(
    "port",
    [
        ADOPTED_ZUN,
        replace(ADOPTED_ZUN, host_id=""),
        LEFT_BOUND,
        replace(LEFT_BOUND, host_id="", device_owner=""),
        replace(PORT, tags=(EXISTING_PORT,)),
        replace(PORT, device_id=ENDPOINT_ID),
    ],
    ids=["zun", "zun unbound", "left bound", "left unbound", "left by upstream's IPAM", "left by upstream"],
)
def test_prepared_and_left_ports_are_adopted(port: Port) -> None:
    """Zun's containers would not start, or a port would be lost for ever after a crash or upstream's release."""
    rules.may_adopt(port, HOST, leased=[])


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (replace(OWN, description="made by somebody"), r"another container \(description: made by somebody\)"),
        (replace(OWN, description=None), r"another container \(description: none\)"),
        (replace(PORT, name=UNBOUND_PORT_NAME), "made for another container"),
        (replace(PORT, host_id=None), "may not see binding:host_id"),
        (replace(ADOPTED_ZUN, host_id=None), "may not see binding:host_id"),
        (replace(PORT, device_owner="network:dhcp", device_id="dhcp1"), r"Neutron itself \(network:dhcp, device dhcp1"),
        (replace(PORT, device_owner="network:router_interface", host_id=HOST), "belongs to Neutron itself"),
        (
            replace(PORT, device_owner="compute:nova", device_id="vm", host_id=HOST),
            f"{HOST} by compute:nova .device vm",
        ),
        (replace(ADOPTED_ZUN, host_id=OTHER_HOST), f"host {OTHER_HOST} by compute:kuryr"),
        (replace(PORT, host_id=HOST), r"host compute-1 by an unnamed owner \(device none\)"),
        (replace(PORT, device_id="vm"), r"reserved by an unnamed owner \(device vm\)"),
        (replace(PORT, device_owner="compute:nova", device_id=ENDPOINT_ID), "reserved by compute:nova"),
        (replace(PORT, device_owner="trunk:subport"), r"reserved by trunk:subport \(device none\)"),
    ],
)
def test_a_port_in_use_is_refused_and_its_owner_named(port: Port, why: str) -> None:
    """A virtual machine, router or container would lose its port to a new container."""
    with pytest.raises(PortNotAdoptable, match=why) as caught:
        rules.may_adopt(port, HOST, leased=[])
    assert f"port {PORT_ID} (10.0.0.5)" in str(caught.value)


def test_a_port_of_a_container_here_is_refused() -> None:
    """Two containers would share one address."""
    with pytest.raises(PortNotAdoptable, match="in use by a container of this host"):
        rules.may_adopt(ADOPTED_ZUN, HOST, leased=iter(["another", PORT_ID]))


# -- claiming ----------------------------------------------------------------------------------------------------


def marked(port: Port, *endpoint_ids: str) -> Port:
    tags = [tag for endpoint_id in endpoint_ids for tag in id_tags(endpoint_id)]
    return replace(port, tags=(*port.tags, EXISTING_PORT, *tags))


def test_a_port_that_another_host_has_marked_is_refused() -> None:
    """Two hosts would bind one port, and the container of the first would lose it."""
    with pytest.raises(PortNotAdoptable, match="is being taken for endpoint fedcba987654 of another host") as caught:
        rules.may_adopt(marked(PORT, OTHER_ID), HOST, leased=[])
    assert "remove the port's tags that begin with kuryr.net.uuid" in str(caught.value)
    rules.may_adopt(marked(PORT, OTHER_ID), HOST, leased=[], claim=OTHER_ID)


@given(any_port, st.tuples(hex_ids, hex_ids).filter(lambda ids: ids[0][:32] != ids[1][:32]))
def test_of_two_hosts_exactly_one_gives_way(port: Port, ids: tuple[str, str]) -> None:
    """Both would get the port, or neither."""
    if port.host_id:
        return
    both = marked(port, *ids)
    first, second = sorted(ids)
    assert rules.must_wait(both, first, HOST, leased=[])
    with pytest.raises(PortNotAdoptable, match=f"is being taken for endpoint {first[:12]}"):
        rules.must_wait(both, second, OTHER_HOST, leased=[])
    assert not rules.must_wait(marked(port, first), first, HOST, leased=[])


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (PORT, "somebody took our tags off"),
        (marked(PORT, OTHER_ID), "somebody took our tags off"),
        (
            replace(marked(PORT, ENDPOINT_ID), host_id=OTHER_HOST, device_owner=DEVICE_OWNER),
            f"bound to host {OTHER_HOST}",
        ),
        (replace(marked(PORT, ENDPOINT_ID, OTHER_ID), device_owner="compute:nova", device_id="vm"), "reserved by"),
    ],
)
def test_who_is_late_gives_way(port: Port, why: str) -> None:
    """A port that somebody else got meanwhile would be taken from him."""
    with pytest.raises(PortNotAdoptable, match=why):
        rules.must_wait(port, ENDPOINT_ID, HOST, leased=[])


def test_only_our_own_tags_are_taken_off() -> None:
    """Tags of the user's would be lost."""
    port = replace(PORT, tags=("blue", *rules.claim_tags(ENDPOINT_ID, rules.changes_of(PORT, {"mac_address": "x"}))))
    assert rules.own_tags(port) == ("blue",)


def test_the_mac_of_another_port_is_explained() -> None:
    """The user would read that a MAC is in use, and not how to use the port that he made for it."""
    mine = replace(PORT, fixed_ips=(replace(IP, ip_address="10.0.0.9"),))
    assert rules.why_not_by_mac(mine, MAC, [IP], HOST, []) == (
        f"--mac-address {MAC} is that of port {PORT_ID}, whose address is 10.0.0.9, but Docker chose 10.0.0.5 before it told "
        "the MAC; to use the port add --ip 10.0.0.9"
    )
    assert "no address; give it one" in rules.why_not_by_mac(replace(PORT, fixed_ips=()), MAC, [IP], HOST, [])
    taken = rules.why_not_by_mac(replace(ADOPTED_ZUN, host_id=OTHER_HOST), MAC, [IP], HOST, [])
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
    """Each container of Zun would wait for an update that changes nothing (kuryr-compat §1.5)."""
    assert rules.changes_of(ADOPTED_ZUN, rules.binding(ADOPTED_ZUN, ENDPOINT_ID, HOST, mac)) == ()


def test_groups_have_no_order() -> None:
    """A port would be changed, and later put back, where Neutron lists the same groups otherwise."""
    assert rules.changes_of(replace(PORT, security_groups=("a", "b")), {"security_groups": ["b", "a"]}) == ()


@given(any_port, docker_ids, st.just("") | macs, extras)
def test_what_was_changed_is_put_back(port: Port, endpoint_id: str, mac: str, more: dict[str, Any]) -> None:
    """A port of the user would come back with another device, owner, host, state, MAC, group, policy or profile."""
    wanted = rules.binding(port, endpoint_id, HOST, "" if port.host_id else mac) | more
    there, changes = bound(port, endpoint_id, wanted)
    assert (there.host_id, there.device_owner, there.name) == (HOST, DEVICE_OWNER, port.name)
    assert json.decode(json.encode(changes), type=tuple[Change, ...]) == changes
    assert rules.standing(changes, there, HOST) == changes
    assert rules.untouched(changes, port)
    back = after(there, *rules.restoration(changes))
    assert rules.changes_of(port, to_builtins(replace(back, tags=port.tags))) == ()


@given(any_port, docker_ids, st.just("") | macs, extras, st.lists(uuids, unique=True, max_size=2))
def test_the_port_itself_remembers_what_was_changed(
    port: Port, endpoint_id: str, mac: str, more: dict[str, Any], groups: list[str]
) -> None:
    """Without the journal a port of the user would keep a MAC, a group or a policy that its container had."""
    port = replace(port, security_groups=tuple(groups), qos_policy_id=groups[0] if groups else None)
    wanted = rules.binding(port, endpoint_id, HOST, "" if port.host_id else mac) | more
    there, _ = bound(port, endpoint_id, wanted)
    found = rules.remembered(there)
    back = after(there, *rules.restoration(found))
    assert rules.changes_of(port, to_builtins(replace(back, tags=port.tags))) == ()
    assert all(len(tag) <= rules.LONGEST_TAG for tag in there.tags)


def test_an_ordinary_port_gets_upstreams_tags_and_no_other() -> None:
    """Ports would carry more tags than upstream's users know, and reach Neutron's limit sooner."""
    there, _ = bound(PORT, ENDPOINT_ID, rules.binding(PORT, ENDPOINT_ID, HOST, ""))
    assert there.tags == (*id_tags(ENDPOINT_ID), EXISTING_PORT)
    unbound, _ = bound(ZUN_UNBOUND, ENDPOINT_ID, rules.binding(ZUN_UNBOUND, ENDPOINT_ID, HOST, ""))
    assert unbound.tags == (*id_tags(ENDPOINT_ID), EXISTING_PORT, "kuryr.was:binding:host_id=")


def test_what_no_tag_can_hold_is_left_to_the_journal() -> None:
    """Neutron would refuse the tags, and the container would not start."""
    changes = rules.changes_of(replace(PORT, dns_domain="x" * 60), {"dns_domain": "example.org."})
    assert changes[0].before == "x" * 60
    assert rules.claim_tags(ENDPOINT_ID, changes) == rules.claim_tags(ENDPOINT_ID, ())


@pytest.mark.parametrize("tag", ["kuryr.was:", "kuryr.was:nonsense=1", "kuryr.was:mac_address", "kuryr.was:status={"])
def test_a_tag_of_somebody_elses_hand_does_no_harm(tag: str) -> None:
    """A tag that looks like ours would stop every clean-up of its port."""
    assert {change.name for change in rules.remembered(replace(PORT, tags=(tag,)))} <= {"mac_address", "status"}


@given(macs, macs)
def test_the_mac_comes_back_only_after_the_binding_is_gone(before: str, now: str) -> None:
    """Neutron would refuse the whole update (409 PortBound), and the port would stay bound for ever."""
    _, changes = bound(replace(PORT, mac_address=before), ENDPOINT_ID, rules.binding(PORT, ENDPOINT_ID, HOST, now))
    first, *rest = rules.restoration(changes)
    assert "mac_address" not in first
    assert first["binding:host_id"] == ""
    assert rest == ([] if before == now else [{"mac_address": before}])


def test_what_the_owner_did_meanwhile_stays() -> None:
    """A port that its owner gave to somebody else would be taken away again."""
    there, changes = bound(
        PORT, ENDPOINT_ID, rules.binding(replace(PORT, admin_state_up=False), ENDPOINT_ID, HOST, "x")
    )
    unbound = replace(there, host_id="", device_id="", device_owner="")
    assert [change.name for change in rules.standing(changes, unbound, HOST)] == ["mac_address"]
    assert rules.standing(changes, replace(there, host_id=OTHER_HOST), HOST) == ()
    renamed = replace(there, name="other", device_owner="compute:nova")
    assert {change.name for change in rules.standing(changes, renamed, HOST)} == {
        "binding:host_id",
        "device_id",
        "mac_address",
    }
    assert not rules.untouched(changes, renamed)


@given(free_ports, docker_ids, st.sampled_from(["requested", "bound", "tagged", "by upstream"]))
def test_leftovers_of_a_crash_are_not_part_of_the_original(port: Port, endpoint_id: str, point: str) -> None:
    """A port would be put back with the tags, device and host of a dead container."""
    left = replace(port, device_owner=DEVICE_OWNER, device_id=endpoint_id, host_id=HOST)
    match point:
        case "requested":
            left = replace(port, tags=(*port.tags, EXISTING_PORT))
        case "tagged":
            left = replace(left, tags=(*port.tags, *rules.claim_tags(endpoint_id, ())))
        case "by upstream":
            left = replace(port, device_id=endpoint_id)
    back = after(left, *rules.restoration(rules.remembered(left)))
    assert replace(back, tags=rules.own_tags(left)) == port


@given(hex_ids)
def test_leftovers_on_zuns_port_leave_it_zuns(endpoint_id: str) -> None:
    """After a crash Zun's port would come back without the owner and host that Zun gave it."""
    left = replace(ADOPTED_ZUN, tags=("blue", *rules.claim_tags(endpoint_id, ())))
    assert rules.remembered(left) == ()
    rules.may_adopt(left, HOST, leased=[])


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
