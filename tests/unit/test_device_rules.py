# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import Conflict, NoFreeDevice
from kuryr_libnetwork.model.settings import DevicePolicy
from kuryr_libnetwork.model.sriov import DeviceLease, DeviceRequest, PhysicalFunction, VirtualFunction
from kuryr_libnetwork.rules.device_spec import parse_device_spec
from kuryr_libnetwork.rules.devices import (
    FoundPf,
    choose,
    choose_pf,
    judge,
    physical_network,
    release_refusal,
    wrong_kind,
)
from tests.unit.values import ENDPOINT

MAPPED = DevicePolicy(mappings={"physnet2": ("pf0", "pf1")})
ANY = DeviceRequest(vnic_type="direct", physical_network="physnet2")


def nic(number: int, vfs: int = 4, numa_node: int = 0, **changes: Any) -> FoundPf:
    pf = PhysicalFunction(
        pci_address=f"0000:0{number + 1}:00.0",
        vendor_id="8086",
        device_id="10c9",
        driver="igb",
        netdevs=(f"pf{number}",),
        total_vfs=7,
        num_vfs=vfs,
        numa_node=numa_node,
    )
    functions = tuple(
        VirtualFunction(
            pci_address=f"0000:0{number + 1}:10.{index}",
            pf_address=pf.pci_address,
            index=index,
            vendor_id="8086",
            device_id="10ca",
            driver="igbvf",
            netdevs=(f"v{number}{index}",),
            numa_node=numa_node,
        )
        for index in range(vfs)
    )
    return msgspec.structs.replace(FoundPf(pf=pf, vfs=functions), **changes)


def lease(address: str, port: str = "port-1", state: Any = "leased", reason: str = "") -> DeviceLease:
    return DeviceLease(
        pci_address=address,
        pf_address="",
        index=0,
        port_id=port,
        vnic_type="direct",
        state=state,
        generation="g",
        reason=reason,
    )


def pick(
    request: DeviceRequest = ANY,
    found: tuple[FoundPf, ...] = (nic(0), nic(1)),
    leases: tuple[DeviceLease, ...] = (),
    named: dict[str, str] | None = None,
    policy: DevicePolicy = MAPPED,
) -> str:
    held = {each.pci_address: each for each in leases}
    return choose(request, judge(request, found, held, named or {}, policy), policy).vf.pci_address


def changed(found: FoundPf, index: int, **changes: Any) -> FoundPf:
    vfs = list(found.vfs)
    vfs[index] = msgspec.structs.replace(vfs[index], **changes)
    return msgspec.structs.replace(found, vfs=tuple(vfs))


@given(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 3))))
def test_a_held_vf_is_never_given_out(held: set[tuple[int, int]]) -> None:
    """Two containers would get one VF."""
    leases = tuple(lease(f"0000:0{pf + 1}:10.{vf}") for pf, vf in held)
    if len(held) == 8:
        with pytest.raises(NoFreeDevice, match="8 in use"):
            pick(leases=leases)
    else:
        assert pick(leases=leases) not in {each.pci_address for each in leases}


def test_spread_and_pack() -> None:
    """All containers would share one wire while the other is idle, or the reverse of what the operator chose."""
    one = (lease("0000:01:10.0"),)
    assert pick(leases=one) == "0000:02:10.0"
    assert pick(leases=one, policy=msgspec.structs.replace(MAPPED, selection="pack")) == "0000:01:10.1"
    assert pick() == "0000:01:10.0"


def test_numa_node_is_preferred_not_demanded() -> None:
    """A container would get a VF across the sockets though a near one is free, or none when only far ones are."""
    found = (nic(0, numa_node=0), nic(1, numa_node=1))
    near = msgspec.structs.replace(ANY, numa_node=1)
    assert pick(near, found).startswith("0000:02")
    assert pick(near, (nic(0, numa_node=0),)).startswith("0000:01")


def test_chosen_pf_and_chosen_slot() -> None:
    """The options kuryr.pf and kuryr.pci_slot would be ignored."""
    assert pick(msgspec.structs.replace(ANY, pf_name="pf1")) == "0000:02:10.0"
    assert pick(msgspec.structs.replace(ANY, pci_slot="0000:02:10.3")) == "0000:02:10.3"


def test_without_a_word_of_the_operator() -> None:
    """The guide, which sets no mapping, would find no VF, or take those of the management interface."""
    silent = DevicePolicy()
    found = (nic(0, default_route=True), nic(1))
    assert pick(found=found, policy=silent) == "0000:02:10.0"
    slot = msgspec.structs.replace(ANY, pci_slot="0000:01:10.0")
    with pytest.raises(NoFreeDevice, match="carries a default route"):
        pick(slot, found, policy=silent)


