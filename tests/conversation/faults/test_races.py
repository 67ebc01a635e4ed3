# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Changes between a check and the step that follows from it, and second attempts before the first is cleaned up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kuryr_libnetwork.errors import EngineUnavailable, JournalError, NeutronConflict, NeutronUnavailable
from tests.world.dockerside import DockerNetwork, PluginError
from tests.world.outside import is_read
from tests.world.rig import GRACE, DirectDocker, Rig
from tests.world.threads import Call, Pause

CIDR = "10.1.0.0/24"
Hook = Callable[[str, tuple[Any, ...]], None]


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")  # some make subnets on a user's network


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def tenant(rig: Rig, *, subnet: bool = True) -> dict[str, str]:
    """The options for a network of the user's."""
    network = rig.neutron.seed_network(name="tenant")
    if subnet:
        rig.neutron.seed_subnet(network.id, CIDR)
    return {"neutron.net.uuid": network.id}


def request_address(docker: DirectDocker, network: DockerNetwork, ip: str = "") -> str:
    arguments = {"PoolID": network.pools[0].pool_id, "Address": ip, "Options": None}
    address: str = docker.client.call("IpamDriver.RequestAddress", arguments)["Address"]
    return address


def owners(rig: Rig) -> list[str]:
    return [port.device_id for port in rig.neutron.user_ports()]


def breaks(*names: str, error: Exception, times: int = 1) -> Hook:
    """A hook: the next calls of these names fail."""
    left = [error] * times

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name in names and left:
            raise left.pop()

    return hook


def full_disk(name: str, arguments: tuple[Any, ...]) -> None:
    if name.startswith("journal.") and not is_read(name):
        raise JournalError("disk full")


# -- between a look and the step --------------------------------------------------------------------------------------


def test_an_endpoint_that_was_ended_by_another_call(rig: Rig, docker: DirectDocker) -> None:
    """The removal of a network would take the interface of the next container that adopted the port."""
    options = tenant(rig)
    fixed = {"subnet_id": rig.neutron.find_subnets()[0].id, "ip_address": "10.1.0.9"}
    rig.neutron.seed_port(options["neutron.net.uuid"], fixed_ips=[fixed])
    one, two = [docker.network_create(options=options) for _ in range(2)]
    old = docker.run(one, ip="10.1.0.9")
    with Pause(rig.outside, "after journal.endpoints.all") as pause:
        gone = Call(lambda: DirectDocker(rig).network_rm(one))
        pause.reached()
        docker.rm(old)
        box = docker.run(two, ip="10.1.0.9")
        pause.go()
        gone.result()
    assert owners(rig) == [box.endpoint_id]
    assert len(rig.ovs.owned()) == 1


def overdue(rig: Rig) -> None:
    rig.services.reconciler.round()
    rig.now += GRACE + 1


def test_a_pool_that_is_requested_while_the_reconciler_looks(rig: Rig, docker: DirectDocker) -> None:
    """docker network create would lose the pool that it has just been given."""
    request = {"AddressSpace": "", "Pool": CIDR, "SubPool": "", "Options": None, "V6": False}
    docker.client.call("IpamDriver.RequestPool", request)
    overdue(rig)
    with Pause(rig.outside, "after journal.pools.all") as pause:
        look = Call(rig.services.reconciler.round)
        pause.reached()
        docker.client.call("IpamDriver.RequestPool", request)
        pause.go()
        look.result()
    assert len(rig.neutron.find_subnetpools()) == 1


def test_an_address_that_is_used_again_while_the_reconciler_looks(rig: Rig, docker: DirectDocker) -> None:
    """A container would be started on a port that is deleted at the same moment."""
    net = docker.network_create(CIDR)
    request_address(docker, net, "10.1.0.9")
    overdue(rig)
    with Pause(rig.outside, "after journal.pools.all") as pause:
        look = Call(rig.services.reconciler.round)
        pause.reached()
        request_address(docker, net, "10.1.0.9")
        pause.go()
        look.result()
    assert len(rig.neutron.user_ports()) == 1


def test_a_network_that_comes_again_while_the_reconciler_looks(rig: Rig, docker: DirectDocker) -> None:
    """Swarm creates a network again under its old id: the new one would be removed instead of the old one."""
    net = docker.network_create(CIDR)
    other = docker.network_create("10.2.0.0/24")
    rig.engine.networks.discard(net.network_id)
    overdue(rig)
    with Pause(rig.outside, "after journal.pools.all") as pause:
        look = Call(rig.services.reconciler.round)
        pause.reached()
        docker.network_rm(net)
        request = {"AddressSpace": "", "Pool": CIDR, "SubPool": "", "Options": None, "V6": False}
        docker.client.call("IpamDriver.RequestPool", request)
        again = {"NetworkID": net.network_id, "Options": {}, "IPv4Data": [net.pools[0].data], "IPv6Data": []}
        docker.client.call("NetworkDriver.CreateNetwork", again)
        pause.go()
        look.result()
    assert {record.docker_id for record in rig.journal.networks.all()} == {net.network_id, other.network_id}


def test_an_endpoint_that_gets_ready_while_the_reconciler_looks(rig: Rig, docker: DirectDocker) -> None:
    """A container that was half created when the reconciler looked, and is complete by now, would be removed."""
    net = docker.network_create(CIDR)
    with Pause(rig.outside, "ovs.plug") as slow:
        start = Call(lambda: DirectDocker(rig).run(net))
        slow.reached()
        with Pause(rig.outside, "after journal.endpoints.all") as pause:
            look = Call(rig.services.reconciler.round)
            pause.reached()
            slow.go()
            box = start.result()
            pause.go()
            look.result()
    assert owners(rig) == [box.endpoint_id]
    assert len(rig.ovs.owned()) == 1


