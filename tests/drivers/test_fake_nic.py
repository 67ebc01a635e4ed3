# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The cards of the tests: each family of drivers is as hard to live with as the real one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.errors import DeviceError, LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.model.sriov import VfSettings
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_cards import ZERO
from tests.fakes.sriov_profiles import BARE, I40E, ICE, IGB, IXGBE, MLX5, Profile

MAC = "fa:16:3e:00:00:01"
OTHER = "fa:16:3e:00:00:02"
FIRST = "0000:01:10.0"
SANDBOX = "/var/run/docker/netns/1"
PLAIN = VfSettings(mac=MAC, vlan=100, spoofchk=False, trust=False, link_state="auto", max_tx_rate=0)


@pytest.mark.parametrize("profile", [IGB, IXGBE, I40E, ICE, MLX5, BARE])
def test_every_family_takes_the_defaults(profile: Profile) -> None:
    """Tests would prove nothing about cards that know less than others."""
    nic = FakeNic(profile)
    found = nic.control.apply("pf0", 0, PLAIN)
    assert (found.mac, found.vlan) == (MAC, 100)
    assert nic.control.read("pf0", 0) == found


@pytest.mark.parametrize(
    ("profile", "wanted"),
    [
        (IGB, {"link_state": "enable"}),
        (IGB, {"min_tx_rate": 10}),
        (IXGBE, {"min_tx_rate": 10}),
        (BARE, {"trust": True}),
        (BARE, {"max_tx_rate": 10}),
        (MLX5, {"vlan": 4095}),
    ],
)
def test_what_a_family_does_not_know_is_refused_whole(profile: Profile, wanted: dict[str, object]) -> None:
    """A service that leaves half a VF set up would pass."""
    nic = FakeNic(profile)
    before = nic.control.read("pf0", 0)
    with pytest.raises(LinkError):
        nic.control.apply("pf0", 0, replace(PLAIN, **wanted))
    assert nic.control.read("pf0", 0) == before


@pytest.mark.parametrize(
    ("profile", "at_once"), [(IGB, False), (IXGBE, False), (I40E, True), (ICE, True), (MLX5, False)]
)
def test_the_effective_mac_follows_at_the_latest_when_bound_again(profile: Profile, at_once: bool) -> None:
    """A service that believes the PF about the VF's MAC would pass."""
    nic = FakeNic(profile)
    nic.control.apply("pf0", 0, PLAIN)
    assert (nic.of(FIRST).mac == MAC) is at_once
    nic.pci.unbind(FIRST)
    nic.pci.bind(FIRST, profile.vf_driver, 1)
    assert nic.of(FIRST).mac == MAC


def test_a_guarded_mac_is_only_changed_with_trust() -> None:
    """A service that sets another MAC on the VF than at the PF would pass."""
    nic = FakeNic(IGB)
    nic.control.apply("pf0", 0, PLAIN)
    with pytest.raises(LinkError, match="Cannot assign"):
        nic.netdevs.configure("pf0v0", mac=OTHER)
    nic.control.apply("pf0", 0, replace(PLAIN, trust=True))
    nic.netdevs.configure("pf0v0", mac=OTHER)
    assert nic.control.read("pf0", 0).mac == OTHER


def test_an_empty_mac_is_not_taken_by_all() -> None:
    """A service that cannot go on without taking the MAC away would pass."""
    nic = FakeNic(MLX5)
    nic.control.apply("pf0", 0, PLAIN)
    with pytest.raises(LinkError, match="MAC"):
        nic.control.apply("pf0", 0, replace(PLAIN, mac=ZERO))


def test_the_device_of_a_dead_container_keeps_its_name_where_it_can() -> None:
    """A service that finds devices by their names would pass."""
    nic = FakeNic()
    nic.add_device("eth0")
    nic.move("pf0v0", SANDBOX, "eth0")
    nic.move("pf0v1", SANDBOX, "eth1")
    nic.destroy_sandbox(SANDBOX)
    assert nic.of(FIRST).name == f"dev{nic.of(FIRST).index}"
    assert nic.of("0000:01:10.2").name == "eth1"


def test_a_device_is_brought_home_from_its_container_only() -> None:
    """A service that looks in the wrong container would pass."""
    nic = FakeNic()
    nic.move("pf0v0", SANDBOX, "eth0")
    assert not nic.netdevs.fetch_from_sandbox(FIRST, ["/other"], "pf0v0")
    with pytest.raises(LinkExists):
        nic.netdevs.fetch_from_sandbox(FIRST, [SANDBOX], "pf0v1")
    assert nic.netdevs.state("eth0") is not None
    assert not nic.netdevs.fetch_from_sandbox(FIRST, [SANDBOX], "pf0v0")
    nic.move("eth0", SANDBOX, "eth0")
    assert nic.netdevs.fetch_from_sandbox(FIRST, [SANDBOX], "pf0v0")


def test_what_stands_on_a_vf_keeps_it_busy_and_goes_with_it() -> None:
    """A service that gives out the VF below a macvtap would pass."""
    nic = FakeNic()
    nic.netdevs.create_macvtap("pf0v0", "kv1", 1500, "kuryr:p1")
    assert nic.netdevs.in_use("pf0v0") == "carries macvtap kv1"
    nic.pci.unbind(FIRST)
    assert nic.netdevs.state("kv1") is None


def test_a_carrier_needs_the_pf_and_may_come_late() -> None:
    """A service that announces before the carrier is there would pass."""
    nic = FakeNic()
    nic.netdevs.configure("pf0v0", up=True)
    nic.carrier_after["pf0v0"] = 1
    assert not nic.netdevs.wait_carrier("pf0v0", 5)
    assert nic.netdevs.wait_carrier("pf0v0", 5)
    nic.netdevs.configure("pf0")
    assert not nic.netdevs.wait_carrier("pf0v0", 5)


def test_failures_come_as_planned() -> None:
    """The tests of going back would test nothing."""
    nic = FakeNic()
    nic.pci.fail_next("bind", DeviceError("no"))
    nic.netdevs.fail_next("configure", LinkError("late"), after=True)
    nic.pci.unbind(FIRST)
    with pytest.raises(DeviceError, match="no"):
        nic.pci.bind(FIRST, "igbvf", 1)
    assert nic.pci.bind(FIRST, "igbvf", 1) == "pf0v0"
    with pytest.raises(LinkError, match="late"):
        nic.netdevs.configure("pf0v0", mtu=1400)
    assert nic.of(FIRST).mtu == 1400
    with pytest.raises(LinkNotFound):
        nic.netdevs.announce(SANDBOX, "fa:16:3e:00:00:01", ["192.0.2.1"])
