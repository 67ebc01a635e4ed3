# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever dies: the service, its journal, Docker. Networks and containers go on, and clean up properly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.api import Host
from tests.cloud.user import User, unique_cidr, unique_cidr_v6


def restart(host: Host) -> None:
    host.kuryr.restart()


def kill(host: Host) -> None:
    host.kuryr.kill()
    host.kuryr.start()


def lose_journal(host: Host) -> None:
    host.kuryr.kill()
    for file in host.paths.kuryr_state.glob("kuryr.db*"):
        file.unlink()
    host.kuryr.start()


@pytest.mark.parametrize("disaster", [restart, kill, lose_journal])
def test_service_dies_between_run_and_rm(user: User, h1: Host, disaster: Callable[[Host], None]) -> None:
    """Docker never repeats CreateNetwork: a service without memory would strand every network and leak every port."""
    net = user.network(h1, f"--subnet={unique_cidr()}", "--ipv6", f"--subnet={unique_cidr_v6()}")
    one = user.run(h1, net)
    disaster(h1)
    two = user.run(h1, net)
    user.ping(h1, one, user.address(h1, two, net))
    user.rm(h1, one)
    user.rm(h1, two)
    user.network_rm(h1, net)


@pytest.mark.parametrize("disaster", [restart, lose_journal])
def test_adopted_port_after_the_service_died(user: User, h1: Host, disaster: Callable[[Host], None]) -> None:
    """A user's port would be deleted, or stay bound for ever, once the service has forgotten that it was adopted."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    ip = cidr.replace(".0/24", ".50")
    port = user.make("port", network_id=network["id"], fixed_ips=[{"subnet_id": subnet["id"], "ip_address": ip}])
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    box = user.run(h1, net, f"--ip={ip}")
    disaster(h1)
    user.rm(h1, box)
    after = user.get("port", port["id"])
    assert (after["binding:host_id"], after["device_id"], after["device_owner"], after["tags"]) == ("", "", "", [])
    user.network_rm(h1, net)
    assert user.get("network", network["id"])["tags"] == []
