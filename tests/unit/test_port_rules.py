# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a Neutron port under a container: made or adopted, bound, leased, put back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from kuryr_libnetwork.errors import Conflict, InvalidOption, NeutronUnavailable
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.rules import ports as rules
from kuryr_libnetwork.rules.adoption import PROFILE, remembered, restoration, unbinding
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
    OWN_PORT,
    SUBPORT_OWNER,
    UNBOUND_PORT_NAME,
    id_tags,
    intent_description,
    is_docker_id,
    port_name,
)
from kuryr_libnetwork.rules.ownership import PROFILE_KEY, OwnProject
from kuryr_libnetwork.rules.ports import Unknown
from tests.fakes.neutron import PROJECT, TENANT
from tests.unit.values import (
    ADOPTED_ZUN,
    DOCKER_ID,
    DUAL,
    ENDPOINT_ID,
    HOST,
    IN_USE,
    IP,
    IP6,
    LEASE,
    LEFT_BOUND,
    LEFT_BY_UPSTREAM,
    MAC,
    MEMORY,
    NET,
    OTHER_HOST,
    OTHER_ID,
    OURS,
    OWN,
    PORT,
    RECORD,
    SUBNET6_ID,
    SUBNET_ID,
    USED,
    USED6,
    ZUN_CONTAINER,
    docker_ids,
    sure,
)

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
    attributes = rules.new_port(NET, wanted, "made by us")
    assert attributes == {
        "name": UNBOUND_PORT_NAME,
        "network_id": NET,
        "admin_state_up": True,
        "description": "made by us",
        "fixed_ips": wanted,
    }
    assert "binding:vnic_type" not in attributes
    assert rules.new_port(NET, wanted, "made by us", "direct")["binding:vnic_type"] == "direct"


# -- binding -----------------------------------------------------------------------------------------------------


def test_a_new_port_is_bound_at_once_where_a_host_is_given() -> None:
    """It would be nobody's: the network's owner may delete it, and no agent sees it."""
    bound = rules.new_port(NET, [], "made by us", host="h1")
    assert (bound["binding:host_id"], bound["device_owner"]) == ("h1", DEVICE_OWNER)
    assert "device_id" not in bound


@pytest.mark.parametrize(
    ("mac", "device", "suffices", "unbind"),
    [
        ("", {}, True, False),
        ("FA:16:3E:00:00:01", {}, True, False),
        ("02:42:ac:11:00:02", {}, False, True),
        ("", {"security_groups": []}, False, False),
        ("", {"binding:vnic_type": "direct"}, False, True),
    ],
)
def test_what_a_port_that_was_made_bound_lacks(mac: str, device: dict[str, Any], suffices: bool, unbind: bool) -> None:
    """A container would get less than it asked for, or Neutron refuse what it asks for of a bound port."""
    made = Port(id="p", network_id=NET, mac_address="fa:16:3e:00:00:01")
    assert rules.suffices(made, mac, device) is suffices
    assert rules.must_be_unbound(made, mac, device) is unbind


def test_a_port_without_labels() -> None:
    """A port whose endpoint nobody has told Neutron would look like one with another name of the user's."""
    made = Port(id="p", network_id=NET, name=UNBOUND_PORT_NAME)
    assert rules.is_unlabelled(made)
    assert not rules.is_unlabelled(replace(made, **rules.labels("e1")))
    assert not rules.is_unlabelled(replace(made, device_id="e1"))


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
    """Neutron refuses a MAC for a bound port, also where only its spelling is new."""
    assert "mac_address" not in rules.binding(LEASE, ENDPOINT_ID, HOST, MAC.upper())
    assert rules.binding(LEASE, ENDPOINT_ID, HOST, "02:42:AC:11:00:02")["mac_address"] == "02:42:ac:11:00:02"


# -- releasing what only Neutron knows ---------------------------------------------------------------------------

DELETE = Unknown(made=True)
THEIRS = intent_description(OTHER_HOST, "t")
FORGED = (OWN_PORT, EXISTING_PORT, *id_tags(ENDPOINT_ID), "kuryr.was:mac_address=02:00:00:00:00:01")
MARKS = [(), (OWN_PORT,), (EXISTING_PORT,), FORGED, ("blue", *id_tags(OTHER_ID))]
NO_MEMORIES: list[Any] = [None, [], 5, "x", {}, {"host": HOST}, {"host": 1, "endpoint": []}, [to_builtins(MEMORY)]]


