# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Several subnets on one network, ranges of them, and addresses that no container gets."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronConflict
from kuryr_libnetwork.model.neutron import Network, Subnet
from tests.fakes.neutron import PROJECT
from tests.world.dockerside import DockerNetwork, PluginError, Pool, new_id
from tests.world.rig import DirectDocker, Rig

V4, RANGE = "10.1.0.0/24", "10.1.0.64/26"


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")  # some make subnets on a user's network


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def tenant(rig: Rig, cidr: str = V4, **attributes: Any) -> tuple[dict[str, str], Network, Subnet]:
    """The option that chooses a user's network, the network, and its subnet."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, cidr, name="of-the-user", gateway_ip="10.1.0.254", **attributes)
    return {"neutron.net.uuid": network.id}, network, subnet


def gone(rig: Rig, docker: DirectDocker, before: dict[str, Any], *networks: DockerNetwork) -> None:
    for network in networks:
        docker.network_rm(network)
    rig.settle()
    assert rig.state() == before


def in_range(ip: str, cidr: str = RANGE) -> bool:
    return ipaddress.ip_address(ip) in ipaddress.ip_network(cidr)


# -- several subnets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", [False, True], ids=["journal", "no-journal"])
def test_two_subnets_of_each_family(rig: Rig, docker: DirectDocker, lose: bool) -> None:
    """Of several --subnet only the first would count, as with upstream; or a container get two IPv6 addresses."""
    before = rig.state()
    net = docker.network_create([V4, "10.2.0.0/24"], subnet_v6=["fd00:1::/64", "fd00:2::/64"])
    assert len({pool.pool_id for pool in net.pools}) == 4
    (network,) = rig.neutron.find_networks()
    assert len(rig.neutron.find_subnets(network_id=network.id)) == 4
    if lose:
        rig.revive(lose_journal=True)
    first, chosen = docker.run(net), docker.run(net, ip="10.2.0.7", ip6="fd00:2::7")
    assert (first.gateway, chosen.gateway, chosen.gateway_v6) == ("10.1.0.1", "10.2.0.1", "fd00:2::1")
    for port in rig.neutron.user_ports():
        assert len(port.fixed_ips) == 2
    (port,) = [port for port in rig.neutron.user_ports() if port.device_id == chosen.endpoint_id]
    assert {ip.ip_address for ip in port.fixed_ips} == {"10.2.0.7", "fd00:2::7"}
    for box in (first, chosen):
        docker.rm(box)
    assert rig.neutron.user_ports() == []
    gone(rig, docker, before, net)


def test_two_subnets_on_a_network_that_has_one_of_them(rig: Rig, docker: DirectDocker) -> None:
    """The user's subnet would be removed together with the one created next to it."""
    options, _, _ = tenant(rig)
    before = rig.state()
    net = docker.network_create([V4, "10.2.0.0/24"], options=options)
    box = docker.run(net, ip="10.2.0.7")
    docker.rm(box)
    gone(rig, docker, before, net)


def test_a_full_subnet_is_followed_by_the_next(rig: Rig, docker: DirectDocker) -> None:
    """Docker does not go on to the second subnet by itself: containers would fail while there are addresses."""
    before = rig.state()
    net = docker.network_create(["10.1.0.0/29", "10.2.0.0/29"])
    boxes = [docker.run(net) for _ in range(8)]
    assert {box.ip.rpartition(".")[0] for box in boxes} == {"10.1.0", "10.2.0"}
    assert len({box.ip for box in boxes}) == 8
    with pytest.raises(PluginError, match="No more IP addresses"):
        docker.run(net)
    for box in boxes:
        docker.rm(box)
    assert rig.neutron.user_ports() == []
    gone(rig, docker, before, net)


