# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker removed is removed: at once if all is well, otherwise later, even without the journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronError, NeutronUnavailable
from kuryr_libnetwork.rules.identity import LEFT_BEHIND
from tests.fakes.neutron import PROJECT
from tests.world.dockerside import DockerNetwork, PluginError, Pool
from tests.world.rig import DirectDocker, Rig
from tests.world.threads import at_once, interleaved

CIDR, V6 = "10.1.0.0/24", "fd00:1::/64"


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


# -- several at a time ------------------------------------------------------------------------------------------------


def in_turn(rig: Rig, networks: list[DockerNetwork]) -> None:
    for network in networks:
        DirectDocker(rig).network_rm(network)


def backwards(rig: Rig, networks: list[DockerNetwork]) -> None:
    in_turn(rig, networks[::-1])


def together(rig: Rig, networks: list[DockerNetwork]) -> None:
    with interleaved(rig.outside):
        calls = at_once([partial(DirectDocker(rig).network_rm, network) for network in networks])
        for call in calls:
            call.result()


def shared(rig: Rig, *, subnet: bool, project: str | None) -> dict[str, str]:
    """The options for an existing Neutron network."""
    theirs: dict[str, Any] = {"project_id": project} if project else {}
    network = rig.neutron.seed_network(name="shared", **theirs)
    if subnet:
        rig.neutron.seed_subnet(network.id, CIDR, **theirs)
        rig.neutron.seed_subnet(network.id, V6, **theirs)
    return {"neutron.net.uuid": network.id}


@pytest.mark.parametrize("remove", [in_turn, backwards, together])
@pytest.mark.parametrize("project", [None, PROJECT], ids=["of-a-tenant", "of-our-project"])
@pytest.mark.parametrize("subnet", [True, False], ids=["its-subnets", "our-subnets"])
@pytest.mark.parametrize("count", [2, 4])
def test_docker_networks_of_one_neutron_network_go_together(
    rig: Rig,
    docker: DirectDocker,
    remove: Callable[[Rig, list[DockerNetwork]], None],
    project: str | None,
    subnet: bool,
    count: int,
) -> None:
    """``docker network rm same1 same2`` would leave subnetpools, and subnets of ours, until the background has looked
    twice.
    """
    options = shared(rig, subnet=subnet, project=project)
    before = rig.state()
    networks = [docker.network_create(CIDR, subnet_v6=V6, options=options) for _ in range(count)]
    boxes = [docker.run(network) for network in networks]
    for box in boxes:
        docker.rm(box)
    remove(rig, networks)
    assert rig.state() == before


def test_networks_that_kuryr_made_go_with_their_last_user(rig: Rig, docker: DirectDocker) -> None:
    """The Neutron network would stay with a pool until the background has looked twice."""
    before = rig.state()
    first = docker.network_create(CIDR)
    (made,) = rig.neutron.find_networks()
    second = docker.network_create(CIDR, options={"neutron.net.uuid": made.id})
    together(rig, [first, second])
    assert rig.state() == before


# -- the last try -----------------------------------------------------------------------------------------------------


def cut_off(rig: Rig, docker: DirectDocker, network: DockerNetwork) -> str:
    """A port whose answer was lost, and that cannot be looked for."""
    rig.neutron.fail_next("create_port", NeutronUnavailable("no answer"), after=True)
    with pytest.raises(PluginError):
        docker.run(network)
    return "neutron.find_ports"


def leased(rig: Rig, docker: DirectDocker, network: DockerNetwork) -> str:
    """A port that cannot be deleted."""
    docker.client.call(
        "IpamDriver.RequestAddress", {"PoolID": network.pools[0].pool_id, "Address": "", "Options": None}
    )
    return "neutron.delete_port"


def unknown(rig: Rig, docker: DirectDocker, network: DockerNetwork) -> str:
    """The same, and no record knows the port any more."""
    found = leased(rig, docker, network)
    (lease,) = rig.journal.leases.all()
    rig.journal.leases.drop(lease.port_id)
    return found