def test_a_pf_that_the_operator_names_may_carry_the_default_route() -> None:
    """On a host with one bond for everything, the VFs that he mapped would not be given out."""
    assert pick(found=(nic(0, default_route=True),)) == "0000:01:10.0"


def test_whitelist_and_its_network() -> None:
    """A device that the operator did not list would be used."""
    specs = tuple(parse_device_spec("o", ['{"address": "0000:02:10.*", "physical_network": "physnet2"}']))
    policy = DevicePolicy(specs=specs)
    assert pick(policy=policy).startswith("0000:02")
    with pytest.raises(NoFreeDevice, match="not in device_spec"):
        pick(msgspec.structs.replace(ANY, pci_slot="0000:01:10.0"), policy=policy)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"netdevs": (), "netdev_elsewhere": True}, "in another namespace"),
        ({"netdevs": (), "driver": ""}, "has no network driver"),
        ({"netdevs": ("a", "b")}, "several network devices"),
        ({"netdevs": (), "driver": "vfio-pci"}, "bound to vfio-pci"),
    ],
)
def test_what_speaks_against_a_vf_is_said(changes: dict[str, Any], reason: str) -> None:
    """A VF that cannot work would be given out, or the refusal would not say why."""
    with pytest.raises(NoFreeDevice, match=reason):
        pick(found=(changed(nic(0, vfs=1), 0, **changes),))


def test_vfio_where_the_operator_allows_it() -> None:
    """DPDK's VFs could not be leased at all, or come to containers that expect an interface."""
    found = (changed(nic(0, vfs=1), 0, netdevs=(), driver="vfio-pci"),)
    policy = msgspec.structs.replace(MAPPED, allow_vfio=True)
    named = msgspec.structs.replace(ANY, pci_slot="0000:01:10.0")
    assert pick(named, found=found, policy=policy) == "0000:01:10.0"
    with pytest.raises(NoFreeDevice, match=r"given out only if named \(kuryr\.pci_slot\)"):
        pick(found=found, policy=policy)
    with pytest.raises(NoFreeDevice, match="of no use for macvtap"):
        pick(msgspec.structs.replace(named, vnic_type="macvtap"), found=found, policy=policy)


def test_a_vf_whose_pf_is_away_cannot_be_set_up() -> None:
    """A VF would be leased and bound whose VLAN and MAC nobody can set."""
    each = nic(0, vfs=1)
    away = msgspec.structs.replace(each, pf=msgspec.structs.replace(each.pf, netdevs=(), netdev_elsewhere=True))
    with pytest.raises(NoFreeDevice, match="its PF's network device is in another namespace"):
        pick(msgspec.structs.replace(ANY, pci_slot="0000:01:10.0"), found=(away,))


def test_a_pf_in_switchdev_mode_is_refused_by_that_name() -> None:
    """A VF's settings would have no effect, for Open vSwitch's offloaded flows decide there; or the reason be a
    riddle.
    """
    each = nic(0, vfs=1)
    found = msgspec.structs.replace(each, pf=msgspec.structs.replace(each.pf, representors=("eth10",)))
    with pytest.raises(NoFreeDevice, match="its PF is in switchdev mode"):
        pick(found=(found,))
    with pytest.raises(NoFreeDevice, match=r"0000:01:00\.0 is in switchdev mode"):
        whole(PHYSICAL, (found,))


def test_a_refusal_counts_and_names() -> None:
    """The user would read "no free VF" and not know whom to ask."""
    found = (nic(0, in_use={"0000:01:10.3": "is up"}),)
    policy = msgspec.structs.replace(MAPPED, exclusions={"pf0": frozenset({"0000:01:10.2"})})
    leases = (lease("0000:01:10.0", "port-a"), lease("0000:01:10.1", state="quarantined", reason="MAC"))
    with pytest.raises(NoFreeDevice) as caught:
        pick(found=found, leases=leases, policy=policy)
    text = str(caught.value)
    assert "no free VF on physnet2: 1 in use (0000:01:10.0 by port port-a)" in text
    assert "1 quarantined (MAC)" in text
    assert "1 excluded by exclude_devices" in text
    assert "1 is up" in text


def test_another_port_of_this_host_names_the_vf() -> None:
    """A VF of a virtual machine on this host would be taken."""
    with pytest.raises(NoFreeDevice, match="by port vm-port"):
        pick(found=(nic(0, vfs=1),), named={"0000:01:10.0": "vm-port"})


