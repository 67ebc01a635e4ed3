# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports of the user, adopted by containers: used as they are, and given back exactly as they were."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.settings import DevicePolicy
from kuryr_libnetwork.rules.adoption import CLAIM_MINUTES, claim_tags
from kuryr_libnetwork.rules.identity import AUX_OWNER, id_tags
from kuryr_libnetwork.rules.ownership import memory_of
from tests.conversation.stories.test_sriov_stories import SriovPlugin
from tests.world.dockerside import Container, DockerNetwork, PluginError, Wish
from tests.world.outside import Outside, TappedNeutron
from tests.world.rig import DirectDocker, Rig
from tests.world.threads import Call, Pause, at_once, interleaved

CIDR, MINE, MAC = "10.5.0.0/24", "10.5.0.9", "02:42:ac:11:00:02"


class World:
    """Two hosts, and a port of the user's on a network that both use."""

    def __init__(self, **attributes: Any) -> None:
        self.outside = Outside()
        self.neutron = TappedNeutron(self.outside, hosts=["h1", "h2"])
        network = self.neutron.seed_network(name="tenant")
        self.subnet = self.neutron.seed_subnet(network.id, CIDR)
        fixed = {"subnet_id": self.subnet.id, "ip_address": MINE}
        self.before = self.neutron.seed_port(network.id, name="mine", fixed_ips=[fixed], tags=["keep"], **attributes)
        self.rigs = [Rig(self.neutron, host) for host in ("h1", "h2")]
        self.nets = [self.create(rig, network.id) for rig in self.rigs]
        self.neutron.extensions()

    def create(self, rig: Rig, network_id: str) -> DockerNetwork:
        return DirectDocker(rig).network_create(CIDR, options={"neutron.net.uuid": network_id})

    def run(self, number: int = 0, **options: Any) -> Container:
        return DirectDocker(self.rigs[number]).run(self.nets[number], **{"ip": MINE, **options})

    def rm(self, box: Container, number: int = 0) -> None:
        DirectDocker(self.rigs[number]).rm(box)

    @property
    def port(self) -> Port:
        found = self.neutron.port(self.before.id)
        assert found is not None
        return found

    def assert_as_before(self, **changed: Any) -> None:
        revision = {"revision_number": self.port.revision_number}
        assert self.port == msgspec.structs.replace(self.before, **revision, **changed)


@pytest.fixture
def world() -> World:
    return World()


# -- exactly as it was ---------------------------------------------------------------------------------------------


def vanish(world: World, box: Container, **by_hand: Any) -> None:
    """Remove the container while the service is down and its journal lost, and let somebody tidy up by hand."""
    rig = world.rigs[0]
    rig.engine.endpoints.discard(box.endpoint_id)
    rig.links.delete(rig.links.names()[0])
    world.neutron.update_port(world.before.id, by_hand)
    rig.revive(lose_journal=True)


def test_a_port_that_somebody_unbound_by_hand_is_put_back(world: World) -> None:
    """It would keep the owner, the device and the MAC of a container that is gone, until a container gets it again."""
    box = world.run(mac=MAC)
    vanish(world, box, **{"binding:host_id": ""})
    assert (world.port.host_id, world.port.device_owner, world.port.mac_address) == ("", "compute:kuryr", MAC)
    world.rigs[0].settle()
    world.assert_as_before()


def test_one_that_docker_still_has_is_left(world: World) -> None:
    """A running container would lose what is left of its port."""
    box = world.run(mac=MAC)
    vanish(world, box, **{"binding:host_id": ""})
    world.rigs[0].engine.endpoints.add(box.endpoint_id)
    before = world.port
    world.rigs[0].settle()
    assert world.port == before


def test_one_of_another_host_or_with_a_new_owner_is_left(world: World) -> None:
    """Two services would change one port, or a virtual machine would lose the port that it has just got."""
    box = world.run(mac=MAC)
    vanish(world, box, **{"binding:host_id": ""})
    before = world.port
    world.rigs[1].settle()
    assert world.port == before
    world.neutron.update_port(world.before.id, {"device_owner": "compute:nova", "device_id": "vm"})
    before = world.port
    world.rigs[0].settle()
    assert world.port == before


