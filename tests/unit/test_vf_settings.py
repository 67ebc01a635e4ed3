# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import UnsupportedVif
from kuryr_libnetwork.model.neutron import Port, QosRule
from kuryr_libnetwork.model.sriov import DeviceLease, NetdevState, VfSettings, unchanged
from kuryr_libnetwork.rules import vf_settings as rules
from tests.unit.test_device_spec import PF, VF

LEASE = DeviceLease(
    pci_address=VF.pci_address,
    pf_address=PF.pci_address,
    index=1,
    port_id="p1",
    vnic_type="direct",
    state="leased",
    generation="1",
    physical_network="physnet2",
)
PORT = Port(id="p1", network_id="n", mac_address="FA:16:3E:00:00:01", vif_details={"vlan": "150"})


def port(**changes: Any) -> Port:
    return msgspec.structs.replace(PORT, **changes)


def test_settings_of_an_ordinary_port() -> None:
    """A VF would carry another VLAN or MAC than its port, or no spoof check."""
    assert rules.wanted_settings(PORT, [], trust_allowed=False) == VfSettings(
        mac="fa:16:3e:00:00:01", vlan=150, spoofchk=True, trust=False, link_state="auto", min_tx_rate=0, max_tx_rate=0
    )


@pytest.mark.parametrize(("told", "vlan"), [("0", 0), (7, 7), ("0150", 150), ("4094", 4094)])
def test_vlan_of_a_binding(told: str | int, vlan: int) -> None:
    """A flat network would be tagged, or a VLAN network not."""
    assert rules.vlan_of(port(vif_details={"vlan": told})) == vlan


@pytest.mark.parametrize(
    "vlan", ["4095", "-1", "x", "", "²", "1" * 5000, 4095, -1, True, 7.0, None, [], ["7"], {"7": 7}]
)
def test_a_vlan_that_cannot_be(vlan: Any) -> None:
    """Some drivers accept VLAN 4095 and then leak between networks; others' words would end in a traceback."""
    with pytest.raises(UnsupportedVif, match="must be 0 to 4094"):
        rules.vlan_of(port(vif_details={"vlan": vlan}))


def test_a_binding_without_a_vlan_is_no_flat_network() -> None:
    """A role that may not see all of the binding would have containers on the untagged network of the wire."""
    with pytest.raises(UnsupportedVif, match=r"vif_details\.vlan is 'None'"):
        rules.vlan_of(port(vif_details={}))


@pytest.mark.parametrize(
    ("changes", "trusted"),
    [
        ({}, False),
        ({"trusted": True}, True),
        ({"profile": {"trusted": "true"}}, True),
        ({"profile": {"trusted": True}}, True),
        ({"trusted": False, "profile": {"trusted": "true"}}, False),
        ({"profile": {"trusted": "no"}}, False),
        ({"profile": {"trusted": ["true"]}}, False),
        ({"profile": {"trusted": {"true": True}}}, False),
        ({"profile": {"trusted": 1.0}}, False),
        ({"profile": {"trusted": "true" * 16000}}, False),
    ],
)
def test_trust_needs_the_port_and_the_operator(changes: dict[str, Any], trusted: bool) -> None:
    """A tenant would get a trusted VF without the operator's word."""
    assert rules.wants_trust(port(**changes)) is trusted
    assert rules.wanted_settings(port(**changes), [], trust_allowed=True).trust is trusted
    assert rules.wanted_settings(port(**changes), [], trust_allowed=False).trust is False


@pytest.mark.parametrize(
    ("up", "propagate", "state"),
    [
        (True, False, "enable"),
        (True, True, "auto"),
        (True, None, "auto"),
        (False, True, "disable"),
        (False, False, "disable"),
    ],
)
def test_link_state(up: bool, propagate: bool | None, state: str) -> None:
    """A port that was set down in Neutron would still pass traffic."""
    assert rules.link_state(port(admin_state_up=up, propagate_uplink_status=propagate)) == state


def test_rates_of_qos_rules() -> None:
    """A bandwidth limit would not be set, or set from the rule of the other direction."""
    qos = [
        QosRule(type="bandwidth_limit", max_kbps=10_000),
        QosRule(type="bandwidth_limit", direction="ingress", max_kbps=99_000),
        QosRule(type="minimum_bandwidth", min_kbps=2_400),
        QosRule(type="dscp_marking"),
    ]
    found = rules.wanted_settings(PORT, qos, trust_allowed=False)
    assert (found.max_tx_rate, found.min_tx_rate) == (10, 2)


@given(st.integers(0, 10**8))
def test_a_limit_never_becomes_no_limit(kbps: int) -> None:
    """A limit below one megabit would round to 0, which means no limit."""
    assert (rules.to_mbps(kbps) == 0) is (kbps == 0)


@pytest.mark.parametrize(
    "vnic_type", ["virtio-forwarder", "vdpa", "remote-managed", "accelerator-direct", "unheard-of"]
)
def test_vnic_types_that_are_not_done_are_refused_by_name(vnic_type: str) -> None:
    """A port for a virtual machine's device would be plugged as something else."""
    with pytest.raises(UnsupportedVif, match=f"vnic_type {vnic_type} is not supported"):
        rules.check_vnic_type(vnic_type, {})


def test_switchdev_is_refused_and_the_rest_is_not() -> None:
    """A port for hardware offload would be bound without its representor, and carry nothing."""
    with pytest.raises(UnsupportedVif, match="switchdev"):
        rules.check_vnic_type("direct", {"capabilities": ["switchdev"]})
    for vnic_type in rules.SUPPORTED:
        rules.check_vnic_type(vnic_type, {"capabilities": "odd"})


