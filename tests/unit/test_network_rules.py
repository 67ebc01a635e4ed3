# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which pool, Neutron network and subnet a Docker network stands for, and what may be deleted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.errors import Conflict, InvalidOption, UnknownObject
from kuryr_libnetwork.model.neutron import HostRoute, Subnet
from kuryr_libnetwork.model.records import PoolRecord
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.identity import id_tags, intent_description, network_name, network_tags, pool_tags
from kuryr_libnetwork.rules.ownership import OwnProject
from tests.fakes.neutron import TENANT
from tests.unit.values import (
    CIDR,
    DOCKER_ID,
    DUAL,
    NET,
    NETWORK,
    OTHER_ID,
    OTHER_NET,
    OURS,
    POOL,
    POOL6_ID,
    POOL_ID,
    RECORD,
    SUBNET,
    SUBNET6,
    SUBNET6_ID,
    USED,
    USED6,
    docker_ids,
    own_network,
    own_pool,
    uuids,
)

# -- gateways ----------------------------------------------------------------------------------------------------


def test_the_users_gateway_wins() -> None:
    """``--gateway`` would be ignored, or compared in a spelling that Neutron does not use."""
    assert rules.gateway_answer(CIDR, 4, "10.0.0.254", [SUBNET]) == "10.0.0.254"
    assert rules.gateway_answer("2001:db8::/64", 6, "2001:db8::", []) == "2001:db8::"
    for wrong in ("10.0.0.0", "10.0.0.255"):
        with pytest.raises(InvalidOption, match=rf"--gateway={wrong}: is the .* address of 10\.0\.0\.0/24"):
            rules.gateway_answer(CIDR, 4, wrong, [])
    assert rules.gateway_answer("10.0.0.0/31", 4, "10.0.0.0", []) == "10.0.0.0"


def test_the_gateway_of_the_only_subnet_is_told() -> None:
    """Docker would hold another address as gateway than Neutron's router has."""
    assert rules.gateway_answer(CIDR, 4, "", [replace(SUBNET, gateway_ip="10.0.0.254")]) == "10.0.0.254"
    written = replace(SUBNET6, gateway_ip="2001:DB8::0:FE")
    assert rules.gateway_answer("2001:db8::/64", 6, "", [written]) == "2001:db8::fe"


def test_a_subnet_without_gateway_has_the_placeholder() -> None:
    """Docker would reserve an address as gateway that is a container's."""
    assert rules.gateway_answer(CIDR, 4, "", [replace(SUBNET, gateway_ip=None)]) == "0.0.0.0"
    assert rules.gateway_answer("2001:db8::/64", 6, "", [replace(SUBNET6, gateway_ip=None)]) == "::"


def test_otherwise_the_first_address_is_the_gateway() -> None:
    """``--gateway`` would be mandatory, as it is upstream."""
    assert rules.gateway_answer(CIDR, 4, "", []) == "10.0.0.1"
    assert rules.gateway_answer(CIDR, 4, "", [SUBNET, replace(SUBNET, id="x", gateway_ip="10.0.0.9")]) == "10.0.0.1"


# -- subnets -----------------------------------------------------------------------------------------------------


def test_a_subnet_is_matched_by_its_cidr() -> None:
    """A second subnet of the same CIDR would be asked from Neutron, which refuses it."""
    pool6 = replace(POOL, cidr="2001:db8::/64", ip_version=6)
    assert rules.match_subnet(NETWORK, [SUBNET6, SUBNET], POOL) == SUBNET
    written = replace(SUBNET6, cidr="2001:0DB8::/64")
    assert rules.match_subnet(NETWORK, [SUBNET, written], pool6) == written
    assert rules.match_subnet(NETWORK, [replace(SUBNET, cidr="10.0.0.0/25")], POOL) is None


def test_a_contradicting_gateway_is_refused() -> None:
    """Docker would believe in a gateway that the network does not have."""
    wrong = replace(POOL, gateway="10.0.0.254")
    with pytest.raises(Conflict, match=r"--gateway 10\.0\.0\.254 contradicts .* whose gateway is 10\.0\.0\.1"):
        rules.match_subnet(NETWORK, [SUBNET], wrong)
    with pytest.raises(Conflict, match="whose gateway is none"):
        rules.match_subnet(NETWORK, [replace(SUBNET, gateway_ip=None)], wrong)


