# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The SR-IOV port driver as the agent of its own VFs, and after the journal was lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import DeviceError, LinkError, LinkNotFound, NoFreeDevice, UnsupportedVif
from kuryr_libnetwork.model.links import NO_MAC, BindingRequest
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.rules import names
from tests.fakes.host import FakeJournal
from tests.fakes.sriov_cards import AS_MADE, NEW_LINK
from tests.fakes.sriov_profiles import ICE, IGB, MLX5, Profile
from tests.world.sriov_host import FAMILIES, MAC, PORT, SANDBOX, Host


def into_container(host: Host, **more: Any) -> PlugRecord:
    plug = host.take(**more)
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    return plug


def test_a_change_of_the_port_is_enforced() -> None:
    """Port security switched off, a port set down or a new VLAN in Neutron would do nothing until the next start."""
    host = Host(ICE, allow_trust=frozenset({"physnet2"}))
    into_container(host)
    host.changed(port_security_enabled=False, admin_state_up=False, trusted=True, vif_details={"vlan": "151"})
    found = host.nic.control.read("pf0", 0)
    assert (found.spoofchk, found.link_state, found.trust, found.vlan, found.mac) == (False, "disable", True, 151, MAC)
    assert host.lease().wanted == found


def test_what_somebody_else_changed_at_the_nic_is_set_again() -> None:
    """A reset of the PF, or an operator's hand, would switch port security off for good."""
    host = Host(ICE)
    into_container(host)
    host.nic.control.apply("pf0", 0, msgspec.structs.replace(host.nic.control.read("pf0", 0), vlan=7, spoofchk=False))
    host.changed()
    found = host.nic.control.read("pf0", 0)
    assert (found.vlan, found.spoofchk) == (150, True)


def test_qos_rules_are_the_rates_of_the_vf() -> None:
    """A QoS policy of a port, or of its network, would silently do nothing for a container."""
    host = Host(ICE)
    gold = host.neutron.seed_qos_policy(
        rules=[{"type": "bandwidth_limit", "max_kbps": 50_000}, {"type": "minimum_bandwidth", "min_kbps": 999}]
    )
    slow = host.neutron.seed_qos_policy("slow", [{"type": "bandwidth_limit", "max_kbps": 10_000}])
    into_container(host, more={"qos_network_policy_id": gold.id})
    found = host.nic.control.read("pf0", 0)
    assert (found.min_tx_rate, found.max_tx_rate) == (1, 50)
    host.changed(qos_policy_id=slow.id)
    found = host.nic.control.read("pf0", 0)
    assert (found.min_tx_rate, found.max_tx_rate) == (0, 10)
    before = len(host.neutron.calls)
    host.changed(qos_policy_id=None, qos_network_policy_id=None)
    assert (host.nic.control.read("pf0", 0).max_tx_rate, len(host.neutron.calls)) == (0, before)


def test_what_the_nic_refuses_keeps_nothing_else_from_being_done() -> None:
    """On a NIC without link states, port security would not follow the port that was set down."""
    host = Host(IGB)
    into_container(host)
    with pytest.raises(LinkError, match="link state"):
        host.changed(port_security_enabled=False, admin_state_up=False)
    assert host.nic.control.read("pf0", 0).spoofchk is False


def test_the_mac_that_a_trusted_container_chose_stays() -> None:
    """Each round of the background would cut off a container that may change its MAC."""
    host = Host(IGB, allow_trust=frozenset({"physnet2"}))
    into_container(host, more={"trusted": True})
    host.nic.functions[host.nic.vf_address(0)].learned_mac = "fa:16:3e:00:00:77"
    host.changed(port_security_enabled=False)
    assert host.nic.control.read("pf0", 0).mac == "fa:16:3e:00:00:77"


