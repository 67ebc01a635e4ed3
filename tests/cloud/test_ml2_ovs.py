# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ML2/OVS alone does: its agent gives each port a VLAN of the host, some time after the port was plugged, and a
DHCP agent serves each network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Host
from lab.backend import Backend
from lab.process import wait_for
from tests.cloud.conftest import waiting_for_ports
from tests.cloud.user import User, leftovers, unique_cidr

DEAD_VLAN = 4095


LEASE = """\
#!/bin/sh
[ "$1" != bound ] || echo "$ip/$mask by $router"
"""
ASK_FOR_LEASE = f"printf '{LEASE}' >/tmp/told && chmod +x /tmp/told && udhcpc -q -n -t 20 -T 1 -i eth0 -s /tmp/told"


@pytest.fixture(autouse=True)
def only_here(backend: Backend) -> None:
    if backend.is_ovn:
        pytest.skip("with ML2/OVS only")


@pytest.fixture
def without_agent(h1: Host) -> Iterator[Host]:
    """A host whose agents end while the test runs."""
    yield h1
    h1.agent.start()


def row(user: User, host: Host, port_id: str) -> dict[str, Any]:
    """The columns of the port in Open vSwitch that say which frames it gets."""
    names = host.run(
        ["ovs-vsctl", "--bare", "--columns=name", "find", "interface", f"external_ids:iface-id={port_id}"]
    ).stdout.split()
    found = host.run(["ovs-vsctl", "--format=json", "--columns=tag,vlan_mode,trunks", "list", "port", *names]).stdout
    table = json.loads(found)
    return dict(zip(table["headings"], table["data"][0], strict=True))


def is_reached(host: Host, container: str, address: str) -> bool:
    return host.docker("exec", container, "ping", "-c", "2", "-w", "3", address, check=False).returncode == 0


def test_a_container_without_an_agent_is_on_no_network(user: User, without_agent: Host) -> None:
    """Until the agent has given it a VLAN, a container would hear the networks of all tenants on its host, and speak
    there.
    """
    host = without_agent
    cidr = unique_cidr()
    net = user.network(host, f"--subnet={cidr}")
    before = user.run(host, net)
    assert wait_for(lambda: row(user, host, user.port_of(host, before, net)["id"])["tag"] not in {0, DEAD_VLAN}, 30)
    host.agent.kill()
    late = user.run(host, net)
    port = user.port_of(host, late, net)["id"]
    assert row(user, host, port) == {"tag": DEAD_VLAN, "vlan_mode": "trunk", "trunks": DEAD_VLAN}
    assert not is_reached(host, late, user.address(host, before, net))
    local = row(user, host, user.port_of(host, before, net)["id"])["tag"]
    assert local != DEAD_VLAN
    host.agent.start()
    assert wait_for(lambda: row(user, host, port)["tag"] == local, 60)
    assert wait_for(lambda: is_reached(host, late, user.address(host, before, net)), 30)


def test_the_agents_restart_costs_a_container_nothing(user: User, without_agent: Host) -> None:
    """What the service wrote to keep a port apart would do so again when the agent looks at it anew."""
    host = without_agent
    net = user.network(host, f"--subnet={unique_cidr()}")
    boxes = [user.run(host, net) for _ in range(2)]
    address = user.address(host, boxes[1], net)
    assert wait_for(lambda: is_reached(host, boxes[0], address), 30)
    ports = [user.port_of(host, box, net)["id"] for box in boxes]
    rows = [row(user, host, port) for port in ports]
    host.agent.kill()
    host.agent.start()
    host.kuryr.restart()
    assert wait_for(lambda: all(user.get("port", port)["status"] == "ACTIVE" for port in ports), 60)
    assert is_reached(host, boxes[0], address)
    assert [row(user, host, port) for port in ports] == rows


def test_dhcp_tells_what_docker_was_told(user: User, h1: Host) -> None:
    """The DHCP agent's port would take an address of --ip-range, or stay, or keep the network, when that is removed."""
    cidr = unique_cidr()
    head = cidr.removesuffix("0/24")
    net = user.network(h1, f"--subnet={cidr}", f"--ip-range={head}64/30")
    network = user.network_of(h1, net)["id"]
    boxes = [user.run(h1, net) for _ in range(4)]
    addresses = {box: user.address(h1, box, net) for box in boxes}
    assert set(addresses.values()) == {f"{head}{last}" for last in range(64, 68)}
    assert wait_for(lambda: bool(user.ports(network_id=network, device_owner="network:dhcp")), 30)
    box = boxes[0]
    assert f"{addresses[box]}/24 by {head}1" in user.inside(h1, box, "sh", "-c", ASK_FOR_LEASE)
    for each in boxes:
        user.rm(h1, each)
    user.network_rm(h1, net)
    assert user.ports(network_id=network) == []


def test_a_port_waits_for_dhcp(user: User, without_agent: Host) -> None:
    """The user would look for a fault on his host, whose agent is well."""
    with waiting_for_ports(without_agent) as host:
        net = user.network(host, f"--subnet={unique_cidr()}")
        user.run(host, net)
        before = leftovers(user.lab)
        host.dhcp_agent.kill()
        said = user.refused(host, "run", "--rm", "--net", net, "busybox", "true")
    assert "and the DHCP agent of the network (enable_dhcp)?" in said
    assert leftovers(user.lab) == before