def test_an_agreeing_gateway_is_accepted() -> None:
    """A correct ``--gateway`` would be refused, or one that we chose ourselves."""
    for pool in (POOL, replace(POOL, gateway="10.0.0.1"), replace(POOL, gateway="10.0.0.7", gateway_chosen=True)):
        assert rules.match_subnet(NETWORK, [SUBNET], pool) == SUBNET
    pool6 = replace(POOL, cidr="2001:db8::/64", gateway="2001:db8::1")
    written = replace(SUBNET6, gateway_ip="2001:DB8:0::1")
    assert rules.match_subnet(NETWORK, [written], pool6) == written


def test_a_subnet_of_upstreams_ip_range_serves_as_well() -> None:
    """Upstream's way to name a subnet would be refused by Neutron, which takes no larger one beside it."""
    ranged = replace(POOL, cidr="10.0.0.0/16", ip_range=CIDR)
    whole = replace(SUBNET, id=SUBNET6.id, cidr="10.0.0.0/16")
    assert rules.match_subnet(NETWORK, [SUBNET6, SUBNET], ranged) == SUBNET
    assert rules.match_subnet(NETWORK, [SUBNET, whole], ranged) == whole
    assert rules.match_subnet(NETWORK, [SUBNET], replace(ranged, ip_range="10.0.1.0/24")) is None


def spans(pool: PoolRecord, *, gateway: bool = True, dhcp: bool = True) -> list[tuple[str, str]] | None:
    found = rules.spans_of_new(pool, gateway=gateway, dhcp=dhcp)
    return None if found is None else [(span["start"], span["end"]) for span in found]


NEW = replace(POOL, gateway="10.0.0.1", reserved=(), ip_range="")


def test_where_neutron_may_choose_in_a_new_subnet() -> None:
    """Containers would have addresses outside of --ip-range, or Neutron's own port and those of others one of it."""
    assert spans(NEW) is None
    assert spans(replace(NEW, gateway=""), gateway=False) is None
    assert spans(NEW, gateway=False) == [("10.0.0.2", "10.0.0.254")]
    assert spans(replace(NEW, reserved=("10.0.0.2", "10.0.0.200"))) == [
        ("10.0.0.3", "10.0.0.199"),
        ("10.0.0.201", "10.0.0.254"),
    ]
    assert spans(replace(NEW, ip_range="10.0.0.64/26")) == [("10.0.0.2", "10.0.0.63"), ("10.0.0.128", "10.0.0.254")]
    assert spans(replace(NEW, ip_range="10.0.0.0/25")) == [("10.0.0.128", "10.0.0.254")]
    assert spans(replace(NEW, ip_range="10.0.0.128/25")) == [("10.0.0.2", "10.0.0.127")]
    six = replace(NEW, cidr="2001:db8::/64", ip_version=6, gateway="2001:db8::1", ip_range="2001:db8::8/125")
    assert spans(six) == [("2001:db8::2", "2001:db8::7"), ("2001:db8::10", "2001:db8::ffff:ffff:ffff:ffff")]
    tight = replace(
        NEW, cidr="10.0.0.0/29", gateway="10.0.0.6", ip_range="10.0.0.0/30", reserved=("10.0.0.4", "10.0.0.5")
    )
    assert spans(tight) == [("10.0.0.1", "10.0.0.3")]  # there is no rest


@pytest.mark.parametrize(
    ("change", "gateway"),
    [
        ({"ip_range": "10.0.0.1/32"}, "10.0.0.1"),
        ({"ip_range": "10.0.0.0/32"}, "10.0.0.1"),
        ({"ip_range": "10.0.0.255/32"}, "10.0.0.1"),
        ({"ip_range": "10.0.0.0/31"}, "10.0.0.1"),
        ({"cidr": "10.0.0.0/30", "reserved": ("10.0.0.2",)}, "10.0.0.1"),
        ({"cidr": "10.0.0.0/32"}, "10.0.0.0"),
        ({"cidr": "2001:db8::/127", "ip_version": 6}, "2001:db8::1"),
        ({"cidr": "2001:db8::/128", "ip_version": 6}, "2001:db8::"),
    ],
)
def test_a_new_subnet_without_an_address_for_a_container_is_refused(change: dict[str, Any], gateway: str) -> None:
    """To Neutron no allocation pool means all of them; or no container would ever start on the network."""
    pool = replace(NEW, gateway=gateway, **change)
    option, value = ("--ip-range", pool.ip_range) if pool.ip_range else ("--subnet", pool.cidr)
    for dhcp in (True, False):
        with pytest.raises(
            InvalidOption,
            match=f"^option {option}={value}: has no address for a container: {gateway}.* give a larger one$",
        ):
            rules.spans_of_new(pool, gateway=True, dhcp=dhcp)


