# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to VFs in cases that the guide does not cover."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.process import wait_for
from lab.sriov.api import Machine
from tests.sriov.guide import Card, Guide
from tests.sriov.reader import operated_with

pytestmark = pytest.mark.timeout(900)
WATCHFUL = "[DEFAULT]\nreconcile_interval = 2\n[sriov]\nallow_trust = physnet2\n"


@pytest.fixture
def watchful(configured: Machine) -> Iterator[Machine]:
    """The service checks ports often, and may give them trusted VFs."""
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
    """`openstack port set` would do nothing for a container that runs, or somebody's `ip link set … vf` undo it for
    good.
    """
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
    # The 82576 has no link state: this is reported, and does not block the other settings.
    guide.change("port", port["id"], admin_state_up=False, port_security_enabled=True, qos_policy_id=None)
    assert becomes(guide, 1, True, True, 0, 150)
    told = f"cannot enforce all that port {port['id']} says: cannot set link state of VF 1 of pf0 to disable"
    assert wait_for(lambda: told in watchful.kuryr.log.read_text(), 60)
    assert guide.link(box)["address"] == port["mac_address"]
    assert watchful.kuryr.pid == service
    guide.rm(box)


SPOILING = """\
enter() { pid=$1; shift; nsenter -t "$pid" -n "$@"; }
enter "$1" ip link set eth0 arp off promisc on allmulticast on multicast off
enter "$1" ip link set eth0 txqueuelen 7 alias mine group 5
enter "$1" ip link property add dev eth0 altname spoiled
enter "$1" ip link property add dev eth0 altname pf0
enter "$1" ethtool -K eth0 tso off gso off gro off sg off
"""


@pytest.mark.parametrize("killed", [False, True], ids=["removed", "killed-first"])
def test_nothing_that_a_container_did_to_its_vf_is_left(guide: Guide, physical: dict[str, Any], killed: bool) -> None:
    """The next container would get a VF without ARP and offloads; ``ip link add`` of its altname would fail on the
    host.
    """
    before = Card(guide.machine).picture()
    boxes = guide.run_together(guide.docker_network(physical, "-o", "kuryr.vnic_type=direct"), 2)
    for box in boxes:
        guide.machine.shell(SPOILING, str(guide.machine.docker_inspect(box)["State"]["Pid"]))
        assert "NOARP" in guide.link(box)["flags"]
    if killed:
        guide.machine.docker("kill", *boxes)
    guide.rm(*boxes)
    assert wait_for(lambda: Card(guide.machine).picture() == before, 120), Card(guide.machine).picture()
    guide.machine.shell("ip link add spoiled type dummy && ip link del spoiled")


def test_macvtap_and_ordinary_ports_beside_it(guide: Guide, physical: dict[str, Any]) -> None:
    """A macvtap port would move the VF itself."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=macvtap")
    one, two = guide.run_together(net, 2)
    assert guide.pci_of(one) == ""
    assert guide.reaches(one, guide.address(two, net))
