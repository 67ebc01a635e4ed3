# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Without its journal, or after an upgrade from upstream's service, everything is found again in Neutron."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import FixedIp, Network, Port
from kuryr_libnetwork.rules.identity import id_tags, network_tags
from tests.fakes.neutron import PROJECT, Role
from tests.world.dockerside import Container, Docker, DockerNetwork, PluginError, Pool, new_id
from tests.world.plugin import HOST, Plugin
from tests.world.rig import GRACE, DirectDocker, Rig

CIDR = "10.1.0.0/24"


def test_networks_and_containers_go_on(plugin: Plugin, docker: Docker) -> None:
    """A service that was reinstalled would strand every network and leak every port of its host."""
    net = docker.network_create(CIDR, subnet_v6="fd00:1::/64")
    one = docker.run(net)
    plugin.restart(lose_journal=True)
    two = docker.run(net)
    assert {one.ip, one.ip6}.isdisjoint({two.ip, two.ip6})
    assert (two.gateway, two.gateway_v6) == (one.gateway, one.gateway_v6)
    plugin.restart(lose_journal=True)
    docker.rm(one)
    plugin.restart(lose_journal=True)
    docker.rm(two)
    assert plugin.neutron.user_ports() == []
    plugin.restart(lose_journal=True)
    docker.network_rm(net)
    plugin.nothing_left()
    assert plugin.neutron.find_networks() == []
    assert plugin.neutron.find_subnetpools() == []


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def engine(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


class Upstream:
    """What upstream's kuryr-libnetwork leaves in Neutron and on the host (docs/notes/upstream.md)."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.neutron = rig.neutron

    def pool(self, **attributes: object) -> str:
        wanted = {"default_prefixlen": 24, "project_id": PROJECT, **attributes}
        return self.neutron.seed_subnetpool(f"kuryrPool-{CIDR}", CIDR, **wanted).id

    def network(self) -> tuple[DockerNetwork, Network]:
        """``docker network create``: everything made by upstream."""
        docker_id, pool_id = new_id(), self.pool()
        own = {"project_id": PROJECT}
        network = self.neutron.seed_network(name=f"kuryr-net-{docker_id[:8]}", tags=id_tags(docker_id), **own)
        subnet = {"name": f"kuryr-subnet-{CIDR}", "gateway_ip": "10.1.0.1", "subnetpool_id": pool_id, **own}
        self.neutron.seed_subnet(network.id, CIDR, tags=[pool_id], **subnet)
        return self._docker(docker_id, pool_id, "10.1.0.1/24"), network

    def existing(self, *more: str) -> tuple[list[DockerNetwork], Network]:
        """``docker network create -o neutron.net.name``, once and for each of ``more`` again."""
        ids = [new_id() for _ in range(1 + len(more))]
        network = self.neutron.seed_network(name="tenant", tags=["keep"])
        subnet = self.neutron.seed_subnet(network.id, CIDR, name="of-the-user", gateway_ip="10.1.0.254")
        pool_id = self.pool(tags=[subnet.id])
        tags = {tag for docker_id in ids for tag in network_tags(docker_id, existing=True)}
        self.neutron.store.get("networks", network.id)["tags"] = sorted({"keep", *tags})
        self.neutron.store.get("subnets", subnet.id)["tags"] = [pool_id]
        word = NetworkWord(options={"neutron.net.name": "tenant"}, cidrs=(CIDR,))
        self.rig.engine.words = dict.fromkeys(ids, word)
        return [self._docker(docker_id, pool_id, "10.1.0.254/24") for docker_id in ids], network

    def _docker(self, docker_id: str, pool_id: str, gateway: str) -> DockerNetwork:
        self.rig.engine.networks.add(docker_id)
        return DockerNetwork(docker_id, [Pool(pool_id, CIDR, gateway, v6=False)])

    def container(self, docker: DockerNetwork, network: Network, ip: str, *tags: str, name: str) -> Container:
        """``docker run``: a bound port, and a veth pair without a mark, one end in the container."""
        endpoint_id = new_id()
        subnet_id = self.neutron.find_subnets(network_id=network.id)[0].id
        port = self.neutron.seed_port(
            network.id,
            name=name,
            device_id=endpoint_id,
            device_owner="compute:kuryr",
            fixed_ips=[{"subnet_id": subnet_id, "ip_address": ip}],
            project_id=network.project_id,
            tags=[*tags, *id_tags(endpoint_id)],
            **{"binding:host_id": HOST},
        )
        inside = f"t_c{port.id}"[:14]
        self.rig.links.add(f"tap{port.id}"[:14], kind="veth")
        self.rig.links.add(inside, kind="veth", mac=port.mac_address)
        self.rig.links.move_away(inside)
        self.rig.engine.endpoints.add(endpoint_id)
        box = Container(docker, endpoint_id, addresses={"v4": f"{ip}/24"}, interface={"SrcName": inside})
        box.sandbox.endpoints.append(box)
        return box


@pytest.fixture
def upstream(rig: Rig) -> Upstream:
    return Upstream(rig)


def test_a_network_and_a_container_of_upstream(rig: Rig, engine: DirectDocker, upstream: Upstream) -> None:
    """After the upgrade what upstream made would stay in Neutron for ever, or its networks would take no container."""
    before = rig.state()
    net, network = upstream.network()
    old = upstream.container(net, network, "10.1.0.50", "compute:kuryr", name="kuryr-unbound-port")
    box = engine.run(net)
    assert box.gateway == "10.1.0.1"
    engine.rm(box)
    engine.rm(old)
    assert rig.links.names() == []
    assert rig.neutron.user_ports() == []
    engine.network_rm(net)
    assert rig.state() == before


def test_a_port_of_upstream_without_tags(rig: Rig, engine: DirectDocker, upstream: Upstream) -> None:
    """On a cloud without tags only its name says that upstream made the port: it would be left behind."""
    net, network = upstream.network()
    old = upstream.container(net, network, "10.1.0.50", name="")
    (port,) = rig.neutron.user_ports()
    rig.neutron.change_port(port.id, name=f"{old.endpoint_id}-port", tags=[])
    engine.rm(old)
    assert rig.links.names() == []
    assert rig.neutron.user_ports() == []


@pytest.mark.parametrize("role", ["service", "admin"])
def test_a_port_that_upstream_adopted(role: Role) -> None:
    """A user's port would be deleted with the container, or stay bound for ever."""
    rig = Rig(role=role)
    engine, upstream = DirectDocker(rig), Upstream(rig)
    nets, network = upstream.existing()
    rig.services.reconciler.round()
    old = upstream.container(nets[0], network, "10.1.0.50", "kuryr.port.existing", "mine", name="of-the-user")
    engine.rm(old)
    assert rig.links.names() == []
    (port,) = rig.neutron.user_ports()
    assert (port.name, port.device_id, port.device_owner, port.host_id) == ("of-the-user", "", "", "")
    marks = {tag for tag in port.tags if tag.startswith("kuryr.")}
    assert "mine" in port.tags
    assert bool(marks) == (role == "service")  # which may not take the tags off another project's port
    assert port.fixed_ips == (FixedIp(subnet_id=port.fixed_ips[0].subnet_id, ip_address="10.1.0.50"),)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_network_of_several_docker_networks(order: tuple[int, int, int]) -> None:
    """Of Docker networks that share a Neutron network, removing one would take it from the others."""
    rig = Rig(role="admin")  # as upstream had: else its tags could not be taken off a user's network
    engine, upstream = DirectDocker(rig), Upstream(rig)
    nets, network = upstream.existing("another", "third")
    rig.services.reconciler.round()
    boxes = [engine.run(net) for net in nets]
    assert len({box.ip for box in boxes}) == 3
    for number in order:
        rig.revive(lose_journal=True)
        rig.services.reconciler.round()
        engine.rm(boxes[number])
        rig.revive(lose_journal=True)
        rig.services.reconciler.round()
        engine.network_rm(nets[number])
        assert {port.device_id for port in rig.neutron.user_ports()} == {
            box.endpoint_id for box in boxes if box.endpoint_id in rig.engine.endpoints
        }
    rig.settle()
    (left,) = rig.neutron.find_networks()
    assert (left.id, left.tags) == (network.id, ("keep",))
    (subnet,) = rig.neutron.find_subnets()
    assert (subnet.name, subnet.tags) == ("of-the-user", ())
    assert rig.neutron.user_ports() == []


@pytest.mark.parametrize("knows", [True, False], ids=["asked", "wrong-socket"])
def test_a_running_container_of_upstream_is_left_alone(
    rig: Rig, engine: DirectDocker, upstream: Upstream, knows: bool
) -> None:
    """The first look after the upgrade would cut every running container off."""
    net, network = upstream.network()
    upstream.container(net, network, "10.1.0.50", "compute:kuryr", name="kuryr-unbound-port")
    before = ports_of(rig)
    if not knows:
        rig.engine.networks, rig.engine.endpoints = {new_id()}, set()
    rig.settle()
    assert ports_of(rig) == before
    assert rig.neutron.find_networks(id=network.id)


def test_a_container_of_upstream_that_died_meanwhile(rig: Rig, engine: DirectDocker, upstream: Upstream) -> None:
    """Its port would stay: Docker has forgotten it, and the journal never knew it."""
    net, network = upstream.network()
    gone = upstream.container(net, network, "10.1.0.50", "compute:kuryr", name="kuryr-unbound-port")
    rig.engine.endpoints.discard(gone.endpoint_id)
    for name in rig.links.names():
        rig.links.delete(name)
    rig.settle()
    assert ports_of(rig) == []


def ports_of(rig: Rig) -> list[Port]:
    return rig.neutron.user_ports()


def test_a_port_of_somebody_else_is_not_bound_by_mistake(rig: Rig, engine: DirectDocker) -> None:
    """Docker has an address whose port is gone: whoever owns the address now would lose his port to the container."""
    net = engine.network_create(CIDR)
    pool_id = net.pools[0].pool_id
    address = engine.client.call("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "", "Options": None})[
        "Address"
    ]
    rig.now += GRACE
    rig.settle()
    network = rig.neutron.find_networks()[0]
    subnet = rig.neutron.find_subnets()[0]
    fixed = {"subnet_id": subnet.id, "ip_address": address.partition("/")[0]}
    theirs = rig.neutron.seed_port(network.id, name="of-a-user", fixed_ips=[fixed])
    request = {
        "NetworkID": net.network_id,
        "EndpointID": new_id(),
        "Interface": {"Address": address, "AddressIPv6": "", "MacAddress": ""},
        "Options": {},
    }
    with pytest.raises(PluginError, match="has no port in Neutron; start the container again"):
        engine.client.call("NetworkDriver.CreateEndpoint", request)
    assert rig.neutron.user_ports() == [theirs]


def test_an_adopted_port_in_a_container_is_not_adopted_again(rig: Rig, engine: DirectDocker) -> None:
    """Without the journal the port looks like one prepared for us: --ip would take it from its container."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, CIDR)
    rig.neutron.seed_port(network.id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.1.0.50"}])
    net = engine.network_create(CIDR, options={"neutron.net.uuid": network.id})
    box = engine.run(net, ip="10.1.0.50")
    rig.revive(lose_journal=True)
    with pytest.raises(PluginError, match="in use by a container of this host"):
        engine.run(net, ip="10.1.0.50")
    (port,) = rig.neutron.user_ports()
    assert port.device_id == box.endpoint_id
