# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator is shown of the service while containers come and go."""

from __future__ import annotations

import threading

import pytest

from kuryr_libnetwork.bell import Bell
from kuryr_libnetwork.errors import (
    EngineUnavailable,
    KuryrError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
    NeutronUnavailable,
)
from kuryr_libnetwork.model.engine import NetworkWord
from lab.process import wait_for
from tests.world.rig import ROUNDS, DirectDocker, Rig

LIMIT = 10


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")  # to whom agents are shown


def test_a_container_is_shown_while_it_is_there(rig: Rig) -> None:
    """At night nobody would know which container a port belongs to, and on which interface it is."""
    docker = DirectDocker(rig)
    net = docker.network_create()
    box = docker.run(net)
    overview = rig.services.overview
    network, endpoint, port = overview.networks()[0], overview.endpoints()[0], overview.ports()[0]
    assert (network.docker_id, network.endpoints, network.state) == (net.network_id, 1, "ready")
    assert [subnet.cidr for subnet in network.subnets] == [pool.cidr for pool in net.pools]
    assert (endpoint.endpoint_id, endpoint.mac_address, endpoint.network_id) == (
        box.endpoint_id,
        box.mac,
        network.network_id,
    )
    assert (port.port_id, port.endpoint_id, port.addresses) == (
        endpoint.port_id,
        box.endpoint_id,
        endpoint.addresses,
    )
    assert endpoint.interface.startswith("tap")
    docker.rm(box)
    docker.network_rm(net)
    assert (overview.networks(), overview.endpoints(), overview.ports()) == ([], [], [])


