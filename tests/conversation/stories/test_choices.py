# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron networks, subnets and pools that the user chooses: all of upstream's keys, in either place."""

from __future__ import annotations

from functools import partial

import pytest

from tests.fakes.neutron import PROJECT
from tests.world.dockerside import DockerNetwork, PluginError, Pool
from tests.world.rig import DirectDocker, Rig
from tests.world.threads import at_once, interleaved

CIDR, V6 = "10.1.0.0/24", "fd00:1::/64"
UNUSED = "11111111-2222-3333-4444-555555555555"


class World:
    """A user's networks ``a`` and ``b``, both with the same CIDR, and a pool that is larger than it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.docker = DirectDocker(rig)
        neutron = self.neutron = rig.neutron
        self.a, self.b = neutron.seed_network(name="a"), neutron.seed_network(name="b", shared=True)
        self.subnets = {
            net.id: neutron.seed_subnet(net.id, CIDR, name=f"subnet-{net.name}", gateway_ip="10.1.0.254")
            for net in (self.a, self.b)
        }
        self.six = neutron.seed_subnet(self.a.id, V6, name="six", gateway_ip="fd00:1::ff")
        self.wide = neutron.seed_subnetpool("wide", "10.64.0.0/16", default_prefixlen=24, shared=True)
        self.wide6 = neutron.seed_subnetpool("wide6", "fd64::/48", default_prefixlen=64, shared=True)
        self.values = {
            "neutron.net.uuid": self.a.id,
            "neutron.net.name": "a",
            "neutron.subnet.uuid": self.subnets[self.a.id].id,
            "neutron.subnet.name": "subnet-a",
            "neutron.subnet.v6.uuid": self.six.id,
            "neutron.subnet.v6.name": "six",
        }
        self.before = rig.state()

    def net_of(self, docker_network: DockerNetwork) -> str:
        record = self.rig.journal.networks.get(docker_network.network_id)
        assert record is not None
        return record.neutron_id

    def all_gone(self, *networks: DockerNetwork) -> None:
        for network in networks:
            self.docker.network_rm(network)
        self.rig.settle()
        assert self.rig.state() == self.before


@pytest.fixture
def world() -> World:
    return World(Rig(role="admin"))


@pytest.mark.parametrize("place", ["-o", "--ipam-opt", "both"])
@pytest.mark.parametrize(
    "key", ["net.uuid", "net.name", "subnet.uuid", "subnet.name", "subnet.v6.uuid", "subnet.v6.name"]
)
def test_each_key_alone_in_either_place(world: World, key: str, place: str) -> None:
    """Upstream wants most keys twice; here a key given once would be ignored, and the container land elsewhere."""
    chosen = {f"neutron.{key}": world.values[f"neutron.{key}"]}
    options, ipam = ({} if place == "--ipam-opt" else chosen), ({} if place == "-o" else chosen)
    net = world.docker.network_create(CIDR, subnet_v6=V6, options=options, ipam_options=ipam)
    assert world.net_of(net) == world.a.id
    box = world.docker.run(net)
    (port,) = world.neutron.user_ports()
    assert port.network_id == world.a.id
    assert {ip.subnet_id for ip in port.fixed_ips} == {world.subnets[world.a.id].id, world.six.id}
    assert (box.gateway, box.gateway_v6) == ("10.1.0.254", "fd00:1::ff")
    world.docker.rm(box)
    world.all_gone(net)


@pytest.mark.parametrize("place", ["-o", "--ipam-opt"])
@pytest.mark.parametrize("by", ["uuid", "name"])
def test_a_pool_gives_the_subnet(world: World, place: str, by: str) -> None:
    """The subnet would come from a pool that the user did not choose, with other address scopes."""
    four = {"uuid": world.wide.id, "name": "wide"}[by]
    six = {"uuid": world.wide6.id, "name": "wide6"}[by]
    chosen = {f"neutron.pool.{by}": four, f"neutron.pool.v6.{by}": six}
    options, ipam = ({} if place == "--ipam-opt" else chosen), ({} if place == "-o" else chosen)
    net = world.docker.network_create("10.64.9.0/24", subnet_v6="fd64:0:0:7::/64", options=options, ipam_options=ipam)
    found = {s.cidr: s.subnetpool_id for s in world.neutron.find_subnets(network_id=world.net_of(net))}
    assert found == {"10.64.9.0/24": world.wide.id, "fd64:0:0:7::/64": world.wide6.id}
    box = world.docker.run(net)
    world.docker.rm(box)
    world.all_gone(net)


def test_several_networks_of_one_pool(world: World) -> None:
    """A pool could be used by one Docker network only, or would go with the first of them."""
    chosen = {"neutron.pool.name": "wide"}
    nets = [world.docker.network_create(cidr, ipam_options=chosen) for cidr in ("10.64.1.0/24", None, None)]
    assert [net.pools[0].cidr for net in nets] == ["10.64.1.0/24", "10.64.0.0/24", "10.64.2.0/24"]
    for net in nets:
        world.docker.rm(world.docker.run(net))
    world.docker.network_rm(nets[1])
    again = world.docker.network_create(None, ipam_options=chosen)
    assert again.pools[0].cidr == "10.64.0.0/24"
    world.all_gone(nets[0], nets[2], again)


def test_one_cidr_on_two_networks(world: World) -> None:
    """Containers of one Docker network would get addresses of the other one's Neutron network, and receive nothing."""
    nets = [world.docker.network_create(CIDR, options={"neutron.net.uuid": net.id}) for net in (world.a, world.b)]
    new = world.docker.network_create(CIDR)
    assert len({net.pools[0].pool_id for net in (*nets, new)}) == 3
    for lose in (False, True):
        boxes = {}
        for net in (*nets, new):
            box = boxes[net.network_id] = world.docker.run(net, ip="10.1.0.9" if lose else "")
            (port,) = [port for port in world.neutron.user_ports() if port.device_id == box.endpoint_id]
            assert port.network_id == world.net_of(net)
            if lose:
                world.rig.revive(lose_journal=True)
        for box in boxes.values():
            world.docker.rm(box)
        assert world.neutron.user_ports() == []
    world.all_gone(*nets, new)


