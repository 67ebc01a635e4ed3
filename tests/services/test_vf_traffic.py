# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The counters of VFs as a scrape reads them: one question for each PF, and no PF keeps the others from being told."""

from __future__ import annotations

from kuryr_libnetwork.errors import DeviceError, LinkError
from kuryr_libnetwork.model.sriov import VfCounters
from kuryr_libnetwork.services.background.findings import Findings
from kuryr_libnetwork.services.vf_traffic import TrafficOfVfs
from tests.fakes.host import FakeJournal
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_profiles import ICE


def two_cards() -> FakeNic:
    nic = FakeNic(ICE, 2)
    nic.add_pf(ICE, 2, "0000:02:00.0", "pf1")
    nic.statistics.counted = {("pf0", 0): VfCounters(rx_bytes=1), ("pf1", 1): VfCounters(tx_bytes=2)}
    return nic


def traffic(nic: FakeNic) -> TrafficOfVfs:
    return TrafficOfVfs(nic.pci, nic.statistics, FakeJournal(), Findings(lambda: 0.0))


def test_each_pf_is_asked_once() -> None:
    """With many VFs each scrape would keep the kernel from its work."""
    nic = two_cards()
    rows = traffic(nic).report().traffic
    assert [(row.pf, row.vf, row.counted.rx_bytes, row.counted.tx_bytes) for row in rows] == [
        ("pf0", 0, 1, 0),
        ("pf0", 1, 0, 0),
        ("pf1", 0, 0, 0),
        ("pf1", 1, 0, 2),
    ]
    assert nic.statistics.asked == ["pf0", "pf1"]


def test_a_pf_without_vfs_is_not_asked() -> None:
    """A scrape would wait for cards that no container uses."""
    nic = FakeNic(ICE, 0)
    assert traffic(nic).report().traffic == ()
    assert nic.statistics.asked == []


def test_a_pf_that_does_not_answer_does_not_hide_the_others() -> None:
    """One card with trouble would take the counters of all containers away."""
    nic = two_cards()
    nic.statistics.fail_next("read", LinkError("no"))
    assert {row.pf for row in traffic(nic).report().traffic} == {"pf1"}


def test_a_host_whose_devices_cannot_be_read_is_scraped_all_the_same() -> None:
    """Prometheus would see nothing of the host."""
    nic = two_cards()
    nic.pci.fail_next("physical_functions", DeviceError("no"))
    assert traffic(nic).report().traffic == ()
