# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a Neutron port under a container: made or adopted, bound, leased, put back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, to_builtins
from msgspec.structs import replace

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.model import Agent, FixedIp, LeaseRecord, Port
from kuryr_libnetwork.rules import ports as rules
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
    OWN_PORT,
    UNBOUND_PORT_NAME,
    id_tags,
    intent_description,
    port_name,
)
from tests.unit.values import (
    ADOPTED_ZUN,
    DOCKER_ID,
    DUAL,
    ENDPOINT_ID,
    HOST,
    IP,
    IP6,
    LEASE,
    MAC,
    NET,
    OTHER_HOST,
    OTHER_ID,
    PORT,
    PORT_ID,
    RECORD,
    SUBNET6_ID,
    SUBNET_ID,
    ZUN_CONTAINER,
    docker_ids,
    hex_ids,
    macs,
)

OWN = replace(PORT, tags=(OWN_PORT,))
LEFT_BOUND = replace(
    PORT,
    name="web",
    tags=("blue", *rules.adoption_tags(ENDPOINT_ID)),
    device_id=ENDPOINT_ID,
    device_owner=DEVICE_OWNER,
    host_id=HOST,
)
user_tags = st.lists(st.sampled_from(["blue", "web", "kuryr", "compute:nova"]), unique=True).map(tuple)
free_ports = st.builds(
    lambda name, tags, up, mac: replace(PORT, name=name, tags=tags, admin_state_up=up, mac_address=mac),
    st.sampled_from(["", "web", "ab-port"]),
    user_tags,
    st.booleans(),
    macs,
)


def lease(port: Port) -> LeaseRecord:
    return rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, now=1.0)


def after(port: Port, *updates: dict[str, Any]) -> Port:
    """The port after these PUTs."""
    shown = to_builtins(port)
    for update in updates:
        shown |= update
    return convert(shown, Port)


# -- names and attributes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("/web_1", "web-1"),
        ("Web.example", ""),
        ("a", "a"),
        ("x" * 63, "x" * 63),
        ("x" * 64, ""),
        ("-web", ""),
        ("web_", ""),
        ("web\n", ""),
        ("wéb", ""),
        ("", ""),
    ],
)
def test_a_dns_name_is_a_label_or_nothing(name: str, label: str) -> None:
    """Neutron would refuse the port, and the container would not start, because of its name."""
    assert rules.dns_label(name) == label


def test_a_new_port_holds_its_addresses_unbound() -> None:
    """The MAC could not be set later, or the port would look like nobody's."""
    wanted = [{"subnet_id": SUBNET_ID, "ip_address": "10.0.0.5"}, {"subnet_id": SUBNET6_ID}]
    attributes = rules.new_port(NET, wanted, "made by us", "")
    assert attributes == {
        "name": UNBOUND_PORT_NAME,
        "network_id": NET,
        "admin_state_up": True,
        "description": "made by us",
        "fixed_ips": wanted,
    }
    assert rules.new_port(NET, wanted, "made by us", "web")["dns_name"] == "web"
    assert "binding:vnic_type" not in attributes
    assert rules.new_port(NET, wanted, "made by us", "", "direct")["binding:vnic_type"] == "direct"


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


# -- binding and putting back ------------------------------------------------------------------------------------


def test_our_port_is_bound_by_one_update() -> None:
    """Neutron's DVR needs owner and host in one update; upstream knows its ports by this name and device."""
    assert rules.binding(LEASE, ENDPOINT_ID, HOST, "") == {
        "binding:host_id": HOST,
        "device_owner": DEVICE_OWNER,
        "device_id": ENDPOINT_ID,
        "admin_state_up": True,
        "name": port_name(ENDPOINT_ID),
    }


def test_a_mac_is_sent_only_where_it_differs() -> None:
    """Neutron refuses a MAC for a bound port, as Zun's are, also where only its spelling is new."""
    assert "mac_address" not in rules.binding(LEASE, ENDPOINT_ID, HOST, MAC.upper())
    assert rules.binding(LEASE, ENDPOINT_ID, HOST, "02:42:AC:11:00:02")["mac_address"] == "02:42:ac:11:00:02"


