# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One Neutron network, two Docker hosts."""

from __future__ import annotations

from lab.api import Host
from tests.cloud.user import User, unique_cidr


def test_containers_of_two_hosts_ping_across_geneve(user: User, h1: Host, h2: Host) -> None:
    """Containers of different hosts on one Neutron network would not reach each other, at full packet size."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    uuid = f"neutron.net.uuid={network['id']}"
    net1, net2 = user.network(h1, f"--subnet={cidr}", "-o", uuid), user.network(h2, f"--subnet={cidr}", "-o", uuid)
    one, two = user.run(h1, net1), user.run(h2, net2)
    user.ping(h1, one, user.address(h2, two, net2))
    size = str(user.get("network", network["id"])["mtu"] - 28)
    h1.docker("exec", one, "ping", "-c", "2", "-i", "0.2", "-w", "10", "-s", size, user.address(h2, two, net2))


def test_the_first_to_leave_takes_nothing_from_the_other(user: User, h1: Host, h2: Host) -> None:
    """One host's docker network rm would remove pool and tags that the other needs (docs/compatibility.md, B4)."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    uuid = f"neutron.net.uuid={network['id']}"
    net1, net2 = user.network(h1, f"--subnet={cidr}", "-o", uuid), user.network(h2, f"--subnet={cidr}", "-o", uuid)
    user.network_rm(h1, net1)
    one, two = user.run(h2, net2), user.run(h2, net2)
    user.ping(h2, one, user.address(h2, two, net2))
    user.rm(h2, one)
    user.rm(h2, two)
    user.network_rm(h2, net2)
    assert user.get("network", network["id"])["tags"] == []


def test_a_network_made_by_one_host_used_by_another(user: User, h1: Host, h2: Host) -> None:
    """The first to leave would delete it under the other host's containers, or the last one leave it behind."""
    cidr = unique_cidr()
    net1 = user.network(h1, f"--subnet={cidr}")
    neutron_id = user.network_of(h1, net1)["id"]
    net2 = user.network(h2, f"--subnet={cidr}", "-o", f"neutron.net.uuid={neutron_id}")
    one = user.run(h2, net2)
    user.network_rm(h1, net1)
    two = user.run(h2, net2)
    user.ping(h2, one, user.address(h2, two, net2))
    for name in (one, two):
        user.rm(h2, name)
    user.network_rm(h2, net2)
    assert user.neutron("GET", f"/networks?id={neutron_id}")["networks"] == []
