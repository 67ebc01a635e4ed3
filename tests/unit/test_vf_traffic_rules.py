# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which counters of VFs are shown, and whose they are."""

from __future__ import annotations

from msgspec.structs import replace

from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.model.sriov import DeviceLease, PhysicalFunction, VfCounters, VirtualFunction
from kuryr_libnetwork.rules.vf_traffic import traffic_rows, use_rows
from tests.unit.values import DOCKER_ID, ENDPOINT_ID, NET, PORT_ID

PF = PhysicalFunction(
    pci_address="0000:01:00.0",
    vendor_id="8086",
    device_id="1592",
    driver="ice",
    netdevs=("pf0", "pf1"),
    total_vfs=8,
    num_vfs=2,
    numa_node=1,
)
VFS = tuple(
    VirtualFunction(
        pci_address=f"0000:01:10.{number}",
        pf_address=PF.pci_address,
        index=number,
        vendor_id="8086",
        device_id="1889",
        driver="iavf",
        netdevs=(),
    )
    for number in range(2)
)
LEASE = DeviceLease(
    pci_address="0000:01:10.1",
    pf_address=PF.pci_address,
    index=1,
    port_id=PORT_ID,
    vnic_type="direct",
    state="leased",
    generation="g",
    endpoint_id=ENDPOINT_ID,
)
ENDPOINT = EndpointRecord(
    endpoint_id=ENDPOINT_ID, docker_network_id=DOCKER_ID, port_id=PORT_ID, state="ready", mac_address="m"
)
SOME = VfCounters(rx_bytes=5)


def test_each_vf_has_its_own_counters() -> None:
    """A container would be blamed for its neighbour's traffic."""
    rows = traffic_rows(PF, VFS, {1: SOME, 0: VfCounters()})
    assert [(row.pci_address, row.pf, row.vf, row.numa_node) for row in rows] == [
        ("0000:01:10.0", "pf0", 0, 1),
        ("0000:01:10.1", "pf0", 1, 1),
    ]
    assert [row.counted.rx_bytes for row in rows] == [0, 5]


def test_a_vf_that_the_list_has_no_room_for_is_left_out() -> None:
    """It would look as if it were silent."""
    assert [row.vf for row in traffic_rows(PF, VFS, {1: SOME})] == [1]


def test_a_driver_that_does_not_count_is_not_shown_as_silence() -> None:
    """Every container of an igb would seem to send nothing."""
    assert traffic_rows(PF, VFS, {0: VfCounters(), 1: VfCounters()}) == []
    assert traffic_rows(PF, VFS, {}) == []


def test_a_vf_is_told_with_its_container() -> None:
    """Counters could not be joined to containers."""
    row = use_rows([PF], [LEASE], [ENDPOINT], {DOCKER_ID: NET}, {ENDPOINT_ID: "web"})[0]
    assert (row.pci_address, row.pf, row.vf) == ("0000:01:10.1", "pf0", 1)
    assert (row.container, row.network, row.port) == ("web", NET, PORT_ID)


def test_what_is_not_known_is_empty() -> None:
    """A scrape would fail while a container is on its way, or a PF away."""
    row = use_rows([replace(PF, netdevs=())], [LEASE], [], {}, {})[0]
    assert (row.pf, row.container, row.network, row.port) == ("", "", "", PORT_ID)


def test_only_vfs_that_containers_have_are_told() -> None:
    """A VF in quarantine, or a whole PF, would be shown as a container's VF."""
    physical = replace(LEASE, pci_address=PF.pci_address)
    others = [replace(LEASE, state=state) for state in ("taking", "returning", "quarantined")]
    assert use_rows([PF], [*others, physical], [ENDPOINT], {}, {}) == []
