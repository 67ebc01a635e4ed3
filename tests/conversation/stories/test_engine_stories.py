# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What only some engines do, or Docker in a swarm."""

from __future__ import annotations

import secrets

import pytest

from tests.conversation.faults.trials import ENGINES
from tests.world.dockerside import Docker, PluginError
from tests.world.plugin import Plugin
from tests.world.rig import DirectDocker, Rig


def neutron_calls(plugin: Plugin, since: int) -> list[str]:
    return [name for name, *_ in plugin.neutron.calls[since:]]


def test_docker_restarts_under_living_containers(plugin: Plugin, docker: Docker) -> None:
    """With live-restore the first calls of a new dockerd would cost Neutron calls, or cut off the container."""
    net = docker.network_create("10.1.0.0/24")
    box, at = docker.run(net), len(plugin.neutron.calls)
    docker.live_restore(box)
    assert neutron_calls(plugin, at) == []
    assert docker.run(net).ip != box.ip
    docker.rm(box)
    assert plugin.neutron.find_ports(device_id=box.endpoint_id) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_container_without_ipv6(engine: int) -> None:
    """From 28 on the IPv6 address is released while the container starts: its port would stay when the
    container goes.
    """
    rig = Rig()
    docker = DirectDocker(rig, engine)
    net = docker.network_create("10.1.0.0/24", subnet_v6="fd00:1::/64")
    box = docker.run(net, no_ipv6=True)
    (port,) = rig.neutron.find_ports(device_id=box.endpoint_id)
    assert len(port.fixed_ips) == 2
    docker.rm(box)
    assert rig.neutron.user_ports() == []
    assert rig.journal.leases.all() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_of_a_swarm_is_made_again(engine: int) -> None:
    """Docker does not keep swarm networks: after its restart their containers would not start, or others lose their
    ports.
    """
    rig = Rig()
    before = rig.state()
    docker = DirectDocker(rig, engine)
    net = docker.network_create("10.1.0.0/24")
    old = docker.run(net)
    rig.links.come_back(old.interface["SrcName"])
    docker.crash(old)
    again = docker.network_again(net)
    box = docker.run(again)
    (port,) = rig.neutron.find_ports(device_id=box.endpoint_id)
    assert [fixed.ip_address for fixed in port.fixed_ips] == [box.ip]
    docker.rm(box)
    docker.network_rm(again)
    assert rig.neutron.user_ports() == []
    assert rig.neutron.find_networks(name=f"kuryr-net-{net.network_id[:8]}") == []
    assert rig.state() == before


def test_a_network_that_is_made_again_is_the_same(plugin: Plugin, docker: Docker) -> None:
    """A second network with the same id but other parameters would change the network of running containers."""
    net = docker.network_create("10.1.0.0/24")
    net.options = {**net.options, "com.docker.network.internal": True}
    with pytest.raises(PluginError, match="other parameters"):
        docker.network_again(net)


def test_ids_of_a_swarm(plugin: Plugin, docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Swarm's ids have 25 letters and digits: they would be refused, or two of them share tags."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    monkeypatch.setattr(secrets, "token_hex", lambda _: "".join(secrets.choice(letters) for _ in range(25)))
    nets = [docker.network_create("10.1.0.0/24"), docker.network_create("10.2.0.0/24")]
    boxes = [docker.run(net) for net in nets]
    assert len({port.id for box in boxes for port in plugin.neutron.find_ports(device_id=box.endpoint_id)}) == 2
    for net, box in zip(nets, boxes, strict=True):
        docker.rm(box)
        docker.network_rm(net)
    plugin.nothing_left()


IFNAME = "com.docker.network.endpoint.ifname"
EVERY_ENGINE = range(20, 30)


@pytest.mark.parametrize("engine", EVERY_ENGINE)
def test_a_name_for_the_interface(engine: int, caplog: pytest.LogCaptureFixture) -> None:
    """A user who asks for a name would look for it in vain, and nothing would say why."""
    rig = Rig()
    docker = DirectDocker(rig, engine)
    net = docker.network_create("10.1.0.0/24")
    box = docker.run(net, options={IFNAME: "data0"})
    assert (box.interface["DstPrefix"], box.interface["DstName"]) == ("eth", "data0")
    told = [each.getMessage() for each in caplog.records if "data0" in each.getMessage()]
    assert len(told) == 1
    assert "does not give the name data0" in told[0]
    assert "it is eth0, eth1 and so on ([binding] veth_dst_prefix = eth)" in told[0]
    docker.rm(box)
    caplog.clear()
    docker.rm(docker.run(net))
    assert "does not give the name" not in caplog.text


@pytest.mark.parametrize("engine", EVERY_ENGINE)
@pytest.mark.parametrize("name", ["sixteen-letters-", "a b", "a/b", "a:b", "eth%d", ".."])
def test_a_name_that_no_interface_can_have(engine: int, name: str) -> None:
    """The kernel's refusal would come when the container is half made, with a later engine's first start."""
    rig = Rig()
    docker = DirectDocker(rig, engine)
    net = docker.network_create("10.1.0.0/24")
    before = rig.state()
    with pytest.raises(PluginError, match="must be the name of an interface: 1 to 15 characters"):
        docker.run(net, options={IFNAME: name})
    assert rig.state() == before
