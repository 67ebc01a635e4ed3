# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers on several networks whose routes overlap, on engines with either order of calls."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import LinkError
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.rig import DirectDocker, Rig

METADATA = "169.254.169.254/32"
ENGINES = [20, 26, 27, 28, 29]


class Cloud:
    """A host, its engine, and networks of a tenant's."""

    def __init__(self, version: int) -> None:
        self.rig = Rig()
        self.docker = DirectDocker(self.rig, version)
        self._count = 0

    def network(self, cidr: str, gateway: str | None = "", *routes: tuple[str, str], v6: bool = False) -> DockerNetwork:
        """``gateway`` "": the first address."""
        network = self.rig.neutron.seed_network(name=f"net-{cidr}")
        hosts = [{"destination": destination, "nexthop": hop} for destination, hop in routes]
        first = {"gateway_ip": gateway} if gateway != "" else {}
        self.rig.neutron.seed_subnet(network.id, cidr, host_routes=hosts, **first)
        family: dict[str, Any] = {"subnet": cidr}
        if v6:
            self._count += 1
            family = {"subnet": f"10.200.{self._count}.0/24", "subnet_v6": cidr}
            self.rig.neutron.seed_subnet(network.id, family["subnet"])
        options = {"neutron.net.uuid": network.id}
        return self.docker.network_create(**family, options=options, name=network.name)

    def settle(self) -> None:
        for _ in range(3):
            self.rig.services.routes.work()
            self.rig.now += 1

    def way(self, box: Container, ip: str) -> tuple[str, int] | None:
        """The next hop to an address, "" on the link, and the interface's index."""
        found = self.rig.sandboxes.namespaces[box.sandbox.key].way_to(ip)
        return (found.next_hop, found.interface) if found else None


@pytest.fixture(params=ENGINES)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud(request.param)


def two_with_metadata(cloud: Cloud) -> tuple[DockerNetwork, DockerNetwork]:
    return (
        cloud.network("10.67.0.0/24", "", (METADATA, "10.67.0.2")),
        cloud.network("10.68.0.0/24", "", (METADATA, "10.68.0.2")),
    )