@pytest.mark.parametrize(
    "change", [{"cidr": "10.0.0.0/30"}, {"cidr": "10.0.0.0/31"}, {"cidr": "10.0.0.0/30", "ip_range": "10.0.0.2/31"}]
)
def test_an_address_that_neutrons_own_port_takes_is_no_containers(change: dict[str, Any]) -> None:
    """The network would be made, and no container start on it; without DHCP one does."""
    pool = replace(NEW, **change)
    if pool.cidr.endswith("/31"):
        pool = replace(pool, gateway="10.0.0.1")
    with pytest.raises(
        InvalidOption, match=r"and Neutron's own port needs 10\.0\.0\..*\[neutron\] enable_dhcp = false"
    ):
        rules.spans_of_new(pool, gateway=True, dhcp=True)
    rules.spans_of_new(pool, gateway=True, dhcp=False)


def test_where_a_new_subnet_comes_from() -> None:
    """Neutron would refuse it beside the subnets of another pool, or the pool that the user chose be left out."""
    assert rules.source_of(NETWORK, [], POOL, "chosen", own=True) == "chosen"
    assert rules.source_of(NETWORK, [SUBNET6], replace(POOL, source="default"), "", own=False) == "default"
    assert rules.source_of(NETWORK, [], POOL, "", own=True) == POOL_ID
    assert rules.source_of(NETWORK, [SUBNET6], POOL, "", own=False) == ""
    theirs = replace(SUBNET, cidr="10.9.0.0/24", subnetpool_id="theirs")
    assert rules.source_of(NETWORK, [theirs], POOL, "", own=True) == "theirs"
    assert rules.source_of(NETWORK, [theirs], POOL, "theirs", own=False) == "theirs"
    with pytest.raises(Conflict, match=r"has IPv4 subnets of no subnetpool, and Neutron takes no .* give --subnet"):
        rules.source_of(NETWORK, [SUBNET], POOL, "chosen", own=False)
    with pytest.raises(Conflict, match="of theirs subnetpool"):
        rules.source_of(NETWORK, [theirs], POOL, "chosen", own=False)


def test_the_pool_is_the_one_just_requested() -> None:
    """A network would take the pool, with gateway and reserved addresses, of another one of the same CIDR."""
    used, old, new = (
        replace(POOL, pool_id=name, created_at=at) for name, at in (("used", 9.0), ("a", 1.0), ("b", 2.0))
    )
    network = replace(RECORD, subnets=(replace(USED, pool_id="used"),))
    given_back = replace(POOL, pool_id="given back", created_at=8.0, requests=0)
    other = replace(POOL, pool_id="other", cidr="10.1.0.0/24", created_at=8.0)
    assert rules.match_pool(CIDR, "", [used, old, new, given_back, other], [network]) == new
    assert rules.match_pool(CIDR, "", [used], [network]) == used
    assert rules.match_pool(CIDR, "10.0.0.9", [replace(old, gateway="10.0.0.9"), new], [network]).pool_id == "a"
    assert rules.match_pool(CIDR, "", [old, new], [replace(RECORD, pools=("b",))]) == old


def test_a_pool_of_another_ipam_driver_is_refused() -> None:
    """A network with Docker's own IPAM would be made, and no container could start on it."""
    with pytest.raises(UnknownObject, match="--ipam-driver=kuryr"):
        rules.match_pool(CIDR, "", [replace(POOL, requests=0)], [])


def test_a_record_holds_canonical_values() -> None:
    """Later comparisons with what Docker says would fail by spelling."""
    hop = HostRoute(destination="2001:db8:9::/48", nexthop="2001:db8::fe")
    subnet = replace(SUBNET6, cidr="2001:0DB8::/64", gateway_ip="2001:DB8::0:1", host_routes=(hop,))
    assert rules.subnet_record(subnet, POOL6_ID, made=True) == replace(USED6, host_routes=(hop,))
    assert rules.subnet_record(replace(SUBNET, gateway_ip=None), POOL_ID, made=False).gateway_ip is None


