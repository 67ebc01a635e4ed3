# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How a host is, in as few lines as that takes."""

from __future__ import annotations

from msgspec.structs import replace

from kuryr_libnetwork.model.overview import DeviceRow, NetworkRow, RoundRow, SuspectRow, Wellbeing
from kuryr_libnetwork.rules.status import Seen, judge

NETWORK = NetworkRow(
    docker_id="d",
    state="ready",
    network_id="n",
    subnets=(),
    mtu=1500,
    vnic_type="normal",
    physical_network="",
    made=True,
    endpoints=1,
)
DEVICE = DeviceRow(
    pci_address="0000:01:10.0",
    pf="0000:01:00.0",
    index=0,
    vnic_type="direct",
    physical_network="physnet2",
    state="leased",
    reason="",
    port_id="p",
    endpoint_id="e",
)
SUSPECT = SuspectRow(kind="lease", key="p", reason="no endpoint has the port", seconds=30, due_in=90)
WELL = Seen(wellbeing=Wellbeing(live=True, ready=True), networks=(NETWORK,), devices=(DEVICE,))


def test_all_is_well() -> None:
    """An operator would read what is no trouble."""
    found = judge(WELL)
    assert (found.ready, found.troubles, found.counts) == (True, (), "1 network, 0 endpoints, 1 VF in use")
    assert judge(replace(WELL, devices=(), suspects=(SUSPECT, SUSPECT))).counts.endswith("2 leftovers being watched")


def test_what_is_not() -> None:
    """What costs an address, a VF or the night would not be said."""
    shut = replace(DEVICE, state="quarantined", reason="wrong MAC")
    stuck = replace(SUSPECT, trouble="in use")
    away = Wellbeing(live=True, ready=False, reasons=("Neutron has not answered yet",))
    found = judge(Seen(wellbeing=away, devices=(shut,), suspects=(stuck, SUSPECT)))
    assert found.troubles == (
        "Neutron has not answered yet",
        "lease p cannot be removed: in use",
        "VF 0000:01:10.0 is in quarantine: wrong MAC",
    )


def test_a_port_pool_that_is_not_filled() -> None:
    """Containers would wait for Neutron again, and nobody know why; or a pool that was just used be called ill."""
    empty = replace(NETWORK, port_pool="5", spares_wanted=5, spares_ready=2, spares_paused=90.4)
    told = "port pool of Docker network d: 2 of 5 ports are ready, and none are made for 90 s; the log says why"
    assert judge(replace(WELL, networks=(empty,))).troubles == (told,)
    for well in (replace(empty, spares_paused=0.0), replace(empty, spares_ready=3), replace(empty, spares_wanted=0)):
        assert judge(replace(WELL, networks=(well,))).troubles == ()


def test_the_background() -> None:
    """A background that removes nothing would be called well; or one that looks at its start only, ill."""
    told = ("the looks for leftovers have failed for half an hour; the log says why",)
    assert judge(replace(WELL, rounds=RoundRow(rounds=99, ended=5.0, succeeded=2000.0))).troubles == told
    assert judge(replace(WELL, rounds=RoundRow(rounds=30, ended=5.0))).troubles == told
    for rounds in (
        RoundRow(),
        RoundRow(rounds=1, ended=5.0),
        RoundRow(rounds=2, ended=99999.0, succeeded=99999.0),
        RoundRow(rounds=99, ended=5.0, succeeded=65.0),
    ):
        assert judge(replace(WELL, rounds=rounds)).troubles == ()
