# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The SR-IOV port driver on cards in memory, one of each family of drivers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import KuryrError, LinkError, NoFreeDevice, UnsupportedVif
from kuryr_libnetwork.model.links import BindingRequest
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.sriov import VfSettings
from kuryr_libnetwork.rules.device_spec import parse_device_spec
from tests.fakes.host import NEW
from tests.fakes.sriov_profiles import IGB, Profile
from tests.world.sriov_host import FAMILIES, MAC, PORT, SANDBOX, Host


@pytest.mark.parametrize("profile", FAMILIES, ids=lambda profile: profile.pf_driver)
def test_a_vf_is_handed_over_and_comes_back_as_it_was(profile: Profile) -> None:
    """A VF would carry another MAC, VLAN or MTU than its port, or keep something of it afterwards."""
    host = Host(profile)
    plug = host.take()
    device = host.nic.netdevs.state(plug.container_ifname)
    assert device is not None
    assert (device.mac, device.mtu, device.up) == (MAC, 1450, True)
    found = host.nic.control.read("pf0", 0)
    assert (found.mac, found.vlan, found.spoofchk or not profile.spoofchk) == (MAC, 150, True)
    assert (host.lease().state, host.lease().pci_address) == ("leased", host.nic.vf_address(0))
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert host.is_as_before()


@pytest.mark.parametrize("profile", FAMILIES, ids=lambda profile: profile.pf_driver)
def test_a_vf_of_a_dead_container_comes_back(profile: Profile) -> None:
    """The kernel returns the device under the container's name: it would be lost, or keep the name."""
    host = Host(profile)
    plug = host.take()
    host.nic.move(plug.container_ifname, SANDBOX, "pf0")
    host.nic.destroy_sandbox(SANDBOX)
    host.driver.unplug(plug, SANDBOX)
    assert host.is_as_before()