def test_two_requests_at_a_time_keep_their_pools(world: World) -> None:
    """CreateNetwork names only the CIDR: two creations at once would get each other's pool."""
    requests = {"Pool": CIDR, "SubPool": "", "Options": None, "V6": False, "AddressSpace": ""}
    first = world.docker.client.call("IpamDriver.RequestPool", requests)["PoolID"]
    world.rig.now += 60
    net = world.docker.network_create(CIDR)
    (record,) = world.rig.journal.networks.all()
    assert record.pools == (net.pools[0].pool_id,) != (first,)


def test_networks_of_one_cidr_made_at_once(world: World) -> None:
    """Each would get another one's pool, and its containers addresses of another Neutron network."""
    nets = [world.neutron.seed_network(name=f"n{number}").id for number in range(6)]
    before = world.rig.state()
    with interleaved(world.rig.outside):
        works = [
            partial(DirectDocker(world.rig).network_create, CIDR, options={"neutron.net.uuid": net}) for net in nets
        ]
        made = [call.result() for call in at_once(works)]
    for net, network_id in zip(made, nets, strict=True):
        box = world.docker.run(net)
        (port,) = world.neutron.user_ports()
        assert port.network_id == network_id
        world.docker.rm(box)
        world.docker.network_rm(net)
    world.rig.settle()
    assert world.rig.state() == before


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_network_that_the_engine_makes_again(world: World, existing: bool) -> None:
    """Swarm's networks would take no containers after a restart of the engine: their pools are requested anew."""
    options = {"neutron.net.name": "a"} if existing else {}
    net = world.docker.network_create(CIDR, options=options)
    old = world.docker.run(net)
    call = world.docker.client.call
    pool_id = call("IpamDriver.RequestPool", {"Pool": CIDR, "SubPool": "", "Options": None, "V6": False})["PoolID"]
    asked = {"PoolID": pool_id, "Address": "", "Options": {"RequestAddressType": "com.docker.network.gateway"}}
    gateway = call("IpamDriver.RequestAddress", asked)["Address"]
    data = {"AddressSpace": "no_address_space", "Pool": CIDR, "Gateway": gateway}
    shown = {
        "com.docker.network.generic": options,
        "com.docker.network.enable_ipv6": False,
        "com.docker.network.enable_ipv4": True,
    }
    request = {"NetworkID": net.network_id, "Options": shown, "IPv4Data": [data], "IPv6Data": []}
    call("NetworkDriver.CreateNetwork", request)
    again = DockerNetwork(net.network_id, [Pool(pool_id, CIDR, gateway, v6=False)])
    boxes = [world.docker.run(each) for each in (again, net)]
    world.rig.revive(lose_journal=True)
    boxes.append(world.docker.run(again))
    for box in (*boxes, old):
        world.docker.rm(box)
    assert world.neutron.user_ports() == []
    world.docker.network_rm(net)
    world.all_gone(again)


