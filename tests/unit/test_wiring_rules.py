# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who is wired where, from the journal's records."""

from __future__ import annotations

import shlex

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, SpareRecord, SubnetRecord
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.model.wiring import Mark, Seen, Uplink, Wire, Wiring
from kuryr_libnetwork.rules.wiring import wiring
from tests.unit.values import (
    CIDR,
    DOCKER_ID,
    ENDPOINT_ID,
    IP,
    IP6,
    MAC,
    NET,
    OTHER_ID,
    PLUG,
    POOL_ID,
    PORT,
    PORT_ID,
    SUBNET_ID,
)

HOST = "compute-1"
PF, VF = "0000:3b:00.0", "0000:3b:02.1"
NETWORK = NetworkRecord(
    docker_id=DOCKER_ID,
    neutron_id=NET,
    made=True,
    mtu=1442,
    subnets=(SubnetRecord(subnet_id=SUBNET_ID, pool_id=POOL_ID, cidr=CIDR, ip_version=4, made=True),),
)
SRIOV = replace(PLUG, driver="sriov", host_ifname="", bridge="", pci_address=VF)
ENDPOINT = EndpointRecord(
    endpoint_id=ENDPOINT_ID,
    docker_network_id=DOCKER_ID,
    port_id=PORT_ID,
    state="ready",
    mac_address=MAC,
    address="10.0.0.5/24",
    address_ipv6="2001:db8::5/64",
    plug=PLUG,
    sandbox_key="/var/run/docker/netns/0123",
)
LEASE = LeaseRecord(
    port_id=PORT_ID,
    docker_network_id=DOCKER_ID,
    neutron_network_id=NET,
    mac_address=MAC,
    vnic_type="normal",
    held=(IP,),
    spare=(IP6,),
    endpoint_id=ENDPOINT_ID,
)
DEVICE = DeviceLease(
    pci_address=VF,
    pf_address=PF,
    index=1,
    port_id=PORT_ID,
    vnic_type="direct",
    state="leased",
    generation="g",
    physical_network="physnet2",
    endpoint_id=ENDPOINT_ID,
)
SEEN = Seen(containers={ENDPOINT_ID: "web"}, networks={DOCKER_ID: "front"}, statuses={PORT_ID: "ACTIVE"})


def wired(
    endpoint: EndpointRecord | None = ENDPOINT,
    lease: LeaseRecord | None = LEASE,
    device: DeviceLease | None = None,
    seen: Seen = SEEN,
    network: NetworkRecord = NETWORK,
) -> Wiring:
    endpoints, leases, devices = ([each] if each else [] for each in (endpoint, lease, device))
    return wiring(HOST, [network], endpoints, leases, devices, seen)  # type: ignore[arg-type]


def the_wire(found: Wiring) -> Wire:
    [wire] = found.wires
    return wire


def test_a_container_with_a_pair() -> None:
    """An operator would not see which container is on which interface, or where that leads."""
    found = wired()
    wire = the_wire(found)
    assert (wire.key, wire.network, wire.port_id, wire.container) == (
        f"endpoint:{ENDPOINT_ID}",
        DOCKER_ID,
        PORT_ID,
        "web",
    )
    assert (wire.addresses, wire.interface, wire.device) == (("10.0.0.5", "2001:db8::5"), "tap0f9e3a55-7c", "")
    assert (wire.marks, wire.port_status, wire.adopted) == ((), "ACTIVE", False)
    assert found.uplinks == (Uplink(key="bridge:br-int", name="br-int", kind="bridge"),)
    assert wire.uplink == "bridge:br-int"
    [network] = found.networks
    assert (network.name, network.network_id, network.cidrs, network.marks) == ("front", NET, (CIDR,), ())


def test_a_container_with_a_vf() -> None:
    """A VF would hang in the air, or on another card than it is on."""
    found = wired(replace(ENDPOINT, plug=SRIOV), replace(LEASE, vnic_type="direct"), DEVICE)
    wire = the_wire(found)
    assert (wire.device, wire.device_state, wire.uplink, wire.vnic_type) == (VF, "leased", f"pf:{PF}", "direct")
    assert found.uplinks == (Uplink(key=f"pf:{PF}", name=PF, kind="pf", address=PF, networks=("physnet2",)),)
    named = wired(replace(ENDPOINT, plug=SRIOV), device=DEVICE, seen=replace(SEEN, pfs={PF: "ens1f0"}))
    assert [(each.name, each.address) for each in named.uplinks] == [("ens1f0", PF)]
    assert "ip -d link show dev ens1f0" in [each.words for each in the_wire(named).commands]
    assert the_wire(wired(replace(ENDPOINT, plug=SRIOV))).uplink == "unknown:"


