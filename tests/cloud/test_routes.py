# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Routes and gateways of containers, as real engines set them, on one network and on several."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Host
from tests.cloud.user import User, unique_cidr, unique_cidr_v6

METADATA = "169.254.169.254/32"
LIMIT = 20.0
"""Seconds in which a route must be there."""


def hop(cidr: str, last: int) -> str:
    return f"{cidr.rpartition('.')[0]}.{last}"


def tenant_network(user: User, cidr: str, **attributes: Any) -> str:
    network = user.make("network", name="routes")
    version = 6 if ":" in cidr else 4
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=version, **attributes)
    return str(network["id"])


def docker_network(user: User, host: Host, cidr: str, *routes: tuple[str, str], **attributes: Any) -> str:
    hosts = [{"destination": destination, "nexthop": next_hop} for destination, next_hop in routes]
    uuid = tenant_network(user, cidr, host_routes=hosts, **attributes)
    return user.network(host, f"--subnet={cidr}", "-o", f"neutron.net.uuid={uuid}")


def way(user: User, host: Host, box: str, ip: str) -> str:
    words = user.inside(host, box, "ip", "route", "get", ip).split()
    return words[words.index("via") + 1] if "via" in words else ""


def soon(user: User, host: Host, box: str, ip: str, expected: str) -> None:
    """The way is the one expected, at the latest after :data:`LIMIT`."""
    end = time.monotonic() + LIMIT
    while (found := way(user, host, box, ip)) != expected and time.monotonic() < end:
        time.sleep(0.2)
    assert found == expected, user.inside(host, box, "ip", "route")


def running(host: Host, box: str) -> bool:
    return bool(host.docker_inspect(box)["State"]["Running"])


def test_the_same_host_route_on_two_networks(user: User, host: Host) -> None:
    """The second network could not be connected, and after a restart the container stay down for ever."""
    one, two = unique_cidr(), unique_cidr()
    nets = [docker_network(user, host, cidr, (METADATA, hop(cidr, 2))) for cidr in (one, two)]
    box = user.run(host, nets[0])
    host.docker("network", "connect", nets[1], box)
    soon(user, host, box, "169.254.169.254", hop(one, 2))
    host.docker("network", "disconnect", nets[0], box)
    soon(user, host, box, "169.254.169.254", hop(two, 2))
    host.docker("network", "connect", nets[0], box)
    for _ in range(2):
        host.docker("restart", "--time=0", box)
        assert running(host, box)
        assert way(user, host, box, "169.254.169.254") in {hop(one, 2), hop(two, 2)}
    user.rm(host, box)


def test_a_host_route_into_the_other_network(user: User, host: Host) -> None:
    """Docker would refuse the second network's addresses, or the kernel the route."""
    one, two = unique_cidr(), unique_cidr()
    second = docker_network(user, host, two)
    for destination in (two, "10.0.0.0/8"):
        first = docker_network(user, host, one, (destination, hop(one, 2)))
        for order in ((first, second), (second, first)):
            box = user.run(host, order[0])
            host.docker("network", "connect", order[1], box)
            soon(user, host, box, hop(two, 77), "")
            host.docker("restart", "--time=0", box)
            assert running(host, box)
            soon(user, host, box, hop(two, 77), "")
            host.docker("network", "disconnect", second, box)
            soon(user, host, box, hop(two, 77), hop(one, 2))
            user.rm(host, box)
        user.network_rm(host, first)
        one = unique_cidr()


def test_equal_gateways_outside_of_their_subnets(user: User, host: Host) -> None:
    """Neither could the second network be connected, nor the container be started on both."""
    nets = [docker_network(user, host, unique_cidr(), gateway_ip="192.0.2.1") for _ in range(2)]
    box = user.run(host, nets[0])
    host.docker("network", "connect", nets[1], box)
    soon(user, host, box, "8.8.8.8", "192.0.2.1")
    for _ in range(2):
        host.docker("restart", "--time=0", box)
        assert running(host, box)
        soon(user, host, box, "8.8.8.8", "192.0.2.1")
    host.docker("network", "disconnect", nets[0], box)
    soon(user, host, box, "8.8.8.8", "192.0.2.1")
    user.rm(host, box)