@pytest.mark.parametrize("request_", [ANY, msgspec.structs.replace(ANY, pci_slot="0000:09:10.0", pf_name="pf9")])
def test_nothing_there_at_all(request_: DeviceRequest) -> None:
    """The user would not learn that no PF is mapped."""
    with pytest.raises(NoFreeDevice, match="none exists, or its PF is not mapped"):
        pick(request_, found=())


@pytest.mark.parametrize(
    ("vnic_type", "there", "reason"),
    [
        ("direct", "pf", r"0000:01:00\.0 is a PF; a port of vnic_type direct gets one of its VFs \(kuryr vf list\)"),
        ("macvtap", "pf", "a port of vnic_type macvtap gets one of its VFs"),
        ("direct", "nothing", r"there is no VF 0000:01:00\.0 on this host"),
        ("direct-physical", "vf", r"0000:01:00\.0 is a VF of PF 0000:01:00\.0; .* gets a whole PF"),
        ("direct-physical", "nothing", r"there is no PF 0000:01:00\.0 on this host"),
        ("direct", "vf", "^$"),
        ("direct-physical", "pf", "^$"),
    ],
)
def test_an_address_of_the_wrong_kind_of_function_is_said(vnic_type: str, there: str, reason: str) -> None:
    """The user would read that the PF is not mapped, and search for the fault in the mapping."""
    request = DeviceRequest(vnic_type=vnic_type, physical_network="physnet2", pci_slot="0000:01:00.0")
    each = nic(0, vfs=1)
    vf, pf = (each.vfs[0] if there == "vf" else None), (each.pf if there == "pf" else None)
    assert re.search(reason, wrong_kind(request, vf, pf))


def test_a_slot_of_another_physical_network() -> None:
    """A container would be wired to another network than its port's."""
    policy = DevicePolicy(mappings={"physnet2": ("pf0",), "physnet3": ("pf1",)})
    with pytest.raises(NoFreeDevice, match="not mapped to physnet2"):
        pick(msgspec.structs.replace(ANY, pci_slot="0000:02:10.0"), policy=policy)


def test_a_physical_network_that_neutron_does_not_show() -> None:
    """A user without the role admin would read that his PF is not mapped, and search for the fault in the mapping."""
    unseen = DeviceRequest(vnic_type="direct", physical_network="")
    for request in (unseen, msgspec.structs.replace(unseen, pci_slot="0000:02:10.0")):
        with pytest.raises(NoFreeDevice, match="the service's user lacks the role admin"):
            pick(request)
    whole_pf = msgspec.structs.replace(unseen, vnic_type="direct-physical")
    with pytest.raises(NoFreeDevice, match="no free PF: Neutron does not say"):
        whole(whole_pf, (nic(0),))
    with pytest.raises(NoFreeDevice, match="none is mapped or none exists"):
        whole(msgspec.structs.replace(whole_pf, pci_slot="0000:09:00.0"), (nic(0),))


def test_vfs_of_a_pf_that_is_given_away() -> None:
    """The PF's container would lose its wire to another one."""
    with pytest.raises(NoFreeDevice, match="its PF is given to a container"):
        pick(found=(nic(0),), leases=(lease("0000:01:00.0"),))


PHYSICAL = DeviceRequest(vnic_type="direct-physical", physical_network="physnet2")
ALLOWED = msgspec.structs.replace(MAPPED, allow_direct_physical=True)


def whole(
    request: DeviceRequest,
    found: tuple[FoundPf, ...],
    leases: tuple[DeviceLease, ...] = (),
    policy: DevicePolicy = ALLOWED,
    named_by: tuple[str, ...] = (),
) -> str:
    held = {each.pci_address: each for each in leases}
    return choose_pf(request, found, held, dict.fromkeys(named_by, "a-vm"), policy).pf.pci_address


def test_a_whole_pf_only_where_allowed() -> None:
    """A tenant would take the machine's interface."""
    with pytest.raises(NoFreeDevice, match="allow_direct_physical"):
        whole(PHYSICAL, (nic(0),), policy=MAPPED)
    assert whole(PHYSICAL, (nic(0),)) == "0000:01:00.0"
    assert whole(msgspec.structs.replace(PHYSICAL, pf_name="pf1"), (nic(0), nic(1))) == "0000:02:00.0"
    assert whole(msgspec.structs.replace(PHYSICAL, pci_slot="0000:02:00.0"), (nic(0), nic(1))) == "0000:02:00.0"