def test_docker_networks_add_subnets_to_one_network(rig: Rig, docker: DirectDocker) -> None:
    """Neutron takes subnets of one pool only on a network: the second Docker network would be refused."""
    network = rig.neutron.seed_network(name="bare")
    before = rig.state()
    options = {"neutron.net.name": "bare"}
    nets = [docker.network_create(cidr, options=options) for cidr in (V4, "10.2.0.0/24")]
    for net in nets:
        docker.rm(docker.run(net))
    assert len(rig.neutron.find_subnets(network_id=network.id)) == 2
    gone(rig, docker, before, *nets)


# -- ranges -----------------------------------------------------------------------------------------------------------


def test_a_range_of_a_new_subnet(rig: Rig, docker: DirectDocker) -> None:
    """The subnet would be the range, as with upstream: another netmask, and the gateway out of reach."""
    before = rig.state()
    net = docker.network_create(V4, ip_range=RANGE, gateway="10.1.0.1")
    (subnet,) = rig.neutron.find_subnets()
    assert (subnet.cidr, net.pools[0].cidr) == (V4, V4)
    before_run = len(rig.neutron.calls)
    box = docker.run(net)
    assert len(rig.neutron.calls) - before_run <= 4  # with the once-only look at the extensions
    assert in_range(box.ip)
    assert box.addresses["v4"].endswith("/24")
    outside = docker.run(net, ip="10.1.0.9")
    assert outside.ip == "10.1.0.9"
    for each in (box, outside):
        docker.rm(each)
    gone(rig, docker, before, net)


@pytest.mark.parametrize("lose", [False, True], ids=["journal", "no-journal"])
@pytest.mark.parametrize(("ip_range", "count"), [("10.1.0.9/32", 1), ("10.1.0.8/30", 4), ("10.1.0.252/30", 3)])
def test_a_small_range_of_a_new_subnet_is_all_the_containers(
    rig: Rig, docker: DirectDocker, ip_range: str, count: int, lose: bool
) -> None:
    """Neutron's own port would take an address of the range: of a single one the only one."""
    before = rig.state()
    net = docker.network_create(V4, ip_range=ip_range, gateway="10.1.0.1")
    (network,) = rig.neutron.find_networks()
    own = [ip.ip_address for port in rig.neutron.find_ports(network_id=network.id) for ip in port.fixed_ips]
    assert len(own) == 1
    assert not in_range(own[0], ip_range)
    if lose:
        rig.revive(lose_journal=True)
    boxes = [docker.run(net) for _ in range(count)]
    assert all(in_range(box.ip, ip_range) for box in boxes)
    with pytest.raises(PluginError, match=rf"--ip-range {ip_range} has no free address left"):
        docker.run(net)
    for box in boxes:
        docker.rm(box)
    gone(rig, docker, before, net)


def test_a_quota_is_no_lost_race(rig: Rig, docker: DirectDocker) -> None:
    """Every start would ask for a port five times, and look at all ports of the subnet each time."""
    net = docker.network_create(V4, ip_range=RANGE, gateway="10.1.0.1")
    rig.neutron.fail_next("create_port", NeutronConflict("Quota exceeded for resources: ['port']."))
    before = len(rig.neutron.calls)
    with pytest.raises(PluginError, match="Quota exceeded"):
        docker.run(net)
    assert [name for name, *_ in rig.neutron.calls[before:]].count("create_port") == 1


@pytest.mark.parametrize("subnet", ["10.1.0.0/30", "10.1.0.0/31", "10.1.0.0/32"])
def test_a_subnet_too_small_for_a_container_is_refused(rig: Rig, docker: DirectDocker, subnet: str) -> None:
    """Docker's network would be made, and no container start on it."""
    before = rig.state()
    with pytest.raises(PluginError, match=rf"--subnet={subnet}: has no address for a container: .*; give a larger one"):
        docker.network_create(subnet)
    rig.settle()
    assert rig.state() == before


