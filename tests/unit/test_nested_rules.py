# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which port is the virtual machine's, what it is allowed, which VLANs are free."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.errors import InvalidOption, NeutronRefused, ParentPortError
from kuryr_libnetwork.model.links import Link
from kuryr_libnetwork.model.neutron import AddressPair, FixedIp, Port, SubPort
from kuryr_libnetwork.rules import choices, nested, ports
from kuryr_libnetwork.rules.choices import Choices, choices_of
from tests.unit.values import ENDPOINT_ID, HOST, IP6, LEASE, MAC, NETWORK, PORT

ENS3 = Link(index=2, name="ens3", mac="fa:16:3e:00:00:aa", mtu=1450, up=True)
VM = Port(
    id="vm",
    network_id="n1",
    mac_address="FA:16:3E:00:00:AA",
    device_owner="compute:nova",
    fixed_ips=(FixedIp(subnet_id="s1", ip_address="10.0.0.9"),),
)
ELSEWHERE = replace(VM, id="other", network_id="n2", fixed_ips=(FixedIp(subnet_id="s2", ip_address="10.9.0.9"),))
ON_TRUNK = replace(VM, id="sub", device_owner="trunk:subport")
pairs = st.builds(
    AddressPair,
    ip_address=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.0/24", "2001:db8::1"]),
    mac_address=st.sampled_from(["fa:16:3e:00:00:01", "FA:16:3E:00:00:01", "fa:16:3e:00:00:02"]),
)


def pair(ip: str, mac: str = MAC) -> AddressPair:
    return AddressPair(ip_address=ip, mac_address=mac)


def test_interfaces_of_containers_and_loopback_are_no_candidates() -> None:
    """A container's own port would be taken for the virtual machine's."""
    ours = replace(ENS3, name="t_c1", alias="kuryr:p1")
    loopback = replace(ENS3, name="lo", mac="00:00:00:00:00:00")
    tunnel = replace(ENS3, name="tun0", mac="")
    assert nested.candidates([ENS3, ours, loopback, tunnel]) == [ENS3]


def test_the_one_port_with_the_mac_is_the_machines() -> None:
    """No container in a virtual machine could start."""
    assert nested.parent_port(ENS3, [VM], []) == VM
    assert nested.parent_port(ENS3, [ON_TRUNK, VM], []) == VM


def test_of_several_ports_the_address_tells() -> None:
    """MACs are unique in a network only: the port of somebody else's machine would be changed."""
    assert nested.parent_port(ENS3, [ELSEWHERE, VM], ["10.0.0.9", "fe80::1"]) == VM
    with pytest.raises(ParentPortError, match=r"link_iface = ens3: several Neutron ports have its MAC.*\(other, vm\)"):
        nested.parent_port(ENS3, [ELSEWHERE, VM], ["10.7.0.1"])


def test_no_port_is_said_with_the_mac() -> None:
    """The operator would not know which interface is wrong."""
    with pytest.raises(ParentPortError, match=r"link_iface = ens3: no Neutron port has its MAC fa:16:3e:00:00:aa"):
        nested.parent_port(ENS3, [ON_TRUNK], [])


def test_the_only_interface_with_a_port_needs_no_name() -> None:
    """An operator with one interface would have to name it all the same."""
    docker0 = replace(ENS3, name="docker0", mac="02:42:00:00:00:01")
    assert nested.only_link([docker0, ENS3], [VM, ON_TRUNK]) == ENS3
    with pytest.raises(ParentPortError, match=r"link_iface is not set, and no interface of this host \(docker0\)"):
        nested.only_link([docker0], [VM])
    with pytest.raises(ParentPortError, match=r"no interface of this host \(none\)"):
        nested.only_link([], [])
    ens4 = replace(ENS3, name="ens4", mac="fa:16:3e:00:00:bb")
    second = replace(VM, id="vm-2", mac_address=ens4.mac)
    with pytest.raises(ParentPortError, match=r"several interfaces of this host \(ens3, ens4\)"):
        nested.only_link([ENS3, ens4], [VM, second])


def test_another_network_than_the_machines_is_refused() -> None:
    """The container would start, and reach nothing."""
    nested.check_network(replace(PORT, network_id="n1"), VM)
    with pytest.raises(ParentPortError, match=r"on network n2.* this virtual machine's port vm on n1.*vlan serves any"):
        nested.check_network(replace(PORT, network_id="n2"), VM)


BY_OVN = replace(VM, vif_details={"bound_drivers": {"0": "ovn"}})


def test_what_ovn_cannot_do_is_refused() -> None:
    """A container would start, answer to ARP, and get no frame."""
    nested.check_backend(BY_OVN, own_mac=False)
    nested.check_backend(replace(VM, port_security_enabled=False), own_mac=True)
    for told in (None, "ovn", ["ovn"], 5, {"0": None}, {"0": ["ovn"]}):
        nested.check_backend(replace(VM, vif_details={"bound_drivers": told}), own_mac=True)
    with pytest.raises(ParentPortError, match=r"port vm .* is bound by ML2/OVN.*: set \[binding\] default_driver"):
        nested.check_backend(BY_OVN, own_mac=True)
    with pytest.raises(ParentPortError, match=r"no port security.*: openstack port set --enable-port-security vm"):
        nested.check_backend(replace(BY_OVN, port_security_enabled=False), own_mac=False)


