# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to VFs beside the guide's way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sriov.guide import Guide

pytestmark = pytest.mark.timeout(900)


def test_no_free_vf_says_who_has_them(guide: Guide, physical: dict[str, Any]) -> None:
    """The user would read that it failed, and not why."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct", "-o", "kuryr.pf=pf0")
    boxes = guide.run_together(net, len(guide.vfs()))
    said = guide.machine.docker("run", "--rm", "--net", net, "busybox", "true", check=False).stderr
    assert f"no free VF on {guide.machine.physical_network}, PF pf0: {len(boxes)} in use" in said


def test_the_service_is_killed_between_run_and_rm(guide: Guide, physical: dict[str, Any]) -> None:
    """A service without memory would not know how the VF was."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct")
    box = guide.run(net)
    guide.machine.kuryr.kill()
    guide.machine.kuryr.start()
    guide.rm(box)


def test_macvtap_and_ordinary_ports_beside_it(guide: Guide, physical: dict[str, Any]) -> None:
    """A macvtap port would move the VF itself."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=macvtap")
    one, two = guide.run_together(net, 2)
    assert guide.pci_of(one) == ""
    assert guide.reaches(one, guide.address(two, net))
