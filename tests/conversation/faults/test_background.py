# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""No error ends the background, and a suspect that cannot be removed does not keep it from the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronRefused
from kuryr_libnetwork.neutron.errors import TooManyRequests
from kuryr_libnetwork.rules.leftovers import Suspect
from tests.world.dockerside import DockerNetwork
from tests.world.rig import GRACE, DirectDocker, Rig

CIDR = "10.1.0.0/24"
Hook = Callable[[str, tuple[Any, ...]], None]


class Rounds(threading.Event):
    """Stops the background after some rounds, each a grace time after the last."""

    def __init__(self, rig: Rig, rounds: int) -> None:
        super().__init__()
        self._rig = rig
        self._left = rounds

    def wait(self, timeout: float | None = None) -> bool:
        self._rig.now += GRACE + 1
        self._left -= 1
        return self._left <= 0


def work(rig: Rig, rounds: int) -> None:
    """Runs the background as the service does."""
    rig.services.reconciler.run(Rounds(rig, rounds), 60)


def forgotten_addresses(docker: DirectDocker, network: DockerNetwork, count: int) -> list[str]:
    """Create leases that nobody will release; answers their addresses."""
    request = {"PoolID": network.pools[0].pool_id, "Address": "", "Options": None}
    return [docker.client.call("IpamDriver.RequestAddress", request)["Address"] for _ in range(count)]


def poison(port_id: str, error: Exception) -> Hook:
    """Deleting this port fails with this error."""

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.delete_port" and arguments == (port_id,):
            raise error

    return hook


@pytest.mark.parametrize("error", [AttributeError("'int' object has no attribute 'get'"), NeutronRefused("no")])
def test_one_poisoned_suspect_stops_no_other(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Because of one tenant's port on which the service fails, all other leftovers would stay for ever."""
    rig = Rig()
    docker = DirectDocker(rig)
    forgotten_addresses(docker, docker.network_create(CIDR), 3)
    first, *others = sorted(lease.port_id for lease in rig.journal.leases.all())
    rig.outside.hook = poison(first, error)
    caplog.clear()
    work(rig, 6)
    assert [lease.port_id for lease in rig.journal.leases.all()] == [first]
    assert [rig.neutron.port(port_id) for port_id in others] == [None, None]
    told = [record for record in caplog.records if f"remove lease {first}" in record.getMessage()]
    assert len(told) == 1
    rig.outside.hook = None
    work(rig, 40)
    assert rig.neutron.port(first) is None
    assert rig.journal.leases.all() == []


def test_what_neutron_refuses_is_not_asked_each_round(caplog: pytest.LogCaptureFixture) -> None:
    """A port that Neutron refuses to delete would be tried each minute for ever, with two lines in the log each
    time.
    """
    rig = Rig()
    docker = DirectDocker(rig)
    forgotten_addresses(docker, docker.network_create(CIDR), 1)
    (lease,) = rig.journal.leases.all()
    asked: list[str] = []
    refuse = poison(lease.port_id, NeutronRefused("Cannot delete port (req-1)"))

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.delete_port":
            asked.append(name)
        refuse(name, arguments)

    rig.outside.hook = hook
    work(rig, 24 * 60 * 60 // int(GRACE + 1))  # a day
    assert len(asked) == 30
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([line for line in lines if lease.port_id[:12] in line]) == 2


def leftovers(docker: DirectDocker, rig: Rig) -> None:
    """One leftover of each of many kinds, beside a running container."""
    network = docker.network_create(CIDR)
    docker.run(network)
    forgotten_addresses(docker, network, 1)
    gone = docker.run(network)
    rig.engine.endpoints.discard(gone.endpoint_id)
    other = docker.network_create("10.2.0.0/24")
    rig.engine.networks.discard(other.network_id)
    request = {"AddressSpace": "", "Pool": "10.7.0.0/24", "SubPool": "", "Options": None, "V6": False}
    docker.client.call("IpamDriver.RequestPool", request)


def calls_of_the_background() -> list[str]:
    rig = Rig()
    leftovers(DirectDocker(rig), rig)
    rig.outside.arm(None)
    work(rig, 4)
    return sorted(set(rig.outside.names))


@pytest.mark.parametrize("stumble", calls_of_the_background())
def test_the_background_survives_whatever_happens_in_any_of_its_calls(stumble: str) -> None:
    """Its thread would be dead without anybody knowing, and leftovers would stay until the service is restarted."""
    rig = Rig()
    docker = DirectDocker(rig)
    leftovers(docker, rig)
    kept = rig.state()["ports"].keys()
    broken = True

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if broken and name == stumble:
            raise KeyError("nobody foresaw this")

    rig.outside.hook = hook
    work(rig, 5)
    assert rig.health.report()["reconciler"].unforeseen > 0
    broken = False
    work(rig, 40)
    (endpoint,) = rig.journal.endpoints.all()
    assert endpoint.endpoint_id in rig.engine.endpoints
    assert [network.docker_id for network in rig.journal.networks.all()] == sorted(rig.engine.networks)
    assert [lease.endpoint_id for lease in rig.journal.leases.all()] == [endpoint.endpoint_id]
    assert rig.state()["ports"].keys() < kept
    assert len(rig.ovs.owned()) == 1


def test_pools_of_a_network_that_cannot_be_looked_for_stay() -> None:
    """After a lost journal, a network on which the service fails would lose its pool although containers use it."""
    rig = Rig()
    docker = DirectDocker(rig)
    docker.run(docker.network_create(CIDR))
    rig.revive(lose_journal=True)
    pools = set(rig.state()["subnetpools"])

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.find_networks":
            raise KeyError("nobody foresaw this")

    rig.outside.hook = hook
    removed: list[Suspect] = []
    for _ in range(5):
        removed += rig.services.reconciler.round()
        rig.now += GRACE + 1
    assert removed == []
    assert set(rig.state()["subnetpools"]) == pools


def test_a_cloud_that_limits_requests_for_long_leaks_nothing() -> None:
    """What could not be deleted for an hour, because of Neutron's rate limit, would stay for ever."""
    rig = Rig()
    docker = DirectDocker(rig)
    before = rig.state()
    network = docker.network_create(CIDR)
    docker.run(network)

    def limit(name: str, arguments: tuple[Any, ...]) -> None:
        if name.startswith("neutron.delete_"):
            raise TooManyRequests("Neutron takes no more requests now", 3600)

    rig.outside.hook = limit
    docker.rm(docker.run(network))
    rig.engine.endpoints.clear()
    docker.network_rm(network)
    work(rig, 30)
    rig.outside.hook = None
    rig.settle()
    assert rig.state() == before