def test_looking_for_them_costs_nothing(world: World) -> None:
    """Every minute, each host would list all unbound ports of the cloud."""
    box = world.run(mac=MAC)
    rig = world.rigs[0]
    rig.settle()
    world.neutron.calls.clear()
    rig.services.reconciler.round()
    steady = [call for call in world.neutron.calls if call[0] == "find_ports"]
    asked = [dict(query) for _, query in steady if "binding:host_id" in dict(query)]
    assert [query["binding:host_id"] for query in asked] == [["h1"]]
    vanish(world, box, **{"binding:host_id": ""})
    world.neutron.calls.clear()
    rig.services.reconciler.round()
    looked = [dict(query) for name, query in world.neutron.calls if name == "find_ports"]
    besides = [query for query in looked if "network_id" in query or query.get("device_owner") == [AUX_OWNER]]
    assert len(looked) - len(besides) == len(steady)
    assert len(besides) == 2  # after the start alone, and for this host's networks


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
@pytest.mark.parametrize(
    "attributes", [{}, {"admin_state_up": False}, {"device_owner": "compute:kuryr", "device_id": "u-u"}]
)
def test_every_attribute_comes_back(attributes: dict[str, Any], lost: bool) -> None:
    """The user's port would come back with a MAC, a state or a binding that its container had."""
    world = World(**attributes)
    box = world.run(mac=MAC)
    assert (world.port.mac_address, world.port.host_id, world.port.admin_state_up) == (MAC, "h1", True)
    if lost:
        world.rigs[0].revive(lose_journal=True)
    world.rm(box)
    world.assert_as_before()


@pytest.mark.parametrize(("lost", "looks"), [(False, 0), (True, 1)], ids=["", "journal-lost"])
def test_a_port_is_looked_at_again_only_without_the_journal(world: World, lost: bool, looks: int) -> None:
    """Each container's end would cost a call more; or one answer of Neutron's would say what a port was."""
    box = world.run()
    if lost:
        world.rigs[0].revive(lose_journal=True)
    world.neutron.calls.clear()
    world.rm(box)
    again = [call for call in world.neutron.calls if call[0] == "find_ports" and "id" in dict(call[1])]
    assert len(again) == looks
    world.assert_as_before()


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
def test_what_the_owner_changes_meanwhile_stays(world: World, lost: bool) -> None:
    """A name, a group or a tag that the owner gave his port while a container had it would be lost."""
    box = world.run()
    group = world.neutron.create_security_group({"name": "mine"})
    mine = {"name": "new", "description": "mine", "security_groups": [group.id]}
    world.neutron.update_port(world.before.id, mine)
    world.neutron.store.get("ports", world.before.id)["tags"] = ["later"]
    if lost:
        world.rigs[0].revive(lose_journal=True)
    world.rm(box)
    world.assert_as_before(name="new", description="mine", security_groups=(group.id,), tags=("later",))


def test_a_port_that_is_not_used_after_all_is_not_touched(world: World) -> None:
    """A container that is refused for another reason would unbind a port that another host has bound meanwhile."""
    with pytest.raises(PluginError, match="no such option"):
        world.run(options={"kuryr.nonsense": "x"})
    assert world.port == world.before


def test_a_leftover_is_put_back_before_it_is_used_again(world: World) -> None:
    """A port would keep the MAC or the binding of a container that died when the journal was lost."""
    box = world.run(mac=MAC)
    rig = world.rigs[0]
    rig.links.come_back(box.interface["SrcName"])
    for name in rig.links.names():
        rig.links.delete(name)
    rig.revive(lose_journal=True)
    again = world.run()
    assert again.mac == world.before.mac_address
    world.rm(again)
    world.assert_as_before()


# -- one port, two hosts -------------------------------------------------------------------------------------------