def test_without_subnet_the_chosen_subnet_is_taken(world: World) -> None:
    """--ipam-opt neutron.subnet.uuid would be ignored, as upstream does without --subnet."""
    for chosen in ({"neutron.subnet.name": "subnet-b"}, {"neutron.net.name": "b"}):
        net = world.docker.network_create(None, ipam_options=chosen)
        assert (net.pools[0].cidr, net.pools[0].gateway) == (CIDR, "10.1.0.254/24")
        assert world.net_of(net) == world.b.id
        world.all_gone(net)
    world.neutron.seed_subnet(world.b.id, "10.2.0.0/24")
    with pytest.raises(PluginError, match=r"has 2 subnets \(10\.1\.0\.0/24, 10\.2\.0\.0/24\); give --subnet"):
        world.docker.network_create(None, ipam_options={"neutron.net.name": "b"})


def test_docker_does_not_ask_for_a_chosen_subnet_for_ever(world: World) -> None:
    """Without --subnet Docker asks again while the answer overlaps a route of the host."""
    request = {"Pool": "", "SubPool": "", "Options": {"neutron.subnet.name": "subnet-a"}, "V6": False}
    world.docker.client.call("IpamDriver.RequestPool", request)
    with pytest.raises(PluginError, match=r"overlaps a route of this host.* give --subnet=10\.1\.0\.0/24"):
        world.docker.client.call("IpamDriver.RequestPool", request)


def test_shared_is_passed_on(world: World) -> None:
    """A network that the user wants to share would be private, or Docker's own pool would be shared, too."""
    net = world.docker.network_create("10.3.0.0/24", ipam_options={"neutron.net.shared": "True"})
    (network,) = world.neutron.find_networks(id=world.net_of(net))
    (pool,) = world.neutron.find_subnetpools(id=net.pools[0].pool_id)
    assert (network.shared, pool.shared) == (True, False)
    world.all_gone(net)


REFUSALS = [
    ({"neutron.subnet.uuid": UNUSED}, "neutron.subnet.uuid=.*: no such subnet in Neutron"),
    ({"neutron.subnet.name": "nowhere"}, "neutron.subnet.name=nowhere: no such subnet"),
    ({"neutron.subnet.uuid": "x"}, "neutron.subnet.uuid=x: must be the UUID of a Neutron subnet"),
    ({"neutron.pool.uuid": UNUSED}, "neutron.pool.uuid=.*: no such subnetpool"),
    ({"neutron.pool.name": "nowhere"}, "neutron.pool.name=nowhere: no such subnetpool"),
    ({"neutron.pool.name": "wide"}, "the subnetpool holds 10.64.0.0/16, and not 10.1.0.0/24"),
    ({"neutron.pool.name": "wide6"}, "is an IPv6 subnetpool"),
    ({"neutron.pool.name": "twice"}, r"2 subnetpools have this name \(.*\); use neutron\.pool\.uuid"),
    ({"neutron.subnet.name": "six"}, "is an IPv6 subnet"),
    ({"neutron.net.name": "a", "neutron.subnet.name": "subnet-b"}, "no such subnet"),
    ({"neutron.net.name": "b", "neutron.subnet.uuid": "SUBNET-A"}, "is not in Neutron network"),
    ({"neutron.net.name": "a", "neutron.net.shared": "true"}, "neutron.net.shared=true: network .* has shared=False"),
    ({"neutron.net.shared": "no", "neutron.subnet.name": "subnet-b"}, "has shared=True"),
    ({"neutron.subnet.name": "other"}, "CIDR is 10.2.0.0/24, Docker's is 10.1.0.0/24"),
    ({"neutron.net.nmae": "a"}, "neutron.net.nmae=a: no such option"),
]


