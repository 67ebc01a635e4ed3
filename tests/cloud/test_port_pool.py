# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports that are ready before their containers, with the real Neutron, Open vSwitch and Docker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from lab.api import Host, Lab
from lab.paths import CLOUD_ADDRESS
from lab.process import wait_for
from tests.cloud.budget import calls_of_kuryr
from tests.cloud.test_operators import kuryr, told
from tests.cloud.test_restarts import lose_journal
from tests.cloud.user import User, unique_cidr, unique_cidr_v6

SPARE = "kuryr-spare-port"
PATIENCE = 90


def with_options(host: Host, **options: int) -> AbstractContextManager[None]:
    """kuryr-server with these options of [port_pool]."""
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    return host.with_conf(f"{host.paths.kuryr_conf.read_text()}\n[port_pool]\n{lines}")


@pytest.fixture
def cooling(h1: Host) -> Iterator[None]:
    """Released ports are used again soon."""
    with with_options(h1, cooling=3):
        yield


@contextmanager
def neutron_away(host: Host) -> Iterator[None]:
    """Nobody on the host reaches Neutron and Keystone."""
    host.run(["ip", "route", "add", "unreachable", f"{CLOUD_ADDRESS}/32"])
    try:
        yield
    finally:
        host.run(["ip", "route", "del", "unreachable", f"{CLOUD_ADDRESS}/32"])


def spares(user: User, network: dict[str, Any]) -> list[dict[str, Any]]:
    return user.ports(network_id=network["id"], name=SPARE)


def ready(host: Host) -> set[str]:
    """The ports of the pool whose flows are in place, by what Open vSwitch says."""
    words = ["ovs-vsctl", "--format=json", "--columns=external_ids", "find", "interface", "external_ids:owner=kuryr"]
    rows = [dict(row[0][1]) for row in json.loads(host.run(words).stdout)["data"]]
    of_pool = [row for row in rows if row["vm-uuid"].startswith("kuryr-port-pool-")]
    return {row["iface-id"] for row in of_pool if row.get("ovn-installed") == "true"}


def filled(user: User, host: Host, network: dict[str, Any], size: int) -> set[str]:
    """The ids of the pool's ports, once enough are ready."""
    assert wait_for(lambda: len(listed(host, "ready")) >= size, PATIENCE), listed(host, "making")
    return {port["id"] for port in spares(user, network)}


def listed(host: Host, state: str) -> list[str]:
    """The ports of pools in this state, as the service lists them."""
    return [row["Port"] for row in told(host, "pool", "list") if row["State"] == state]


def pooled(user: User, host: Host, size: int, *more: str) -> tuple[str, dict[str, Any]]:
    """A Docker network with a full pool, and its Neutron network."""
    net = user.network(host, f"--subnet={unique_cidr()}", "-o", f"kuryr.port_pool={size}", *more)
    user.rm(host, user.run(host, net))
    network = user.network_of(host, net)
    filled(user, host, network, size)
    return net, network


def waited_for(host: Host, since: int) -> list[str]:
    """The calls of Docker that waited for Neutron, as the service's log has them."""
    lines = host.kuryr.log.read_text()[since:].splitlines()
    told = [re.search(r"(IpamDriver|NetworkDriver)\.\w+ .* (\d+) Neutron calls", line) for line in lines]
    assert any(told), "no call of Docker is in the log"
    return [found.group() for found in told if found is not None and found.group(2) != "0"]