def test_an_address_is_served_by_the_subnet_it_is_in() -> None:
    """An address would be looked up in a subnet of its family that another Docker network uses."""
    other = replace(USED, subnet_id="other", cidr="10.5.0.0/24")
    record = replace(DUAL, subnets=(other, *DUAL.subnets))
    assert rules.subnet_for(record, "10.0.0.9") == USED
    assert rules.subnet_for(record, "10.5.0.9") == other
    assert rules.subnet_for(record, "2001:db8::9") == USED6
    assert rules.subnet_for(record, "10.6.0.9") is None
    assert rules.subnet_for(RECORD, "2001:db8::9") is None


# -- rebuilding --------------------------------------------------------------------------------------------------


def test_a_network_of_upstream_is_rebuilt() -> None:
    """Containers on networks of upstream's service, or after the journal was lost, could not start or stop."""
    network = replace(NETWORK, name=network_name(DOCKER_ID), mtu=None, tags=network_tags(DOCKER_ID, existing=False))
    subnets = [
        replace(SUBNET6, tags=(POOL6_ID,)),
        replace(SUBNET, name=f"kuryr-subnet-{CIDR}", tags=("web", POOL_ID)),
    ]
    record = rules.rebuild(OURS, DOCKER_ID, network, subnets)
    assert (record.docker_id, record.neutron_id, record.made, record.mtu) == (DOCKER_ID, NET, True, 1500)
    assert record.subnets == (USED, replace(USED6, made=False))


def test_an_existing_network_stays_the_users() -> None:
    """The user's network would be deleted with the Docker network."""
    tags = network_tags(DOCKER_ID, existing=True)
    assert not rules.rebuild(OURS, DOCKER_ID, replace(NETWORK, name=network_name(DOCKER_ID), tags=tags), []).made
    assert not rules.rebuild(OURS, DOCKER_ID, replace(NETWORK, tags=tags[:2]), []).made
    assert not rules.rebuild(OURS, "", replace(NETWORK, name="kuryr-net-"), []).subnets


def test_another_networks_mark_does_not_count() -> None:
    """A network that we made would be left behind because another host's Docker network joined it."""
    tags = (*network_tags(DOCKER_ID, existing=False), *network_tags(OTHER_ID, existing=True))
    network = replace(NETWORK, name=network_name(DOCKER_ID), tags=tags)
    assert rules.rebuild(OURS, DOCKER_ID, network, []).made
    assert not rules.rebuild(OURS, OTHER_ID, network, []).made


@pytest.mark.parametrize("tags", [(), ("web",), (POOL_ID.upper(),), (POOL_ID.replace("-", ""),), (POOL_ID[:-1] + "g",)])
def test_subnets_of_the_user_are_left_out(tags: tuple[str, ...]) -> None:
    """Addresses would come from a subnet of the network that Docker was not told about."""
    assert rules.rebuild(OURS, DOCKER_ID, NETWORK, [replace(SUBNET, tags=tags, subnetpool_id=POOL_ID)]).subnets == ()


def test_a_subnet_of_kuryr_without_tag_is_known_by_its_pool() -> None:
    """Networks from clouds that could not tag would have no subnet."""
    subnet = replace(SUBNET, name=f"kuryr-subnet-{CIDR}")
    assert rules.rebuild(OURS, DOCKER_ID, NETWORK, [replace(subnet, subnetpool_id=POOL_ID)]).subnets == (USED,)
    assert rules.rebuild(OURS, DOCKER_ID, NETWORK, [subnet]).subnets == ()


@given(uuids)
def test_the_users_own_uuid_tags_do_not_hide_the_pool(tag: str) -> None:
    """The record would name a pool that does not exist, and no address could be asked or released."""
    subnet = replace(SUBNET, name=f"kuryr-subnet-{CIDR}", subnetpool_id=POOL_ID, tags=(tag, POOL_ID))
    assert rules.rebuild(OURS, DOCKER_ID, NETWORK, [subnet]).subnets == (USED,)