def test_two_hosts_at_the_same_instant(world: World) -> None:
    """Both hosts would bind the port, and the first container lose its network."""
    with interleaved(world.outside):
        for _ in range(20):
            calls: list[Call[Container]] = at_once([partial(world.run, number) for number in (0, 1)])
            (winner,) = [number for number, call in enumerate(calls) if call.error is None]
            assert isinstance(calls[1 - winner].error, PluginError)
            box = calls[winner].result()
            assert (world.port.host_id, world.port.device_id) == (world.rigs[winner].host, box.endpoint_id)
            memory = memory_of(world.port)
            assert memory is not None
            assert (memory.host, memory.endpoint) == (world.rigs[winner].host, box.endpoint_id)
            world.rm(box, winner)
            world.assert_as_before()


@pytest.mark.parametrize(
    "step",
    [
        "neutron.add_tags",
        "after neutron.add_tags",
        "neutron.find_subnetpools",
        "after neutron.find_subnetpools",
        "neutron.update_port",
    ],
)
def test_the_other_host_comes_in_between(world: World, step: str) -> None:
    """A host that is slow before this step would take the port from the host that has it by then."""
    with Pause(world.outside, step) as pause:
        late = Call(partial(world.run, 0))
        pause.reached()
        calls = at_once([partial(world.run, 1)])
        pause.go()
        late.wait()
    winners = [call for call in (late, *calls) if call.error is None]
    assert len(winners) <= 1
    for number, call in enumerate((late, *calls)):
        if call.error is None:
            box = call.result()
            assert (world.port.host_id, world.port.device_id) == (world.rigs[number].host, box.endpoint_id)
            world.rm(box, number)
    world.assert_as_before()


def test_a_harmless_change_at_the_same_moment(world: World) -> None:
    """A container would not start because its port was renamed at that moment."""
    with Pause(world.outside, "neutron.add_tags") as pause:
        call = Call(world.run)
        pause.reached()
        world.neutron.update_port(world.before.id, {"name": "new"})
        pause.go()
        box = call.result()
    world.rm(box)
    world.assert_as_before(name="new")


def test_a_change_at_the_same_moment_is_not_written_over(world: World) -> None:
    """The owner's own change would be reverted when his port is given back."""
    with Pause(world.outside, "neutron.add_tags") as pause:
        call = Call(world.run)
        pause.reached()
        world.neutron.update_port(world.before.id, {"device_owner": "compute:nova"})
        pause.go()
        call.wait()
    assert "reserved by compute:nova" in str(call.error)
    world.assert_as_before(device_owner="compute:nova")


def test_a_claim_that_stays_counts_for_some_minutes(world: World) -> None:
    """After another host died while adopting the port, it could never be used again, or nobody would know why."""
    pool_id = world.nets[1].pools[0].pool_id
    claim = claim_tags(world.before.id, "0" * 64, world.rigs[0].now)
    world.neutron.add_tags("subnetpools", pool_id, claim)
    with pytest.raises(PluginError, match=r"is being taken for endpoint 000000000000 of another host.*in 10 minutes"):
        world.run()
    assert world.port == world.before
    for rig in world.rigs:
        rig.now += 60 * (CLAIM_MINUTES + 1)
    box = world.run()
    world.rm(box)
    world.assert_as_before()


def test_what_a_tenant_says_of_his_port_is_no_claim(world: World) -> None:
    """By tags that look like a claim, a tenant could keep the service, or another host, from using his port."""
    tags = [*claim_tags(world.before.id, "0" * 64, world.rigs[0].now), *id_tags("0" * 64), "kuryr.port.existing"]
    world.neutron.store.get("ports", world.before.id)["tags"] = sorted(tags)
    world.neutron.seed_subnetpool("claim", "10.99.0.0/24", tags=tags, shared=True)
    box = world.run()
    world.rm(box)
    world.assert_as_before(tags=tuple(sorted(tags)))
    assert world.neutron.store.get("ports", world.before.id)["tags"] == sorted(tags)


