# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Two hosts with one Neutron: what one of them removes, the other may still use."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kuryr_libnetwork.rules.adoption import CLAIM_MINUTES, claim_tags
from tests.fakes.neutron import PROJECT
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.outside import Outside, TappedNeutron
from tests.world.rig import GRACE, DirectDocker, Rig
from tests.world.threads import Call, Pause, at_once, interleaved

V4, V6, USERS = "10.1.0.0/24", "fd00:1::/64", "10.9.0.0/24"
UNUSED_UUID = "11111111-2222-3333-4444-555555555555"


class Cloud:
    """``one`` and ``two``: the hosts; ``users`` and ``bare``: networks of a user, with two subnets and with none."""

    def __init__(self) -> None:
        self.outside = Outside()
        self.neutron = TappedNeutron(self.outside, hosts=["h1", "h2"], role="admin")
        self.users = self.neutron.seed_network(name="users", tags=["keep"]).id
        self.neutron.seed_subnet(self.users, "10.9.0.0/24", tags=["keep-too"])
        self.neutron.seed_subnet(self.users, "10.8.0.0/24", tags=[UNUSED_UUID])
        self.bare = self.neutron.seed_network(name="bare").id
        self.one, self.two = Rig(self.neutron, "h1"), Rig(self.neutron, "h2")
        self.before = self.state()

    def state(self) -> dict[str, Any]:
        return self.one.state() | {"two": self.two.state()}

    def settle(self) -> None:
        self.one.settle()
        self.two.settle()

    def create(self, host: Rig, cidr: str, network: str = "") -> DockerNetwork:
        v6 = cidr if ":" in cidr else None
        options = {"neutron.net.uuid": network or self.bare}
        return DirectDocker(host).network_create(cidr, subnet_v6=v6, ipv4=v6 is None, options=options)

    def runs(self, host: Rig, network: DockerNetwork) -> Container:
        box = DirectDocker(host).run(network)
        (port,) = [port for port in self.neutron.user_ports() if port.device_id == box.endpoint_id]
        assert (port.host_id, port.vif_type) == (host.host, "ovs")
        return box


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def leave(host: Rig, network: DockerNetwork, *boxes: Container) -> None:
    for box in boxes:
        DirectDocker(host).rm(box)
    DirectDocker(host).network_rm(network)


@pytest.mark.parametrize("cidrs", [(V4, V4), (V4, V6), (USERS, USERS), (USERS, "10.8.0.0/24"), (USERS, V6)])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("settle", [False, True], ids=["one-after-the-other", "much-later"])
def test_the_last_one_clears_up(cloud: Cloud, cidrs: tuple[str, str], first: int, settle: bool) -> None:
    """A subnet, a pool or a tag would stay on a user's network, or go while the other host uses it."""
    hosts = [cloud.one, cloud.two]
    network = cloud.users if USERS in cidrs else cloud.bare
    nets = [cloud.create(host, cidr, network) for host, cidr in zip(hosts, cidrs, strict=True)]
    boxes = [cloud.runs(host, net) for host, net in zip(hosts, nets, strict=True)]
    last = 1 - first
    leave(hosts[first], nets[first], boxes[first])
    if settle:
        cloud.settle()
    again = cloud.runs(hosts[last], nets[last])
    assert {port.device_id for port in cloud.neutron.user_ports()} == {boxes[last].endpoint_id, again.endpoint_id}
    leave(hosts[last], nets[last], boxes[last], again)
    cloud.settle()
    assert cloud.state() == cloud.before


@pytest.mark.parametrize("first", [0, 1], ids=["maker-first", "maker-last"])
def test_a_network_that_kuryr_made_goes_with_its_last_user(cloud: Cloud, first: int) -> None:
    """It would stay in Neutron for ever when the host that made it leaves first, or be taken from the other host."""
    made = DirectDocker(cloud.one).network_create(V4)
    (network,) = cloud.neutron.find_networks(name=f"kuryr-net-{made.network_id[:8]}")
    nets = [made, cloud.create(cloud.two, V4, network.id)]
    hosts = [cloud.one, cloud.two]
    leave(hosts[first], nets[first])
    cloud.settle()
    cloud.runs(hosts[1 - first], nets[1 - first])
    (box,) = [port for port in cloud.neutron.user_ports() if port.device_id]
    cloud.neutron.store.drop("ports", box.id)  # as if its container had gone
    leave(hosts[1 - first], nets[1 - first])
    cloud.settle()
    assert cloud.neutron.find_networks(id=network.id) == []
    assert cloud.neutron.find_subnetpools() == []


def test_both_leave_at_the_same_moment(cloud: Cloud) -> None:
    """Each host would see the other, and leave the removal to it."""
    one, two = cloud.create(cloud.one, V4), cloud.create(cloud.two, V4)
    with Pause(cloud.outside, "after neutron.find_networks") as pause:
        first = Call(partial(leave, cloud.one, one))
        pause.reached()
        leave(cloud.two, two)
        pause.go()
        first.result()
    cloud.settle()
    assert cloud.state() == cloud.before