def release(port: Port, *, named: bool) -> Unknown | None:
    return rules.release_of_unknown(port, OURS, HOST, named=named)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("port", "ours"),
    [
        (OWN, True),
        (replace(OWN, host_id=HOST), True),
        (replace(OWN, description=intent_description(HOST, "t")), True),
        (replace(OWN, description=None), True),
        (replace(OWN, description=THEIRS, host_id=HOST), True),
        (replace(OWN, description=THEIRS), False),
        (replace(OWN, host_id=OTHER_HOST), False),
        (replace(OWN, host_id=None), False),
        (replace(OWN, tags=(), name=UNBOUND_PORT_NAME), True),
        (replace(OWN, tags=(), name=UNBOUND_PORT_NAME, device_owner=SUBPORT_OWNER, host_id=HOST), True),
        (replace(OWN, tags=(), name=UNBOUND_PORT_NAME, device_owner="compute:nova", host_id=HOST), False),
        (replace(OWN, tags=()), False),
        (replace(OWN, tags=(OWN_PORT, EXISTING_PORT)), False),
        (replace(PORT, project_id=PROJECT, tags=id_tags(OTHER_ID)), False),
    ],
)
def test_only_ports_that_this_host_made_are_deleted(port: Port, ours: bool, named: bool) -> None:
    """A container of another host or a port of the user would lose its address, or ours would leak."""
    assert release(port, named=named) == (DELETE if ours else None)


@pytest.mark.parametrize("project_id", [TENANT, PROJECT, None])
@pytest.mark.parametrize("named", [False, True])
def test_a_port_that_remembers_is_given_back(named: bool, project_id: str | None) -> None:
    """A port of the user's would stay bound after its container and the journal are gone, or be deleted."""
    left = replace(LEFT_BOUND, project_id=project_id, name=UNBOUND_PORT_NAME, tags=FORGED)
    expected = Unknown(made=False, claim=ENDPOINT_ID, changes=remembered(left, MEMORY))
    assert release(left, named=named) == expected
    assert sure(release(left, named=named)).proven
    unbound = replace(left, host_id="")
    assert sure(release(unbound, named=named)).claim == ENDPOINT_ID


@pytest.mark.parametrize("project_id", [TENANT, PROJECT])
@pytest.mark.parametrize("named", [False, True])
def test_a_port_that_another_host_has_is_left_to_it(named: bool, project_id: str) -> None:
    """A container in a virtual machine, whose port has no host, would lose it to another machine's clean-up."""
    memory = {**to_builtins(MEMORY), "host": OTHER_HOST}
    left = replace(LEFT_BOUND, tags=(OWN_PORT,), profile={PROFILE_KEY: memory}, project_id=project_id)
    for host_id in ("", HOST, OTHER_HOST, None):
        assert release(replace(left, host_id=host_id), named=named) is None
    assert release(replace(LEFT_BOUND, host_id=OTHER_HOST), named=named) is None
    assert release(replace(LEFT_BOUND, host_id=None), named=named) is None


@pytest.mark.parametrize("port", [LEFT_BY_UPSTREAM, IN_USE, replace(LEFT_BY_UPSTREAM, project_id=PROJECT)])
def test_a_port_that_upstream_adopted_is_unbound_on_dockers_word(port: Port) -> None:
    """It would stay bound for ever after an upgrade; or be taken from a container that Docker has not named."""
    assert release(port, named=False) is None
    found = sure(release(port, named=True))
    assert found == Unknown(made=False, claim=ENDPOINT_ID, changes=unbinding(port), proven=False)


