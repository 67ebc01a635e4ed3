# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Security groups, QoS, port security and DNS domain of containers, by network and by container; and a port by its
UUID.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import LinkError, NeutronUnavailable
from kuryr_libnetwork.model.neutron import Port
from tests.conversation.stories.test_stories import at_most
from tests.world.dockerside import Container, Docker, DockerNetwork, PluginError
from tests.world.plugin import Plugin
from tests.world.rig import DirectDocker, Rig

GROUPS, QOS, SECURITY, DOMAIN, PORT = (
    f"neutron.{key}" for key in ("security_groups", "qos_policy", "port_security", "dns_domain", "port.uuid")
)
NOWHERE = "11111111-2222-4333-8444-555555555555"


class World:
    """Two groups and a policy of the user's, and what he does with them."""

    def __init__(self, plugin: Plugin, docker: Docker) -> None:
        self.plugin, self.docker, self.neutron = plugin, docker, plugin.neutron
        self.web = self.neutron.create_security_group({"name": "web"}).id
        self.db = self.neutron.create_security_group({"name": "db"}).id
        self.gold = self.neutron.seed_qos_policy("gold").id
        self.default = self.neutron.store.default_group
        self.neutron.extensions()

    def network(self, **options: str) -> DockerNetwork:
        return self.docker.network_create(options=named(options))

    def run(self, network: DockerNetwork, ip: str = "", **options: str) -> Container:
        return self.docker.run(network, ip=ip, options=named(options))

    def port(self, box: Container) -> Port:
        return self.neutron.find_ports(device_id=box.endpoint_id)[0]

    def end(self, network: DockerNetwork, *boxes: Container) -> None:
        for box in boxes:
            self.docker.rm(box)
        self.docker.network_rm(network)
        self.plugin.nothing_left()


def named(options: dict[str, str]) -> dict[str, str]:
    keys = {"groups": GROUPS, "qos": QOS, "security": SECURITY, "domain": DOMAIN, "port": PORT}
    return {keys.get(key, key): value for key, value in options.items()}


@pytest.fixture
def world(plugin: Plugin) -> World:
    docker = plugin.docker()
    docker.activate()
    return World(plugin, docker)


def said(port: Port) -> tuple[Any, ...]:
    return set(port.security_groups), port.qos_policy_id, port.port_security_enabled, port.dns_domain


# -- by network ----------------------------------------------------------------------------------------------------


def test_containers_are_as_their_network_says(world: World) -> None:
    """Containers would get the default group and no QoS, whatever the network was made with."""
    with at_most(world.plugin, 7 + 1 + 2):  # one to remember it, two to look for what is named
        net = world.network(groups="web,db", qos="gold", domain="example.org")
    with at_most(world.plugin, 2):
        box = world.run(net)
    assert said(world.port(box)) == ({world.web, world.db}, world.gold, True, "example.org.")
    with at_most(world.plugin, 1):
        world.docker.rm(box)
    with at_most(world.plugin, 4):
        world.docker.network_rm(net)
    world.plugin.nothing_left()


@pytest.mark.parametrize("options", [{"security": "false"}, {"security": "no", "groups": "none"}])
def test_no_port_security(world: World, options: dict[str, str]) -> None:
    """A router or a load balancer in a container could not send with addresses of others."""
    net = world.network(**options)
    box = world.run(net)
    assert said(world.port(box))[::2] == (set(), False)
    world.end(net, box)


def test_no_groups(world: World) -> None:
    """A container that nobody is to reach would get the default group."""
    net = world.network(groups="none")
    box = world.run(net)
    assert said(world.port(box)) == (set(), None, True, None)
    world.end(net, box)


def test_a_port_made_beforehand_is_as_its_owner_made_it(world: World) -> None:
    """The network's options would change the user's own port, which he has not asked for."""
    network = world.neutron.seed_network(name="tenant")
    subnet = world.neutron.seed_subnet(network.id, "10.5.0.0/24")
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.5.0.9"}]
    mine = world.neutron.seed_port(network.id, fixed_ips=fixed, security_groups=[world.db])
    options = named({"groups": "web", "qos": "gold", "neutron.net.uuid": network.id})
    net = world.docker.network_create("10.5.0.0/24", options=options)
    box = world.run(net, ip="10.5.0.9")
    assert said(world.port(box)) == said(mine)
    world.end(net, box)


@pytest.mark.parametrize("shared", [False, True], ids=["", "network-shared"])
def test_the_network_is_remembered_without_the_journal(world: World, shared: bool) -> None:
    """After the journal was lost new containers would get the default group: open where they were closed."""
    network = world.neutron.seed_network(name="tenant")
    world.neutron.seed_subnet(network.id, "10.5.0.0/24")
    before = world.neutron.find_networks(id=network.id)
    more = {"neutron.net.uuid": network.id}
    nets = [world.docker.network_create("10.5.0.0/24", options=named({"groups": "db", "qos": "gold"} | more))]
    if shared:
        nets.append(world.docker.network_create("10.5.0.0/24", options=named({"groups": "none"} | more)))
    world.plugin.restart(lose_journal=True)
    boxes = [world.run(net) for net in nets]
    assert said(world.port(boxes[0])) == ({world.db}, world.gold, True, None)
    if shared:
        assert said(world.port(boxes[1]))[0] == set()
    for box in boxes:
        world.docker.rm(box)
    for net in nets:
        world.docker.network_rm(net)
    for _ in range(3):  # if two leave at the same time, neither knows that it is the last
        world.plugin.services.reconciler.round()
        world.plugin.now += 121
    world.plugin.nothing_left()
    assert world.neutron.find_subnetpools() == []
    assert world.neutron.find_networks(id=network.id) == before


