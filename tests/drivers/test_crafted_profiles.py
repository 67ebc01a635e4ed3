# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports with profiles that somebody has crafted, on a host whose devices others use, too."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from kuryr_libnetwork.errors import InvalidOption, KuryrError, NoFreeDevice
from kuryr_libnetwork.model.links import BindingRequest
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import VfSettings
from kuryr_libnetwork.port_driver.drivers.sriov import SriovDriver
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.port_driver.qos import QosRules
from tests.fakes.host import FakeJournal
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_profiles import ICE
from tests.unit.test_device_profile import JUNK, PROFILES

PORT, MAC = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60", "fa:16:3e:00:00:01"
PF, OTHER_PF, UNMAPPED_PF = (f"0000:0{number}:00.0" for number in (1, 3, 5))
ELSEWHERE = "/run/netns/somebody"


class Host:
    """``pf0`` is on physnet2, ``pf1`` on physnet3, ``pf2`` the operator's own. Of the VFs of ``pf0`` the first one is
    another container's, the second one a virtual machine's, the third one in a namespace of the operator's, the fourth
    one excluded.
    """

    def __init__(self, **policy: Any) -> None:
        self.nic = FakeNic(ICE, vfs=6)
        for address, name in ((OTHER_PF, "pf1"), (UNMAPPED_PF, "pf2")):
            self.nic.add_pf(ICE, 2, address, name)
        self.journal = FakeJournal()
        self.vfs = [self.nic.vf_address(index) for index in range(6)]
        self.policy = SriovSettings(
            mappings={"physnet2": ("pf0",), "physnet3": ("pf1",)},
            exclusions={"pf0": frozenset({self.vfs[3]})},
            allow_direct_physical=True,
            allow_trust=frozenset({"physnet3"}),
            **policy,
        )
        self.driver = SriovDriver(
            SriovParts(
                leases=self.journal.devices,
                pci=self.nic.pci,
                control=self.nic.control,
                netdevs=self.nic.netdevs,
                qos=QosRules(FakeNeutron()),
                neighbours=list,
                settings=self.policy,
                now=lambda: 1.0,
            )
        )
        self.start(BindingRequest(port_id="container", vnic_type="direct", physical_network="physnet2"))
        self.nic.move(self.nic.of(self.vfs[0]).name, "/run/docker/netns/1", "eth0")
        self.machine = Port(
            id="machine", network_id="n", profile={"pci_slot": self.vfs[1].upper().removeprefix("0000:")}
        )
        self.driver.note_ports([self.machine])
        self.nic.move(self.nic.of(self.vfs[2]).name, ELSEWHERE, "eth0")
        self.before = self.picture()

    def start(self, request: BindingRequest, **port: Any) -> Port:
        answer = self.driver.reserve(request)
        bound = Port(
            id=request.port_id,
            network_id="n",
            mac_address=MAC,
            vnic_type=request.vnic_type,
            vif_type="hw_veb",
            vif_details={"vlan": "150"},
            profile=answer.get("binding:profile", request.profile),
            **port,
        )
        plug = self.driver.plan(bound, "e1")
        self.driver.plug(plug, bound, "e1", 1450)
        return bound

    def picture(self) -> dict[str, object]:
        """By PCI address everything that others would notice."""
        found: dict[str, object] = {}
        for address, function in self.nic.functions.items():
            shown: VfSettings | None = msgspec.structs.replace(function.settings, mac=function.admin_mac)
            device = self.nic.of(address)
            state = (device.name, device.mac, device.mtu, device.up, device.sandbox, device.host_ip)
            found[address] = (function.driver, shown, state, self.journal.devices.get(address))
        return found

    @property
    def free(self) -> set[str]:
        """What a container on physnet2 may get."""
        return {*self.vfs[4:]}

    def assert_only(self, changed: str) -> None:
        """Nobody else's device has changed."""
        now = self.picture()
        assert {address: now[address] for address in now if address != changed} == {
            address: state for address, state in self.before.items() if address != changed
        }

    def assert_untouched(self) -> None:
        assert self.picture() == self.before


def asked(profile: dict[str, Any], vnic_type: str = "direct", own: str = "physnet2", **more: Any) -> BindingRequest:
    return BindingRequest(port_id=PORT, vnic_type=vnic_type, physical_network=own, profile=profile, **more)


NAMED = ["container's", "machine's", "elsewhere", "excluded", "unmapped", "other wire", "PF", "no NIC", "none"]


def slot_of(host: Host, what: str) -> str:
    of_others = dict(zip(NAMED, host.vfs[:4], strict=False))
    others = {
        "unmapped": host.nic.vf_address(0, UNMAPPED_PF),
        "other wire": host.nic.vf_address(0, OTHER_PF),
        "PF": PF,
        "no NIC": "0000:00:1f.3",
        "none": "0000:09:00.1",
    }
    return {**of_others, **others}[what]


