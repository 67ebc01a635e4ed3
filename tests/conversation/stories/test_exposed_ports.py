# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ``--expose`` and ``-p`` do: an additional security group on the container's port, and a line in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kuryr_libnetwork.calls import count_calls
from kuryr_libnetwork.errors import NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.model.neutron import Port
from tests.fakes.neutron import DEFAULT_EXTENSIONS
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.rig import DirectDocker, Rig

TCP, UDP, SCTP = 6, 17, 132
WEB = [(TCP, 80), (TCP, 81), (TCP, 443), (UDP, 53), (SCTP, 9)]
MINE = "10.1.0.99"


class World:
    """One host, its engine, and the user's own network with one port on it."""

    def __init__(self, version: int = 28, **cloud: Any) -> None:
        self.rig = Rig(**cloud)
        self.docker = DirectDocker(self.rig, version)
        self.docker.activate()
        neutron = self.rig.neutron
        self.group = neutron.create_security_group({"name": "of the user"})
        self.tenant = neutron.seed_network()
        subnet = neutron.seed_subnet(self.tenant.id, "10.1.0.0/24", gateway_ip="10.1.0.254")
        fixed = {"subnet_id": subnet.id, "ip_address": MINE}
        self.mine = neutron.seed_port(self.tenant.id, fixed_ips=[fixed], security_groups=[self.group.id])

    def network(self, name: str = "") -> DockerNetwork:
        return self.docker.network_create(name=name)

    def existing(self) -> DockerNetwork:
        return self.docker.network_create(options={"neutron.net.uuid": self.tenant.id})

    def port(self, box: Container) -> Port:
        (port,) = [port for port in self.rig.neutron.user_ports() if port.device_id == box.endpoint_id]
        return port

    def opened(self, port: Port) -> set[tuple[str, str, int, int]]:
        """What the group that was made for the port lets in, from anywhere."""
        (group,) = [each for each in self.made() if each["id"] in port.security_groups]
        assert group["name"] == f"{port.id}-exposed_ports"
        assert group["description"] == "Docker exposed ports created by Kuryr."
        rules = self.rig.neutron.store.all("security_group_rules")
        mine = [rule for rule in rules if rule["security_group_id"] == group["id"] and rule["direction"] == "ingress"]
        assert {rule["remote_ip_prefix"] for rule in mine} == {None}
        return {(r["ethertype"], r["protocol"], r["port_range_min"], r["port_range_max"]) for r in mine}

    def made(self) -> list[dict[str, Any]]:
        groups = self.rig.neutron.store.all("security_groups")
        return [group for group in groups if group["name"] not in ("default", "of the user")]


SINGLE = [(TCP, port) for port in range(1, 600, 2)]
"""300 ports, none next to another."""


def test_many_ports_take_several_calls() -> None:
    """600 rules in one call would exceed its time limit, and the container would not start."""
    world = World()
    net = world.network()
    with count_calls() as calls:
        box = world.docker.run(net, expose=SINGLE)
    assert calls.neutron == 4 + 21
    made = world.rig.neutron.called("create_security_group_rules")
    assert [len(rules) for _, rules in made] == [100, *[24] * 20, 20]
    assert len(world.opened(world.port(box))) == 600
    with count_calls() as calls:
        world.docker.rm(box)
    assert calls.neutron == 2
    assert world.made() == []


def test_a_long_range_takes_one_call() -> None:
    """-p 1-60000 would need thousands of rules, because Docker names each port separately."""
    world = World()
    with count_calls() as calls:
        box = world.docker.run(world.network(), expose=[(TCP, port) for port in range(1, 60001)])
    assert world.opened(world.port(box)) == {(ip, "tcp", 1, 60000) for ip in ("IPv4", "IPv6")}
    assert [path for _, path in calls.requests].count("/v2.0/security-group-rules") == 1


@pytest.mark.parametrize("after", [False, True], ids=["not made", "answer lost"])
@pytest.mark.parametrize("failing", range(6))
def test_a_call_in_the_middle_fails(failing: int, after: bool) -> None:
    """A group with half of the rules would stay, or a port be open that the next container does not expose."""
    world = World()
    net = world.network()
    world.rig.settle()
    before = world.rig.state()
    count = 0

    def fail(name: str, _: object) -> None:
        nonlocal count
        if name == ("after " if after else "") + "neutron.create_security_group_rules":
            count += 1
            if count == failing + 1:
                raise NeutronUnavailable("no answer")

    world.rig.outside.hook = fail
    with pytest.raises(PluginError, match="no answer"):
        world.docker.run(net, expose=SINGLE)
    world.rig.outside.hook = None
    world.rig.settle()
    assert world.made() == []
    assert world.rig.state() == before
    box = world.docker.run(net, expose=SINGLE)
    assert len(world.opened(world.port(box))) == 600