@pytest.mark.parametrize("what", [cut_off, leased, unknown])
@pytest.mark.parametrize("project", ["made", None, PROJECT], ids=["made-by-kuryr", "of-a-tenant", "of-our-project"])
def test_no_network_is_left_to_others_because_of_our_own_port(
    rig: Rig,
    docker: DirectDocker,
    what: Callable[[Rig, DirectDocker, DockerNetwork], str],
    project: str | None,
) -> None:
    """The port would be taken for somebody else's, and network, subnet and pool stay for ever once it has gone."""
    options = None if project == "made" else shared(rig, subnet=False, project=project)
    before = rig.state()
    network = docker.network_create(CIDR, options=options)
    fails = what(rig, docker, network)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == fails and "network_id" not in str(arguments):
            raise NeutronUnavailable("no answer")

    rig.outside.hook = hook
    docker.network_rm(network)
    rig.settle()
    rig.outside.hook = None
    rig.settle()
    assert rig.state() == before


def test_a_network_that_somebody_else_uses_is_left_to_him(rig: Rig, docker: DirectDocker) -> None:
    """The service would try for ever."""
    network = docker.network_create(CIDR)
    rig.neutron.seed_port(rig.neutron.find_networks()[0].id, name="of-a-vm")
    docker.network_rm(network)
    rig.settle()
    assert rig.journal.networks.all() == []
    assert rig.neutron.find_networks()[0].tags == (LEFT_BEHIND,)
    rig.revive(lose_journal=True)
    rig.settle()
    assert rig.journal.intents.all() == []


def test_a_port_that_is_being_made_is_not_said_to_be_removed(
    rig: Rig, docker: DirectDocker, caplog: pytest.LogCaptureFixture
) -> None:
    """The log would tell of a removal that nobody tried."""
    network = docker.network_create(CIDR)
    cut_off(rig, docker, network)
    (port,) = rig.neutron.user_ports()
    rig.outside.hook = _unavailable
    rig.settle()
    assert rig.neutron.port(port.id) is not None
    assert not [record for record in caplog.records if f"removing port {port.id[:12]}" in record.getMessage()]


def _unavailable(name: str, arguments: tuple[Any, ...]) -> None:
    if name == "neutron.find_ports" and "description" in str(arguments):
        raise NeutronUnavailable("no answer")


# -- answers that say nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["create_network", "create_subnet", "create_subnetpool", "create_port"])
def test_an_error_500_may_come_after_the_deed(rig: Rig, docker: DirectDocker, call: str) -> None:
    """What Neutron has made and then failed to answer would stay for ever."""
    before = rig.state()
    rig.neutron.fail_next(call, NeutronError("Neutron failed at POST: internal server error"), after=True)
    with pytest.raises(PluginError, match="internal server error"):
        docker.run(docker.network_create(CIDR))
    for network in rig.journal.networks.all():
        docker.network_rm(DockerNetwork(network.docker_id, [Pool(each, CIDR, "", v6=False) for each in network.pools]))
    rig.settle()
    assert rig.state() == before


# -- releases that come late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "left"), [(0, 1), (2, 0)])
def test_a_release_is_not_expected_for_ever(rig: Rig, docker: DirectDocker, days: int, left: int) -> None:
    """Days after the background freed an address, the release of its next lease would be taken for the former one's."""
    pool = docker.network_create(CIDR).pools[0].pool_id
    request = {"PoolID": pool, "Address": "10.1.0.9", "Options": None}
    docker.client.call("IpamDriver.RequestAddress", request)
    rig.settle()
    assert rig.neutron.user_ports() == []
    rig.now += days * 86400
    docker.client.call("IpamDriver.RequestAddress", request)
    docker.client.call("IpamDriver.ReleaseAddress", {"PoolID": pool, "Address": "10.1.0.9"})
    assert len(rig.neutron.user_ports()) == left