@pytest.mark.parametrize(
    ("found", "leases", "reason"),
    [
        (nic(0, default_route=True), (), "carries a default route"),
        (nic(0), (lease("0000:01:00.0", "port-x"),), "is held by port port-x"),
        (nic(0), (lease("0000:01:10.1", "port-y"),), r"has VFs in use \(0000:01:10.1 is held by port port-y\)"),
        (nic(0), (lease("0000:01:10.1", state="quarantined", reason="MAC"),), r"10.1 is quarantined \(MAC\)"),
        (nic(0, in_use={"0000:01:00.0": "is in bridge br-ex"}), (), "is in bridge br-ex"),
        (msgspec.structs.replace(nic(0), pf=msgspec.structs.replace(nic(0).pf, netdevs=())), (), "none is mapped"),
    ],
)
def test_a_pf_that_anybody_uses_is_refused(found: FoundPf, leases: tuple[DeviceLease, ...], reason: str) -> None:
    """A container would take the wire from others."""
    with pytest.raises(NoFreeDevice, match=reason):
        whole(PHYSICAL, (found,), leases)


def test_a_pf_without_a_device_here() -> None:
    """A PF that sits in a namespace already would be given away again."""
    bare = msgspec.structs.replace(nic(0), pf=msgspec.structs.replace(nic(0).pf, netdevs=()))
    with pytest.raises(NoFreeDevice, match="has no network device here"):
        whole(msgspec.structs.replace(PHYSICAL, pci_slot="0000:01:00.0"), (bare,))


def with_vf(**changes: Any) -> FoundPf:
    """A PF whose second VF is another one."""
    found = nic(0)
    vfs = list(found.vfs)
    vfs[1] = msgspec.structs.replace(vfs[1], **changes)
    return msgspec.structs.replace(found, vfs=tuple(vfs))


def with_two_devices() -> FoundPf:
    found = with_vf(netdevs=("v1", "v1p2"))
    return msgspec.structs.replace(found, in_use={"0000:01:10.1": "is in bridge br0"})


@pytest.mark.parametrize(
    ("found", "named_by", "reason"),
    [
        (with_vf(netdevs=(), netdev_elsewhere=True), (), "01:10.1 has its network device in another namespace"),
        (with_vf(netdevs=(), driver="vfio-pci"), (), "01:10.1 is bound to vfio-pci"),
        (nic(0, in_use={"0000:01:10.1": "has address 192.0.2.1"}), (), "01:10.1 has address 192.0.2.1"),
        (with_two_devices(), (), "01:10.1 is in bridge br0"),
        (nic(0), ("0000:01:10.1",), "01:10.1 is held by port a-vm"),
        (nic(0), ("0000:01:00.0",), "is held by port a-vm"),
    ],
    ids=[
        "elsewhere",
        "user space",
        "operator's",
        "operator's, one of two devices",
        "another port's",
        "the PF another port's",
    ],
)
@pytest.mark.parametrize("by_slot", [False, True])
def test_a_pf_with_a_vf_that_anybody_uses_is_refused(
    found: FoundPf, named_by: tuple[str, ...], reason: str, by_slot: bool
) -> None:
    """Whoever gets the PF could give the VFs of others a VLAN, a MAC and trust."""
    request = msgspec.structs.replace(PHYSICAL, pci_slot="0000:01:00.0" if by_slot else "")
    with pytest.raises(NoFreeDevice, match=reason):
        whole(request, (found,), named_by=named_by)


def test_a_pf_with_a_vf_that_the_operator_set_aside_is_refused() -> None:
    """Who gets the PF could take over the VF that the operator keeps for himself, while it is idle."""
    policy = msgspec.structs.replace(ALLOWED, exclusions={"pf0": frozenset({"0000:01:10.2"})})
    with pytest.raises(NoFreeDevice, match=r"01:10\.2 is set aside by exclude_devices"):
        whole(PHYSICAL, (nic(0),), policy=policy)


def test_vfs_without_a_driver_are_nobodys() -> None:
    """A PF whose VFs are not probed could never be given out as a whole."""
    assert whole(PHYSICAL, (with_vf(netdevs=(), driver=""),)) == "0000:01:00.0"