def test_a_pool_that_says_where_it_is_counts_before_tags() -> None:
    """A Docker network recorded on its pools would get another one's pool after the journal was lost."""
    mine = own_pool(id=POOL6_ID, tags=pool_tags(DOCKER_ID, NET, "10.0.0.0/25"))
    elsewhere = own_pool(id=OTHER_NET, tags=pool_tags(DOCKER_ID, OTHER_NET))
    tagged = replace(SUBNET, tags=(POOL_ID,))
    record = rules.rebuild(OURS, DOCKER_ID, NETWORK, [SUBNET6, tagged], [mine, elsewhere])
    assert record.subnets == (replace(USED, pool_id=POOL6_ID, made=False, ip_range="10.0.0.0/25", recorded=True),)
    assert record.pools == tuple(sorted((POOL6_ID, OTHER_NET)))
    assert record.rebuilt
    assert rules.pools_of(record) == {POOL6_ID, OTHER_NET}
    plain = rules.rebuild(OURS, DOCKER_ID, NETWORK, [tagged], [replace(mine, tags=pool_tags(DOCKER_ID, NET))])
    assert plain.subnets[0].ip_range == ""


def test_a_network_that_kuryr_made_for_another_goes_with_its_last_user() -> None:
    """It would stay for ever once the journal of its last user was lost."""
    network = replace(
        NETWORK, description=intent_description("h1", "token"), tags=network_tags(DOCKER_ID, existing=True)
    )
    assert rules.rebuild(OURS, DOCKER_ID, network, []).made


def test_a_network_of_a_tenants_is_never_taken_for_ours() -> None:
    """A tenant's network would be deleted with the Docker network, because its owner gave it our name, words
    and tags.
    """
    for forged in (
        replace(NETWORK, name=network_name(DOCKER_ID), tags=network_tags(DOCKER_ID, existing=False)),
        replace(NETWORK, description=intent_description("h1", "token")),
    ):
        assert rules.rebuild(OURS, DOCKER_ID, forged, []).made
        for stranger in (TENANT, None):
            record = rules.rebuild(OURS, DOCKER_ID, replace(forged, project_id=stranger), [])
            assert (record.made, record.neutron_id) == (False, NET)


def test_a_subnet_of_a_tenants_does_not_name_its_pool() -> None:
    """Containers would get addresses of a subnet that a tenant has marked as one of the Docker network's."""
    marked = replace(SUBNET, name=f"kuryr-subnet-{CIDR}", subnetpool_id=POOL_ID, tags=(POOL_ID,))
    assert rules.rebuild(OURS, DOCKER_ID, NETWORK, [marked]).subnets == (USED,)
    for stranger in (TENANT, None):
        assert rules.rebuild(OURS, DOCKER_ID, NETWORK, [replace(marked, project_id=stranger)]).subnets == ()


def test_a_pool_of_ours_is_believed_on_a_subnet_of_a_tenants() -> None:
    """The containers on a tenant's network could not start any more once the journal was lost, or its subnet be
    deleted.
    """
    theirs = replace(SUBNET, name=f"kuryr-subnet-{CIDR}", tags=(OTHER_NET,), subnetpool_id=OTHER_NET, project_id=TENANT)
    mine = own_pool(tags=pool_tags(DOCKER_ID, NET))
    record = rules.rebuild(OURS, DOCKER_ID, replace(NETWORK, project_id=TENANT), [theirs], [mine])
    assert record.subnets == (replace(USED, made=False, recorded=True),)
    assert (record.made, record.pools) == (False, (POOL_ID,))


@pytest.mark.parametrize(
    "subnet", [replace(SUBNET, network_id=OTHER_NET), replace(SUBNET, cidr="10.9.0.0/24")], ids=["network", "cidr"]
)
def test_a_pool_stands_for_no_other_subnet(subnet: Subnet) -> None:
    """A Docker network would have a subnet of another Neutron network, or of another range than Docker was told."""
    mine = own_pool(tags=pool_tags(DOCKER_ID, NET))
    assert rules.subnets_of_pool(mine, NET, [SUBNET, subnet]) == [SUBNET]
    assert rules.subnets_of_pool(mine, OTHER_NET, [SUBNET, subnet]) == []
    assert rules.subnets_of_pool(own_pool(tags=id_tags(DOCKER_ID)), NET, [SUBNET]) == []


def test_a_cloud_without_projects_has_no_tenants() -> None:
    """Without Keystone nothing would be found again after the journal was lost."""
    network = replace(NETWORK, name=network_name(DOCKER_ID), project_id="")
    subnet = replace(SUBNET, name=f"kuryr-subnet-{CIDR}", tags=(POOL_ID,), project_id="")
    record = rules.rebuild(OwnProject(id=""), DOCKER_ID, network, [subnet])
    assert (record.made, record.subnets) == (True, (USED,))