def test_a_container_in_a_virtual_machine() -> None:
    """The interface of the machine that carries the container would be missing."""
    plug = replace(PLUG, driver="macvlan", host_ifname="", bridge="", parent="ens3")
    found = wired(replace(ENDPOINT, plug=plug))
    assert (the_wire(found).interface, the_wire(found).uplink) == ("t_c0f9e3a55-7c", "interface:ens3")
    assert [uplink.kind for uplink in found.uplinks] == ["interface"]
    assert "ip -d link show dev ens3" in [each.words for each in the_wire(found).commands]


@pytest.mark.parametrize(
    ("change", "seen", "marks"),
    [
        ({}, replace(SEEN, statuses={}), []),
        ({}, replace(SEEN, statuses={PORT_ID: "DOWN"}), [("down", "DOWN", "Neutron says that the port is DOWN")]),
        (
            {},
            replace(SEEN, statuses={PORT_ID: "missing"}),
            [("down", "missing", "Neutron has no such port any more")],
        ),
        (
            {"state": "creating"},
            replace(SEEN, statuses={PORT_ID: "DOWN"}),
            [("passing", "creating", "it is being made, or its call did not come to its end")],
        ),
        (
            {},
            replace(SEEN, suspects={("endpoint", ENDPOINT_ID): "no container"}),
            [("suspect", "suspect", "no container")],
        ),
    ],
)
def test_what_is_not_well_is_marked(change: dict[str, str], seen: Seen, marks: list[tuple[str, str, str]]) -> None:
    """What is wrong would look well, or a container that is starting would be called broken."""
    wire = the_wire(wired(replace(ENDPOINT, **change), seen=seen))
    assert [(mark.kind, mark.text, mark.why) for mark in wire.marks] == marks


def test_a_port_that_neutron_never_calls_active() -> None:
    """Every VF, and every container in a virtual machine, would look broken."""
    down, gone = replace(SEEN, statuses={PORT_ID: "DOWN"}), replace(SEEN, statuses={PORT_ID: "missing"})
    for plug in (SRIOV, replace(PLUG, driver="macvlan", vif_type="unbound", parent="ens3")):
        endpoint = replace(ENDPOINT, plug=plug)
        assert the_wire(wired(endpoint, seen=down)).marks == ()
        assert [mark.text for mark in the_wire(wired(endpoint, seen=gone)).marks] == ["missing"]


def test_ports_that_are_kept_ready() -> None:
    """Ports of a port pool would look like containers that have lost theirs, or be nowhere."""
    spare = SpareRecord(port_id="p9", docker_network_id=DOCKER_ID, state="ready", port=PORT)
    spares = [spare, replace(spare, port_id="p8"), replace(spare, port_id="p7", state="cooling")]
    found = wiring(HOST, [NETWORK], [], [], [], SEEN, spares)
    assert ([network.ready for network in found.networks], found.wires) == ([2], ())


def test_a_network_that_is_suspected() -> None:
    """A network that is going to be removed would look as if it stayed."""
    seen = replace(SEEN, suspects={("network", DOCKER_ID): "Docker does not know it any more"})
    [network] = wired(seen=seen, network=replace(NETWORK, state="deleting", neutron_id="")).networks
    assert [mark.kind for mark in network.marks] == ["passing", "suspect"]
    assert not any("openstack" in command.words for command in network.commands)


def test_what_no_container_has_is_there_too() -> None:
    """A port, or a VF in quarantine, would be nowhere on the page."""
    seen = replace(SEEN, suspects={("lease", PORT_ID): "no endpoint has the port"})
    wire = the_wire(wired(None, replace(LEASE, endpoint_id="", original=PORT), None, seen))
    assert (wire.key, wire.container, wire.addresses, wire.adopted) == (
        f"port:{PORT_ID}",
        "",
        ("10.0.0.5", "2001:db8::5"),
        True,
    )
    assert [mark.kind for mark in wire.marks] == ["suspect"]
    reserved = the_wire(wired(None, LEASE, DEVICE))
    assert (reserved.key, reserved.device, reserved.uplink) == (f"port:{PORT_ID}", VF, f"pf:{PF}")
    bad = replace(DEVICE, state="quarantined", reason="wrong MAC", endpoint_id="")
    assert "openstack" not in str(the_wire(wired(None, None, replace(bad, port_id=""))).commands)
    wire = the_wire(wired(None, None, bad))
    assert (wire.key, wire.network, wire.uplink) == (f"device:{VF}", "", f"pf:{PF}")
    assert wire.marks == (Mark(kind="quarantine", text="quarantined", why="wrong MAC"),)
    assert f"kuryr vf release {VF}" in [command.words for command in wire.commands]
    assert [mark.text for mark in the_wire(wired(None, None, replace(DEVICE, state="returning"))).marks] == [
        "returning"
    ]


