# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a Neutron port under a container: made or adopted, bound, leased, put back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.model import FixedIp, LeaseRecord, Port
from kuryr_libnetwork.rules import ports as rules
from kuryr_libnetwork.rules.adoption import claim_tags
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
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
    LEFT_BOUND,
    MAC,
    NET,
    OTHER_HOST,
    OTHER_ID,
    OWN,
    PORT,
    RECORD,
    SUBNET6_ID,
    SUBNET_ID,
    USED,
    USED6,
)


def lease(port: Port) -> LeaseRecord:
    return rules.lease_of(port, DOCKER_ID, RECORD.subnets, SUBNET_ID, now=1.0)


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


# -- binding -----------------------------------------------------------------------------------------------------


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
        (replace(PORT, tags=(EXISTING_PORT,)), True),
        (replace(PORT, tags=claim_tags(OTHER_ID, ())), False),
        (replace(PORT, tags=claim_tags(OTHER_ID, ()), device_id=OTHER_ID), True),
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
    assert (lease(PORT).original, lease(PORT).claim, lease(PORT).bound) == (PORT, "", False)
    found = lease(LEFT_BOUND)
    assert (found.claim, found.bound) == (ENDPOINT_ID, True)
    assert {change.name for change in found.changes} == {"binding:host_id", "device_owner", "device_id"}


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
