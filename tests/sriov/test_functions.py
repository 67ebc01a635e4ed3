# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to VFs beside the guide's way."""

from __future__ import annotations

from typing import Any

import pytest

from lab.process import wait_for
from tests.sriov.guide import Guide

pytestmark = pytest.mark.timeout(900)


def test_the_service_is_killed_between_run_and_rm(guide: Guide, physical: dict[str, Any]) -> None:
    """A service without memory would not know how the VF was, and what a port says meanwhile would have no effect."""
    policy = guide.make_policy(max_kbps=20_000)
    address = physical["cidr"].replace(".0/24", ".5")
    port = guide.port(physical, guide.vfs()[1], address)
    guide.change("port", port["id"], qos_policy_id=policy)
    net = guide.docker_network(physical)
    box = guide.run(net, f"--ip={address}")
    assert (guide.at_pf(1)["spoofchk"], guide.at_pf(1)["rate"]["max_tx"]) == (True, 20)
    guide.machine.kuryr.kill()
    guide.change("port", port["id"], port_security_enabled=False, security_groups=[])
    guide.machine.kuryr.start()
    assert wait_for(lambda: not guide.at_pf(1)["spoofchk"], 120)
    guide.rm(box)


def test_macvtap_and_ordinary_ports_beside_it(guide: Guide, physical: dict[str, Any]) -> None:
    """A macvtap port would move the VF itself."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=macvtap")
    one, two = guide.run_together(net, 2)
    assert guide.pci_of(one) == ""
    assert guide.reaches(one, guide.address(two, net))