# -- second attempts --------------------------------------------------------------------------------------------------


def test_a_subnet_whose_answer_was_lost_is_used_by_the_next_attempt(rig: Rig, docker: DirectDocker) -> None:
    """The subnet of a network in use would be removed as a leftover of the attempt that failed."""
    options = tenant(rig, subnet=False)
    before = rig.state()
    rig.neutron.fail_next("create_subnet", NeutronUnavailable("no answer"), after=True)
    with pytest.raises(PluginError):
        docker.network_create(CIDR, options=options)
    net = docker.network_create(CIDR, options=options)
    rig.settle()
    box = docker.run(net)
    assert owners(rig) == [box.endpoint_id]
    docker.rm(box)
    docker.network_rm(net)
    rig.settle()
    assert rig.state() == before


def test_a_network_whose_answer_was_lost_is_used_by_somebody(rig: Rig, docker: DirectDocker) -> None:
    """A network that a user found and uses would be removed from under him."""
    rig.neutron.fail_next("create_network", NeutronUnavailable("no answer"), after=True)
    with pytest.raises(PluginError):
        docker.network_create(CIDR)
    (lost,) = rig.neutron.find_networks()
    net = docker.network_create(CIDR, options={"neutron.net.uuid": lost.id})
    rig.settle()
    docker.run(net)


def test_a_mac_address_after_an_attempt_that_failed(rig: Rig, docker: DirectDocker) -> None:
    """The port would keep its own MAC, and Neutron drop all that the container sends."""
    net = docker.network_create(CIDR)
    mac = "02:42:ac:11:00:02"
    error = NeutronUnavailable("no answer")
    rig.outside.hook = breaks("neutron.update_port", "neutron.delete_port", error=error, times=2)
    with pytest.raises(PluginError, match="no answer"):
        docker.run(net, ip="10.1.0.9", mac=mac)
    docker.run(net, ip="10.1.0.9", mac=mac)
    (port,) = rig.neutron.user_ports()
    assert port.mac_address == mac


def test_a_failed_create_on_a_network_that_others_use(rig: Rig, docker: DirectDocker) -> None:
    """The subnet that it had made already would stay on the user's network until the last other user leaves."""
    options = tenant(rig)
    docker.network_create(CIDR, options=options)
    rig.services.reconciler.round()
    before = rig.state()
    calls = {"left": 1}

    def last_call(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.add_tags" and calls["left"]:
            calls["left"] = 0
            raise NeutronConflict("busy")

    rig.outside.hook = last_call
    with pytest.raises(PluginError, match="busy"):
        docker.network_create(ipv4=False, subnet_v6="fd00:1::/64", options={**options, "neutron.port_security": "true"})
    rig.outside.hook = None
    rig.settle()
    assert rig.state() == before


def test_a_network_that_is_still_being_removed_gives_no_addresses(rig: Rig, docker: DirectDocker) -> None:
    """A container on another network with the same subnet would get an address of the network being removed."""
    gone = docker.network_create(CIDR)
    rig.neutron.seed_port(rig.neutron.find_networks()[0].id, name="of-a-vm")
    docker.network_rm(gone)
    net = docker.network_create(CIDR, options=tenant(rig))
    box = docker.run(net)
    assert box.endpoint_id in owners(rig)


# -- without a journal to write to, or to read ------------------------------------------------------------------------


def test_removals_on_a_full_disk(rig: Rig, docker: DirectDocker) -> None:
    """An operator whose disk is full could not even remove containers."""
    before = rig.state()
    net = docker.network_create(CIDR)
    box = docker.run(net)
    rig.outside.hook = full_disk
    docker.rm(box)
    assert (rig.links.names(), rig.ovs.owned()) == ([], [])
    rig.outside.hook = None
    rig.settle()
    assert rig.neutron.user_ports() == []
    rig.outside.hook = full_disk
    docker.network_rm(net)
    assert rig.neutron.find_networks() == []
    rig.outside.hook = None
    rig.settle()
    assert rig.state() == before


@pytest.mark.parametrize("what", ["endpoint", "network"])
def test_docker_says_once_what_has_to_go(rig: Rig, docker: DirectDocker, what: str) -> None:
    """A removal during which the journal could not be read would be forgotten: Docker does not repeat it."""
    before = rig.state()
    rig.engine.error = EngineUnavailable("no answer")
    net = docker.network_create(CIDR)
    box = docker.run(net)
    if what == "endpoint":
        # The line of the log reads it first, for whom the call is.
        rig.outside.hook = breaks("journal.endpoints.get", error=JournalError("unreadable"), times=2)
        with pytest.raises(PluginError, match="unreadable"):
            docker.client.call("NetworkDriver.DeleteEndpoint", box.ids)
        rig.settle()
        assert owners(rig) == []
        docker.network_rm(net)
    else:
        docker.rm(box)
        rig.outside.hook = breaks("journal.networks.get", error=JournalError("unreadable"))
        docker.network_rm(net)
    rig.settle()
    assert rig.state() == before


def test_the_gateway_of_an_internal_network_is_no_containers_address(rig: Rig, docker: DirectDocker) -> None:
    """Docker releases the gateway's address with the network: a container with that address would lose it."""
    net = docker.network_create(CIDR, internal=True)
    gateway = net.pools[0].gateway.partition("/")[0]
    docker.run(net)
    given = {ip["ip_address"] for port in rig.neutron.store.all("ports") for ip in port["fixed_ips"]}
    assert gateway not in given
