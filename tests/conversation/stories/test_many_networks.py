# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""More Docker networks on one Neutron network than fit into its tags: upstream stops at 16."""

from __future__ import annotations

import random

import pytest

from kuryr_libnetwork.rules.identity import MAX_TAGS, id_tags
from tests.world.dockerside import DockerNetwork
from tests.world.outside import Outside, TappedNeutron
from tests.world.rig import DirectDocker, Rig

CIDR = "10.1.0.0/24"
MANY = 60


class Crowd:
    """Two hosts, and a Neutron network of a user or, with ``made``, one that kuryr created."""

    def __init__(self, *, made: bool = False, tags: int = 1) -> None:
        self.neutron = TappedNeutron(Outside(), hosts=["h1", "h2"])
        self.hosts = [Rig(self.neutron, "h1"), Rig(self.neutron, "h2")]
        self.before = self.state()
        self.nets: list[tuple[Rig, DockerNetwork]] = []
        if made:
            self.nets.append((self.hosts[0], DirectDocker(self.hosts[0]).network_create(CIDR)))
            (network,) = self.neutron.find_networks()
        else:
            network = self.neutron.seed_network(name="tenant", tags=[f"of-the-user-{n}" for n in range(tags)])
            self.neutron.seed_subnet(network.id, CIDR, tags=["keep-too"])
            self.before = self.state()
        self.network_id = network.id

    def state(self) -> list[object]:
        return [host.state() for host in self.hosts]

    def fill(self, count: int = MANY) -> None:
        for number in range(len(self.nets), count):
            self.join(self.hosts[number % 2])

    def join(self, host: Rig) -> DockerNetwork:
        net = DirectDocker(host).network_create(CIDR, options={"neutron.net.uuid": self.network_id})
        self.nets.append((host, net))
        return net

    def leave(self, number: int) -> None:
        host, net = self.nets[number]
        DirectDocker(host).network_rm(net)

    def runs(self, number: int) -> None:
        """Assert that a container on this network gets its port on the Neutron network, and leaves nothing behind."""
        host, net = self.nets[number]
        box = DirectDocker(host).run(net)
        (port,) = [port for port in self.neutron.user_ports() if port.device_id == box.endpoint_id]
        assert (port.network_id, port.host_id) == (self.network_id, host.host)
        DirectDocker(host).rm(box)
        assert self.neutron.port(port.id) is None

    def settle(self) -> None:
        for host in self.hosts:
            host.settle()

    def tags(self) -> tuple[str, ...]:
        return tuple(self.neutron.store.get("networks", self.network_id)["tags"])


@pytest.mark.parametrize("made", [False, True], ids=["of-the-user", "made-by-kuryr"])
def test_sixty_networks_stay_below_neutrons_limit(made: bool) -> None:
    """docker network create would fail from the 17th on, or write more tags than Neutron accepts, or on a user's
    network.
    """
    crowd = Crowd(made=made)
    crowd.fill()
    assert len(crowd.tags()) <= MAX_TAGS
    recorded = sum(set(id_tags(net.network_id)) <= set(crowd.tags()) for _, net in crowd.nets)
    assert recorded == (16 if made else 0)  # 16: as many as upstream's hosts can see
    for subnet in crowd.neutron.find_subnets(network_id=crowd.network_id):
        assert len(subnet.tags) <= 3
    for number in (0, 15, 16, 17, MANY - 1):
        crowd.runs(number)


def test_upstreams_hosts_find_what_they_look_for() -> None:
    """Upstream's hosts would fail next to ours: they treat two pools of one name as an error."""
    crowd = Crowd(made=True)
    crowd.fill(6)
    neutron = crowd.neutron
    (pool,) = neutron.find_subnetpools(name=f"kuryrPool-{CIDR}")
    (subnet,) = neutron.find_subnets(network_id=crowd.network_id, cidr=CIDR)
    assert subnet.tags == (pool.id,)
    for _, net in crowd.nets:
        (network,) = neutron.find_networks(tags=list(id_tags(net.network_id)))
        assert network.id == crowd.network_id


@pytest.mark.parametrize("made", [False, True], ids=["of-the-user", "made-by-kuryr"])
@pytest.mark.parametrize("order", ["as-they-came", "the-other-way", "at-random"])
@pytest.mark.parametrize("lose", [False, True], ids=["journal", "no-journal"])
def test_removed_in_any_order(made: bool, order: str, lose: bool) -> None:
    """The network would go under containers of a Docker network without tags, or stay when the last one has gone."""
    crowd = Crowd(made=made)
    crowd.fill()
    numbers = list(range(MANY))
    if order == "the-other-way":
        numbers.reverse()
    elif order == "at-random":
        random.Random(7).shuffle(numbers)
    for place, number in enumerate(numbers):
        if lose and place % 7 == 0:
            for host in crowd.hosts:
                host.revive(lose_journal=True)
        if place % 5 == 0:
            crowd.runs(number)
        if place == MANY - 2:
            crowd.settle()  # what earlier ones left for the last one must survive their second look
        crowd.leave(number)
        if place < MANY - 1:
            crowd.runs(numbers[-1])
    crowd.settle()
    assert crowd.state() == crowd.before


def test_a_network_without_tags_survives_all_that_have_some() -> None:
    """The last Docker network that is recorded in tags would take the Neutron network with it."""
    crowd = Crowd(made=True)
    crowd.fill(20)
    for number in range(19):
        crowd.leave(number)
    crowd.settle()
    crowd.runs(19)
    crowd.leave(19)
    crowd.settle()
    assert crowd.state() == crowd.before


def test_room_is_used_again() -> None:
    """A Docker network created after others have gone would be hidden from upstream's hosts for no reason."""
    crowd = Crowd(made=True)
    crowd.fill(20)
    for number in range(10):
        crowd.leave(number)
    net = crowd.join(crowd.hosts[1])
    assert set(id_tags(net.network_id)) <= set(crowd.tags())
    for number in range(10, 21):
        crowd.leave(number)
    crowd.settle()
    assert crowd.state() == crowd.before


@pytest.mark.parametrize("tags", [46, 47, 48, 49, 50])
def test_a_user_who_needs_all_tags_himself(tags: int) -> None:
    """Nobody could use the network with Docker, or a tag of the user's would get lost."""
    crowd = Crowd(tags=tags)
    crowd.fill(4)
    for order in ([0, 1], [3, 2]):
        for number in order:
            crowd.runs(number)
            crowd.leave(number)
    crowd.settle()
    assert crowd.state() == crowd.before


@pytest.mark.parametrize("made", [False, True], ids=["of-the-user", "made-by-kuryr"])
@pytest.mark.parametrize("count", [5, 40])
def test_calls_do_not_grow_with_the_crowd(made: bool, count: int) -> None:
    """Each docker network create and rm on a network with many users would cost more calls than the budget has."""
    crowd = Crowd(made=made)
    crowd.fill(count)
    calls = crowd.neutron.calls
    at = len(calls)
    crowd.join(crowd.hosts[0])
    assert len(calls) - at <= (8 if made else 7), calls[at:]
    at = len(calls)
    crowd.leave(len(crowd.nets) - 1)
    assert len(calls) - at <= 5, calls[at:]
