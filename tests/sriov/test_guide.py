# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The SR-IOV guide, on a real SR-IOV stack: containers with VFs of an emulated 82576 (igb)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sriov.guide import Guide

pytestmark = pytest.mark.timeout(600)


def vfs(guide: Guide, pf: str = "pf0") -> list[str]:
    listing = guide.machine.shell('readlink -f /sys/class/net/"$1"/device/virtfn*', pf)
    return [line.rsplit("/", 1)[-1] for line in listing.split()]


def test_the_four_commands(guide: Guide, physical: dict[str, Any]) -> None:
    """Upstream's guide would not run: the container must get the very VF of its port, and give it back."""
    slot, address = vfs(guide)[1], physical["cidr"].replace(".0/24", ".5")
    port = guide.port(physical, slot, address)
    net = guide.docker_network(physical)
    box = guide.run(net, f"--ip={address}")
    assert guide.pci_of(box) == slot
    shown = guide.inside(box, "ip", "address", "show", "eth0")
    assert f"link/ether {port['mac_address']}" in shown
    assert f"inet {address}/24" in shown
    assert f"default via {physical['gateway']}" in guide.inside(box, "ip", "route")
    guide.rm(box)
    after = guide.lab.neutron("GET", f"/v2.0/ports/{port['id']}")["port"]
    assert (after["binding:host_id"], after["device_id"], after["binding:profile"]) == ("", "", port["binding:profile"])


def test_same_vlan_reaches_other_vlan_does_not(guide: Guide, physical: dict[str, Any]) -> None:
    """The VF would not be in its port's VLAN: no connection, or one into somebody else's network."""
    other = guide.network(151)
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct")
    foreign = guide.docker_network(other, "-o", "kuryr.vnic_type=direct")
    one, two, three = guide.run(net), guide.run(net), guide.run(foreign)
    slots = {
        guide.port_of(box, name)["binding:profile"]["pci_slot"]
        for box, name in ((one, net), (two, net), (three, foreign))
    }
    assert len(slots) == 3
    assert guide.reaches(one, guide.address(two, net))
    guide.machine.docker(
        "exec", three, "ip", "address", "add", physical["cidr"].replace(".0/24", ".200/24"), "dev", "eth0", check=False
    )
    assert not guide.reaches(three, guide.address(two, net))


def test_over_the_wire_to_the_other_card(guide: Guide, physical: dict[str, Any]) -> None:
    """A VF would reach its own card only."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct")
    boxes = [guide.run_with(net, f"kuryr.pf={pf}") for pf in guide.machine.pfs]
    slots = [guide.port_of(box, net)["binding:profile"]["pci_slot"] for box in boxes]
    assert [slot in vfs(guide, pf) for slot, pf in zip(slots, guide.machine.pfs, strict=True)] == [True, True]
    assert guide.reaches(boxes[0], guide.address(boxes[1], net))


def test_no_free_vf_says_who_has_them(guide: Guide, physical: dict[str, Any]) -> None:
    """The user would read that it failed, and not why."""
    net = guide.docker_network(physical, "-o", "kuryr.vnic_type=direct", "-o", "kuryr.pf=pf0")
    boxes = [guide.run(net) for _ in vfs(guide)]
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
    one, two = guide.run(net), guide.run(net)
    assert guide.pci_of(one) == ""
    assert guide.reaches(one, guide.address(two, net))