# -- deleting ----------------------------------------------------------------------------------------------------


@given(docker_ids, docker_ids, st.integers(0, 7), st.booleans())
def test_a_network_with_anothers_tags_is_never_deleted(mine: str, other: str, some: int, made: bool) -> None:
    """Another host's containers would lose their network."""
    tags = network_tags(other, existing=True)
    theirs = {tag for bit, tag in enumerate(tags) if some & 1 << bit} - set(network_tags(mine, existing=True))
    network = own_network(tags=(*network_tags(mine, existing=False), *theirs))
    record = replace(RECORD, docker_id=mine, made=made)
    assert rules.may_delete(record, network) is (made and not theirs)


def test_what_users_change_in_neutron_is_taken_over() -> None:
    """New containers would have the network as it was when the Docker network was made."""
    route = HostRoute(destination="192.0.2.0/24", nexthop="10.0.0.9")
    subnet = replace(SUBNET6, gateway_ip="2001:DB8::FE", host_routes=(route,), ipv6_ra_mode="slaac")
    fresh = rules.refreshed(DUAL, replace(NETWORK, mtu=1300, physical_network="physnet1"), {SUBNET6_ID: subnet})
    assert (fresh.mtu, fresh.physical_network) == (1300, "physnet1")
    changed = {"gateway_ip": "2001:db8::fe", "host_routes": (route,), "advertised": True}
    assert fresh.subnets == (USED, replace(USED6, **changed))
    assert rules.refreshed(fresh, replace(NETWORK, mtu=None), {}).mtu == 1500
    assert rules.refreshed(fresh, NETWORK, {}).physical_network == "physnet1"  # hidden from some roles
    assert rules.refreshed(fresh, None, {}) == fresh


def test_ranges_and_addresses_kept_back_need_a_choice() -> None:
    """Only the first container would show that neither can be."""
    automatic = replace(SUBNET6, ipv6_address_mode="slaac")
    rules.refuse_chosen(automatic, POOL)
    for wrong in (replace(POOL, ip_range="2001:db8::/96"), replace(POOL, reserved=("2001:db8::7",))):
        rules.refuse_chosen(SUBNET6, wrong)
        with pytest.raises(InvalidOption, match=r"--(ip-range|aux-address)=2001:db8::.*ipv6_address_mode slaac"):
            rules.refuse_chosen(automatic, wrong)


def test_a_range_of_a_subnet_that_is_there_has_room() -> None:
    """Docker's network would be made, and no container start on it."""
    rules.refuse_chosen(SUBNET, replace(POOL, ip_range=CIDR))
    rules.refuse_chosen(SUBNET, replace(POOL, ip_range="10.0.0.0/30"))
    for ip_range in ("10.0.0.0/31", "10.0.0.255/32"):
        with pytest.raises(InvalidOption, match=f"--ip-range={ip_range}: has no address for a container"):
            rules.refuse_chosen(SUBNET, replace(POOL, ip_range=ip_range))


# -- auxiliary addresses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "ip_range", "kept"),
    [
        (False, "", ["10.0.0.7", "10.0.0.200"]),
        (False, "10.0.0.192/26", ["10.0.0.7", "10.0.0.200"]),
        (True, "", []),
        (True, "10.0.0.192/26", ["10.0.0.200"]),
    ],
)
def test_auxiliary_addresses_that_need_a_port(made: bool, ip_range: str, kept: list[str]) -> None:
    """A container would get an address that the user set aside; or a new subnet, whose allocation pools leave it
    out, would have a port for nothing.
    """
    pool = replace(POOL, reserved=("10.0.0.7", "10.0.0.200"), ip_range=ip_range)
    assert rules.kept_by_ports(pool, made=made) == kept


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ((), "has no subnet 10.0.0.0/24, and belongs to another project"),
        ((SUBNET.id, SUBNET6_ID), "shows the service's user 1 of its 2 subnets; give the user the role admin"),
    ],
)
def test_why_a_network_of_another_project_has_no_subnet(ids: tuple[str, ...], said: str) -> None:
    """Where Neutron hides subnets, the user would read that there are none."""
    seen = [SUBNET] if ids else []
    assert said in rules.why_no_subnet(replace(NETWORK, subnets=ids), seen, "10.0.0.0/24")