@pytest.mark.parametrize(
    ("change", "effect"),
    [
        ({"port_security_enabled": False}, {"spoofchk": False}),
        ({"admin_state_up": False}, {"link_state": "disable"}),
        ({"propagate_uplink_status": False}, {"link_state": "enable"}),
        ({"mac_address": "fa:16:3e:00:00:99"}, {}),
        ({"name": "x", "description": "x", "tags": ("kuryr.opt:trusted=true",), "device_id": "x"}, {}),
        ({"vnic_type": "normal"}, {}),
        ({"project_id": "another"}, {}),
        ({"profile": {"pci_slot": "0000:01:10.2", "vf_num": 1}}, {}),
        ({"profile": {"trusted": ["true"]}, "port_security_enabled": False}, {"spoofchk": False}),
        ({"profile": {"vlan": 7, "mac": "fa:16:3e:00:00:99"}}, {}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_change_of_the_port_means_what_neutron_makes_it_mean(change: dict[str, Any], effect: dict[str, Any]) -> None:
    """By what a tenant writes into his port he would get trust, another VLAN, or a change on a VF of somebody
    else's.
    """
    host = Host(ICE, allow_trust=frozenset({"physnet9"}))
    into_container(host)
    others = [host.nic.control.read("pf0", index) for index in (1, 2, 3)]
    before = host.nic.control.read("pf0", 0)
    host.changed(**change)
    assert host.nic.control.read("pf0", 0) == msgspec.structs.replace(before, **effect)
    assert [host.nic.control.read("pf0", index) for index in (1, 2, 3)] == others


def test_the_physical_network_that_a_profile_claims_gives_no_trust() -> None:
    """A tenant would choose the network on which the operator allows trust."""
    host = Host(ICE, allow_trust=frozenset({"physnet9"}))
    into_container(host)
    before = host.nic.control.read("pf0", 0)
    with pytest.raises(UnsupportedVif, match="allow_trust"):
        host.changed(profile={"physical_network": "physnet9", "trusted": "true"})
    assert host.nic.control.read("pf0", 0) == before


@pytest.mark.parametrize("details", [{}, {"vlan": "4095"}, {"vlan": ["7"]}, {"vlan": None}])
def test_a_binding_without_a_usable_vlan_changes_nothing(details: dict[str, Any]) -> None:
    """What the role may not see any more, or nobody could mean, would put the container on the untagged network."""
    host = Host(ICE)
    into_container(host)
    with pytest.raises(UnsupportedVif, match="vif_details"):
        host.changed(vif_details=details)
    assert host.nic.control.read("pf0", 0).vlan == 150


def test_trust_by_the_admins_field_or_its_mirror_in_the_profile() -> None:
    """Trust that an admin gives would have no effect for the role service, which sees it in the profile only."""
    for more in ({"trusted": True}, {"trusted": None, "profile": {"trusted": True}}):
        host = Host(ICE, allow_trust=frozenset({"physnet2"}))
        into_container(host)
        host.changed(**more)
        assert host.nic.control.read("pf0", 0).trust is True
        host.changed(trusted=False)
        assert host.nic.control.read("pf0", 0).trust is False


def test_trust_that_is_asked_for_later_and_not_given_is_told() -> None:
    """An admin would set a port trusted, and see nothing happen; nor may it keep the rest from being done."""
    host = Host(ICE)
    into_container(host)
    with pytest.raises(UnsupportedVif, match="allow_trust does not give it"):
        host.changed(trusted=True, port_security_enabled=False)
    found = host.nic.control.read("pf0", 0)
    assert (found.trust, found.spoofchk) == (False, False)
    host = Host(IGB)
    into_container(host)
    with pytest.raises(LinkError, match=r"link state.*; port .* asks for trust"):
        host.changed(trusted=True, admin_state_up=False)
    host = Host(ICE, unsupported="warn")
    into_container(host)
    host.changed(trusted=True, port_security_enabled=False)
    assert host.nic.control.read("pf0", 0).spoofchk is False


@pytest.mark.parametrize("vif_type", ["unbound", "binding_failed"])
def test_a_port_that_is_bound_no_more_says_nothing(vif_type: str) -> None:
    """A failed binding has no VLAN: the container would be moved into the untagged network."""
    host = Host(ICE)
    into_container(host)
    with pytest.raises(DeviceError, match=vif_type):
        host.changed(vif_type=vif_type, vif_details={})
    assert host.nic.control.read("pf0", 0).vlan == 150


def test_only_what_is_in_use_is_refreshed() -> None:
    """A VF on its way back would be set up again for the port that it leaves."""
    host = Host(ICE)
    plug = host.take()
    port = host.port
    host.driver.unplug(plug)
    host.driver.note_ports([port])
    host.driver.reapply(port.id)
    assert host.is_as_before()


def test_the_first_choice_looks_at_the_neighbours_itself() -> None:
    """Right after a start the VF of a virtual machine would be taken, until the background has looked."""
    host = Host()
    host.neighbours = [Port(id="vm", network_id="n", profile={"pci_slot": host.nic.vf_address(0).upper()})]
    host.take()
    assert host.lease().pci_address == host.nic.vf_address(1)


@pytest.mark.parametrize("late_look", [False, True])
def test_a_vf_is_free_as_soon_as_its_container_is_gone(late_look: bool) -> None:
    """Containers that follow others would be refused until the background has had its next round."""
    host = Host()
    plugs = [host.take(port_id=f"p{index}") for index in range(4)]
    bound = [
        Port(id=f"p{index}", network_id="n", profile={"pci_slot": plug.pci_address}) for index, plug in enumerate(plugs)
    ]
    host.driver.note_ports(bound)
    for plug in plugs:
        host.driver.unplug(plug)
    if late_look:  # Neutron was asked before the ports went
        host.driver.note_ports(bound)
    again = [host.take(port_id=f"q{index}") for index in range(4)]
    assert {plug.pci_address for plug in again} == {plug.pci_address for plug in plugs}


def test_a_port_that_is_used_again_is_believed_again() -> None:
    """Once it has been in a container here, a port of somebody else's would protect its VF no more."""
    host = Host()
    port = Port(id="p0", network_id="n", profile={"pci_slot": host.nic.vf_address(0)})
    host.driver.unplug(host.take(port_id="p0"))
    host.driver.note_ports([])
    host.driver.note_ports([port])
    host.take(port_id="p1")
    assert host.lease().pci_address == host.nic.vf_address(1)


def test_a_pf_that_is_down_is_set_up() -> None:
    """After a boot the containers would have no carrier until somebody thinks of the PF."""
    host = Host()
    host.nic.netdevs.configure("pf0")
    host.take()
    assert host.nic.of("0000:01:00.0").up


def test_the_carrier_is_waited_for_when_containers_start_side_by_side() -> None:
    """Docker makes the endpoints of a network one after the other: each late carrier would hold up all the others."""
    host = Host(ICE)
    late = host.nic.carrier_after
    late[names.device_name(PORT)] = 2
    plug = host.take()
    assert late[plug.container_ifname] == 2
    host.driver.wait_for_carrier(plug)
    assert late[plug.container_ifname] == 1
    host.changed(admin_state_up=False)
    host.driver.wait_for_carrier(plug)
    assert late[plug.container_ifname] == 1
    host.changed(admin_state_up=True)
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.wait_for_carrier(plug)
    host.driver.unplug(plug, SANDBOX)
    host.driver.wait_for_carrier(plug)
    assert host.is_as_before()


def test_announcing_waits_for_the_device() -> None:
    """Announcements would be sent before there is a way out, or by another device."""
    host = Host()
    plug = host.take()
    with pytest.raises(LinkNotFound):
        host.driver.announce(plug, SANDBOX, ["10.0.0.5"])
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.nic.of(plug.pci_address).up = False
    assert not host.driver.announce(plug, SANDBOX, ["10.0.0.5"])
    host.nic.of(plug.pci_address).up = True
    assert host.driver.announce(plug, SANDBOX, ["10.0.0.5"])
    assert host.nic.announced == [(SANDBOX, MAC, "10.0.0.5")]
    host.driver.unplug(plug, SANDBOX)
    assert host.driver.announce(plug, SANDBOX, ["10.0.0.5"])
    assert len(host.nic.announced) == 1


# -- what a container did to its device --------------------------------------------------------------------------


def spoiled(host: Host, pci_address: str) -> None:
    """What NET_ADMIN is good for; ``offloads`` stands for all that ethtool sets."""
    device = host.nic.of(pci_address)
    device.attributes = msgspec.structs.replace(
        NEW_LINK,
        flags=0x380,
        tx_queue_length=7,
        alias="mine",
        group=5,
        broadcast="ff:ff:ff:ff:ff:00",
        link_mode=1,
        xdp=True,
    )
    device.altnames = {"docker1", "pf0"}
    device.offloads, device.mac, device.mtu = "off", "02:00:00:00:00:99", 700


@pytest.mark.parametrize("end", ["docker-moved-it-back", "disconnected", "died"])
@pytest.mark.parametrize("profile", FAMILIES, ids=lambda profile: profile.pf_driver)
def test_nothing_that_a_container_did_to_its_vf_is_left(profile: Profile, end: str) -> None:
    """The next container would get a VF that listens to everything, knows no ARP, or has its offloads off."""
    host = Host(profile)
    own = host.nic.of(host.nic.vf_address(0))
    own.altnames, own.attributes = {"enp1s0f0v0"}, msgspec.structs.replace(NEW_LINK, tx_queue_length=500, alias="lab")
    host.before = host.picture()
    plug = into_container(host)
    spoiled(host, plug.pci_address)
    device = host.nic.of(plug.pci_address)
    if end == "died":
        host.nic.destroy_sandbox(SANDBOX)
    if end == "docker-moved-it-back":
        device.sandbox, device.name, device.up = "", plug.container_ifname, False
    host.driver.unplug(plug, SANDBOX)
    back = host.nic.of(plug.pci_address)
    assert (back.altnames, back.offloads) == ({"enp1s0f0v0"}, AS_MADE)
    assert host.is_as_before()


@pytest.mark.parametrize("dead", [False, True], ids=["alive", "dead"])
def test_a_vf_that_is_never_rebound_loses_what_netlink_can_undo(dead: bool) -> None:
    """Where the operator forbids rebinding, all else would stay as a container left it, too."""
    host = Host(ICE, rebind="never")
    plug = into_container(host)
    spoiled(host, plug.pci_address)
    if dead:
        host.nic.destroy_sandbox(SANDBOX)
    host.driver.unplug(plug, SANDBOX)
    assert host.nic.of(plug.pci_address).offloads == "off"
    assert host.is_as_before()


@pytest.mark.parametrize("vnic_type", ["direct", "macvtap", "direct-physical"])
def test_a_container_gets_a_device_without_the_hosts_flags_and_names(vnic_type: str) -> None:
    """A VF that an operator once watched would be promiscuous in a container, which would see its names on the host,
    too.
    """
    host = Host()
    function = "0000:01:00.0" if vnic_type == "direct-physical" else host.nic.vf_address(0)
    device = host.nic.of(function)
    device.attributes = msgspec.structs.replace(NEW_LINK, flags=0x1100, alias="uplink", tx_queue_length=500)
    device.altnames = {"enp1s0f0"}
    host.before = host.picture()
    plug = host.take(vnic_type=vnic_type, vlan="0")
    given = host.nic.of(function)
    assert given.attributes == msgspec.structs.replace(NEW_LINK, tx_queue_length=given.attributes.tx_queue_length)
    assert given.altnames == set()
    host.driver.unplug(plug)
    assert host.is_as_before()


def test_nothing_that_netlink_sets_on_a_pf_is_left() -> None:
    """The operator's PF would come home promiscuous, and with names that are in the way of others."""
    host = Host()
    plug = into_container(host, vnic_type="direct-physical", vlan="0")
    spoiled(host, "0000:01:00.0")
    host.driver.unplug(plug, SANDBOX)
    assert host.nic.of("0000:01:00.0").altnames == set()
    assert host.is_as_before()


def test_a_vf_that_no_container_had_is_not_rebound() -> None:
    """Each start that fails would cost the time of a rebind, and udev's work on a new device."""
    host = Host(ICE)
    host.nic.netdevs.fail_next("configure", LinkError("refused"))
    before = host.nic.of(host.nic.vf_address(0)).index
    with pytest.raises(LinkError, match="refused"):
        host.take()
    assert host.nic.of(host.nic.vf_address(0)).index == before
    assert host.is_as_before()


def test_udev_renames_a_new_device_in_the_middle() -> None:
    """A VF would be quarantined for a name that it had a moment before."""
    host = Host(ICE)
    plug = into_container(host)
    for _ in range(2):
        host.nic.netdevs.fail_next("configure", LinkNotFound("no such device"))
    host.driver.unplug(plug, SANDBOX)
    assert host.is_as_before()


# -- user space --------------------------------------------------------------------------------------------------


def vfio_host(**policy: Any) -> tuple[Host, str]:
    host = Host(allow_vfio=True, **policy)
    slot = host.nic.vf_address(0)
    host.nic.pci.unbind(slot)
    host.nic.functions[slot].driver = "vfio-pci"
    host.before, host.first_settings = host.picture(), [host.nic.control.read("pf0", index) for index in range(4)]
    return host, slot


def test_a_vf_for_a_program_is_set_up_and_has_no_interface() -> None:
    """A DPDK container would get the VF of another VLAN and MAC, or a start that fails for want of a device."""
    host, slot = vfio_host()
    plug = host.take(pci_slot=slot)
    found = host.nic.control.read("pf0", 0)
    assert (plug.container_ifname, found.mac, found.vlan) == ("", MAC, 150)
    assert host.driver.where(plug) == "container"
    assert host.driver.announce(plug, SANDBOX, ["10.0.0.5"])
    host.driver.unplug(plug)
    assert host.driver.where(plug) == "gone"
    assert host.is_as_before()


def test_a_vf_for_a_program_is_given_only_to_who_names_it() -> None:
    """An ordinary container would start without a network."""
    host, slot = vfio_host()
    host.take()
    assert host.lease().pci_address != slot
    with pytest.raises(NoFreeDevice, match="vfio-pci, of no use for macvtap"):
        host.take(port_id="p2", vnic_type="macvtap", pci_slot=slot)


# -- after the journal was lost ----------------------------------------------------------------------------------


def forgetful(host: Host) -> None:
    host.journal = FakeJournal()
    host.driver = host.restarted()


@pytest.mark.parametrize("dead", [False, True], ids=["alive", "dead"])
@pytest.mark.parametrize("vnic_type", ["direct", "macvtap"])
@pytest.mark.parametrize("profile", FAMILIES, ids=lambda profile: profile.pf_driver)
def test_a_vf_of_a_forgotten_lease_is_made_new(profile: Profile, vnic_type: str, dead: bool) -> None:
    """A new disk would leave a VF with the MAC and VLAN of a container that is gone, and give it so to the next one."""
    host = Host(profile)
    plug = into_container(host, vnic_type=vnic_type)
    forgetful(host)
    if dead:
        host.nic.destroy_sandbox(SANDBOX)
    else:
        assert host.driver.where(host.driver.recover(host.port)) == "container"
    host.driver.unplug(host.driver.recover(host.port))
    found = host.nic.control.read("pf0", 0)
    device = host.nic.netdevs.state(host.nic.of(plug.pci_address).name)
    assert host.journal.devices.all() == []
    assert (found.vlan, found.trust) == (0, False)
    assert found.mac != MAC
    assert device is not None
    assert (device.mac != MAC, device.mtu, device.up) == (True, 1500, False)


def test_a_vf_that_the_nic_does_not_have_set_up_for_the_port_is_left_alone() -> None:
    """The VF that somebody else uses by now would be taken away from him."""
    host = Host()
    into_container(host)
    forgetful(host)
    other = msgspec.structs.replace(host.port, mac_address="fa:16:3e:00:00:99")
    before = host.picture()
    host.driver.unplug(host.driver.recover(other))
    assert (host.picture(), host.driver.where(host.driver.recover(other))) == (before, "gone")


def test_a_recovered_plug_is_good_only_while_the_nic_says_so() -> None:
    """Between finding a forgotten VF and putting it back, the next container may have got it."""
    host = Host()
    into_container(host)
    forgetful(host)
    plug = host.driver.recover(host.port)
    host.driver.unplug(plug)
    host.take(port_id="next", pci_slot=plug.pci_address)
    lease = host.lease()
    host.driver.unplug(plug)
    assert host.lease() == lease


@pytest.mark.parametrize("vlan", ["0", "150"])
def test_a_pf_of_a_forgotten_lease_comes_home(vlan: str) -> None:
    """The operator's PF would stay away; how it was called, nobody knows: he must be told."""
    host = Host()
    plug = into_container(host, vnic_type="direct-physical", vlan=vlan)
    forgetful(host)
    host.nic.destroy_sandbox(SANDBOX)
    host.driver.unplug(host.driver.recover(host.port))
    if vlan == "0":
        host.nic.of(plug.pci_address).name = plug.container_ifname
    assert host.journal.devices.all() == []


def test_the_operator_gives_a_pf_its_name_again() -> None:
    """A PF in quarantine could never be used again."""
    host = Host()
    plug = host.take(vnic_type="direct-physical", vlan="0")
    forgetful(host)
    host.driver.unplug(host.driver.recover(host.port))
    assert "rename" in host.lease().reason
    (stray,) = host.driver.strays()
    host.driver.unplug(stray)
    assert "rename" in host.lease().reason
    host.nic.of(plug.pci_address).name = "pf0"
    host.driver.unplug(stray)
    assert host.journal.devices.all() == []


def test_a_card_that_keeps_a_mac_gets_one_of_nobody() -> None:
    """The forgotten port's MAC would stay on the VF, and the PF could not reach the port elsewhere."""
    host = Host(MLX5)
    into_container(host)
    forgetful(host)
    host.driver.unplug(host.driver.recover(host.port))
    mac = host.nic.control.read("pf0", 0).mac
    assert mac not in (MAC, NO_MAC)
    assert mac.startswith("02:")


@pytest.mark.parametrize("lost", [False, True], ids=["journal-kept", "journal-lost"])
def test_a_bind_that_failed_once_is_made_up_for(lost: bool) -> None:
    """A VF whose new bind failed would have no driver for good, for the next try asks which one it has."""
    host = Host()
    plug = into_container(host)
    if lost:
        forgetful(host)
        plug = host.driver.recover(host.port)
    else:
        host.nic.move_on(SANDBOX, "/run/netns/elsewhere")
    host.nic.pci.fail_next("bind", DeviceError("the card is busy"))
    host.driver.unplug(plug)
    assert (host.lease().state, host.lease().reason) == ("quarantined", "the card is busy")
    assert host.nic.functions[plug.pci_address].driver == ""
    (stray,) = host.driver.strays()
    host.driver.unplug(stray)
    assert host.nic.functions[plug.pci_address].driver == "igbvf"
    assert host.journal.devices.all() == []


def test_a_port_without_device_has_nothing_to_recover() -> None:
    """A port whose profile says nothing, or nonsense, would end the clean-up of all others."""
    host = Host()
    for profile in ({}, {"pci_slot": "nonsense"}, {"pci_slot": "0000:99:00.1"}):
        port = Port(id=PORT, network_id="n", vnic_type="direct", mac_address=MAC, profile=profile)
        assert host.driver.recover(port).pci_address == ""
    assert host.driver.reserve(BindingRequest(port_id=PORT, vnic_type="direct", physical_network="physnet2"))
