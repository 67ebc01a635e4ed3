# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Without its journal a host finds what it made, and nothing of what other hosts still use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kuryr_libnetwork.errors import EngineUnavailable, KuryrError, NeutronError, NeutronUnavailable
from tests.fakes.neutron import PROJECT
from tests.world.dockerside import DockerNetwork, PluginError
from tests.world.outside import Outside, TappedNeutron
from tests.world.rig import DirectDocker, Rig

CIDR, V6 = "10.1.0.0/24", "fd00:1::/64"


class Cloud:
    """Two hosts. On each Docker has one network that is nobody else's, by which it is known to be ours."""

    def __init__(self) -> None:
        self.outside = Outside()
        self.neutron = TappedNeutron(self.outside, hosts=["h1", "h2"])
        self.one, self.two = Rig(self.neutron, "h1"), Rig(self.neutron, "h2")
        DirectDocker(self.one).network_create("10.98.0.0/24")
        DirectDocker(self.two).network_create("10.99.0.0/24")
        self.before = self.state()

    def state(self) -> dict[str, object]:
        return {what: rows for what, rows in self.one.state().items() if what != "journal"}

    def settle(self) -> None:
        self.one.settle()
        self.two.settle()

    @contextmanager
    def fails(self, call: str, error: KuryrError, *, after: bool = False) -> Iterator[None]:
        def hook(name: str, _: object) -> None:
            if name == f"{'after ' if after else ''}neutron.{call}":
                raise error

        self.outside.hook = hook
        yield
        self.outside.hook = None

    def create(self, host: Rig, cidr: str, neutron_id: str = "") -> DockerNetwork:
        options = {"neutron.net.uuid": neutron_id} if neutron_id else {}
        v6 = cidr if ":" in cidr else None
        return DirectDocker(host).network_create(cidr, subnet_v6=v6, ipv4=v6 is None, options=options)

    def forget(self, network: DockerNetwork) -> None:
        """The first host's Docker removes it while Neutron is down, and then the journal is lost."""
        with self.fails("find_networks", NeutronUnavailable("no answer")):
            DirectDocker(self.one).network_rm(network)
        self.one.revive(lose_journal=True)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.mark.parametrize("cidr", [CIDR, V6])
@pytest.mark.parametrize("maker", [0, 1], ids=["its-own", "the-other-hosts"])
def test_another_host_keeps_what_it_uses(cloud: Cloud, cidr: str, maker: int) -> None:
    """The network would go under a container of another host, or stay after the last one."""
    hosts = [cloud.one, cloud.two] if maker == 0 else [cloud.two, cloud.one]
    first = cloud.create(hosts[0], CIDR)
    record = hosts[0].journal.networks.get(first.network_id)
    assert record is not None
    second = cloud.create(hosts[1], cidr, record.neutron_id)
    forgotten, kept = (first, second) if maker == 0 else (second, first)
    box = DirectDocker(cloud.two).run(kept)
    cloud.forget(forgotten)
    cloud.settle()
    assert cloud.one.journal.networks.get(forgotten.network_id) is None
    further = DirectDocker(cloud.two).run(kept)
    for each in (box, further):
        DirectDocker(cloud.two).rm(each)
    DirectDocker(cloud.two).network_rm(kept)
    cloud.settle()
    assert cloud.state() == cloud.before


@pytest.mark.parametrize("answer", ["nothing", "another-engine"])
def test_without_dockers_word_nothing_is_removed(cloud: Cloud, answer: str) -> None:
    """With the socket of another engine in kuryr.conf the networks of this one would go."""
    network = cloud.create(cloud.one, CIDR)
    there = cloud.state()
    cloud.forget(network)
    engine = cloud.one.engine
    if answer == "nothing":
        engine.error = EngineUnavailable("no answer")
    else:
        engine.networks, engine.endpoints = {"f" * 64}, set()
    cloud.settle()
    assert cloud.state() == there


@pytest.mark.parametrize("call", ["create_network", "create_subnet"])
def test_what_was_made_without_an_answer(cloud: Cloud, call: str) -> None:
    """What has no tag yet would stay for ever: its intent is lost with the journal."""
    users = cloud.neutron.seed_network(name="users", project_id=PROJECT).id if call == "create_subnet" else ""
    before = cloud.state()
    with cloud.fails(call, NeutronError("500"), after=True), pytest.raises(PluginError):
        cloud.create(cloud.one, CIDR, users)
    assert cloud.state() != before
    cloud.one.revive(lose_journal=True)
    cloud.settle()
    assert cloud.state() == before


def test_a_network_whose_tags_somebody_took_off_keeps_its_containers(cloud: Cloud) -> None:
    """Docker still has it: it would be taken for one of which nobody knows anything."""
    network = cloud.create(cloud.one, CIDR)
    record = cloud.one.journal.networks.get(network.network_id)
    assert record is not None
    cloud.neutron.store.get("networks", record.neutron_id)["tags"] = []
    cloud.one.revive(lose_journal=True)
    cloud.settle()
    assert cloud.neutron.find_networks(id=record.neutron_id)


def test_a_network_of_the_users_in_our_project_loses_all_marks(cloud: Cloud) -> None:
    """Its tags do not tell which host a Docker network is on; without more they would stay for ever."""
    users = cloud.neutron.seed_network(name="users", project_id=PROJECT, tags=["his"])
    cloud.neutron.seed_subnet(users.id, CIDR, project_id=PROJECT)
    before = cloud.state()
    network = cloud.create(cloud.one, CIDR, users.id)
    cloud.forget(network)
    cloud.settle()
    assert cloud.state() == before


def test_a_network_that_goes_while_it_is_looked_for_is_not_taken_up(cloud: Cloud) -> None:
    """The journal would have a network that is nowhere; without Docker's word, for ever."""
    network = cloud.create(cloud.one, CIDR)
    cloud.one.engine.networks.discard(network.network_id)  # Docker has told of the others just before
    cloud.one.engine.error = EngineUnavailable("no answer")
    cloud.one.revive(lose_journal=True)
    gone: list[str] = []

    def hook(name: str, arguments: object) -> None:
        if name == "after neutron.find_ports" and "kuryr:aux-address" in str(arguments) and not gone:
            gone.append(network.network_id)
            DirectDocker(cloud.one).network_rm(network)

    cloud.outside.hook = hook
    cloud.settle()
    assert gone
    assert cloud.one.journal.networks.get(network.network_id) is None
    cloud.outside.hook = None
    assert cloud.state() == cloud.before