def test_pairs_of_a_dual_stack_port() -> None:
    """One family of a container would be dropped by the cloud."""
    found = nested.pairs_of(replace(PORT, fixed_ips=(*PORT.fixed_ips, IP6)), MAC.upper())
    assert found == (pair("10.0.0.5"), pair("2001:db8::5"))


def test_a_pair_is_known_by_address_and_mac_in_any_spelling() -> None:
    """A second try would add a pair twice, which Neutron refuses; or a pair of the operator's would be removed."""
    there = [pair("10.0.0.5", MAC.upper()), pair("10.0.0.5", "fa:16:3e:00:00:99"), pair("10.0.0.0/24")]
    assert nested.with_pairs(there, [pair("10.0.0.5")]) == there
    assert nested.with_pairs(there, [pair("10.0.0.6")]) == [*there, pair("10.0.0.6")]
    assert nested.without_pairs(there, [pair("10.0.0.5"), pair("10.0.0.0")]) == there[1:]
    assert nested.as_attributes([pair("10.0.0.5")]) == {
        "allowed_address_pairs": [{"ip_address": "10.0.0.5", "mac_address": MAC}]
    }


@given(st.lists(pairs, max_size=6), st.lists(pairs, max_size=3))
def test_what_was_added_and_is_removed_leaves_the_others(there: list[AddressPair], ours: list[AddressPair]) -> None:
    """Pairs of others on the machine's port would get lost or doubled."""
    others = nested.without_pairs(there, ours)
    both = nested.with_pairs(others, ours)
    assert both[: len(others)] == others
    assert nested.without_pairs(both, ours) == others


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Virtual MAC address x does not belong to the RFC 5798 VRRP virtual MAC ranges", "to ipvlan"),
        ("The number of allowed address pair exceeds the maximum 10.", "max_allowed_address_pair"),
    ],
)
def test_a_refusal_is_explained(message: str, hint: str) -> None:
    """The user would read about VRRP, which nobody has asked for."""
    assert hint in str(nested.explained(NeutronRefused(message)))
    other = NeutronRefused("something else")
    assert nested.explained(other) is other


def test_vlans_in_use_are_not_free() -> None:
    """Two containers would be in each other's network."""
    free = nested.free_vlans([SubPort(port_id="p", segmentation_id=1), SubPort(port_id="q", segmentation_id=4094)])
    assert (free[0], free[-1], len(free)) == (2, 4093, 4092)
    assert nested.free_vlans([SubPort(port_id="p", segmentation_id=n) for n in range(1, 4095)]) == []


def test_the_vlan_of_a_port() -> None:
    """A repeated call would put a port on its trunk twice."""
    sub_ports = [SubPort(port_id="p", segmentation_id=7)]
    assert (nested.vlan_of(sub_ports, "p"), nested.vlan_of(sub_ports, "q")) == (7, 0)


def test_what_is_said_of_a_port_before_and_after_its_interface() -> None:
    """ML2/OVN would fail to bind a port that only holds addresses; a trunk refuses one with a device, and then a new
    MAC.
    """
    groups = {"security_groups": ["g"]}
    mac = {"mac_address": "02:42:ac:11:00:02"}
    whole = ports.binding(LEASE, ENDPOINT_ID, HOST, mac["mac_address"]) | groups
    device = {"device_id": ENDPOINT_ID, "admin_state_up": True}
    owner = {"device_owner": "compute:kuryr"}
    assert ports.steps(whole, "host") == (whole, {})
    assert ports.steps(whole, "nobody") == (device | owner | mac | groups, {})
    assert ports.steps(whole, "trunk") == (mac, device | groups)


def test_a_port_is_known_from_its_lease() -> None:
    """A call would be spent on what is in the journal."""
    known = ports.unbound(replace(LEASE, spare=(IP6,)))
    assert (known.id, known.network_id, known.mac_address) == (PORT.id, PORT.network_id, MAC)
    assert known.fixed_ips == (*PORT.fixed_ips, IP6)


def test_only_the_machines_own_network() -> None:
    """A Docker network would be made on which no container could start."""
    uuid, name = choices_of({"neutron.net.uuid": NETWORK.id}), choices_of({"neutron.net.name": "private"})
    choices.check_home(uuid, NETWORK, "")
    choices.check_home(uuid, None, "home")
    choices.check_home(name, NETWORK, NETWORK.id)
    choices.check_home(choices.at_home(Choices(), NETWORK.id), NETWORK, NETWORK.id)
    with pytest.raises(InvalidOption, match=rf"neutron\.net\.uuid={NETWORK.id}: .* own network, home; leave"):
        choices.check_home(uuid, NETWORK, "home")
    with pytest.raises(InvalidOption, match=r"neutron\.net\.name=private: "):
        choices.check_home(name, NETWORK, "home")
    with pytest.raises(InvalidOption, match=r"neutron\.subnet\.name=s: "):
        choices.check_home(choices_of({"neutron.subnet.name": "s"}), NETWORK, "home")
