# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus learns of VFs: whose each is, and what its PF has counted, where the driver counts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kuryr_libnetwork.host.dumps import each_attribute
from kuryr_libnetwork.host.vf_statistics import counters
from lab.process import wait_for
from tests.sriov.guide import Guide

pytestmark = pytest.mark.timeout(900)
PYTHON = "/srv/kuryr/bin/python3"
SCRAPE = """\
from pathlib import Path
from kuryr_libnetwork.cli.service_client import AdminClient
print(AdminClient(Path("/run/kuryr/admin.sock")).raw("/metrics").decode())
"""
READ = """\
import json, struct, sys
from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.vf_statistics import IFLA_EXT_MASK, IFLA_IFNAME, IFLA_VFINFO_LIST, KernelVfStatistics
found = KernelVfStatistics().read("pf0")
body = bytes(16) + dumps.attribute(IFLA_EXT_MASK, struct.pack("=I", 1)) + dumps.attribute(IFLA_IFNAME, b"pf0\\0")
listed = dumps.one(dumps.RTM_GETLINK, body).attributes[IFLA_VFINFO_LIST]
print(json.dumps([sorted(found), listed.hex()]))
"""


def scraped(guide: Guide) -> str:
    return guide.machine.run([PYTHON, "-c", SCRAPE]).stdout


def labels(line: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


def test_a_vf_is_told_with_its_container(guide: Guide, physical: dict[str, Any]) -> None:
    """Traffic of a VF could not be joined to a container, or a VF that was given back be taken for a container's."""
    box = guide.run(guide.docker_network(physical, "-o", "kuryr.vnic_type=direct"))

    def uses() -> list[dict[str, str]]:
        return [labels(line) for line in scraped(guide).splitlines() if line.startswith("kuryr_vf_info{")]

    assert wait_for(lambda: [use["container"] for use in uses()] == [box], 120), uses()
    (use,) = uses()
    assert (use["pciAddr"], use["network"]) == (guide.pci_of(box), physical["id"])
    assert use["pciAddr"] == guide.vfs(use["pf"])[int(use["vf"])]
    assert guide.get("port", use["port"])["mac_address"] == guide.link(box)["address"]
    guide.rm(box)
    assert wait_for(lambda: uses() == [], 120)


def test_a_card_that_does_not_count_is_left_out(guide: Guide, physical: dict[str, Any]) -> None:
    """The zeros of a driver that counts nothing would be shown as silence; the kernel's real list could not be read."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct")
    one, two = guide.run_together(net, 2)
    assert guide.reaches(one, guide.address(two, net))
    numbers, listed = json.loads(guide.machine.run([PYTHON, "-c", READ]).stdout)
    assert numbers == list(range(len(guide.vfs())))
    assert dict(counters(bytes.fromhex(listed))).keys() == set(numbers)
    assert len(list(each_attribute(bytes.fromhex(listed)))) == len(numbers)
    assert "sriov_vf_" not in scraped(guide)
    guide.rm(one, two)