def test_an_absurd_number_of_ports_is_refused_before_anything_is_made() -> None:
    """Docker would wait for minutes, or the container start with only some of its ports open."""
    world = World()
    net = world.network()
    before = world.rig.state()
    with pytest.raises(PluginError, match="exposes 30000 ports in 30000 ranges"):
        world.docker.run(net, expose=[(TCP, port) for port in range(1, 60001, 2)])
    assert world.rig.state() == before


@pytest.mark.parametrize("version", [20, 26, 28, 29])
def test_exposed_ports_are_open_while_the_container_lives(version: int) -> None:
    """Upstream's --expose did nothing (docs/compatibility.md, B1): only the default group reached a container."""
    world = World(version)
    net = world.network()
    box = world.docker.run(net, expose=WEB)
    ranges = {("tcp", 80, 81), ("tcp", 443, 443), ("udp", 53, 53), ("sctp", 9, 9)}
    assert world.opened(world.port(box)) == {(ip, *each) for ip in ("IPv4", "IPv6") for each in ranges}
    assert world.rig.neutron.store.default_group in world.port(box).security_groups
    world.docker.rm(box)
    assert world.made() == []


def test_what_it_costs_in_calls() -> None:
    """Every docker run, even of images without EXPOSE lines, would take longer than it must."""
    world = World()
    net = world.network()
    for expose, run, rm in (((), 2, 1), (WEB, 4, 2)):
        with count_calls() as calls:
            box = world.docker.run(net, expose=expose)
        assert calls.neutron == run
        with count_calls() as calls:
            world.docker.rm(box)
        assert calls.neutron == rm


def test_an_adopted_port_gets_its_own_groups_back() -> None:
    """A port of the user's would stay open, or lose what its owner changed meanwhile."""
    world = World()
    net = world.existing()
    world.rig.neutron.extensions()
    with count_calls() as calls:
        box = world.docker.run(net, ip=MINE, expose=[(TCP, 80)])
    assert calls.neutron == 6
    assert world.opened(world.port(box)) == {("IPv4", "tcp", 80, 80), ("IPv6", "tcp", 80, 80)}
    assert world.group.id in world.port(box).security_groups
    other = world.rig.neutron.create_security_group({"name": "of the user"})
    now = [*world.port(box).security_groups, other.id]
    world.rig.neutron.update_port(world.mine.id, {"security_groups": now})
    with count_calls() as calls:
        world.docker.rm(box)
    # Two of them take the claim off; a minute later the background has done that. One looks a second time, for what its
    # owner has changed.
    assert calls.neutron == 6
    port = world.rig.neutron.port(world.mine.id)
    assert port is not None
    assert set(port.security_groups) == {world.group.id, other.id}
    assert world.made() == []


def test_every_network_of_the_container_has_the_ports_open() -> None:
    """Docker tells only one of two networks about the ports: which one lets clients in would depend on their names."""
    world = World()
    one, two = world.network("a"), world.docker.network_create("10.2.0.0/24", name="b")
    box = world.docker.run(one, expose=[(TCP, 80)])
    other = world.docker.connect(box, two)
    assert len(world.opened(world.port(box))) == len(world.opened(world.port(other))) == 2
    world.docker.disconnect(box)
    assert len(world.opened(world.port(other))) == 2
    world.docker.rm(other)
    assert world.made() == []


def test_ports_that_docker_names_later_are_opened_then() -> None:
    """A container that publishes ports on Docker's bridge would have none of them open on its Neutron network."""
    world = World()
    net = world.existing()
    box = world.docker.run(net)
    world.docker.disconnect(box)
    box.sandbox.ports_taken = True
    box.wish = type(box.wish)(ip=MINE, expose=[(TCP, 80)])
    box = world.docker.connect(box, net, box.wish)
    assert world.opened(world.port(box)) == {("IPv4", "tcp", 80, 80), ("IPv6", "tcp", 80, 80)}
    with count_calls() as calls:
        world.docker.client.call("NetworkDriver.ProgramExternalConnectivity", box.ids | {"Options": box.wish.labels})
    assert calls.neutron == 0
    world.docker.rm(box)
    port = world.rig.neutron.port(world.mine.id)
    assert port is not None
    assert port.security_groups == (world.group.id,)
    assert world.made() == []