# -- by MAC --------------------------------------------------------------------------------------------------------


def test_by_mac_alone_is_explained(world: World) -> None:
    """The container would get another address than the port's, or an error that does not say what to do."""
    docker = DirectDocker(world.rigs[0])
    with pytest.raises(PluginError) as caught:
        docker.run(world.nets[0], mac=world.before.mac_address.upper())
    assert f"port {world.before.id}, whose address is {MINE}" in caught.value.message
    assert caught.value.message.endswith(f"to use the port add --ip {MINE}")
    assert world.neutron.user_ports() == [world.before]
    box = world.run(mac=world.before.mac_address.upper())
    assert world.port.device_id == box.endpoint_id
    world.rm(box)
    world.assert_as_before()


class PhysicalPlugin(SriovPlugin):
    policy = DevicePolicy(allow_direct_physical=True, mappings={"physnet2": ("pf0",)})


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
def test_a_port_of_a_whole_pf_gets_its_mac_back(tmp_path: Path, lost: bool) -> None:
    """Neutron gives such a port the PF's MAC, and at the end any other: the user's port would lose its own for ever."""
    plugin = PhysicalPlugin(tmp_path)
    plugin.start()
    try:
        network = plugin.network()
        port = plugin.port(network)
        port = plugin.neutron.change_port(port.id, **{"binding:vnic_type": "direct-physical"})
        docker = plugin.docker()
        net = docker.network_create("10.10.0.0/24", options={"neutron.net.uuid": network.id})
        box = docker.run(net, ip="10.10.0.5")
        there = plugin.neutron.port(port.id)
        assert there is not None
        assert there.mac_address == there.profile["device_mac_address"] != port.mac_address
        if lost:
            plugin.restart(lose_journal=True)
        docker.rm(box)
        now = plugin.neutron.port(port.id)
        assert now is not None
        assert msgspec.structs.replace(now, revision_number=port.revision_number) == port
    finally:
        plugin.stop()


@pytest.mark.parametrize("version", [20, 28, 29])
def test_a_port_without_ipv6_on_a_network_that_has_both(version: int) -> None:
    """A Zun container with an IPv4-only port would be refused, or get an IPv6 address from another port."""
    rig = Rig()
    docker = DirectDocker(rig, version)
    networks = [rig.neutron.seed_network(name=f"tenant-{number}") for number in (5, 6)]
    boxes: list[Container] = []
    ports = []
    for number, network in zip((5, 6), networks, strict=True):
        four = rig.neutron.seed_subnet(network.id, f"10.{number}.0.0/24")
        rig.neutron.seed_subnet(network.id, f"fd00:{number}::/64")
        fixed = {"subnet_id": four.id, "ip_address": f"10.{number}.0.9"}
        ports.append(rig.neutron.seed_port(network.id, name="mine", fixed_ips=[fixed]))
        options = {"neutron.net.uuid": network.id}
        net = docker.network_create(f"10.{number}.0.0/24", subnet_v6=f"fd00:{number}::/64", options=options)
        wish = Wish(ip=f"10.{number}.0.9")
        boxes.append(docker.connect(boxes[0], net, wish) if boxes else docker.run(net, ip=wish.ip))
    assert [box.gateway for box in boxes] == ["10.5.0.1", "10.6.0.1"]
    assert [box.gateway_v6 for box in boxes] == ["", ""]
    assert len({box.ip6 for box in boxes} | {"fd00:5::", "fd00:6::"}) == 4
    assert len(rig.neutron.user_ports()) == 2
    rig.move_in(boxes[1])
    docker.rm(boxes[0])
    for port in ports:
        now = rig.neutron.port(port.id)
        assert now is not None
        assert (now.fixed_ips, now.host_id, now.device_id) == (port.fixed_ips, "", "")
    assert rig.journal.leases.all() == []
    more = docker.run(boxes[0].network)
    assert more.ip6.startswith("fd00:5::")
