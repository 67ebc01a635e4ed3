# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The power of a host is cut while containers have VFs, and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.api import Lab
from lab.process import wait_for
from lab.sriov.api import Machine
from tests.sriov.guide import Guide
from tests.sriov.reader import operated_with

pytestmark = pytest.mark.timeout(1200)
PATIENT = "[neutron]\nagent_alive_timeout = 300\n"
"""The agent takes long under emulation."""


@pytest.fixture
def survivor(lab: Lab, configured: Machine) -> Iterator[Guide]:
    """Like `guide`, but without comparing the VFs afterwards: a boot creates new ones, with other MACs."""
    guide = Guide(lab, configured)
    with operated_with(configured, PATIENT):
        configured.run(["sync"])
        yield guide
        guide.tidy()


def power_comes_back(guide: Guide) -> None:
    """As the systemd units have it: VFs, service, Docker with its containers; and Neutron's agent beside them."""
    guide.machine.power_on()
    guide.machine.kuryr.start()
    guide.machine.sriov_agent.start()
    guide.machine.dockerd.start()


def states(guide: Guide) -> dict[str, str]:
    """Of the VFs of the first PF that are not free, by PCI address."""
    rows = json.loads(guide.machine.shell("kuryr vf list --pf pf0 -f json"))
    return {row["PCI address"]: row["State"] for row in rows if row["State"] != "free"}


def vlans(guide: Guide) -> list[int]:
    return [guide.at_pf(index)["vlan_list"][0].get("vlan", 0) for index in range(len(guide.vfs()))]


def test_the_power_is_cut(survivor: Guide) -> None:
    """After a power failure containers would not come back, VFs be lost, or ports be left in Neutron."""
    guide, network = survivor, survivor.network(150)
    slot, address = guide.vfs()[1], network["cidr"].replace(".0/24", ".5")
    port = guide.port(network, slot, address)
    net = guide.docker_network(network, "-o", "kuryr.vnic_type=direct", "-o", "kuryr.pf=pf0")
    stays = guide.run(net, f"--ip={address}", "--restart=always")
    ends = guide.run(net)
    assert set(states(guide)) == {slot, guide.pci_of(ends)}
    guide.machine.cut_power()
    assert wait_for(lambda: not guide.machine.agent_alive(), 120)
    log = guide.machine.kuryr.log.stat().st_size
    power_comes_back(guide)
    assert b"for the agent of this host, which is not alive" in guide.machine.kuryr.log.read_bytes()[log:]
    assert guide.pci_of(stays) == slot
    assert guide.link(stays)["address"] == port["mac_address"] == guide.at_pf(1)["address"]
    bound = guide.get("port", port["id"])
    assert (bound["binding:host_id"], bound["binding:vif_type"]) == (guide.machine.name, "hw_veb")
    assert (states(guide), vlans(guide)) == ({slot: "leased"}, [0, 150, 0, 0])
    ours = guide.lab.neutron("GET", f"/v2.0/ports?network_id={network['id']}&device_owner=compute:kuryr")["ports"]
    assert [each["id"] for each in ours] == [port["id"]]
    guide.rm(stays, ends)
    assert (states(guide), vlans(guide)) == ({}, [0, 0, 0, 0])
    after = guide.get("port", port["id"])
    assert (after["binding:host_id"], after["device_id"], after["binding:profile"]) == ("", "", port["binding:profile"])