@pytest.mark.usefixtures("cooling")
def test_a_container_starts_and_ends_without_a_call(user: User, h1: Host, lab: Lab) -> None:
    """The promise of a pool: nothing of Neutron between docker run and the container's first packet, nor in docker rm;
    and the port is used again.
    """
    net, network = pooled(user, h1, 2)
    other = user.run(h1, net)
    address = user.address(h1, other, net)
    of_pool = filled(user, h1, network, 2)
    at, log = lab.neutron_log_position(), len(h1.kuryr.log.read_text())
    said = h1.docker("run", "--rm", "--net", net, "busybox", "ping", "-c", "1", "-W", "2", address, check=False)
    assert "1 packets received" in said.stdout, said
    assert waited_for(h1, log) == []
    box = user.run(h1, net)
    port = user.port_of(h1, box, net)
    assert port["id"] in of_pool
    assert port["binding:host_id"] == "h1"
    assert wait_for(lambda: user.get("port", port["id"])["status"] == "ACTIVE", PATIENCE)
    user.rm(h1, box)
    assert waited_for(h1, log) == []
    assert wait_for(lambda: listed(h1, "cooling") == [], PATIENCE)
    assert wait_for(lambda: listed(h1, "making") == [], PATIENCE)
    used_again = of_pool & set(listed(h1, "ready"))
    assert used_again
    made = [call for call in calls_of_kuryr(lab, at) if call.startswith("POST")]
    assert len(made) <= 3, made
    again = [user.run(h1, net) for _ in range(3)]
    user.ping(h1, again[-1], address)
    for each in (*again, other):
        user.rm(h1, each)
    user.network_rm(h1, net)
    assert user.neutron("GET", f"/networks?id={network['id']}")["networks"] == []


def test_dual_stack(user: User, h1: Host) -> None:
    """Containers from a pool would have no IPv6."""
    net, _ = pooled(user, h1, 2, "--ipv6", f"--subnet={unique_cidr_v6()}")
    one, two = user.run(h1, net), user.run(h1, net)
    assert len(user.port_of(h1, one, net)["fixed_ips"]) == 2
    user.ping(h1, one, user.address(h1, two, net))
    h1.docker("exec", one, "ping", "-6", "-c", "3", "-i", "0.2", "-w", "10", user.address_v6(h1, two, net))


def test_containers_start_while_neutron_is_away(user: User, h1: Host) -> None:
    """An outage of Neutron would be one of every host."""
    net, network = pooled(user, h1, 3)
    with neutron_away(h1):
        boxes = [user.run(h1, net) for _ in range(3)]
        user.ping(h1, boxes[0], user.address(h1, boxes[1], net))
        assert user.refused(h1, "run", "--rm", "--net", net, "busybox", "true")
        user.rm(h1, boxes.pop())
    kuryr(h1, "reconcile")  # a look now, which labels the ports
    for box in boxes:
        user.port_of(h1, box, net)
    filled(user, h1, network, 3)


@pytest.mark.parametrize("act", ["restart", "lose_journal"])
def test_a_restart_keeps_the_pool(user: User, h1: Host, act: str) -> None:
    """Each restart would leave the ports of all pools behind, or cost them."""
    with with_options(h1, cooling=3):
        net, network = pooled(user, h1, 2)
        before = {port["id"] for port in spares(user, network)}
        if act == "restart":
            h1.kuryr.restart()
        else:
            lose_journal(h1)
            wait_for(lambda: len(listed(h1, "ready")) >= 2, 2 * PATIENCE)
        filled(user, h1, network, 2)
        assert before & {port["id"] for port in spares(user, network)}
        box = user.run(h1, net)
        user.rm(h1, box)


@pytest.mark.ovn("ovn-installed")
def test_a_port_that_was_deleted_in_neutron_is_given_to_nobody(user: User, h1: Host, lab: Lab) -> None:
    """A container would start without a network: that the flows have gone is seen in Open vSwitch."""
    net, network = pooled(user, h1, 2)
    for port in spares(user, network):
        lab.neutron("DELETE", f"/v2.0/ports/{port['id']}")
        assert wait_for(lambda gone=port["id"]: gone not in ready(h1), 10)  # type: ignore[misc]
    one, two = user.run(h1, net), user.run(h1, net)
    user.ping(h1, one, user.address(h1, two, net))