def test_the_log_says_for_whom_a_call_was(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would find the lines of a container or of a port."""
    docker = DirectDocker(rig)
    net = docker.network_create()
    with caplog.at_level("INFO", logger="kuryr_libnetwork.docker"):
        box = docker.run(net)
        rig.services.findings.note_containers({box.endpoint_id: "web"})
        port_id = rig.services.overview.endpoints()[0].port_id
        docker.rm(box)
    lines = {line.split()[0]: line for line in caplog.messages if "Neutron calls" in line}
    assert lines["IpamDriver.RequestAddress"].endswith(f" for port {port_id}")
    assert lines["NetworkDriver.CreateEndpoint"].endswith(f" for port {port_id}, {box.ip}")
    assert lines["NetworkDriver.DeleteEndpoint"].endswith(f" for web, port {port_id}, {box.ip}")
    assert lines["IpamDriver.ReleaseAddress"].endswith(f" for port {port_id}")


def test_a_leftover_is_shown_before_it_is_removed(rig: Rig) -> None:
    """What is going to be removed would be known only when it is gone; what cannot be removed, never."""
    docker = DirectDocker(rig)
    net = docker.network_create()
    box = docker.run(net)
    reconciler, overview = rig.services.reconciler, rig.services.overview
    reconciler.round()
    assert (overview.suspects(), overview.rounds().rounds) == ([], 1)
    docker.rm(box, delete_endpoint=False)
    reconciler.round()
    rig.now += 30
    [suspect] = [row for row in overview.suspects() if row.kind == "endpoint"]
    assert (suspect.key, suspect.seconds, suspect.due_in, suspect.trouble) == (box.endpoint_id, 30.0, 90.0, "")
    rig.neutron.fail_next("delete_port", NeutronRefused("not now"))
    for _ in range(ROUNDS):
        rig.now += 130
        reconciler.round()
        if troubles := [(row.kind, row.trouble) for row in overview.suspects() if row.trouble]:
            break
    assert troubles == [("lease", "not now")]
    assert (overview.rounds().ended, overview.rounds().succeeded) == (0.0, 130.0)
    rig.settle()
    assert overview.suspects() == []
    assert overview.rounds().succeeded == overview.rounds().ended


def test_agents_are_looked_after(rig: Rig) -> None:
    """A host whose agent has died would be called ready until a container fails."""
    findings, reconciler = rig.services.findings, rig.services.reconciler
    assert findings.agents() is None
    reconciler.round()
    agents = findings.agents()
    assert agents is not None
    assert {agent.host for agent in agents} == {"h1"}
    assert all(agent.alive for agent in agents)


def test_a_host_that_neutron_does_not_know(rig: Rig) -> None:
    """A host by a wrong name would be called ready; or every one, in a cloud that shows no agents at all, sick."""
    findings, reconciler, agents = rig.services.findings, rig.services.reconciler, rig.neutron.store.tables["agents"]
    agents.clear()
    reconciler.round()
    assert findings.agents() is None
    rig.neutron.seed_agent("other", "OVN Controller agent", alive=True)
    reconciler.round()
    assert findings.agents() == ()


def test_the_quota_is_looked_at_now_and_then(rig: Rig) -> None:
    """Without ports left no container starts; nobody would be told before, or every host ask each minute."""
    reconciler, overview = rig.services.reconciler, rig.services.overview
    rig.neutron.store.quotas["ports"] = 7
    reconciler.round()
    assert (overview.counts().free_quota, rig.neutron.called("quota")) == ({}, [])
    for _ in range(11):
        rig.now += 60
        reconciler.round()
    assert overview.counts().free_quota == {"port": 7}
    assert len(rig.neutron.called("quota")) == 2
    DirectDocker(rig).run(DirectDocker(rig).network_create())
    rig.now += 300
    reconciler.round()
    assert overview.counts().free_quota["port"] < 7


def test_free_addresses_are_counted_with_the_quota(rig: Rig) -> None:
    """A subnet without addresses would be noticed when a container does not start; or each scrape ask Neutron."""
    docker = DirectDocker(rig)
    docker.run(docker.network_create("10.77.0.0/24"))
    rig.now += 300
    rig.services.reconciler.round()
    (found,) = rig.services.overview.counts().addresses
    (subnet,) = rig.neutron.find_subnets(id=found.subnet_id)
    assert (subnet.cidr, found.subnet_name) == ("10.77.0.0/24", subnet.name)
    assert 250 <= found.free <= 252
    assert len(rig.neutron.called("free_addresses")) == 1


@pytest.mark.parametrize("error", [NeutronForbidden("no"), NeutronNotFound("no")])
def test_a_neutron_that_does_not_show_addresses_is_asked_once(rig: Rig, error: KuryrError) -> None:
    """A question that is always refused would be asked for ever, and hide what is left of the quota."""
    docker = DirectDocker(rig)
    docker.network_create()
    rig.neutron.store.quotas["ports"] = 7
    rig.neutron.fail_next("free_addresses", error)
    for _ in range(3):
        rig.now += 300
        rig.services.reconciler.round()
    counts = rig.services.overview.counts()
    assert counts.addresses == ()
    assert counts.free_quota.keys() == {"port"}
    assert len(rig.neutron.called("quota")) == 3


def test_an_operator_has_the_background_look_now(rig: Rig) -> None:
    """He would wait a minute to see whether what he did has helped."""
    reconciler, overview = rig.services.reconciler, rig.services.overview
    bell = Bell()
    thread = threading.Thread(target=reconciler.run, args=(bell, 3600))
    thread.start()
    assert wait_for(lambda: overview.rounds().rounds == 1, LIMIT)
    reconciler.ask()
    bell.ring()
    assert wait_for(lambda: overview.rounds().rounds == 2, LIMIT)
    bell.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert overview.rounds().begun == 2


def test_all_agents_of_the_cloud_are_listed_once(rig: Rig) -> None:
    """A host by a wrong name would have Neutron list the agents of a thousand hosts every minute."""
    for agent in rig.neutron.store.tables["agents"].values():
        agent["host"] = "elsewhere"
    for _ in range(3):
        rig.services.reconciler.round()
    assert rig.services.findings.agents() == ()
    assert [query for _, query in rig.neutron.called("find_agents") if not query.get("host")] == [{}]


def test_whoever_is_shown_no_agents_asks_for_none() -> None:
    """With the least roles every host would be called sick."""
    rig = Rig()
    rig.services.reconciler.round()
    assert rig.services.findings.agents() is None
    assert rig.neutron.called("find_agents") == []


def test_the_page_is_fresh_while_somebody_looks_at_it(rig: Rig) -> None:
    """A port that is down would look well until the next round, and a new container have no name."""
    docker = DirectDocker(rig)
    net = docker.network_create()
    box = docker.run(net)
    onlooker, overview = rig.services.onlooker, rig.services.overview
    rig.engine.words[net.network_id] = NetworkWord(name="front")
    rig.engine.networks.add(net.network_id)
    before = len(rig.neutron.calls)
    onlooker.look()
    assert len(rig.neutron.calls) == before + 1
    [wire] = overview.wiring().wires
    assert (wire.endpoint_id, [mark.text for mark in wire.marks]) == (box.endpoint_id, ["DOWN"])
    assert overview.wiring().networks[0].name == "front"
    rig.neutron.change_port(wire.port_id, status="ACTIVE")
    onlooker.look()
    assert overview.wiring().wires[0].marks == ()
    rig.neutron.store.tables["ports"].pop(wire.port_id)
    onlooker.look()
    assert [mark.text for mark in overview.wiring().wires[0].marks] == ["missing"]


def test_the_page_shows_what_was_seen_while_nobody_answers(rig: Rig) -> None:
    """While the cloud is down, nothing would be shown at all."""
    docker = DirectDocker(rig)
    docker.run(docker.network_create())
    onlooker, overview = rig.services.onlooker, rig.services.overview
    onlooker.look()
    rig.engine.error = EngineUnavailable("no")
    rig.neutron.fail_next("find_ports", NeutronUnavailable("no route"))
    onlooker.look()
    assert overview.wiring().wires[0].port_status == "DOWN"
    assert rig.health.report().get("onlooker") is None
    assert overview.wiring().uplinks[0].name == "br-int"


def test_a_page_that_nobody_looks_at_asks_nobody(rig: Rig) -> None:
    """Every host would ask Neutron for its ports again and again, day and night."""
    docker = DirectDocker(rig)
    docker.run(docker.network_create())
    onlooker, overview = rig.services.onlooker, rig.services.overview
    thread = threading.Thread(target=onlooker.run, daemon=True)
    before = len(rig.neutron.calls)
    thread.start()
    overview.endpoints()
    assert len(rig.neutron.calls) == before
    for _ in range(20):
        overview.wiring()
    assert wait_for(lambda: overview.wiring().wires[0].port_status == "DOWN", LIMIT)
    onlooker.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert len(rig.neutron.calls) == before + 1