def test_a_release_does_not_cross_hosts(cloud: Cloud) -> None:
    """A late ReleaseAddress on one host would delete the port that the other one got with the address."""
    one, two = cloud.create(cloud.one, V4), cloud.create(cloud.two, V4)
    docker = DirectDocker(cloud.one)
    old = docker.run(one)
    docker.rm(old)
    box = cloud.runs(cloud.two, two)
    assert box.ip == old.ip
    arguments = {"PoolID": one.pools[0].pool_id, "Address": old.ip}
    docker.client.call("IpamDriver.ReleaseAddress", arguments)
    cloud.one.revive(lose_journal=True)
    docker.client.call("IpamDriver.ReleaseAddress", arguments)
    cloud.settle()
    assert [port.device_id for port in cloud.neutron.user_ports()] == [box.endpoint_id]


def test_a_release_does_not_hit_a_port_that_the_other_host_makes(cloud: Cloud) -> None:
    """The port has no binding yet: it would be taken for a leftover of this host."""
    one, two = cloud.create(cloud.one, V4), cloud.create(cloud.two, V4)
    docker = DirectDocker(cloud.one)
    arguments = {"PoolID": two.pools[0].pool_id, "Address": "", "Options": None}
    address = DirectDocker(cloud.two).client.call("IpamDriver.RequestAddress", arguments)["Address"]
    release = {"PoolID": one.pools[0].pool_id, "Address": address.partition("/")[0]}
    docker.client.call("IpamDriver.ReleaseAddress", release)
    for _ in range(3):
        cloud.one.services.reconciler.round()
        cloud.one.now += GRACE + 1
    assert len(cloud.neutron.user_ports()) == 1


def test_one_address_on_two_hosts(cloud: Cloud) -> None:
    """Both hosts would run a container with the same --ip, on one port."""
    nets = [cloud.create(host, V4) for host in (cloud.one, cloud.two)]
    with interleaved(cloud.outside):
        for _ in range(10):
            works = [
                partial(DirectDocker(host).run, net, ip="10.1.0.7")
                for host, net in zip((cloud.one, cloud.two), nets, strict=True)
            ]
            calls: list[Call[Container]] = at_once(works)
            (winner,) = [number for number, call in enumerate(calls) if call.error is None]
            assert isinstance(calls[1 - winner].error, PluginError)
            box = calls[winner].result()
            assert [port.device_id for port in cloud.neutron.user_ports()] == [box.endpoint_id]
            DirectDocker((cloud.one, cloud.two)[winner]).rm(box)
    assert cloud.neutron.user_ports() == []


def test_a_failed_create_leaves_the_other_host_alone(cloud: Cloud) -> None:
    """A refused docker network create on one host would untag or remove what the other host uses."""
    two = cloud.create(cloud.two, USERS, cloud.users)
    shared = cloud.two.state()
    with pytest.raises(PluginError, match="contradicts"):
        DirectDocker(cloud.one).network_create(USERS, gateway="10.9.0.77", options={"neutron.net.uuid": cloud.users})
    cloud.one.settle()
    assert cloud.two.state() == shared
    cloud.runs(cloud.two, two)


def test_a_dead_hosts_claim_of_a_time_to_come_ends(cloud: Cloud) -> None:
    """A host whose clock was years ahead, and that died while it took a port, would keep it from all others for
    years.
    """
    users = {"neutron.net.uuid": cloud.users}
    nets = [DirectDocker(host).network_create(USERS, options=users) for host in (cloud.one, cloud.two)]
    port = cloud.neutron.seed_port(cloud.users, fixed_ips=[_fixed(cloud, "10.9.0.9")])
    cloud.one.wall = 10 * 365 * 86400
    tags = claim_tags(port.id, "0" * 64, cloud.one.now + cloud.one.wall)
    cloud.neutron.add_tags("subnetpools", nets[0].pools[0].pool_id, tags)
    with pytest.raises(PluginError, match="is being taken"):
        DirectDocker(cloud.two).run(nets[1], ip="10.9.0.9")
    cloud.two.now += CLAIM_MINUTES * 60 + 1
    assert DirectDocker(cloud.two).run(nets[1], ip="10.9.0.9").ip == "10.9.0.9"


def _fixed(cloud: Cloud, ip: str) -> dict[str, str]:
    (subnet,) = cloud.neutron.find_subnets(network_id=cloud.users, cidr=USERS)
    return {"subnet_id": subnet.id, "ip_address": ip}


@pytest.mark.parametrize("step", ["neutron.create_subnetpool", "after neutron.create_subnetpool"])
def test_two_hosts_without_a_subnet_at_the_same_moment(step: str) -> None:
    """Both would get the same free prefix, and one user would read Neutron's own error about it."""
    outside = Outside()
    neutron = TappedNeutron(outside, hosts=["h1", "h2"])
    neutron.seed_subnetpool("kuryr", "10.77.0.0/16", default_prefixlen=24, project_id=PROJECT)
    one, two = Rig(neutron, "h1"), Rig(neutron, "h2")
    before = one.state(), two.state()
    others: list[DockerNetwork] = []

    def meanwhile(name: str, _: tuple[Any, ...]) -> None:
        if name == step:
            outside.hook = None
            others.append(DirectDocker(two).network_create(None))

    outside.hook = meanwhile
    mine = DirectDocker(one).network_create(None)
    (theirs,) = others
    assert mine.pools[0].cidr != theirs.pools[0].cidr
    for rig, net in ((one, mine), (two, theirs)):
        docker = DirectDocker(rig)
        docker.rm(docker.run(net))
        docker.network_rm(net)
    for rig in (one, two):
        rig.settle()
    assert (one.state(), two.state()) == before