# -- by container --------------------------------------------------------------------------------------------------


def test_a_containers_own_word_counts_first(world: World) -> None:
    """A container would get its network's groups, although it names others."""
    net = world.network(groups="web", qos="gold", domain="example.org")
    with at_most(world.plugin, 2):
        one = world.run(net, groups=world.db, qos="none", domain="none")
    assert said(world.port(one)) == ({world.db}, None, True, "")
    with at_most(world.plugin, 3):
        two = world.run(net, groups="db,web")
    assert said(world.port(two)) == ({world.db, world.web}, world.gold, True, "example.org.")
    three = world.run(net, security="false")
    assert said(world.port(three)) == (set(), world.gold, False, "example.org.")
    world.end(net, one, two, three)


def test_exposed_ports_come_on_top(world: World) -> None:
    """Either the container's groups or its exposed ports would be lost."""
    net = world.network()
    box = world.docker.run(net, expose=[(6, 80)], options={GROUPS: "db"})
    port = world.port(box)
    assert len(port.security_groups) == 2
    assert world.db in port.security_groups
    world.end(net, box)
    assert {group.name for group in world.neutron.find_security_groups()} == {"default", "web", "db"}


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
@pytest.mark.parametrize("expose", [[], [(6, 80)]], ids=["", "exposed"])
def test_a_port_made_beforehand_is_changed_and_put_back(
    world: World, lost: bool, expose: list[tuple[int, int]]
) -> None:
    """The user's port would keep the settings of one container."""
    world.neutron.policy.role = "admin"  # for the QoS policy of a port of another project
    network = world.neutron.seed_network(name="tenant")
    subnet = world.neutron.seed_subnet(network.id, "10.5.0.0/24")
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.5.0.9"}]
    attributes = {"security_groups": [world.db], "qos_policy_id": world.gold, "dns_domain": "example.org."}
    mine = world.neutron.seed_port(network.id, fixed_ips=fixed, tags=["keep"], **attributes)
    net = world.docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    options = named({"groups": "web", "qos": "none", "domain": "other.org", "port": mine.id})
    box = world.docker.run(net, ip="10.5.0.9", options=options, expose=expose)
    groups, policy, secured, domain = said(world.port(box))
    assert (policy, secured, domain, len(groups)) == (None, True, "other.org.", 1 + len(expose))
    assert world.web in groups
    if lost:
        world.plugin.restart(lose_journal=True)
    world.docker.rm(box)
    (now,) = world.neutron.find_ports(id=mine.id)
    assert msgspec.structs.replace(now, revision_number=mine.revision_number) == mine
    world.end(net)


def test_only_admin_may_choose_the_policy_of_a_port_of_another_project(world: World) -> None:
    """The user would read about Neutron's policy rules, and not which option he has to leave out."""
    network = world.neutron.seed_network(name="tenant")
    subnet = world.neutron.seed_subnet(network.id, "10.5.0.0/24")
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.5.0.9"}]
    mine = world.neutron.seed_port(network.id, fixed_ips=fixed)
    net = world.docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    with pytest.raises(PluginError, match=r"option neutron\.qos_policy=.*another project, and only the role admin"):
        world.run(net, ip="10.5.0.9", qos=world.gold)
    assert world.neutron.port(mine.id) == msgspec.structs.replace(mine, revision_number=mine.revision_number)
    box = world.run(net, qos=world.gold)  # a port that the service makes itself is its own
    assert said(world.port(box))[1] == world.gold
    world.end(net, box)


def test_without_port_security_for_one_container(world: World) -> None:
    """Neutron refuses to switch it off while there are groups, and to have groups while it is off."""
    network = world.neutron.seed_network(name="tenant")
    subnet = world.neutron.seed_subnet(network.id, "10.5.0.0/24")
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.5.0.9"}]
    mine = world.neutron.seed_port(network.id, fixed_ips=fixed, security_groups=[world.db])
    net = world.docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    box = world.run(net, ip="10.5.0.9", security="false")
    assert said(world.port(box))[::2] == (set(), False)
    world.docker.rm(box)
    (now,) = world.neutron.find_ports(id=mine.id)
    assert said(now) == said(mine)
    world.end(net)


