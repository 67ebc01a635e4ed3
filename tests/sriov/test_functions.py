# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to VFs beside the guide's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.process import wait_for
from lab.sriov.api import Machine
from tests.sriov.guide import Guide
from tests.sriov.reader import operated_with

pytestmark = pytest.mark.timeout(900)
WATCHFUL = "[DEFAULT]\nreconcile_interval = 2\n[sriov]\nallow_trust = physnet2\n"


@pytest.fixture
def watchful(configured: Machine) -> Iterator[Machine]:
    """The service looks often at what ports say, and may trust them."""
    with operated_with(configured, WATCHFUL):
        yield configured


def enforced(guide: Guide, index: int) -> tuple[bool, bool, int, int]:
    """Spoof check, trust, rate (Mbit/s) and VLAN of a VF at its PF."""
    found = guide.at_pf(index)
    return found["spoofchk"], found["trust"], found["rate"]["max_tx"], found["vlan_list"][0]["vlan"]


def becomes(guide: Guide, index: int, *wanted: object) -> bool:
    return wait_for(lambda: enforced(guide, index) == wanted, 120)


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


def test_a_port_is_changed_while_the_service_goes_on(watchful: Machine, guide: Guide, physical: dict[str, Any]) -> None:
    """`openstack port set` would do nothing for a container that runs, or somebody's `ip link set … vf` undo it for good."""
    port = guide.port(physical, guide.vfs()[1], physical["cidr"].replace(".0/24", ".5"))
    box = guide.run(guide.docker_network(physical), f"--ip={port['fixed_ips'][0]['ip_address']}")
    service = watchful.kuryr.pid
    assert enforced(guide, 1) == (True, False, 0, 150)
    guide.change("port", port["id"], port_security_enabled=False, security_groups=[], trusted=True)
    assert becomes(guide, 1, False, True, 0, 150)
    guide.change("port", port["id"], qos_policy_id=guide.make_policy(max_kbps=20_000))
    assert becomes(guide, 1, False, True, 20, 150)
    watchful.shell("ip link set pf0 vf 1 spoofchk on && ip link set pf0 vf 1 vlan 99 && ip link set pf0 vf 1 trust off")
    assert becomes(guide, 1, False, True, 20, 150)
    # The 82576 has no link state: that is told, and keeps nothing else from being done.
    guide.change("port", port["id"], admin_state_up=False, port_security_enabled=True, qos_policy_id=None)
    assert becomes(guide, 1, True, True, 0, 150)
    told = f"cannot enforce all that port {port['id']} says: cannot set link state of VF 1 of pf0 to disable"
    assert wait_for(lambda: told in watchful.kuryr.log.read_text(), 60)
    assert guide.link(box)["address"] == port["mac_address"]
    assert watchful.kuryr.pid == service
    guide.rm(box)


def test_macvtap_and_ordinary_ports_beside_it(guide: Guide, physical: dict[str, Any]) -> None:
    """A macvtap port would move the VF itself."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=macvtap")
    one, two = guide.run_together(net, 2)
    assert guide.pci_of(one) == ""
    assert guide.reaches(one, guide.address(two, net))