@pytest.mark.parametrize("named", [{"pci_slot": "0000:03:00.0"}, {"pf_name": "pf2"}])
def test_a_pf_that_is_named_must_be_of_that_network(named: dict[str, str]) -> None:
    """By its name or address a container would get a wire that the operator keeps for something else."""
    with pytest.raises(NoFreeDevice, match=r"0000:03:00\.0 is not mapped to physnet2"):
        whole(msgspec.structs.replace(PHYSICAL, **named), (nic(0), nic(2)))
    silent = DevicePolicy(allow_direct_physical=True)
    assert whole(msgspec.structs.replace(PHYSICAL, **named), (nic(0), nic(2)), policy=silent) == "0000:03:00.0"


def test_a_pf_may_be_set_aside_by_device_spec() -> None:
    """The operator could not give whole PFs without the agent's own option."""
    specs = tuple(parse_device_spec("device_spec", ['{"address": "0000:02:00.0", "physical_network": "physnet2"}']))
    policy = DevicePolicy(specs=specs, allow_direct_physical=True)
    assert whole(PHYSICAL, (nic(0), nic(1)), policy=policy) == "0000:02:00.0"


# -- which physical network ----------------------------------------------------------------------------------------

SILENT, TWO = DevicePolicy(), DevicePolicy(mappings={"physnet2": ("pf0",), "physnet3": ("pf1",)})
AGENTS = DevicePolicy(mappings={"physnet2": ("pf0", "pf1")}, agents_own=True)
AGENTS_TWO = msgspec.structs.replace(TWO, agents_own=True)


@pytest.mark.parametrize(
    ("own", "claimed", "policy", "expected"),
    [
        ("physnet2", "", TWO, "physnet2"),
        ("physnet2", "physnet2", TWO, "physnet2"),
        ("elsewhere", "", TWO, "elsewhere"),
        ("physnet2", "", SILENT, "physnet2"),
        ("", "", SILENT, ""),
        ("", "anything", SILENT, ""),
        ("", "physnet3", TWO, "physnet3"),
        ("", "", AGENTS, "physnet2"),
        ("", "physnet2", AGENTS, "physnet2"),
    ],
)
def test_the_wire_is_what_is_proven(own: str, claimed: str, policy: DevicePolicy, expected: str) -> None:
    """A container would be on another wire than its network, in the VLAN that somebody else has there."""
    assert physical_network(own, claimed, "direct", policy) == expected


@pytest.mark.parametrize("policy", [SILENT, TWO, AGENTS])
def test_a_profile_that_contradicts_neutron_is_refused(policy: DevicePolicy) -> None:
    """A profile would choose the wire, and with it trust, PF and VLAN."""
    with pytest.raises(Conflict, match="says physical_network physnet3, but the port's network is on physnet2"):
        physical_network("physnet2", "physnet3", "direct", policy)


@pytest.mark.parametrize(
    ("claimed", "vnic_type", "policy", "reason"),
    [
        ("", "direct", TWO, "get_network:provider:physical_network"),
        ("", "direct", MAPPED, "get_network:provider:physical_network"),
        ("", "direct", AGENTS_TWO, "get_network:provider:physical_network"),
        ("", "direct-physical", AGENTS, "get_network:provider:physical_network"),
        ("physnet9", "direct", TWO, "physnet9, on which this host has no device"),
        ("physnet9", "direct", AGENTS, "physnet9, on which this host has no device"),
    ],
)
def test_what_nobody_proves_is_refused(claimed: str, vnic_type: str, policy: DevicePolicy, reason: str) -> None:
    """A network whose wire is not known would get a VF of any, with its own VLAN there."""
    with pytest.raises(NoFreeDevice, match=reason):
        physical_network("", claimed, vnic_type, policy)


@pytest.mark.parametrize(
    ("held", "refusal"),
    [
        (None, "no lease"),
        (lease("0000:01:10.0"), ""),
        (lease("0000:01:10.0", state="quarantined"), ""),
    ],
)
def test_a_device_is_put_back_where_no_container_has_it(held: DeviceLease | None, refusal: str) -> None:
    """An operator could not put back what nobody uses, or would think that there was something to put back."""
    found = release_refusal(held, [])
    assert refusal in found if refusal else found == ""


@pytest.mark.parametrize(("state", "taken"), [("leased", True), ("quarantined", False)])
def test_a_device_of_a_container_is_not_put_back(state: str, taken: bool) -> None:
    """The device of a running container would be taken away; or one that is broken could never be put back."""
    held = msgspec.structs.replace(lease("0000:01:10.0", state=state), endpoint_id=ENDPOINT.endpoint_id)
    refusal = release_refusal(held, [ENDPOINT])
    assert (ENDPOINT.endpoint_id[:12] in refusal) == bool(refusal) == taken