def test_what_the_journal_does_not_know_is_there_too() -> None:
    """A port on this host that nobody knows would be removed without having been seen."""
    seen = replace(SEEN, suspects={("port", PORT_ID): "nobody knows it", ("pool", POOL_ID): "no network uses it"})
    wire = the_wire(wired(None, None, None, seen))
    assert (wire.key, wire.port_id, [mark.why for mark in wire.marks]) == (
        f"port:{PORT_ID}",
        PORT_ID,
        ["nobody knows it"],
    )
    assert the_wire(wired(seen=seen)).key == f"endpoint:{ENDPOINT_ID}"


def test_the_order_does_not_depend_on_the_journal() -> None:
    """The board would jump about while an operator looks at it."""
    other = replace(ENDPOINT, endpoint_id="cd" * 32, port_id="p2")
    third = replace(ENDPOINT, endpoint_id="ef" * 32, port_id="p3", docker_network_id=OTHER_ID)
    seen = replace(SEEN, containers={ENDPOINT_ID: "web", "cd" * 32: "db"})
    networks = [NETWORK, replace(NETWORK, docker_id=OTHER_ID)]
    ways = [wiring(HOST, networks[::step], [ENDPOINT, other, third][::step], [LEASE], [], seen) for step in (1, -1)]
    assert ways[0] == ways[1]
    assert [wire.container for wire in ways[0].wires] == ["db", "web", ""]


def test_the_commands_of_a_pair() -> None:
    """An operator would have to put them together at night."""
    words = [command.words for command in the_wire(wired(seen=replace(SEEN, statuses={PORT_ID: "DOWN"}))).commands]
    assert words == [
        "openstack network agent list --host compute-1",
        f"kuryr endpoint show {ENDPOINT_ID[:12]}",
        f"openstack port show {PORT_ID}",
        "nsenter --net=/var/run/docker/netns/0123 ip -d address",
        "ip -d -s link show dev tap0f9e3a55-7c",
        "ovs-vsctl list Interface tap0f9e3a55-7c",
    ]


def test_the_commands_of_a_vf() -> None:
    """What the card enforces for the container could not be compared with what it should."""
    words = [each.words for each in the_wire(wired(replace(ENDPOINT, plug=SRIOV), device=DEVICE)).commands]
    assert words[-3:] == [
        "kuryr vf list",
        f"ls -l /sys/bus/pci/devices/{VF}/",
        f'ip -d link show dev "$(ls /sys/bus/pci/devices/{PF}/net | head -n 1)"',
    ]


def test_a_hostile_name_stays_one_word_of_a_command() -> None:
    """Whoever may name a container could have an operator run what he likes as root."""
    seen = replace(SEEN, containers={ENDPOINT_ID: "x; rm -rf $(id) '"}, suspects={("endpoint", ENDPOINT_ID): "?"})
    plug = replace(PLUG, driver="macvlan", parent="$(id)", host_ifname="")
    wire = the_wire(wired(replace(ENDPOINT, sandbox_key="", plug=plug), seen=seen))
    commands = [shlex.split(command.words) for command in wire.commands]
    assert ["docker", "inspect", "--", "x; rm -rf $(id) '"] in commands
    assert ["ip", "-d", "link", "show", "dev", "$(id)"] in commands
    assert ["kuryr", "reconcile", "--dry-run"] in commands


def test_a_container_whose_interface_is_not_there_yet() -> None:
    """The page would fail for all, or lead its wire somewhere."""
    wire = the_wire(wired(replace(ENDPOINT, plug=None, sandbox_key="", state="creating"), seen=Seen()))
    assert (wire.uplink, wire.interface, wire.device) == ("", "", "")
    assert [each.words.split()[0] for each in wire.commands] == ["kuryr", "openstack"]
