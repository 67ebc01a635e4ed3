# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""vnic_type direct-physical: a whole card for one container, given back to the host as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.sriov.api import Machine
from tests.sriov.guide import Guide
from tests.sriov.reader import operated_with

pytestmark = pytest.mark.timeout(900)
PF = "pf1"


@pytest.fixture(scope="module")
def allowed(configured: Machine) -> Iterator[Machine]:
    """The operator allows it, and one PF has no VFs; both are restored at the end."""
    vfs = int(configured.read(f"/sys/class/net/{PF}/device/sriov_numvfs"))
    configured.set_vfs(PF, 0)
    with operated_with(configured, "[sriov]\nallow_direct_physical = true\n"):
        yield configured
    configured.set_vfs(PF, vfs)


def test_the_card_itself_on_a_flat_network(allowed: Machine, guide: Guide) -> None:
    """A port that names a PF would get another device, another MAC than Neutron has, or no connection."""
    flat = guide.make_network("flat", 0, "10.30.0.0/24")
    slot, mac = allowed.pci(PF), allowed.read(f"/sys/class/net/{PF}/address").strip()
    port = guide.port(flat, slot, "10.30.0.5", "direct-physical")
    net = guide.docker_network(flat)
    box = guide.run(net, "--ip=10.30.0.5")
    link = guide.link(box)
    assert (link["parentdev"], link["address"]) == (slot, mac)
    bound = guide.get("port", port["id"])
    assert (bound["mac_address"], bound["binding:profile"]["device_mac_address"]) == (mac, mac)
    assert (bound["binding:vif_type"], bound["status"]) == ("hostdev_physical", "ACTIVE")
    peer = guide.run_with(net, "kuryr.vnic_type=direct", "kuryr.pf=pf0")
    assert guide.reaches(box, guide.address(peer, net))
    guide.rm(box)
    after = guide.get("port", port["id"])
    assert (after["binding:host_id"], after["device_id"]) == ("", "")


def test_a_tagged_device_on_a_vlan_network(allowed: Machine, guide: Guide, physical: dict[str, Any]) -> None:
    """The container would send without the VLAN's tag, into somebody else's network, or to nobody."""
    net = guide.docker_network(physical)
    box = guide.run_with(net, "kuryr.vnic_type=direct-physical", f"kuryr.pf={PF}")
    mac = allowed.read(f"/sys/class/net/{PF}/address").strip()
    link = guide.link(box)
    assert (link["linkinfo"]["info_kind"], link["linkinfo"]["info_data"]["id"]) == ("vlan", 150)
    assert link["address"] == mac == guide.port_of(box, net)["mac_address"]
    peer = guide.run_with(net, "kuryr.vnic_type=direct", "kuryr.pf=pf0")
    assert guide.reaches(box, guide.address(peer, net))
    other = guide.docker_network(guide.network(151), "-o", "kuryr.vnic_type=direct", "-o", "kuryr.pf=pf0")
    stranger = guide.run(other)
    intruder = physical["cidr"].replace(".0/24", ".200/24")
    guide.machine.docker("exec", "--privileged", stranger, "ip", "address", "add", intruder, "dev", "eth0")
    assert not guide.reaches(stranger, guide.address(box, net), 5)
    refused = f"name={net},driver-opt=kuryr.vnic_type=direct-physical,driver-opt=kuryr.pf={PF}"
    said = guide.machine.docker("run", "--rm", "--network", refused, "busybox", "true", check=False).stderr
    assert "no free PF" in said
    assert "is held by port" in said