def test_an_adopted_port_keeps_its_name_and_device() -> None:
    """Zun would not find its port any more."""
    attributes = rules.binding(lease(ADOPTED_ZUN), ENDPOINT_ID, HOST, MAC, ZUN_CONTAINER)
    assert attributes["device_id"] == ZUN_CONTAINER
    assert "name" not in attributes
    assert rules.binding(lease(PORT), ENDPOINT_ID, HOST, "")["device_id"] == ENDPOINT_ID


@given(free_ports | st.sampled_from([ADOPTED_ZUN, replace(ADOPTED_ZUN, host_id="")]), docker_ids, st.just("") | macs)
def test_unbinding_restores_every_field(port: Port, endpoint_id: str, mac: str) -> None:
    """A port of the user would come back with another name, device, owner, host, state, MAC or tags."""
    mac = "" if port.host_id else mac
    adopted = lease(port)
    assert adopted.original is not None
    update = rules.binding(adopted, endpoint_id, HOST, mac, adopted.original.device_id)
    bound = replace(after(port, update), tags=(*port.tags, *rules.adoption_tags(endpoint_id)))
    assert (bound.host_id, bound.device_owner, bound.mac_address) == (HOST, DEVICE_OWNER, mac or port.mac_address)
    steps = rules.restoration(adopted.original, bound.mac_address)
    assert replace(after(bound, *steps), tags=adopted.original.tags) == port


@given(macs, macs)
def test_the_mac_comes_back_only_after_the_binding_is_gone(before: str, now: str) -> None:
    """Neutron would refuse the whole update (409 PortBound), and the port would stay bound for ever."""
    original = rules.original_of(replace(PORT, mac_address=before))
    first, *rest = rules.restoration(original, now.upper())
    assert rules.unbinding(original, now) == first
    assert "mac_address" not in first
    assert first["binding:host_id"] == ""
    assert rest == ([] if before == now else [{"mac_address": before}])


def test_a_port_that_stays_bound_keeps_its_mac() -> None:
    """Zun's port could not be put back, for Neutron changes no MAC of a bound port."""
    assert len(rules.restoration(rules.original_of(ADOPTED_ZUN), "02:42:ac:11:00:02")) == 1


@given(free_ports, docker_ids, st.sampled_from(["requested", "bound", "tagged", "by upstream"]))
def test_leftovers_of_a_crash_are_not_part_of_the_original(port: Port, endpoint_id: str, point: str) -> None:
    """A port would be put back with the tags, device and host of a dead container."""
    left = replace(port, device_owner=DEVICE_OWNER, device_id=endpoint_id, host_id=HOST)
    match point:
        case "requested":
            left = replace(port, tags=(*port.tags, EXISTING_PORT))
        case "tagged":
            left = replace(left, tags=(*port.tags, *rules.adoption_tags(endpoint_id)))
        case "by upstream":
            left = replace(port, device_id=endpoint_id)
    assert rules.original_of(left) == rules.original_of(port)


@given(hex_ids)
def test_leftovers_on_zuns_port_leave_it_zuns(endpoint_id: str) -> None:
    """After a crash Zun's port would come back without the owner and host that Zun gave it."""
    left = replace(ADOPTED_ZUN, tags=("blue", *rules.adoption_tags(endpoint_id)))
    assert rules.original_of(left) == rules.original_of(replace(ADOPTED_ZUN, tags=("blue",)))


def test_an_invisible_binding_counts_as_none() -> None:
    """Putting the port back would send null, which binds nothing and frees nothing."""
    assert rules.original_of(replace(PORT, host_id=None)).host_id == ""


# -- releasing what only Neutron knows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "ours"),
    [
        (OWN, True),
        (replace(OWN, host_id=HOST), True),
        (replace(OWN, description=intent_description(HOST, "t")), True),
        (replace(OWN, description=None), True),
        (LEFT_BOUND, True),
        (replace(OWN, description=intent_description(OTHER_HOST, "t"), host_id=HOST), True),
        (replace(OWN, description=intent_description(OTHER_HOST, "t")), False),
        (replace(OWN, host_id=OTHER_HOST), False),
        (replace(LEFT_BOUND, host_id=OTHER_HOST), False),
        (replace(OWN, host_id=None), False),
        (PORT, False),
        (ADOPTED_ZUN, False),
        (replace(PORT, tags=id_tags(OTHER_ID)), False),
    ],
)
def test_only_ports_of_this_host_are_released(port: Port, ours: bool) -> None:
    """A container of another host or a port of the user would lose its address, or ours would leak."""
    assert rules.release_of_unknown(port, HOST) is ours


