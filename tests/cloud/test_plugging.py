# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers on a host whose agent (of OVN, or Neutron's for Open vSwitch) is not there: with vif_plugging_is_fatal,
and after a boot.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from lab.api import Host
from lab.process import wait_for
from tests.cloud.conftest import PLUGGING_TIMEOUT, waiting_for_ports
from tests.cloud.user import User, leftovers, together, unique_cidr


@pytest.fixture
def strict(h2: Host) -> Iterator[Host]:
    with waiting_for_ports(h2) as host:
        yield host


def stop_the_start(user: User, host: Host) -> str:
    """A container starts, and the next one does not, without the agent; answers what its user reads."""
    net = user.network(host, f"--subnet={unique_cidr()}")
    box = user.run(host, net)
    assert user.port_of(host, box, net)["status"] == "ACTIVE"
    before = leftovers(user.lab)
    host.agent.kill()
    said = user.refused(host, "run", "--rm", "--net", net, "busybox", "true")
    assert leftovers(user.lab) == before
    return said


def test_a_dead_agent_stops_the_container(user: User, strict: Host) -> None:
    """Upstream waits for ever with the container locked, and leaves everything plugged (docs/compatibility.md, B9)."""
    said = stop_the_start(user, strict)
    assert f"is DOWN, not ACTIVE, {PLUGGING_TIMEOUT} s after it was plugged" in said
    assert "is an agent alive on host 'h2'" in said


@pytest.mark.usefixtures("service_admin")
def test_a_dead_agent_is_named_to_the_admin(user: User, strict: Host) -> None:
    """The operator would have to ask Neutron himself which agent is dead."""
    said = stop_the_start(user, strict)
    assert f"on host 'h2', as far as Neutron knows, {user.lab.backend.agent_type} is" in said


def forget_agent(user: User, host: Host) -> None:
    """Neutron would take it for alive for a minute more."""
    if user.lab.backend.is_ovn:
        host.run(["ovn-sbctl", "chassis-del", f"{user.lab.name}-{host.name}"])
        return
    (agent,) = user.neutron("GET", f"/agents?host={host.name}")["agents"]
    user.neutron("DELETE", f"/agents/{agent['id']}")


def test_a_container_that_starts_before_the_agent(user: User, h2: Host) -> None:
    """After a boot the containers of a host would stay down, as the service is shown no agent to wait for."""
    net = user.network(h2, f"--subnet={unique_cidr()}")
    h2.kuryr.stop()
    h2.agent.stop()
    forget_agent(user, h2)
    h2.kuryr.start()
    since = len(h2.kuryr.log.read_text())
    try:
        words = ["docker", "run", "--rm", "--net", net, "busybox", "true"]
        started = h2.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        waits = wait_for(lambda: "could not be bound; it is tried again" in h2.kuryr.log.read_text()[since:], 60)
    finally:
        h2.agent.start()
    assert together(started, timeout=100) == [(0, "")]
    assert waits


@pytest.mark.parametrize("part", ["vswitchd", "ovsdb"])
def test_open_vswitch_does_not_move(user: User, h1: Host, part: str) -> None:
    """A container would start without network, or its start take longer than Docker's user waits."""
    frozen, words = {
        "vswitchd": (h1.vswitchd, "ovs-vswitchd has not connected interface tap"),
        "ovsdb": (h1.ovsdb, "no answer from Open vSwitch's database"),
    }[part]
    net = user.network(h1, f"--subnet={unique_cidr()}")
    peer = user.run(h1, net)
    user.port_of(h1, peer, net)  # labelled beside its start
    before = leftovers(user.lab)
    with h1.configured(reconcile_interval=5, reconcile_grace=5):
        with frozen.frozen():
            said = user.refused(h1, "run", "--rm", "--net", net, "busybox", "true")
        assert words in said
        assert wait_for(lambda: leftovers(user.lab) == before, 60), leftovers(user.lab)
    user.ping(h1, user.run(h1, net), user.address(h1, peer, net))


def test_the_agent_does_not_move(user: User, h1: Host) -> None:
    """Nobody waits for it, and nobody would be told: the container starts, and is reached when it moves again."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    peer = user.run(h1, net)
    with h1.configured(reconcile_interval=5):
        since = len(h1.kuryr.log.read_text())
        with h1.agent.frozen():
            box = user.run(h1, net)
            port = user.port_of(h1, box, net)["id"]
            told = f"Neutron still has port {port} DOWN"
            assert wait_for(lambda: told in h1.kuryr.log.read_text()[since:], 120)
        done = "see all containers connected: done at last"
        assert wait_for(lambda: done in h1.kuryr.log.read_text()[since:], 60)
        user.ping(h1, box, user.address(h1, peer, net))