def test_program_and_revoke_without_a_container() -> None:
    """Docker 29 revokes what it never programmed, and a refusal there would fail the leave of another network."""
    world = World()
    net = world.network()
    ids = {"NetworkID": net.network_id, "EndpointID": "e" * 64}
    options = {"com.docker.network.endpoint.exposedports": [{"Proto": TCP, "Port": 80}]}
    with count_calls() as calls:
        world.docker.client.call("NetworkDriver.ProgramExternalConnectivity", ids | {"Options": options})
        world.docker.client.call("NetworkDriver.RevokeExternalConnectivity", ids)
    assert calls.neutron == 0
    assert world.made() == []


def test_it_can_be_turned_off() -> None:
    """Zun makes groups of its own and demands that nothing of this happens."""
    world = World()
    world.rig.process_external_connectivity = False
    world.rig.revive()
    net = world.network()
    with count_calls() as calls:
        box = world.docker.run(net, expose=WEB)
        assert world.port(box).security_groups == (world.rig.neutron.store.default_group,)
        world.docker.rm(box)
        world.rig.settle()
    assert calls.neutron > 0
    assert [path for _, path in calls.requests if "security-group" in path] == []


def test_turned_off_between_run_and_rm() -> None:
    """The groups of containers that run would stay for ever."""
    world = World()
    box = world.docker.run(world.network(), expose=WEB)
    world.rig.process_external_connectivity = False
    world.rig.revive()
    world.docker.rm(box)
    assert world.made() == []


def test_a_port_without_port_security_is_open_already() -> None:
    """Neutron refuses a group there: the container would not start."""
    world = World()
    world.rig.neutron.update_port(world.mine.id, {"security_groups": []})
    world.rig.neutron.update_port(world.mine.id, {"port_security_enabled": False})
    box = world.docker.run(world.existing(), ip=MINE, expose=WEB)
    assert world.made() == []
    world.docker.rm(box)


@pytest.mark.parametrize(("what", "limit"), [("security_groups", 2), ("security_group_rules", 6)])
def test_a_full_quota_is_said_and_leaves_nothing(what: str, limit: int) -> None:
    """The user would not know why an image that exposes ports does not start, and a port would stay behind."""
    world = World()
    net = world.network()
    before = world.rig.state()
    world.rig.neutron.store.quotas[what] = limit
    with pytest.raises(PluginError) as refused:
        world.docker.run(net, expose=[(TCP, 80), (UDP, 53)])
    assert f"Quota exceeded for resources: ['{what[:-1]}']" in refused.value.message
    assert "process_external_connectivity = false" in refused.value.message
    assert "\n" not in refused.value.message
    assert world.rig.state() == before


def test_a_cloud_without_security_groups_is_said() -> None:
    """The user would read of a path that does not exist."""
    world = World(extensions=DEFAULT_EXTENSIONS - {"security-group"})
    net = world.network()
    before = world.rig.state()
    with pytest.raises(PluginError, match="Neutron has no extension security-group"):
        world.docker.run(net, expose=WEB)
    assert world.rig.state() == before
    world.docker.rm(world.docker.run(net))


def test_a_role_that_may_not_is_said() -> None:
    """A missing role would look like a failure of the cloud."""
    world = World()
    net = world.network()
    world.rig.neutron.fail_next("create_security_group", NeutronForbidden("Neutron refused POST: no right"))
    with pytest.raises(PluginError, match="the ports that the container exposes cannot be opened"):
        world.docker.run(net, expose=WEB)


def test_what_docker_cannot_mean_is_refused() -> None:
    """An unknown protocol would create a rule that lets everything in."""
    world = World()
    net = world.network()
    for proto, port in ((1, 80), (TCP, 0), (TCP, 65536)):
        with pytest.raises(PluginError, match=r"80 has IP protocol 1|Port"):
            world.docker.run(net, expose=[(proto, port)])
    assert world.rig.neutron.user_ports() == [world.rig.neutron.port(world.mine.id)]