def test_a_physical_network_that_nobody_knows_better_stays() -> None:
    """The operator's own word in a profile would be replaced by none."""
    assert rules.vf_profile({"physical_network": "x"}, VF, "", "m")["physical_network"] == "x"
    assert "physical_network" not in rules.pf_profile({}, PF, "", "m")


@given(st.dictionaries(st.sampled_from(["trusted", "mine", "capabilities"]), st.text()))
def test_the_users_keys_of_the_profile_stay(profile: dict[str, str]) -> None:
    """What the user wrote into the profile would be lost with the binding."""
    bound = rules.vf_profile(profile, VF, "physnet2", "52:54:00:00:00:01")
    assert bound["pci_slot"] == VF.pci_address
    assert bound["pci_vendor_info"] == "8086:10ca"
    assert (bound["physical_network"], bound["vf_num"]) == ("physnet2", 1)
    assert rules.without_ours(bound) == profile
    whole = rules.pf_profile(profile, PF, "physnet2", "52:54:00:00:00:01")
    assert (whole["pci_slot"], whole["device_mac_address"]) == (PF.pci_address, "52:54:00:00:00:01")
    assert rules.without_ours(whole) == profile


@pytest.mark.parametrize(
    ("trusted", "network", "mtu", "expected"),
    [
        (False, "physnet3", 1500, []),
        (True, "physnet2", 1500, []),
        (True, "physnet3", 1500, ["add physnet3 to it"]),
        (True, "", 0, ["nobody says on which physical network"]),
        (False, "physnet2", 9000, ["MTU 9000 is above 1500 of PF pf0"]),
        (True, "physnet3", 1501, ["asks for trust", "MTU 1501"]),
    ],
)
def test_what_a_port_cannot_have_is_said(trusted: bool, network: str, mtu: int, expected: list[str]) -> None:
    """A container would start with less than it asked for, and nobody be told."""
    pf = NetdevState(name="pf0", mac="02:00:00:00:00:01", mtu=1500, up=True)
    port = Port(id="p1", network_id="n", trusted=trusted)
    lease = msgspec.structs.replace(LEASE, physical_network=network)
    found = rules.refusals(port, lease, {"physnet2"}, mtu, pf)
    assert len(found) == len(expected)
    assert all(part in text for part, text in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("network", "said", "allowed"),
    [
        ("physnet2", None, True),
        ("physnet3", None, False),
        ("physnet3", True, True),
        ("physnet2", False, False),
        ("", None, False),
        ("", True, False),
    ],
)
def test_trust_by_the_device_or_by_its_network(network: str, said: bool | None, allowed: bool) -> None:
    """A line of nova.conf that forbids trust would give it here, or one that gives it would be read by nobody."""
    lease = msgspec.structs.replace(LEASE, physical_network=network, may_be_trusted=said)
    assert rules.is_trust_allowed(lease, {"physnet2"}) is allowed
    pf = NetdevState(name="pf0", mac="02:00:00:00:00:01", mtu=1500, up=True)
    found = rules.refusals(port(trusted=True), lease, {"physnet2"}, 1500, pf)
    assert bool(found) is not allowed
    if said is False:
        assert 'device_spec for 0000:07:10.2 does not give it: it says "trusted": "false"' in found[0]


def test_a_vf_without_a_mac_gets_none_again() -> None:
    """The port's MAC would stay on the freed VF and black-hole the port elsewhere."""
    assert rules.restored(VfSettings(mac="")).mac == "00:00:00:00:00:00"
    assert rules.restored(VfSettings(mac="02:00:00:00:00:01", vlan=7)) == VfSettings(mac="02:00:00:00:00:01", vlan=7)


def test_what_the_driver_does_not_know_is_not_compared() -> None:
    """Every VF of a driver without trust would be quarantined."""
    assert unchanged(VfSettings(mac="a", trust=None), VfSettings(mac="a", trust=False))
    assert not unchanged(VfSettings(mac="a", vlan=1), VfSettings(mac="a"))


FOUND = VfSettings(mac="a", vlan=1, spoofchk=True, trust=None, link_state="auto", min_tx_rate=5, max_tx_rate=10)


@pytest.mark.parametrize(
    ("names", "changes", "step"),
    [
        (("vlan", "qos"), {"vlan": 2}, VfSettings(mac="a", vlan=2)),
        (("vlan", "qos"), {}, None),
        (("spoofchk",), {"spoofchk": False, "vlan": 2}, VfSettings(mac="a", vlan=1, spoofchk=False)),
        (("trust",), {"trust": True}, None),
        (("spoofchk",), {"spoofchk": None}, None),
        (
            ("min_tx_rate", "max_tx_rate"),
            {"max_tx_rate": 20},
            VfSettings(mac="a", vlan=1, min_tx_rate=5, max_tx_rate=20),
        ),
        (("link_state",), {"link_state": "disable"}, VfSettings(mac="a", vlan=1, link_state="disable")),
    ],
)
def test_one_setting_at_a_time(names: tuple[str, ...], changes: dict[str, Any], step: VfSettings | None) -> None:
    """What the NIC cannot do would keep it from what it can; or a change would take another one back."""
    assert rules.single_step(FOUND, msgspec.structs.replace(FOUND, **changes), names) == step


def test_every_setting_but_the_mac_has_its_step() -> None:
    """A setting that is in no step would never be enforced."""
    assert {name for group in rules.TOGETHER for name in group} == set(VfSettings.__struct_fields__) - {"mac"}


def test_a_mac_of_nobody() -> None:
    """Two VFs would get the same one, or one that a vendor owns."""
    first, second = rules.random_mac(), rules.random_mac()
    assert first != second
    assert (first[:3], len(first)) == ("02:", 17)