def test_a_default_route_without_a_gateway(user: User, host: Host) -> None:
    """No container would start with the newest engine, none on a second such network with the oldest."""
    cidrs = [unique_cidr(), unique_cidr()]
    nets = [docker_network(user, host, cidr, ("0.0.0.0/0", hop(cidr, 9)), gateway_ip=None) for cidr in cidrs]
    box = user.run(host, nets[0])
    assert way(user, host, box, "8.8.8.8") == hop(cidrs[0], 9)
    host.docker("network", "connect", nets[1], box)
    assert way(user, host, box, "8.8.8.8") in {hop(cidr, 9) for cidr in cidrs}
    user.rm(host, box)


@pytest.mark.ovn("with ML2/OVS a router takes an L3 agent, which the lab has not")
def test_a_router_that_advertises_itself(user: User, host: Host) -> None:
    """The network could not be connected again ("failed to set IPv6 gateway"), or be the only way out."""
    four, six = unique_cidr(), unique_cidr_v6()
    network = user.make("network", name="advertised")
    user.make("subnet", network_id=network["id"], cidr=four, ip_version=4)
    slaac: dict[str, Any] = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = user.make("subnet", network_id=network["id"], cidr=six, ip_version=6, **slaac)
    router = user.make("router", name="advertises")
    user.neutron("PUT", f"/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    try:
        options = ("--ipv6", f"--subnet={four}", f"--subnet={six}", "-o", f"neutron.net.uuid={network['id']}")
        net = user.network(host, *options)
        plain = user.network(host, f"--subnet={unique_cidr()}")
        box = user.run(host, net)
        for _ in range(3):
            end = time.monotonic() + LIMIT
            while "default" not in (routes := user.inside(host, box, "ip", "-6", "route")) and time.monotonic() < end:
                time.sleep(0.2)
            assert "default" in routes
            user.ping(host, box, subnet["gateway_ip"])
            host.docker("network", "connect", plain, box)
            host.docker("network", "disconnect", net, box)
            host.docker("network", "connect", net, box)
            host.docker("network", "disconnect", plain, box)
        host.docker("restart", "--time=0", box)
        assert running(host, box)
        user.rm(host, box)
        user.network_rm(host, net)
        user.network_rm(host, plain)
    finally:
        user.neutron("PUT", f"/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})


BRIDGED = "172.28.0.0/16"


@pytest.fixture
def bridge(host: Host) -> Iterator[str]:
    """A network of Docker's own; what is on it is gone before."""
    name = "plain-bridge"
    host.docker("network", "create", f"--subnet={BRIDGED}", name)
    yield name
    host.docker("network", "rm", name)


def test_a_start_on_one_of_dockers_own_bridges_as_well(bridge: str, user: User, host: Host) -> None:
    """Nobody knows at Join of the bridge network: the container's start would fail, and each later one."""
    cidr = unique_cidr()
    net = docker_network(user, host, cidr, (BRIDGED, hop(cidr, 2)), ("172.28.7.0/24", hop(cidr, 3)))
    box = user.run(host, net)
    host.docker("stop", "-t", "0", box)
    host.docker("network", "connect", bridge, box)
    for _ in range(3):  # the order of networks is Docker's to choose
        host.docker("restart", "-t", "0", box)
        assert running(host, box)
    assert "172.28." in user.inside(host, box, "ip", "address")
    host.docker("network", "disconnect", bridge, box)
    soon(user, host, box, "172.28.9.9", hop(cidr, 2))
    soon(user, host, box, "172.28.7.9", hop(cidr, 3))