@pytest.mark.parametrize(
    "port",
    [
        ADOPTED_ZUN,
        replace(IN_USE, host_id=""),
        replace(IN_USE, host_id=OTHER_HOST),
        replace(IN_USE, device_owner=""),
        replace(IN_USE, device_owner="compute:nova"),
        replace(IN_USE, device_id=""),
        replace(IN_USE, device_id=ZUN_CONTAINER),
        replace(IN_USE, device_id=ENDPOINT_ID[:-1]),
        replace(PORT, tags=(EXISTING_PORT, *id_tags(OTHER_ID)), device_id=OTHER_ID),
        replace(PORT, tags=(OWN_PORT,), host_id=HOST, device_id=ENDPOINT_ID),
        PORT,
    ],
)
def test_dockers_word_alone_takes_no_port_away(port: Port) -> None:
    """Docker names an address: the port of a virtual machine, of Zun or of another host that has it would be
    unbound.
    """
    assert release(port, named=True) is None


foreign_ports = st.builds(
    Port,
    id=st.just(PORT.id),
    network_id=st.just(NET),
    name=st.sampled_from([UNBOUND_PORT_NAME, port_name(ENDPOINT_ID), "web"]) | st.text(max_size=5),
    description=st.sampled_from([None, "", intent_description(HOST, "t"), THEIRS]) | st.text(max_size=5),
    tags=st.sampled_from(MARKS) | st.lists(st.text(max_size=5), max_size=3).map(tuple),
    device_id=st.sampled_from(["", ENDPOINT_ID, ZUN_CONTAINER, ENDPOINT_ID.upper()]) | docker_ids | st.text(max_size=5),
    device_owner=st.sampled_from([DEVICE_OWNER, DEVICE_OWNER, "", SUBPORT_OWNER, "compute:nova", "network:dhcp"]),
    host_id=st.sampled_from([HOST, HOST, HOST, OTHER_HOST, "", None]),
    project_id=st.sampled_from([TENANT, None, "", PROJECT + "0"]),
    profile=st.sampled_from([{}, {"pci_slot": "x"}, *({PROFILE_KEY: said} for said in NO_MEMORIES)]),
    mac_address=st.just(MAC),
    security_groups=st.just(("g",)),
)


@given(foreign_ports, st.booleans())
def test_what_a_tenant_writes_on_his_port_takes_it_from_nobody(port: Port, named: bool) -> None:
    """He would have the service delete or change a port, a third one's even, by tags, a name, words or a device.

    The one thing that Docker's word does is to end a binding to this host that says that it is for a container.
    """
    found = release(port, named=named)
    for_a_container = port.device_owner == DEVICE_OWNER and is_docker_id(port.device_id)
    if not (named and port.host_id == HOST and for_a_container):
        assert found is None
        return
    found = sure(found)
    assert (found.made, found.proven, found.claim) == (False, False, port.device_id)
    assert restoration(found.changes) == [{"binding:host_id": "", "device_owner": "", "device_id": ""}]
    assert {change.name: change.ours for change in found.changes} == {
        "binding:host_id": HOST,
        "device_owner": DEVICE_OWNER,
        "device_id": port.device_id,
    }


def test_a_cloud_without_projects_has_no_tenants() -> None:
    """Where there is no Keystone, the ports of containers that are gone would stay."""
    assert rules.release_of_unknown(replace(OWN, project_id=""), OwnProject(id=""), HOST, named=False) == DELETE


# -- leases ------------------------------------------------------------------------------------------------------


def test_a_lease_holds_what_was_asked_and_spares_the_rest() -> None:
    """The second address of a dual-stack container would be taken from a second port."""
    foreign = FixedIp(subnet_id="other", ip_address="192.0.2.7")
    port = replace(OWN, fixed_ips=(IP6, foreign, IP))
    found = rules.lease_of(port, DOCKER_ID, DUAL.subnets, SUBNET_ID, now=7.0, unknown=DELETE)
    assert found == replace(LEASE, spare=(IP6,), created_at=7.0)
    assert rules.lease_of(port, DOCKER_ID, DUAL.subnets, SUBNET6_ID, now=7.0, unknown=DELETE).spare == (IP,)


def test_a_lease_of_a_port_with_two_addresses_holds_the_asked_one() -> None:
    """The container would get another address than ``--ip`` says."""
    second = FixedIp(subnet_id=SUBNET_ID, ip_address="10.0.0.6")
    port = replace(PORT, fixed_ips=(IP, second))
    assert rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, 1.0, "10.0.0.6").held == (second,)
    assert rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, 1.0).held == (IP,)