def test_a_second_attempt_does_not_inherit_from_the_first(world: World) -> None:
    """A container would get the groups that another one, which failed to start, had asked for."""
    net = world.network()
    world.plugin.links.fail_next("create_veth", LinkError("no buffer space"))
    world.neutron.fail_next("delete_port", NeutronUnavailable("no answer"))
    with pytest.raises(PluginError, match="no buffer space"):
        world.run(net, ip="10.1.0.77", groups="db")
    (left,) = world.neutron.user_ports()
    assert left.security_groups == (world.db,)
    box = world.run(net, ip="10.1.0.77")
    assert said(world.port(box))[0] == {world.default}
    world.end(net, box)


# -- a port by its UUID --------------------------------------------------------------------------------------------


def test_a_port_by_its_uuid(world: World) -> None:
    """The container would get another port than the one that was named for it."""
    network = world.neutron.seed_network(name="tenant")
    subnet = world.neutron.seed_subnet(network.id, "10.5.0.0/24")
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.5.0.9"}]
    mine = world.neutron.seed_port(network.id, fixed_ips=fixed)
    net = world.docker.network_create("10.5.0.0/24", options={"neutron.net.uuid": network.id})
    with at_most(world.plugin, 4):
        box = world.run(net, ip="10.5.0.9", port=mine.id.upper())
    assert world.port(box).id == mine.id
    world.docker.rm(box)
    for ip in ("", "10.5.0.77"):
        with pytest.raises(PluginError, match=r"Docker has chosen address .* add --ip 10\.5\.0\.9$"):
            world.run(net, ip=ip, port=mine.id)
    with pytest.raises(PluginError, match="has no address here, or does not exist"):
        world.run(net, port=NOWHERE)
    assert [port.id for port in world.neutron.user_ports()] == [mine.id]
    world.end(net)


# -- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "web,nobody"}, "option neutron.security_groups=nobody: no such security group"),
        ({"groups": NOWHERE}, "no such security group"),
        ({"groups": "twin"}, "Neutron has 2 of this name .*; give the id of the security group"),
        ({"qos": "bronze"}, "option neutron.qos_policy=bronze: no such QoS policy"),
        ({"qos": NOWHERE}, "no such QoS policy"),
        ({"security": "false", "groups": "web"}, "contradicts neutron.port_security=false"),
        ({"domain": "a b"}, "must be a DNS domain"),
        ({"port": NOWHERE}, "is for one container"),
    ],
)
def test_what_a_network_cannot_ask_for(world: World, options: dict[str, str], message: str) -> None:
    """Half a network would be made, or its containers be open to everybody."""
    for _ in range(2):
        world.neutron.create_security_group({"name": "twin"})
    with pytest.raises(PluginError, match=message):
        world.network(**options)
    world.plugin.nothing_left()
    assert world.neutron.find_networks() == []
    assert world.neutron.find_subnetpools() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "nobody"}, "option neutron.security_groups=nobody: no such security group"),
        ({"groups": NOWHERE}, f"option neutron.security_groups={NOWHERE}: no such security group"),
        ({"qos": NOWHERE}, f"option neutron.qos_policy={NOWHERE}: no such QoS policy"),
        ({"port": "x"}, "must be the UUID of a Neutron port"),
        ({"groups": "web"}, "the port has no port security, by its network or by its owner; add neutron.port_security"),
        ({"security": "true"}, "the port has no security groups, nobody could reach it; add neutron.security_groups"),
    ],
)
def test_what_a_container_cannot_ask_for(world: World, options: dict[str, str], message: str) -> None:
    """A container would start that is open to everybody or to nobody, or leave a port behind."""
    closed = "security" in options or options.get("groups") == "web"
    net = world.network(**({"security": "false"} if closed else {}))
    with pytest.raises(PluginError, match=message):
        world.run(net, **options)
    assert world.neutron.user_ports() == []
    world.end(net)


def test_a_domain_that_neutron_ignores(world: World) -> None:
    """Neutron lists the extension even if it drops the domain: the names would never be published."""
    world.neutron.store.stores_dns_domain = False
    net = world.network(domain="example.org")
    for options in ({}, {"domain": "other.org"}):
        with pytest.raises(PluginError, match="Neutron ignored it; ML2 needs the extension driver dns_domain_ports"):
            world.run(net, **options)
    assert world.neutron.user_ports() == []
    world.end(net)


@pytest.mark.parametrize("key", [GROUPS, QOS, SECURITY, DOMAIN])
def test_an_option_with_ipam_opt_is_sent_to_the_other_place(world: World, key: str) -> None:
    """The option would be accepted without having any effect."""
    with pytest.raises(PluginError, match="give it with -o, not with --ipam-opt"):
        world.docker.network_create(ipam_options={key: "true"})
    world.plugin.nothing_left()


def test_options_of_a_second_network_on_a_subnet_outlive_a_lost_journal() -> None:
    """Its new containers would have other security groups than its first ones: the pool's tags were replaced."""
    rig = Rig()
    docker = DirectDocker(rig)
    docker.network_create("10.1.0.0/24")
    (network,) = rig.neutron.find_networks()
    docker.network_create("10.1.0.0/24", options={GROUPS: "none", "neutron.net.uuid": network.id})
    rig.revive(lose_journal=True)
    rig.services.reconciler.round()
    assert {each.ports.security_groups for each in rig.journal.networks.all()} == {None, ()}
