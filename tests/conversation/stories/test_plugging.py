# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``vif_plugging_is_fatal``: a container starts only when its port is ACTIVE, and the wait has an end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronForbidden
from tests.conversation.faults.trials import ENGINES
from tests.world.dockerside import DockerNetwork, PluginError
from tests.world.plugin import HOST
from tests.world.rig import DirectDocker, Rig


def world(timeout: float | None) -> tuple[Rig, DirectDocker, DockerNetwork]:
    rig = Rig(role="admin")  # to whom agents are shown
    rig.vif_plugging_timeout = timeout
    rig.revive()
    docker = DirectDocker(rig)
    return rig, docker, docker.network_create()


def on_look(rig: Rig, number: int, change: Callable[[str], object]) -> None:
    """Change the port before the service looks at it for that time."""
    looks = 0

    def hook(method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal looks
        if method == "find_ports" and "id" in arguments[0]:
            looks += 1
            if looks == number:
                change(arguments[0]["id"][0])

    rig.neutron.hook = hook


def test_the_container_starts_once_its_port_is_active() -> None:
    """It would start without a network, or not at all."""
    rig, docker, net = world(30)
    on_look(rig, 2, lambda port_id: rig.neutron.change_port(port_id, status="ACTIVE"))
    docker.run(net)
    assert len(rig.neutron.called("find_ports")) == 2


def test_without_the_option_nobody_waits() -> None:
    """Every docker run would cost one more call."""
    rig, docker, net = world(None)
    docker.run(net)
    assert rig.neutron.called("find_ports") == []


@pytest.mark.parametrize(
    ("alive", "words"),
    [
        (True, "OVN Controller agent is alive"),
        (False, "OVN Controller agent is not alive"),
        (None, "knows no agent or chassis on a host named 'h1'"),
    ],
)
def test_after_the_time_everything_is_undone_and_the_agent_named(alive: bool | None, words: str) -> None:
    """Upstream waits for ever with the container locked, and leaves everything plugged (docs/compatibility.md, B9)."""
    rig, docker, net = world(0)
    there = list(rig.neutron.store.all("agents"))
    rig.neutron.seed_agent("elsewhere", "OVN Controller agent")
    for agent in there:
        if alive is None:
            rig.neutron.store.drop("agents", agent["id"])
        else:
            agent["alive"] = alive
    before = rig.state()
    with pytest.raises(PluginError) as refused:
        docker.run(net)
    (port,) = {call[1] for call in rig.neutron.called("delete_port")}
    assert f"port {port} is DOWN, not ACTIVE" in refused.value.message
    assert words in refused.value.message
    assert rig.state() == before


def without_agent(rig: Rig) -> Callable[[], None]:
    """A host that has just booted; answers the action that lets its agent report."""
    hosts, (agent,) = rig.neutron.store.alive_hosts, rig.neutron.store.all("agents")
    known = set(hosts)
    hosts.clear()
    agent["alive"] = False

    def report() -> None:
        hosts.update(known)
        agent["alive"] = True

    return report


@pytest.mark.parametrize("adopted", [False, True])
def test_a_container_that_starts_before_the_agent(adopted: bool) -> None:
    """Docker starts containers at boot, and tries none again: all would be down until somebody starts them by hand."""
    rig, docker, net = world(None)
    rig.agent_alive_timeout = 30
    rig.revive()
    ip = "10.1.0.77" if adopted else ""
    if adopted:
        (subnet,) = rig.neutron.find_subnets()
        fixed = [{"subnet_id": subnet.id, "ip_address": ip}]
        rig.neutron.create_port({"network_id": subnet.network_id, "name": "mine", "fixed_ips": fixed})
    report = without_agent(rig)
    looks = iter([None, report])

    def hook(method: str, _: tuple[Any, ...]) -> None:
        if method == "find_agents" and (due := next(looks)):
            due()

    rig.services.reconciler.round()
    before = rig.state()
    rig.neutron.hook = hook
    box = docker.run(net, ip=ip)
    (port,) = rig.neutron.find_ports(device_id=box.endpoint_id)
    assert port.name == ("mine" if adopted else f"{box.endpoint_id}-port")
    assert (port.host_id, port.vif_type) == (HOST, "ovs")
    docker.rm(box)
    rig.services.reconciler.round()
    assert {**rig.state(), "agents": before["agents"]} == before


def test_an_agent_that_never_comes() -> None:
    """The start would hang, or leave a port that is bound to nothing."""
    rig, docker, net = world(None)
    rig.agent_alive_timeout = 0.01
    rig.revive()
    without_agent(rig)
    before = rig.state()
    with pytest.raises(PluginError, match=r"not alive, also after 0.01 s \(\[neutron\] agent_alive_timeout\)"):
        docker.run(net)
    assert rig.state() == before


def test_an_agent_that_does_not_come_is_waited_for_once() -> None:
    """Docker starts a network's containers one after the other: with sixty of them its own start would take an hour."""
    rig, docker, net = world(None)
    rig.agent_alive_timeout = 0.01
    rig.revive()
    report = without_agent(rig)
    looks = []
    for _ in range(2):
        before = len(rig.neutron.called("find_agents"))
        with pytest.raises(PluginError, match="not alive"):
            docker.run(net)
        looks.append(len(rig.neutron.called("find_agents")) - before)
    assert looks[0] > looks[1] == 1
    report()
    docker.run(net)
    without_agent(rig)
    before = len(rig.neutron.called("find_agents"))
    with pytest.raises(PluginError, match="not alive"):
        docker.run(net)
    assert len(rig.neutron.called("find_agents")) - before > 1


def test_agents_that_may_not_be_listed() -> None:
    """The user would read about a missing role instead of the port."""
    rig, docker, net = world(0)
    rig.neutron.fail_next("find_agents", NeutronForbidden("no right"))
    with pytest.raises(PluginError, match="is DOWN, not ACTIVE"):
        docker.run(net)


def test_a_port_that_is_deleted_meanwhile_is_not_waited_for() -> None:
    """A minute would pass before the user learns that somebody deleted the port."""
    rig, docker, net = world(30)
    before = rig.state()
    on_look(rig, 1, rig.neutron.delete_port)
    with pytest.raises(PluginError, match="was deleted while it was plugged"):
        docker.run(net)
    assert len(rig.neutron.called("find_ports")) == 1
    assert rig.state() == before


@pytest.mark.parametrize("vif", [{}, {"ovs_hybrid_plug": True}], ids=["ovs", "hybrid"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_switch_that_does_not_move(engine: int, vif: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A container would start and have no network, and nobody be told."""
    rig = Rig()
    rig.neutron.store.normal_vif = ("ovs", {"bridge_name": "br-int", **vif})
    docker = DirectDocker(rig, engine)
    net = docker.network_create("10.1.0.0/24")
    running = docker.run(net)
    before = rig.state()
    rig.ovs.frozen = True
    with pytest.raises(PluginError, match="CreateEndpoint: ovs-vswitchd has not connected interface"):
        docker.run(net)
    assert rig.state() == before
    rig.ovs.frozen = False
    docker.rm(docker.run(net))
    assert rig.state() == before
    caplog.set_level(logging.INFO)
    caplog.clear()
    rig.services.reconciler.round()
    assert "ovs-vswitchd" not in caplog.text
    rig.ovs.lose_numbers()
    for _ in range(2):
        rig.services.reconciler.round()
    assert (
        caplog.text.count("cannot look after the containers of port driver veth: ovs-vswitchd has not connected") == 1
    )
    rig.ovs.frozen = False
    rig.services.reconciler.round()
    assert "look after the containers of port driver veth: done at last" in caplog.text
    docker.rm(running)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_agent_that_does_not_move(engine: int, caplog: pytest.LogCaptureFixture) -> None:
    """Containers would start and have no network, and nobody be told where nobody waits for ACTIVE."""
    rig = Rig()
    docker = DirectDocker(rig, engine)
    box = docker.run(docker.network_create("10.1.0.0/24"))
    port = rig.neutron.find_ports(device_id=box.endpoint_id)[0].id
    caplog.set_level(logging.INFO)
    rig.services.reconciler.round()
    assert "DOWN" not in caplog.text  # it has just begun
    rig.now += 60
    for _ in range(2):
        rig.services.reconciler.round()
    assert (
        caplog.text.count(f"cannot see all containers connected: Neutron still has port {port} DOWN, 60 s after") == 1
    )
    rig.neutron.change_port(port, status="ACTIVE")
    rig.services.reconciler.round()
    assert "see all containers connected: done at last" in caplog.text