@pytest.mark.parametrize("place", ["-o", "--ipam-opt"])
@pytest.mark.parametrize(("options", "words"), REFUSALS)
def test_what_cannot_be_is_refused_by_name(world: World, options: dict[str, str], words: str, place: str) -> None:
    """A wrong choice would create networks that nobody wants, or half of one; the error must name the option."""
    neutron = world.neutron
    neutron.seed_subnet(world.b.id, "10.2.0.0/24", name="other")
    for _ in range(2):
        neutron.seed_subnetpool("twice", "10.0.0.0/8", shared=True)
    before = world.rig.state()
    chosen = {key: world.subnets[world.a.id].id if value == "SUBNET-A" else value for key, value in options.items()}
    made = len(neutron.called("create_network", "create_subnet", "add_tags"))
    given = {"options": chosen} if place == "-o" else {"ipam_options": chosen}
    with pytest.raises(PluginError, match=words) as caught:
        world.docker.network_create(CIDR, **given)
    assert "\n" not in caught.value.message
    assert len(neutron.called("create_network", "create_subnet", "add_tags")) == made
    assert world.rig.state() == before


@pytest.mark.parametrize(
    ("options", "ipam", "words"),
    [
        ({"neutron.net.name": "a"}, {"neutron.net.name": "b"}, "neutron.net.name=a: contradicts --ipam-opt .*=b"),
        ({"neutron.net.shared": "yes"}, {"neutron.net.shared": "0"}, "contradicts --ipam-opt"),
        ({"neutron.subnet.v6.name": "six"}, {}, "the Docker network has no IPv6: add --ipv6"),
        ({"neutron.pool.v6.name": "wide6"}, {}, "the Docker network has no IPv6: add --ipv6"),
        ({}, {"kuryr.vnic_type": "direct"}, "give it with -o, not with --ipam-opt"),
    ],
)
def test_contradictions_are_refused(world: World, options: dict[str, str], ipam: dict[str, str], words: str) -> None:
    """One of two contradicting options would win by accident."""
    with pytest.raises(PluginError, match=words):
        world.docker.network_create(CIDR, options=options, ipam_options=ipam)
    world.all_gone()


def test_subnets_of_two_networks_are_refused(world: World) -> None:
    """A dual-stack port cannot be on two networks."""
    other = world.neutron.seed_subnet(world.b.id, "fd00:2::/64", name="six-b")
    options = {"neutron.subnet.name": "subnet-a", "neutron.subnet.v6.uuid": other.id}
    with pytest.raises(PluginError, match=f"neutron.subnet.v6.uuid=.*: is not in Neutron network {world.a.id}"):
        world.docker.network_create(CIDR, subnet_v6="fd00:2::/64", options=options)


def test_a_pool_beside_subnets_of_another_is_refused(world: World) -> None:
    """A Neutron network takes subnets of one pool only; Neutron's own error does not say what to do."""
    options = {"neutron.net.name": "a", "neutron.pool.name": "wide"}
    with pytest.raises(PluginError, match=r"IPv4 subnets of no subnetpool.*give --subnet=10\.1\.0\.0/24"):
        world.docker.network_create("10.64.0.0/24", options=options)
    world.rig.settle()
    assert world.rig.state() == world.before


def test_only_in_the_network_options_without_a_subnet(world: World) -> None:
    """Docker requests the pool before it sends -o: the user must be told that the pool is another one."""
    world.neutron.seed_subnetpool("kuryr", "10.77.0.0/24", project_id=PROJECT)
    with pytest.raises(PluginError, match=r"CIDR is 10\.1\.0\.0/24, Docker's is 10\.77\.0\.0/24.*as --ipam-opt"):
        world.docker.network_create(None, options={"neutron.subnet.name": "subnet-a"})