def test_the_same_host_route_on_two_networks(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """The second network could not be connected ("file exists"), and after a restart the container stay down
    for ever.
    """
    caplog.set_level("INFO")
    one, two = two_with_metadata(cloud)
    box = cloud.docker.run(one)
    second = cloud.docker.connect(box, two)
    assert [route["Destination"] for route in box.routes] == [METADATA]
    assert second.routes == []
    assert f"is not told of the routes {METADATA} via 10.68.0.2" in caplog.text
    cloud.settle()
    assert cloud.way(box, "169.254.169.254") == ("10.67.0.2", box.index)
    again = cloud.docker.restart(box)
    cloud.settle()
    assert cloud.way(again, "169.254.169.254") == ("10.67.0.2", again.index)


def test_the_route_of_the_other_network_takes_over(cloud: Cloud) -> None:
    """After the first network was disconnected the container would have no way to the metadata service."""
    one, two = two_with_metadata(cloud)
    box = cloud.docker.run(one)
    second = cloud.docker.connect(box, two)
    cloud.settle()
    cloud.docker.disconnect(box)
    assert cloud.way(second, "169.254.169.254") == ("10.68.0.2", second.index)
    first = cloud.docker.connect(second, one)  # and back again: now it is the one behind
    cloud.settle()
    assert cloud.way(second, "169.254.169.254") == ("10.68.0.2", second.index)
    cloud.docker.disconnect(second)
    assert cloud.way(first, "169.254.169.254") == ("10.67.0.2", first.index)


@pytest.mark.parametrize("destination", ["10.68.0.0/24", "10.0.0.0/8", "10.68.0.128/25"])
@pytest.mark.parametrize("route_first", [True, False])
def test_a_host_route_into_the_other_network(cloud: Cloud, destination: str, route_first: bool) -> None:
    """Docker would refuse the second network's addresses ("conflicts with existing route"), or the kernel the route."""
    one = cloud.network("10.67.0.0/24", "", (destination, "10.67.0.2"))
    two = cloud.network("10.68.0.0/24")
    order = (one, two) if route_first else (two, one)
    box = cloud.docker.run(order[0])
    other = cloud.docker.connect(box, order[1])
    cloud.settle()
    with_route, plain = (box, other) if route_first else (other, box)
    assert cloud.way(box, "10.68.0.77") == ("", plain.index)
    cloud.docker.disconnect(plain)
    assert cloud.way(with_route, "10.68.0.200") == ("10.67.0.2", with_route.index)
    plain = cloud.docker.connect(with_route, two)
    cloud.settle()
    assert cloud.way(plain, "10.68.0.77") == ("", plain.index)
    for boxes in (cloud.docker.run_on(*order), cloud.docker.run_on(*reversed(order))):
        cloud.settle()
        assert len({each.index for each in boxes} - {0}) == 2
        assert cloud.way(boxes[0], "10.67.0.77") is not None


def test_a_container_on_one_network_has_all_its_routes(cloud: Cloud) -> None:
    """A route kept back for a network that may come would be missing if that network never comes."""
    one = cloud.network("10.67.0.0/24", "", ("10.68.0.0/24", "10.67.0.2"))
    cloud.network("10.68.0.0/24")
    box = cloud.docker.run(one)
    cloud.settle()
    assert cloud.way(box, "10.68.0.9") == ("10.67.0.2", box.index)


@pytest.mark.parametrize(
    ("cidrs", "gateway", "far"),
    [
        (("10.67.0.0/24", "10.68.0.0/24"), "192.0.2.1", "8.8.8.8"),
        (("fd00:67::/64", "fd00:68::/64"), "fe80::1", "2001:db8:9::9"),
    ],
)
def test_gateways_outside_of_their_subnets_that_are_equal(
    cloud: Cloud, cidrs: tuple[str, str], gateway: str, far: str
) -> None:
    """Neither could the second network be connected, nor the container be started on both."""
    v6 = ":" in gateway
    one, two = (cloud.network(cidr, gateway, v6=v6) for cidr in cidrs)
    box = cloud.docker.run(one)
    second = cloud.docker.connect(box, two)
    cloud.settle()
    way = cloud.way(box, far)
    assert way == (gateway, box.index)
    cloud.docker.disconnect(box)
    assert cloud.way(second, far) == (gateway, second.index)
    cloud.settle()
    for order in ((one, two), (two, one)):
        boxes = cloud.docker.run_on(*order)
        cloud.settle()
        assert cloud.way(boxes[0], far) is not None
        assert sorted(bool(each.gateway_v6 if v6 else each.gateway) for each in boxes) == [False, True]


def test_a_router_that_advertises_itself(cloud: Cloud) -> None:
    """A container could not be connected again while the router's own default route is there, or have two after its
    start.
    """
    net = cloud.network("fd00:67::/64", "fd00:67::1", v6=True)
    for subnet in cloud.rig.neutron.find_subnets(cidr="fd00:67::/64"):
        cloud.rig.neutron.store.get("subnets", subnet.id)["ipv6_ra_mode"] = "slaac"
    cloud.rig.services.reconciler.round()
    plain = cloud.docker.run(cloud.network("10.68.0.0/24"))
    box = cloud.docker.connect(plain, net)
    assert (box.gateway, box.gateway_v6) == ("10.200.1.1", "")
    cloud.settle()
    assert cloud.way(box, "2001:db8::1") == ("fd00:67::1", box.index)
    router = "fe80::f816:3eff:fe00:1"  # its advertisement comes late
    cloud.rig.sandboxes.static_route(box.sandbox.key, "::/0", router, box.index)
    assert cloud.way(box, "2001:db8::1") == (router, box.index)
    cloud.docker.disconnect(box)
    again = cloud.docker.connect(plain, net)
    cloud.settle()
    assert cloud.way(again, "2001:db8::1") == ("fd00:67::1", again.index)


def test_what_only_docker_knows_is_seen_in_the_container() -> None:
    """A host route to the subnet of a bridge network of Docker's own would end the container."""
    for version in (28, 29):
        cloud = Cloud(version)
        net = cloud.network("10.67.0.0/24", "", ("172.18.0.0/16", "10.67.0.2"))
        plain = cloud.docker.run(cloud.network("10.68.0.0/24"))
        bridge = cloud.rig.sandboxes.interface(plain.sandbox.key, ["172.18.0.2/16"])
        box = cloud.docker.connect(plain, net)
        cloud.settle()
        assert cloud.way(box, "172.18.0.9") == ("", bridge)
        cloud.rig.sandboxes.remove_interface(plain.sandbox.key, bridge)
        assert cloud.way(box, "172.18.0.9") == ("10.67.0.2", box.index)


@pytest.mark.parametrize("subnet", ["172.18.0.0/16", "172.16.0.0/12", "172.18.4.0/24"], ids=["same", "wider", "within"])
def test_a_bridge_that_the_container_is_started_on_as_well(cloud: Cloud, subnet: str) -> None:
    """Nobody knows at Join on what else a container is started; its start would fail, and so each later one."""
    cloud.rig.sandboxes.bridges = ["172.18.0.0/16"]
    net = cloud.network("10.67.0.0/24", "", (subnet, "10.67.0.2"), (METADATA, "10.67.0.2"))
    box = cloud.docker.run(net)
    assert [route["Destination"] for route in box.routes] == [METADATA]
    cloud.rig.services.routes.work()  # before Docker has come to its own network
    bridge = cloud.rig.sandboxes.interface(box.sandbox.key, ["172.18.0.2/16"])
    cloud.settle()
    cloud.settle()
    assert cloud.way(box, "172.18.0.9") == ("", bridge)
    cloud.rig.sandboxes.remove_interface(box.sandbox.key, bridge)
    assert cloud.way(box, "172.18.4.9") == ("10.67.0.2", box.index)


def test_bridges_that_cannot_be_looked_at(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Containers with host routes would not start any more."""
    cloud.rig.sandboxes.fail_next("subnets_of_bridges", LinkError("not permitted"))
    box = cloud.docker.run(cloud.network("10.67.0.0/24", "", (METADATA, "10.67.0.2")))
    assert [route["Destination"] for route in box.routes] == [METADATA]
    assert "without a look at the bridges of this host: not permitted" in caplog.text


def test_a_namespace_that_may_not_be_entered(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """If the service runs without CAP_SYS_ADMIN, no container with host routes would start any more."""
    one, two = two_with_metadata(cloud)
    box = cloud.docker.run(one)
    cloud.rig.sandboxes.fail_next("look", LinkError("not permitted"))
    second = cloud.docker.connect(box, two)
    assert second.routes == []
    assert "without a look at those it has: not permitted" in caplog.text


def test_a_new_process_adds_what_the_old_one_did_not(cloud: Cloud) -> None:
    """A service that ended between Join and the interface's arrival would leave routes out for ever."""
    one, two = two_with_metadata(cloud)
    box = cloud.docker.run(one)
    second = cloud.docker.connect(box, two)
    cloud.rig.revive()
    cloud.rig.services.routes.resume()
    cloud.settle()
    cloud.docker.disconnect(box)
    assert cloud.way(second, "169.254.169.254") == ("10.68.0.2", second.index)


def test_a_failed_start_leaves_nothing_to_do(cloud: Cloud) -> None:
    """The thread would look for a container that never came until the service ends."""
    one, two = two_with_metadata(cloud)
    box = cloud.docker.run(one)
    cloud.rig.sandboxes.interface(box.sandbox.key, ["10.68.0.99/24"])
    with pytest.raises(PluginError, match="conflicts with existing route"):
        cloud.docker.connect(box, two)
    cloud.docker.rm(box)
    cloud.rig.services.routes.work()
    before = len(cloud.rig.outside.names)
    cloud.rig.now += 3600
    cloud.rig.services.routes.work()
    assert len(cloud.rig.outside.names) == before