@pytest.mark.parametrize("port", [PORT, OWN, LEFT_BOUND, LEFT_BY_UPSTREAM, replace(OWN, name=UNBOUND_PORT_NAME)])
def test_a_port_that_is_found_free_is_somebody_elses(port: Port) -> None:
    """A user's port would be deleted with its container, because of a name or tag that stands on it."""
    lease = rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, 1.0)
    assert (lease.original, lease.claim, lease.changes, lease.bound) == (port, "", (), False)


def test_a_lease_is_what_has_been_found_out_of_its_port() -> None:
    """A port of ours would stay behind as if it were the user's, or the user's be deleted, or come back changed."""

    def lease_of(port: Port, unknown: Unknown) -> tuple[Any, ...]:
        lease = rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, 1.0, unknown=unknown)
        return (lease.original, lease.claim, lease.changes, lease.bound)

    assert lease_of(OWN, DELETE) == (None, "", (), False)
    left = sure(release(LEFT_BOUND, named=False))
    assert lease_of(LEFT_BOUND, left) == (LEFT_BOUND, ENDPOINT_ID, left.changes, True)
    assert {change.name for change in left.changes} == {"binding:host_id", "device_owner", "device_id", PROFILE}
    upstreams = sure(release(LEFT_BY_UPSTREAM, named=True))
    assert lease_of(LEFT_BY_UPSTREAM, upstreams) == (LEFT_BY_UPSTREAM, ENDPOINT_ID, unbinding(LEFT_BY_UPSTREAM), True)
    assert lease_of(PORT, Unknown(made=False, changes=left.changes)) == (PORT, "", left.changes, True)
    assert lease_of(PORT, Unknown(made=False, claim=ENDPOINT_ID)) == (PORT, ENDPOINT_ID, (), True)


def test_the_spare_address_is_the_newest_ports() -> None:
    """A container would get the IPv6 address of another one."""
    old, new = (replace(LEASE, port_id=name, spare=(IP6,), created_at=at) for name, at in (("a", 1.0), ("b", 2.0)))
    joined = replace(new, port_id="c", endpoint_id=ENDPOINT_ID, created_at=9.0)
    elsewhere = replace(new, port_id="d", docker_network_id=OTHER_ID, created_at=9.0)
    served = replace(new, port_id="e", held=(IP, IP6), spare=(), created_at=9.0)
    assert rules.pending_spare([old, new, joined, elsewhere, served], DUAL, USED6) == (new, IP6)
    assert rules.pending_spare([old, new], DUAL, USED) is None
    assert rules.pending_spare([joined, elsewhere, served], DUAL, USED6) is None


def test_the_second_address_may_be_on_another_subnet() -> None:
    """--ip6 on the second of two IPv6 subnets would end in a second port, which Docker cannot use."""
    lease = replace(LEASE, spare=(IP6,))
    second = replace(USED6, subnet_id="second", cidr="2001:db8:1::/64")
    network = replace(DUAL, subnets=(*DUAL.subnets, second))
    assert rules.pending_spare([lease], network, second) == (lease, IP6)
    both = replace(lease, spare=(IP6, replace(IP6, subnet_id="second")))
    assert rules.pending_spare([both], network, second) == (both, both.spare[1])
    assert rules.pending_spare([replace(lease, spare=(IP,))], network, second) is None


def test_an_answer_without_the_address_is_no_answer() -> None:
    """A port that Neutron shows without the address that was asked for would end the call in an internal error."""
    there = FixedIp(subnet_id="s1", ip_address="10.0.0.7")
    port = Port(id="p1", network_id="n1", fixed_ips=(FixedIp(subnet_id="s2", ip_address="10.1.0.7"), there))
    assert rules.address_on(port, "s1") == there
    with pytest.raises(NeutronUnavailable, match="port p1 has no address on subnet s3"):
        rules.address_on(port, "s3")