@pytest.mark.parametrize("lose", [False, True], ids=["journal", "no-journal"])
def test_ranges_of_a_subnet_that_is_there(rig: Rig, docker: DirectDocker, lose: bool) -> None:
    """Each host wants a range of its own on the user's subnet; Neutron would choose from all of it."""
    options, _, _ = tenant(rig)
    before = rig.state()
    ranges = (RANGE, "10.1.0.128/30")
    nets = [docker.network_create(V4, ip_range=each, options=options) for each in ranges]
    if lose:
        rig.revive(lose_journal=True)
    boxes = [[docker.run(net) for _ in range(4)] for net in nets]
    for found, ip_range in zip(boxes, ranges, strict=True):
        assert all(in_range(box.ip, ip_range) for box in found)
    assert len({box.ip for found in boxes for box in found}) == 8
    with pytest.raises(PluginError, match=r"--ip-range 10\.1\.0\.128/30 has no free address left"):
        docker.run(nets[1])
    for found in boxes:
        for box in found:
            docker.rm(box)
    assert rig.neutron.user_ports() == []
    gone(rig, docker, before, *nets)


def test_an_address_that_another_host_takes_at_the_same_moment(rig: Rig, docker: DirectDocker) -> None:
    """Two hosts with one range would make one of two containers fail."""
    options, network, subnet = tenant(rig)
    net = docker.network_create(V4, ip_range=RANGE, options=options)
    taken: list[str] = []

    def take(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.create_port" and not taken:
            (asked,) = arguments[0]["fixed_ips"]
            taken.append(asked["ip_address"])
            rig.neutron.seed_port(network.id, name="theirs", fixed_ips=[asked])

    rig.outside.hook = take
    box = docker.run(net)
    rig.outside.hook = None
    assert in_range(box.ip)
    assert [box.ip] != taken
    assert subnet.id in {ip.subnet_id for port in rig.neutron.user_ports() for ip in port.fixed_ips}


def test_a_range_outside_is_refused(rig: Rig, docker: DirectDocker) -> None:
    """The typing error would end in containers without an address."""
    with pytest.raises(PluginError, match=r"--ip-range=10\.9\.0\.0/26: is not within --subnet 10\.1\.0\.0/24"):
        docker.network_create(V4, ip_range="10.9.0.0/26")
    assert rig.neutron.find_subnetpools() == []


@pytest.mark.parametrize("ip_range", ["10.1.0.1/32", "10.1.0.0/32", "10.1.0.255/32"])
def test_a_range_without_a_free_address_is_refused(rig: Rig, docker: DirectDocker, ip_range: str) -> None:
    """Containers would silently get addresses outside of the range."""
    before = rig.state()
    with pytest.raises(PluginError, match=r"--ip-range=.*: has no address for a container"):
        docker.network_create(V4, ip_range=ip_range, gateway="10.1.0.1")
    rig.settle()
    assert rig.state() == before


def test_a_users_subnet_named_by_the_range(rig: Rig, docker: DirectDocker) -> None:
    """Upstream's documented way to name a subnet that is there would end in Neutron's 'overlaps with another
    subnet'.
    """
    options, _, _ = tenant(rig)
    before = rig.state()
    net = docker.network_create("10.1.0.0/16", ip_range=V4, gateway="10.1.0.254", options=options)
    box = docker.run(net)
    assert in_range(box.ip, V4)
    docker.rm(box)
    gone(rig, docker, before, net)


class UpstreamRange:
    """What upstream makes of ``--subnet 10.1.0.0/24 --ip-range 10.1.0.64/26``: pool and subnet are the range."""

    def __init__(self, rig: Rig) -> None:
        self.docker_id = new_id()
        neutron = rig.neutron
        self.pool = neutron.seed_subnetpool(f"kuryrPool-{RANGE}", RANGE, default_prefixlen=26, project_id=PROJECT)
        tags = [f"kuryr.net.uuid.lh:{self.docker_id[:32]}", f"kuryr.net.uuid.uh:{self.docker_id[32:]}"]
        self.network = neutron.seed_network(name=f"kuryr-net-{self.docker_id[:8]}", tags=tags, project_id=PROJECT)
        neutron.seed_subnet(
            self.network.id,
            RANGE,
            name=f"kuryr-subnet-{RANGE}",
            gateway_ip="10.1.0.65",
            subnetpool_id=self.pool.id,
            tags=[self.pool.id],
            project_id=PROJECT,
        )
        rig.engine.networks.add(self.docker_id)

    @property
    def net(self) -> DockerNetwork:
        return DockerNetwork(self.docker_id, [Pool(self.pool.id, RANGE, "10.1.0.65/26", v6=False)])


def test_a_network_that_upstream_made_with_a_range(rig: Rig, docker: DirectDocker) -> None:
    """After the upgrade its containers could not be started, and it would not be removed."""
    before = rig.state()
    upstream = UpstreamRange(rig)
    box = docker.run(upstream.net)
    assert in_range(box.ip)
    assert (box.addresses["v4"].partition("/")[2], box.gateway) == ("26", "10.1.0.65")
    docker.rm(box)
    gone(rig, docker, before, upstream.net)


def test_joining_a_network_that_upstream_made_with_a_range(rig: Rig, docker: DirectDocker) -> None:
    """A host with the new service could not use the network, for its subnet is not the one of --subnet."""
    upstream = UpstreamRange(rig)
    options = {"neutron.net.uuid": upstream.network.id}
    net = docker.network_create(V4, ip_range=RANGE, gateway="10.1.0.65", options=options)
    box = docker.run(net)
    assert in_range(box.ip)
    docker.rm(box)
    docker.network_rm(net)
    rig.settle()
    (network,) = rig.neutron.find_networks()
    assert network.id == upstream.network.id
    old = docker.run(upstream.net)
    docker.rm(old)
    docker.network_rm(upstream.net)
    rig.settle()
    assert not rig.neutron.find_networks()
    assert not rig.neutron.find_subnetpools()


# -- auxiliary addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", [False, True], ids=["journal", "no-journal"])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_no_container_gets_an_auxiliary_address(rig: Rig, docker: DirectDocker, existing: bool, lose: bool) -> None:
    """--aux-address would fail, as with upstream, or its address be a container's, or be kept for ever."""
    cidr = "10.1.0.0/28"
    options = {}
    if existing:
        network = rig.neutron.seed_network(name="tenant")
        rig.neutron.seed_subnet(network.id, cidr, gateway_ip="10.1.0.14")
        options = {"neutron.net.uuid": network.id}
    before = rig.state()
    net = docker.network_create(cidr, aux={"a": "10.1.0.3", "b": "10.1.0.5"}, options=options)
    if lose:
        rig.revive(lose_journal=True)
    boxes = [docker.run(net) for _ in range(10)]
    assert {"10.1.0.3", "10.1.0.5"}.isdisjoint({box.ip for box in boxes})
    with pytest.raises(PluginError, match="No more IP addresses"):
        docker.run(net)
    if existing or not lose:
        with pytest.raises(PluginError, match=r"10\.1\.0\.3.*(--aux-address|kuryr:aux-address)"):
            docker.run(net, ip="10.1.0.3")
    for box in boxes:
        docker.rm(box)
    gone(rig, docker, before, net)


@pytest.mark.parametrize("lose", [False, True], ids=["journal", "no-journal"])
def test_no_container_gets_an_auxiliary_address_of_its_range(rig: Rig, docker: DirectDocker, lose: bool) -> None:
    """A container would get an address promised to a printer, as we choose the addresses of a range ourselves."""
    before = rig.state()
    aux = {"printer": "10.1.0.65", "outside": "10.1.0.9"}
    net = docker.network_create(V4, ip_range="10.1.0.64/30", gateway="10.1.0.1", aux=aux)
    if lose:
        rig.revive(lose_journal=True)
    boxes = [docker.run(net) for _ in range(3)]
    assert {box.ip for box in boxes} == {"10.1.0.64", "10.1.0.66", "10.1.0.67"}
    with pytest.raises(PluginError, match=r"--ip-range 10\.1\.0\.64/30 has no free address left"):
        docker.run(net)
    with pytest.raises(PluginError, match=r"10\.1\.0\.65.*(--aux-address|kuryr:aux-address)"):
        docker.run(net, ip="10.1.0.65")
    for box in boxes:
        docker.rm(box)
    gone(rig, docker, before, net)


def test_an_auxiliary_address_that_has_a_port_already(rig: Rig, docker: DirectDocker) -> None:
    """The port of the printer, a user's, would be taken, or the network be refused because of it."""
    options, network, subnet = tenant(rig)
    fixed = {"subnet_id": subnet.id, "ip_address": "10.1.0.7"}
    rig.neutron.seed_port(network.id, name="printer", fixed_ips=[fixed])
    before = rig.state()
    net = docker.network_create(V4, aux={"printer": "10.1.0.7"}, options=options)
    assert len(rig.neutron.user_ports()) == 1
    gone(rig, docker, before, net)


@pytest.mark.parametrize(
    ("aux", "words"),
    [("10.9.0.7", "is not in 10.1.0.0/24"), ("10.1.0.1", "is the gateway")],
)
def test_auxiliary_addresses_that_cannot_be(rig: Rig, docker: DirectDocker, aux: str, words: str) -> None:
    """The gateway would be blocked, or an address be promised that the subnet does not have."""
    with pytest.raises(PluginError, match=f"--aux-address={aux}: {words}"):
        docker.network_create(V4, aux={"x": aux})
    rig.settle()
    assert rig.neutron.find_subnetpools() == []


# -- gateways ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gateway", ["10.1.0.0", "10.1.0.255"])
def test_a_gateway_that_cannot_be(rig: Rig, docker: DirectDocker, gateway: str) -> None:
    """The user would read Neutron's own error, which names neither the option nor the reason."""
    with pytest.raises(PluginError, match=rf"--gateway={gateway}: is .* address of 10\.1\.0\.0/24"):
        docker.network_create(V4, gateway=gateway)
    assert rig.neutron.find_subnetpools() == []


def test_the_gateway_of_the_network_that_was_chosen(rig: Rig, docker: DirectDocker) -> None:
    """With several subnets of the CIDR in the cloud Docker would show, and keep, a wrong gateway."""
    options, _, _ = tenant(rig)
    rig.neutron.seed_subnet(rig.neutron.seed_network(name="other").id, V4, gateway_ip="10.1.0.99")
    net = docker.network_create(V4, ipam_options=options)
    assert net.pools[0].gateway == "10.1.0.254/24"
    with pytest.raises(
        PluginError, match=r"--gateway 10\.1\.0\.99 contradicts subnet .* whose gateway is 10\.1\.0\.254"
    ):
        docker.network_create(V4, gateway="10.1.0.99", ipam_options=options)


# -- addresses that Docker does not give back -------------------------------------------------------------------------


@pytest.mark.parametrize("subnet", [V4, None], ids=["dual", "only-v6"])
def test_a_link_local_subnet(rig: Rig, docker: DirectDocker, subnet: str | None) -> None:
    """Each container would leave its port behind, and a user's port stay ours for two minutes."""
    before = rig.state()
    net = docker.network_create(subnet, subnet_v6="fe81::/64", ipv4=subnet is not None)
    box = docker.run(net)
    docker.rm(box)
    assert rig.neutron.user_ports() == []
    assert rig.journal.leases.all() == []
    (six,) = rig.neutron.find_subnets(ip_version="6")
    fixed = [{"subnet_id": each.id} for each in rig.neutron.find_subnets(network_id=six.network_id)]
    port = rig.neutron.seed_port(six.network_id, name="of-the-user", fixed_ips=fixed)
    addresses = {ip.subnet_id: ip.ip_address for ip in port.fixed_ips}
    ip = next((address for of, address in addresses.items() if of != six.id), "")
    box = docker.run(net, ip=ip, ip6=addresses[six.id])
    docker.rm(box)
    (after,) = rig.neutron.user_ports()
    assert (after.id, after.host_id, after.device_id) == (port.id, "", "")
    rig.neutron.delete_port(port.id)
    gone(rig, docker, before, net)