# -- leases ------------------------------------------------------------------------------------------------------


def test_a_lease_holds_what_was_asked_and_spares_the_rest() -> None:
    """The second address of a dual-stack container would be taken from a second port."""
    foreign = FixedIp(subnet_id="other", ip_address="192.0.2.7")
    port = replace(OWN, fixed_ips=(IP6, foreign, IP))
    found = rules.lease_of(port, DOCKER_ID, DUAL.subnets, SUBNET_ID, now=7.0)
    assert found == replace(LEASE, spare=(IP6,), created_at=7.0)
    assert rules.lease_of(port, DOCKER_ID, DUAL.subnets, SUBNET6_ID, now=7.0).spare == (IP,)


def test_a_lease_of_a_port_with_two_addresses_holds_the_asked_one() -> None:
    """The container would get another address than ``--ip`` says."""
    second = FixedIp(subnet_id=SUBNET_ID, ip_address="10.0.0.6")
    port = replace(PORT, fixed_ips=(IP, second))
    assert rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, 1.0, "10.0.0.6").held == (second,)
    assert rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, 1.0).held == (IP,)


def test_a_lease_remembers_only_what_was_there_before() -> None:
    """A port of ours would stay behind as if it were the user's, or the user's would be deleted."""
    assert lease(OWN).original is None
    assert lease(PORT).original == rules.original_of(PORT)


def test_the_spare_address_is_the_newest_ports() -> None:
    """A container would get the IPv6 address of another one."""
    old, new = (replace(LEASE, port_id=name, spare=(IP6,), created_at=at) for name, at in (("a", 1.0), ("b", 2.0)))
    joined = replace(new, port_id="c", endpoint_id=ENDPOINT_ID, created_at=9.0)
    elsewhere = replace(new, port_id="d", docker_network_id=OTHER_ID, created_at=9.0)
    served = replace(new, port_id="e", held=(IP, IP6), spare=(), created_at=9.0)
    assert rules.pending_spare([old, new, joined, elsewhere, served], DOCKER_ID, SUBNET6_ID) == (new, IP6)
    assert rules.pending_spare([old, new], DOCKER_ID, SUBNET_ID) is None
    assert rules.pending_spare([joined, elsewhere, served], DOCKER_ID, SUBNET6_ID) is None


# -- failed bindings ---------------------------------------------------------------------------------------------


def test_a_failed_binding_names_the_likely_cause() -> None:
    """The operator would not learn whether the host's name, its agent or its mappings are wrong."""
    port = replace(PORT, vif_type="binding_failed")
    dead = Agent(id="1", agent_type="OVN Controller agent", host=HOST, alive=False)
    alive = replace(dead, id="2", agent_type="Open vSwitch agent", alive=True)
    head = f"Neutron could not bind port {PORT_ID} to host 'compute-1' (vif_type binding_failed): "
    nobody = rules.why_unbound(port, HOST, [])
    assert nobody.startswith(head + "Neutron knows no agent")
    assert "[DEFAULT] host" in nobody
    assert rules.why_unbound(port, HOST, [dead, dead]) == head + "OVN Controller agent on this host is not alive"
    mapping = "Open vSwitch agent is alive; is the network's physical network mapped on this host?"
    assert rules.why_unbound(port, HOST, [dead, alive]) == head + mapping


def test_a_profile_is_written_back_only_if_it_was_changed() -> None:
    """Releasing an ordinary port would need the role that writes profiles, or a VF's address would stay on the port."""
    original = rules.original_of(ADOPTED_ZUN)
    for now in (None, original.profile):
        assert "binding:profile" not in rules.restoration(original, original.mac_address, now)[0]
    changed = rules.restoration(original, original.mac_address, {"pci_slot": "0000:01:10.0"})
    assert changed[0]["binding:profile"] == original.profile
