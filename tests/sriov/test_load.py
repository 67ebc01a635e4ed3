# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""All VFs of a card at once, again and again. ``KURYR_SRIOV_CYCLES``: containers in total (default: 14)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from lab.sriov.api import Machine
from tests.sriov.guide import Card, Guide

CYCLES = int(os.environ.get("KURYR_SRIOV_CYCLES", "14"))
MOST = 7
"""VFs of an 82576."""

pytestmark = pytest.mark.timeout(900 + 30 * CYCLES)


@pytest.fixture(scope="module")
def full(configured: Machine) -> Iterator[Machine]:
    """The first PF with as many VFs as it can have; restores their number at the end."""
    before = int(configured.read("/sys/class/net/pf0/device/sriov_numvfs"))
    configured.set_vfs("pf0", MOST)
    yield configured
    configured.set_vfs("pf0", before)


def test_all_vfs_at_once_again_and_again(full: Machine, guide: Guide, physical: dict[str, Any]) -> None:
    """A VF would be given out twice, get lost, or come back changed."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct", "-o", "kuryr.pf=pf0")
    before = Card(full).picture()
    refused = ""
    for _ in range(-(-CYCLES // MOST)):
        boxes = guide.run_together(net, MOST)
        assert sorted(map(guide.pci_of, boxes)) == sorted(guide.vfs())
        refused = refused or full.docker("run", "--rm", "--net", net, "busybox", "true", check=False).stderr
        guide.rm(*boxes)
        assert Card(full).picture() == before
    assert f"no free VF on {full.physical_network}, PF pf0: {MOST} in use" in refused
    ports = guide.lab.neutron("GET", f"/v2.0/ports?network_id={physical['id']}&device_owner=compute:kuryr")["ports"]
    assert ports == []