def test_an_answer_with_another_address_is_none() -> None:
    """Docker would be told an address that the port does not have."""
    assert rules.address_on(PORT, SUBNET_ID, "10.0.0.5") == IP
    with pytest.raises(NeutronUnavailable, match=r"has no address 10\.0\.0\.6"):
        rules.address_on(PORT, SUBNET_ID, "10.0.0.6")


def test_nobody_chooses_where_addresses_follow_from_macs() -> None:
    """Neutron's own refusal says neither which option is wrong nor what would work."""
    rules.refuse_automatic(USED6, "2001:db8::7")
    with pytest.raises(InvalidOption, match=r"--ip6=2001:db8::7: on subnet 2001:db8::/64 .* leave --ip6 out"):
        rules.refuse_automatic(replace(USED6, automatic=True), "2001:db8::7")


def test_an_address_of_the_users_is_looked_for_first_where_he_makes_ports() -> None:
    """Each --ip would cost a call more, or each port of the user's a refused one."""
    assert rules.is_made_first(RECORD, USED, was_free=False)
    assert not rules.is_made_first(replace(RECORD, made=False), USED, was_free=False)
    assert rules.is_made_first(replace(RECORD, made=False), USED, was_free=True)
    assert not rules.is_made_first(RECORD, replace(USED, automatic=True), was_free=True)


def test_a_port_that_is_not_what_docker_was_told() -> None:
    """Neutron would drop all packets of the container, and nobody know why."""
    rules.refuse_other_answer(PORT, ["10.0.0.5"], "")
    rules.refuse_other_answer(PORT, [], MAC.upper())
    with pytest.raises(Conflict, match=r"has no longer 10\.0\.0\.6, but 10\.0\.0\.5, .* leave --mac-address out"):
        rules.refuse_other_answer(PORT, ["10.0.0.5", "10.0.0.6"], "")
    with pytest.raises(Conflict, match="but no address"):
        rules.refuse_other_answer(replace(PORT, fixed_ips=()), ["10.0.0.5"], "")
    with pytest.raises(Conflict, match=f"has MAC {MAC}, not fa:16:3e:00:00:01"):
        rules.refuse_other_answer(PORT, [], "fa:16:3e:00:00:01")


def test_the_users_port_that_docker_wants_an_ipv6_address_of() -> None:
    """A port with IPv4 alone would be refused, or a container get an address of a port that it does not have."""
    mine = replace(LEASE, original=PORT, created_at=5.0)
    assert rules.without_ipv6([mine], DUAL, USED6) == mine
    assert rules.without_ipv6([mine], DUAL, USED) is None
    assert rules.without_ipv6([replace(mine, spare=(IP6,))], DUAL, USED6) is None
    assert rules.without_ipv6([replace(mine, endpoint_id=ENDPOINT_ID)], DUAL, USED6) is None
    assert rules.without_ipv6([replace(mine, docker_network_id="another")], DUAL, USED6) is None
    newer = replace(LEASE, port_id="newer", created_at=6.0)
    assert rules.without_ipv6([mine, newer], DUAL, USED6) is None
    assert rules.without_ipv6([], DUAL, USED6) is None


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (f"Network {NET} could not be found.", f"Neutron network {NET}"),
        (f"Subnet {SUBNET_ID} could not be found.", f"Neutron subnet {SUBNET_ID} (10.0.0.0/24)"),
        (
            f"on network {NET}, because fixed_ips included invalid subnet {SUBNET_ID}",
            f"Neutron subnet {SUBNET_ID} (10.0.0.0/24)",
        ),
        ("Invalid input: IP allocation requires subnets for network.", f"each subnet of Neutron network {NET}"),
    ],
)
def test_what_somebody_deleted_in_neutron(message: str, what: str) -> None:
    """The user of Docker would read an id of Neutron's and not what to do."""
    found = rules.deleted_in_neutron(DUAL, message)
    assert str(found).startswith(f"{what}, which Docker network 0123456789ab stands for, was deleted in Neutron")


@pytest.mark.parametrize(
    "message", ["The resource could not be found.", f"on subnet {SUBNET_ID}: configured for automatic addresses"]
)
def test_other_refusals_stay_as_they_are(message: str) -> None:
    """The user would remove a network that is as it should be."""
    assert rules.deleted_in_neutron(DUAL, message) is None