@pytest.mark.parametrize("vnic_type", ["direct", "macvtap", "direct-physical"])
@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("own", ["physnet2", ""], ids=["shown", "hidden"])
def test_a_device_that_is_not_for_this_port(what: str, vnic_type: str, own: str) -> None:
    """By the address in his port somebody would take a device of another container, of a machine, or of the host."""
    host = Host()
    profile = {"pci_slot": slot_of(host, what), "physical_network": "physnet2"}
    with pytest.raises(NoFreeDevice):
        host.driver.reserve(asked(profile, vnic_type, own))
    host.assert_untouched()


def test_a_whole_pf_of_another_wire_or_of_the_operators() -> None:
    """The wire that the operator reaches the machine by would be a container's, if only its address is known."""
    for slot in (OTHER_PF, UNMAPPED_PF):
        host = Host()
        with pytest.raises(NoFreeDevice, match="is not mapped to physnet2"):
            host.driver.reserve(asked({"pci_slot": slot}, "direct-physical"))
        host.assert_untouched()


def test_the_slot_of_the_port_and_the_one_of_the_container() -> None:
    """One of the two would be passed over in silence."""
    host = Host()
    one, two = host.vfs[4:]
    with pytest.raises(InvalidOption, match=r"pci_slot=.*the port's binding:profile names"):
        host.driver.reserve(asked({"pci_slot": one}, pci_slot=two))
    host.assert_untouched()
    host.driver.reserve(asked({"pci_slot": one.upper()}, pci_slot=one))
    host.assert_only(one)


@given(
    PROFILES, st.sampled_from(["direct", "macvtap", "direct-physical"]), st.sampled_from(["physnet2", ""]), st.data()
)
@settings(max_examples=300, deadline=None)
def test_any_profile_gets_a_free_device_or_a_clear_error(
    profile: dict[str, Any], vnic_type: str, own: str, data: st.DataObject
) -> None:
    """A crafted profile would end in a traceback, or with a device of somebody else's."""
    host = Host()
    slots = [slot_of(host, what) for what in NAMED] + host.vfs
    profile |= data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "pci_slot": st.sampled_from(slots) | JUNK,
                "physical_network": st.sampled_from(["physnet2", "x"]),
            },
        )
    )
    try:
        port = host.start(asked(profile, vnic_type, own))
    except KuryrError as error:
        assert str(error).isprintable()  # noqa: PT017 - whatever the error is, it is one line
        host.driver.unreserve(PORT)
        host.assert_untouched()
        return
    lease = host.driver._stock.lease_of(PORT)
    assert lease is not None
    assert lease.pci_address in host.free
    assert lease.physical_network == "physnet2"
    assert host.nic.control.read("pf0", lease.index).trust is False
    host.assert_only(lease.pci_address)
    host.driver.note_ports([port, host.machine])
    host.driver.reapply(PORT)
    host.assert_only(lease.pci_address)


@given(PROFILES, st.sampled_from(["direct", "macvtap", "direct-physical"]), st.data())
@settings(max_examples=200, deadline=None)
def test_after_a_lost_journal_any_profile_gives_nothing_away(
    profile: dict[str, Any], vnic_type: str, data: st.DataObject
) -> None:
    """Once the journal is lost, a port would be believed about whose device it has, and the device be taken from its
    user.
    """
    host = Host()
    slots = [slot_of(host, what) for what in NAMED] + host.vfs
    profile |= data.draw(st.fixed_dictionaries({}, optional={"pci_slot": st.sampled_from(slots) | JUNK}))
    host.journal.devices.rows.clear()
    host.before = host.picture()
    crafted = Port(id=PORT, network_id="n", mac_address="fa:16:3e:99:99:99", vnic_type=vnic_type, profile=profile)
    plug = host.driver.recover(crafted)
    assert plug.pci_address == ""
    host.driver.unplug(plug)
    host.assert_untouched()


@given(st.lists(st.tuples(PROFILES, JUNK), max_size=4))
@settings(max_examples=100, deadline=None)
def test_the_background_takes_any_port_of_this_host(found: list[tuple[dict[str, Any], Any]]) -> None:
    """One port with a crafted profile would end the enforcement for all, or open the VF of a virtual machine to
    others.
    """
    host = Host()
    ports = [
        Port(id=f"p{number}", network_id="n", profile=profile | {"pci_slot": slot})
        for number, (profile, slot) in enumerate(found)
    ]
    host.driver.note_ports([*ports, host.machine])
    with pytest.raises(NoFreeDevice, match="by port machine"):
        host.driver.reserve(asked({"pci_slot": host.vfs[1]}))
    host.assert_untouched()


def test_what_the_operator_has_taken_away_is_not_recovered() -> None:
    """A profile would have a VF put back that the operator uses for something else by now."""
    host = Host()
    host.journal.devices.rows.clear()
    port = Port(id="container", network_id="n", mac_address=MAC, vnic_type="direct", profile={"pci_slot": host.vfs[0]})
    assert host.driver.recover(port).pci_address == host.vfs[0]
    host = Host()
    host.journal.devices.rows.clear()
    host.policy.exclusions["pf0"] |= {host.vfs[0]}
    host.before = host.picture()
    assert host.driver.recover(port).pci_address == ""
    host.assert_untouched()