def test_the_journal_is_lost_between_port_and_group() -> None:
    """A group whose port is gone would stay for ever, and fill the quota."""
    world = World()
    box = world.docker.run(world.network(), expose=WEB)
    port = world.port(box)
    world.rig.neutron.fail_next("delete_security_group", NeutronUnavailable("no answer"))
    world.docker.rm(box)
    assert len(world.made()) == 1
    world.rig.neutron.create_security_group({"name": f"{port.id}-exposed_ports", "description": "somebody else's"})
    world.rig.neutron.create_security_group({"name": "x-exposed_ports", "description": world.made()[0]["description"]})
    world.rig.revive(lose_journal=True)
    world.rig.services.reconciler.round()
    assert len(world.made()) == 3
    world.rig.settle()
    assert {group["name"] for group in world.made()} == {f"{port.id}-exposed_ports", "x-exposed_ports"}
    assert world.made()[0]["description"] == "somebody else's"


def test_a_stray_group_that_somebody_else_uses_is_left_alone() -> None:
    """Every minute, for ever, the service would ask Neutron for it, and write a line to the log."""
    world = World()
    neutron = world.rig.neutron
    name = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60-exposed_ports"
    group = neutron.create_security_group({"name": name, "description": "Docker exposed ports created by Kuryr."})
    neutron.update_port(world.mine.id, {"security_groups": [group.id]})
    world.rig.settle()
    tries = len(neutron.called("delete_security_group"))
    looks = len(neutron.called("find_security_groups"))
    world.rig.settle()
    assert tries == len(neutron.called("delete_security_group")) == 1
    assert looks == len(neutron.called("find_security_groups"))


def test_a_group_that_somebody_else_uses_stays() -> None:
    """The removal would be tried for ever; and what others rely on must not go."""
    world = World()
    box = world.docker.run(world.network(), expose=WEB)
    group = world.made()[0]["id"]
    world.rig.neutron.update_port(world.mine.id, {"security_groups": [group]})
    world.docker.rm(box)
    world.rig.settle()
    assert [each["id"] for each in world.made()] == [group]
    assert world.rig.journal.leases.all() == []


def test_a_container_that_did_not_start_leaves_no_port_open() -> None:
    """The next container with that address would have ports open that it does not expose."""
    world = World()
    net = world.existing()
    pool = net.pool(v6=False)
    assert pool is not None
    box = world.docker.run(net, ip=MINE, expose=WEB)
    world.docker.client.call("NetworkDriver.DeleteEndpoint", box.ids)  # and then no ReleaseAddress
    world.rig.links.come_back(box.interface["SrcName"])
    for expose in ((), [(TCP, 22)]):
        again = world.docker.run(net, ip=MINE, expose=expose)
        opened = {each["id"] for each in world.made()} & set(world.port(again).security_groups)
        assert len(opened) == bool(expose)
        world.docker.client.call("NetworkDriver.DeleteEndpoint", again.ids)
        world.rig.links.come_back(again.interface["SrcName"])
    world.docker.client.call("IpamDriver.ReleaseAddress", {"PoolID": pool.pool_id, "Address": MINE})
    assert world.made() == []
    port = world.rig.neutron.port(world.mine.id)
    assert port is not None
    assert port.security_groups == (world.group.id,)


def test_published_ports_are_explained_once_per_container(caplog: pytest.LogCaptureFixture) -> None:
    """-p would be ignored without a word in the log, and nobody would know why the host's port does not answer."""
    caplog.set_level(logging.INFO)
    world = World()
    one, two = world.network("a"), world.docker.network_create("10.2.0.0/24", name="b")
    box = world.docker.run(one, publish=[(TCP, 80), (UDP, 53)], expose=[(TCP, 443)])
    world.docker.connect(box, two)
    lines = [record.getMessage() for record in caplog.records if "nothing is published" in record.getMessage()]
    assert len(lines) == 1
    for part in ("8080->80/tcp", "8053->53/udp", box.ip, world.port(box).id):
        assert part in lines[0]
    assert ("IPv4", "tcp", 80, 80) in world.opened(world.port(box))


def test_an_image_that_exposes_an_absurd_number_of_ports_does_not_start() -> None:
    """Its user would wait for minutes, and the quota of the service's project be gone for everybody."""
    world = World()
    net = world.network()
    before = world.rig.state()
    with pytest.raises(PluginError, match="which needs 1002 security group rules, and at most 1000 are made"):
        world.docker.run(net, expose=[(TCP, port) for port in range(1, 1003, 2)])
    assert world.made() == []
    world.rig.settle()
    assert world.rig.state() | {"journal": []} == before | {"journal": []}