def test_the_operators_pool_serves_many_networks(world: World) -> None:
    """The first network without --subnet would take the whole default pool, as with upstream."""
    pool = world.neutron.seed_subnetpool("kuryr", "10.77.0.0/23", default_prefixlen=24, project_id=PROJECT)
    before = world.rig.state()
    nets = [world.docker.network_create(None) for _ in range(2)]
    assert [net.pools[0].cidr for net in nets] == ["10.77.0.0/24", "10.77.1.0/24"]
    with pytest.raises(PluginError, match="has no free prefix left; give --subnet"):
        world.docker.network_create(None)
    found = world.neutron.find_subnets(subnetpool_id=pool.id)
    assert {subnet.gateway_ip for subnet in found} == {"10.77.0.1", "10.77.1.1"}
    for net in nets:
        world.docker.rm(world.docker.run(net))
        world.docker.network_rm(net)
    world.rig.settle()
    assert world.rig.state() == before


@pytest.mark.parametrize("chosen", ["default", "subnet", "pool"])
def test_ipv6_alone_without_a_subnet(world: World, chosen: str) -> None:
    """On networks without IPv4 (Docker 28 and later) the IPv6 default pool and IPv6 choices would be ignored."""
    world.neutron.seed_subnetpool("kuryr6", "fd77::/48", default_prefixlen=64, project_id=PROJECT)
    before = world.rig.state()
    options = {"subnet": {"neutron.subnet.v6.name": "six"}, "pool": {"neutron.pool.v6.name": "wide6"}}.get(chosen, {})
    net = world.docker.network_create(ipv4=False, subnet_v6="", ipam_options=options)
    box = world.docker.run(net)
    expected = {"default": "fd77::", "subnet": "fd00:1::", "pool": "fd64::"}[chosen]
    assert (net.pools[0].cidr, box.ip, box.gateway) == (f"{expected}/64", "", "")
    assert box.ip6.startswith(expected)
    world.docker.rm(box)
    world.docker.network_rm(net)
    world.rig.settle()
    assert world.rig.state() == before


def test_docker_does_not_ask_the_default_pool_for_ever(world: World) -> None:
    """Engines before 27 ask again, holding what they got, while the answer overlaps a route of the host."""
    world.neutron.seed_subnetpool("kuryr", "10.0.0.0/8", default_prefixlen=24, project_id=PROJECT)
    request = {"Pool": "", "SubPool": "", "Options": None, "V6": False}
    given = {world.docker.client.call("IpamDriver.RequestPool", request)["Pool"] for _ in range(16)}
    assert len(given) == 16
    with pytest.raises(PluginError, match="each overlaps a route of this host; give --subnet"):
        world.docker.client.call("IpamDriver.RequestPool", request)


@pytest.mark.parametrize("key", ["neutron.net.uuid", "neutron.subnet.uuid"])
def test_a_network_that_is_set_down(world: World, key: str) -> None:
    """Its containers would start without an error, and reach nobody."""
    world.neutron.store.get("networks", world.a.id)["admin_state_up"] = False
    before = world.rig.state()
    with pytest.raises(PluginError, match=rf"network {world.a.id} is set down .*set --enable"):
        world.docker.network_create(CIDR, options={key: world.values[key]})
    world.rig.settle()
    assert world.rig.state() == before


def test_subnets_that_the_service_is_not_shown() -> None:
    """Where the role service does not see other projects' subnets (release 24), the user would read that there are
    none.
    """
    rig = Rig()
    network = rig.neutron.seed_network(name="tenants")
    rig.neutron.seed_subnet(network.id, CIDR)
    rig.neutron.policy.hides_subnets = True
    before = rig.state()
    with pytest.raises(PluginError, match=r"shows the service's user 0 of its 1 subnets; give the user the role admin"):
        DirectDocker(rig).network_create(CIDR, options={"neutron.net.uuid": network.id})
    rig.settle()
    assert rig.state() == before