@pytest.mark.parametrize("profile", FAMILIES, ids=lambda profile: profile.pf_driver)
def test_a_vf_in_an_unknown_namespace_is_fetched_by_a_rebind(profile: Profile) -> None:
    """A VF that somebody moved on would be lost until the next boot."""
    host = Host(profile)
    plug = host.take()
    host.nic.move(plug.container_ifname, "/run/netns/elsewhere", "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert host.journal.devices.all() == []
    assert host.picture()[1] == host.expected()[1]


def test_a_vf_that_comes_back_leaves_the_kernels_name_at_once() -> None:
    """Of two VFs that come back at the same moment each may get the other's name, and both would wait for ever."""
    host = Host(IGB)
    plug = host.take()
    names: list[str] = []
    control = host.nic.control
    apply = control.apply

    def watched(pf_netdev: str, index: int, wanted: VfSettings) -> VfSettings:
        found = host.nic.pci.virtual_function(host.nic.vf_address(0))
        names.append("/".join(found.netdevs) if found is not None else "")
        return apply(pf_netdev, index, wanted)

    control.apply = watched  # type: ignore[method-assign]
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert names == ["", plug.container_ifname, names[-1]]  # without a driver, off the kernel's name, as it was
    assert host.is_as_before()


def test_rebind_always_and_never() -> None:
    """The operator's choice would be ignored, or a VF lost between unbind and bind."""
    host = Host(IGB, rebind="always")
    plug = host.take()
    host.driver.unplug(plug)
    assert host.is_as_before()


@pytest.mark.parametrize(
    ("part", "method"),
    [("control", "read"), ("control", "apply"), ("netdevs", "configure")],
)
def test_a_failure_leaves_the_vf_as_it_was(part: str, method: str) -> None:
    """A refused setting would leave a VF half configured, or leased for ever."""
    host = Host(rebind="never")
    getattr(host.nic, part).fail_next(method, LinkError("refused"))
    with pytest.raises(KuryrError, match="refused"):
        host.take()
    assert host.is_as_before()


def test_what_cannot_be_put_back_is_quarantined_and_repaired_later() -> None:
    """A VF that is not clean would be given to the next container, or be forgotten."""
    host = Host(rebind="never")
    plug = host.take()
    host.nic.control.fail_next("apply", LinkError("the PF does not answer"))
    host.driver.unplug(plug)
    assert (host.lease().state, host.lease().reason) == ("quarantined", "the PF does not answer")
    assert host.driver.reserve(BindingRequest(port_id="p2", vnic_type="direct", physical_network="physnet2"))
    assert {lease.pci_address for lease in host.journal.devices.all()} == {
        host.nic.vf_address(0),
        host.nic.vf_address(1),
    }
    host.driver.unreserve("p2")
    again = host.restarted()
    for stray in again.strays():
        again.unplug(stray)
    assert host.is_as_before()


def test_the_users_slot_and_a_second_container_for_it() -> None:
    """The guide's port names its VF: it would get another one, or two containers the same."""
    host = Host()
    slot = host.nic.vf_address(2)
    profile = {"pci_slot": slot.upper(), "pci_vendor_info": "8086:10ca", "physical_network": "physnet2", "mine": "x"}
    assert (
        host.driver.reserve(
            BindingRequest(port_id=PORT, vnic_type="direct", physical_network="physnet2", profile=profile)
        )
        == {}
    )
    assert host.lease().pci_address == slot
    with pytest.raises(NoFreeDevice, match=f"1 in use .{slot} by port {PORT}"):
        host.take(port_id="another", pci_slot=slot)


def test_automatic_profile_names_the_vf() -> None:
    """Neutron could not bind a port whose profile does not name its device."""
    host = Host()
    answer = host.driver.reserve(
        BindingRequest(port_id=PORT, vnic_type="direct", physical_network="physnet2", profile={"trusted": "true"})
    )
    assert answer["binding:profile"] == {
        "trusted": "true",
        "pci_vendor_info": "8086:10ca",
        "pci_slot": host.nic.vf_address(0),
        "physical_network": "physnet2",
        "pf_mac_address": host.nic.of("0000:01:00.0").mac,
        "vf_num": 0,
    }
    assert host.driver.reserve(BindingRequest(port_id=PORT, vnic_type="direct", physical_network="physnet2")) != {}
    assert len(host.journal.devices.all()) == 1


def test_a_vf_that_another_port_names_is_not_taken() -> None:
    """The VF of a virtual machine on this host would be taken from it."""
    host = Host()
    vm = Port(id="vm", network_id="n", profile={"pci_slot": host.nic.vf_address(0)})
    host.driver.note_ports([vm])
    host.take()
    assert host.lease().pci_address == host.nic.vf_address(1)


def test_a_vf_in_use_on_the_host_is_not_taken() -> None:
    """A VF that the operator uses himself would lose its address."""
    host = Host()
    host.nic.of(host.nic.vf_address(0)).used = "has address 192.0.2.1"
    host.take()
    assert host.lease().pci_address == host.nic.vf_address(1)


def test_macvtap_stays_on_its_vf() -> None:
    """The VF itself would move for a macvtap port, or keep the macvtap afterwards."""
    host = Host()
    plug = host.take(vnic_type="macvtap")
    device = host.nic.find(plug.container_ifname)
    assert device is not None
    assert (device.kind, device.mac, device.mtu) == ("macvtap", MAC, 1450)
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.nic.destroy_sandbox(SANDBOX)
    host.driver.unplug(plug, SANDBOX)
    assert host.is_as_before()


@pytest.mark.parametrize("profile", FAMILIES, ids=lambda profile: profile.pf_driver)
@pytest.mark.parametrize(
    ("vnic_type", "vlan"), [("direct", "150"), ("macvtap", "150"), ("direct-physical", "0"), ("direct-physical", "150")]
)
@pytest.mark.parametrize("moved", [False, True])
def test_the_host_is_not_on_the_containers_network(profile: Profile, vnic_type: str, vlan: str, moved: bool) -> None:
    """While a device waits for its container, or carries the container's own, the host would be reached by it."""
    host = Host(profile)
    host.nic.of("0000:01:00.0").up = vnic_type == "direct-physical"
    plug = host.take(vnic_type=vnic_type, vlan=vlan)
    assert host.nic.exposed == set()
    if moved:
        host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert host.journal.devices.all() == []
    assert {device.host_ip for device in host.nic.devices.values() if device.name != "pf0"} == {NEW}
    if vnic_type == "direct-physical":
        assert host.nic.netdevs.state("pf0") == host.before[3]


def test_how_an_operator_has_set_the_ip_of_a_vf_comes_back() -> None:
    """A VF that an operator has prepared would have another IP setting after each container."""
    host = Host()
    device = host.nic.of(host.nic.vf_address(0))
    device.host_ip = msgspec.structs.replace(NEW, disable_ipv6=1, rp_filter=1)
    host.before = host.picture()
    plug = host.take()
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert host.is_as_before()


def test_a_lease_of_an_earlier_release_ends_well() -> None:
    """Every VF that is in use over the upgrade would be quarantined, for what its journal does not say."""
    host = Host()
    plug = host.take()
    lease = host.lease()
    assert lease.original_netdev is not None
    before = msgspec.structs.replace(lease.original_netdev, host_ip=None)
    host.journal.devices.put(msgspec.structs.replace(lease, original_netdev=before))
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert host.is_as_before()


@pytest.mark.parametrize("vlan", ["0", "150"])
def test_a_whole_pf(vlan: str) -> None:
    """A direct-physical port would get no device, the wrong VLAN, or not come back."""
    host = Host()
    plug = host.take(vnic_type="direct-physical", vlan=vlan)
    device = host.nic.find(plug.container_ifname)
    assert device is not None
    assert (device.kind == "vlan", device.vlan) == (vlan != "0", int(vlan))
    host.nic.move(plug.container_ifname, SANDBOX, "eth0")
    host.driver.unplug(plug, SANDBOX)
    assert host.journal.devices.all() == []
    assert host.nic.netdevs.state("pf0") == host.before[3]


@pytest.mark.parametrize("second", [False, True], ids=["one device", "the second of two"])
def test_a_pf_whose_vf_the_host_uses_is_not_taken(second: bool) -> None:
    """A container would get the card that carries the host's own address, and the host would lose it."""
    host = Host()
    slot = host.nic.vf_address(1)
    device = host.nic.add_device("pf0v1p1", pci=slot) if second else host.nic.of(slot)
    device.used = "has address 192.0.2.1"
    with pytest.raises(NoFreeDevice, match=rf"0000:01:00\.0 has VFs in use \({slot} has address 192\.0\.2\.1\)"):
        host.take(vnic_type="direct-physical", vlan="0")


def test_a_slot_of_the_wrong_kind_is_said() -> None:
    """A port whose profile names the PF would blame the mapping, which is right."""
    host = Host()
    profile = {"pci_slot": "0000:01:00.0", "physical_network": "physnet2"}
    with pytest.raises(NoFreeDevice, match=r"0000:01:00\.0 is a PF"):
        host.take(profile=profile)
    with pytest.raises(NoFreeDevice, match="is a VF of PF"):
        host.take(vnic_type="direct-physical", pci_slot=host.nic.vf_address(0))
    with pytest.raises(NoFreeDevice, match=r"there is no VF 0000:09:00\.1"):
        host.take(pci_slot="0000:09:00.1")
    assert host.is_as_before()


def test_trust_only_where_the_operator_allows_it() -> None:
    """A tenant would get a trusted VF by writing it into his port."""
    for allowed in (frozenset[str](), frozenset({"physnet2"})):
        host = Host(allow_trust=allowed, unsupported="warn")
        host.take(profile={"trusted": "true"})
        assert host.nic.control.read("pf0", 0).trust is bool(allowed)


@pytest.mark.parametrize(("said", "trust"), [("true", True), ("false", False)])
def test_trust_by_the_entry_of_device_spec(said: str, trust: bool) -> None:
    """The VF is renamed before it is set up and its device is away later: an entry by its name would count no more."""
    name = Host().nic.of(Host().nic.vf_address(0)).name
    specs = parse_device_spec(
        "o", [f'{{"devname": "{name}", "physical_network": "physnet2", "trusted": "{said}"}}', "{}"]
    )
    host = Host(specs=tuple(specs), allow_trust=frozenset() if trust else frozenset({"physnet2"}), unsupported="warn")
    plug = host.take(profile={"trusted": "true"}, pci_slot=host.nic.vf_address(0))
    assert host.nic.control.read("pf0", 0).trust is trust
    host.changed()
    assert host.nic.control.read("pf0", 0).trust is trust
    host.driver.unplug(plug)
    assert host.is_as_before()


@pytest.mark.parametrize("asked", [{"profile": {"trusted": "true"}}, {"more": {"trusted": True}}])
def test_trust_that_is_not_given_ends_the_start(asked: dict[str, Any]) -> None:
    """A container that needs trust would start without it, and its own MACs vanish without a word."""
    host = Host(allow_trust=frozenset({"physnet3"}))
    with pytest.raises(UnsupportedVif, match=r"allow_trust does not give it: add physnet2 to it"):
        host.take(**asked)
    assert host.is_as_before()


@pytest.mark.parametrize("vnic_type", ["direct", "macvtap"])
def test_an_mtu_above_the_pfs_ends_the_start_or_is_told(vnic_type: str, caplog: pytest.LogCaptureFixture) -> None:
    """Large packets would vanish at the card, and small ones not: the hardest fault to find."""
    host = Host()
    host.nic.of("0000:01:00.0").mtu = 1400
    host.before = host.picture()
    with pytest.raises(UnsupportedVif, match="MTU 1450 is above 1400 of PF pf0: ip link set pf0 mtu 1450"):
        host.take(vnic_type=vnic_type)
    assert host.is_as_before()
    host = Host(unsupported="warn")
    host.nic.of("0000:01:00.0").mtu = 1400
    host.take(vnic_type=vnic_type)
    assert "is above 1400 of PF pf0" in caplog.text


def test_what_the_nic_cannot_do_is_refused_or_told() -> None:
    """A port that is down in Neutron would pass traffic on a NIC without link states, or no container could start
    there.
    """
    with pytest.raises(LinkError, match="link state"):
        Host().take(more={"admin_state_up": False})
    host = Host(unsupported="warn")
    host.take(more={"admin_state_up": False})
    found = host.nic.control.read("pf0", 0)
    assert (found.mac, found.vlan) == (MAC, 150)


def test_vnic_types_of_others_are_refused() -> None:
    """A vDPA port would be plugged as a VF."""
    with pytest.raises(UnsupportedVif, match="vdpa"):
        Host().take(vnic_type="vdpa")


def test_an_unknown_port_has_nothing_to_unplug() -> None:
    """A late clean-up would take the VF of the next container."""
    host = Host()
    host.take(port_id="next")
    stranger = Port(id=PORT, network_id="n", vnic_type="direct", profile={"pci_slot": host.lease().pci_address})
    host.driver.unplug(host.driver.recover(stranger))
    host.driver.unreserve(PORT)
    assert host.lease().port_id == "next"
    assert host.driver.recover(msgspec.structs.replace(stranger, id="next")).pci_address == host.lease().pci_address


def test_an_operator_excludes_a_vf_while_the_service_runs() -> None:
    """A VF that was excluded would be given out until the next restart, or be taken from the container that has it."""
    host = Host()
    plug = host.take()
    first = host.lease().pci_address
    others = {vf.pci_address for vf in host.nic.pci.virtual_functions("0000:01:00.0")} - {first}
    keep = max(others)
    host.driver.permit(msgspec.structs.replace(host.settings, exclusions={"pf0": frozenset({first, *others} - {keep})}))
    assert host.driver.free_devices() == {"physnet2": 1}
    host.driver.unplug(plug)
    assert host.is_as_before()
    host.take()
    assert host.lease().pci_address == keep
