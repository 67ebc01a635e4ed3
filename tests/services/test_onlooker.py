# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What is looked at while somebody has the page open."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.errors import HostError
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.services.background.findings import Findings
from kuryr_libnetwork.services.background.onlooker import THREAD, Onlooker
from tests.fakes.host import FakeJournal
from tests.fakes.neutron import FakeNeutron

PF = "0000:3b:00.0"
VF = DeviceLease(
    pci_address="0000:3b:02.1",
    pf_address=PF,
    index=1,
    port_id="port-1",
    vnic_type="direct",
    state="leased",
    generation="g",
)


class Cards:
    """``error``: raised by each look."""

    def __init__(self, error: Exception | None = None) -> None:
        self.looks = 0
        self._error = error

    def names(self) -> dict[str, str]:
        self.looks += 1
        if self._error is not None:
            raise self._error
        return {PF: "ens1f0"}


def test_cards_have_names_where_a_vf_is_used() -> None:
    """An operator would see addresses alone; or a host without VFs would read all of its PCI bus each time."""
    findings, journal, cards = Findings(lambda: 0.0), FakeJournal(), Cards()
    onlooker = Onlooker(FakeNeutron(), None, journal, findings, Health(), "h1", cards.names)
    onlooker.look()
    assert (cards.looks, findings.pfs()) == (0, {})
    journal.devices.put(VF)
    onlooker.look()
    assert (cards.looks, findings.pfs()) == (1, {PF: "ens1f0"})


@pytest.mark.parametrize(("error", "counted"), [(HostError("no sysfs"), 0), (ValueError("x"), 1)])
def test_a_look_that_fails_stops_no_other(error: Exception, counted: int) -> None:
    """One strange file in sysfs would keep ports that are DOWN from being seen."""
    health, findings, journal = Health(), Findings(lambda: 0.0), FakeJournal()
    journal.devices.put(VF)
    neutron = FakeNeutron()
    Onlooker(neutron, None, journal, findings, health, "h1", Cards(error).names).look()
    state = health.report().get(THREAD)
    assert (state.unforeseen if state else 0) == counted
