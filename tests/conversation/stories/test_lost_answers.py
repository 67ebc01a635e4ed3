# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Lost answers to repeated calls: what the first call created, and Docker knows, stays.

Swarm repeats CreateNetwork at each start of the engine, and an engine that is restarted in the middle of a call repeats
it. If an answer is lost, only what that call itself created is undone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.world.dockerclient import PluginError
from tests.world.rig import DirectDocker, Rig

CIDR = "10.1.0.0/24"
GATEWAY = {"RequestAddressType": "com.docker.network.gateway"}


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def lost(rig: Rig, method: str, arguments: Mapping[str, Any]) -> None:
    """A call whose answer does not arrive."""
    assert rig.call(method, json.dumps(arguments).encode(), deliver=False) == (200, b"")


def test_a_repeated_create_network(rig: Rig, docker: DirectDocker) -> None:
    """A swarm's network would be removed with all its endpoints, and its containers lose their addresses."""
    net = docker.network_create(CIDR)
    docker.run(net)
    before = rig.state()
    data = {"IPv4Data": [pool.data for pool in net.pools], "IPv6Data": []}
    lost(rig, "NetworkDriver.CreateNetwork", {"NetworkID": net.network_id, "Options": net.options, **data})
    assert rig.state() == before


def test_a_swarms_network_that_is_made_again(rig: Rig, docker: DirectDocker) -> None:
    """The same if the pools were requested again, and Docker, which saw the call fail, releases them."""
    net = docker.network_create(CIDR)
    docker.run(net)
    docker.client.cut = docker.client.calls + 4  # address spaces twice, pool and gateway come before it
    with pytest.raises(PluginError):
        docker.network_again(net)
    assert docker.log[-3:-2] == ["NetworkDriver.CreateNetwork"]
    rig.settle()
    assert len(rig.neutron.user_ports()) == 1
    assert len(rig.ovs.owned()) == 1
    docker.run(docker.network_again(net))


def test_a_repeated_create_endpoint(rig: Rig, docker: DirectDocker) -> None:
    """A running container would lose its interface."""
    box = docker.run(docker.network_create(CIDR))
    before = rig.state()
    interface = {"Address": box.addresses["v4"], "AddressIPv6": "", "MacAddress": ""}
    lost(rig, "NetworkDriver.CreateEndpoint", {**box.ids, "Interface": interface, "Options": box.wish.labels})
    assert rig.state() == before


@pytest.mark.parametrize("adopted", [False, True])
def test_an_address_that_is_requested_twice(rig: Rig, docker: DirectDocker, *, adopted: bool) -> None:
    """The port of a container that is just being started would be deleted, or given back to its owner."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, CIDR)
    if adopted:
        rig.neutron.seed_port(network.id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.1.0.9"}])
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    request = {"PoolID": net.pools[0].pool_id, "Address": "10.1.0.9", "Options": None}
    docker.client.call("IpamDriver.RequestAddress", request)
    before = rig.state()
    lost(rig, "IpamDriver.RequestAddress", request)
    assert rig.state() == before


def test_a_new_address_whose_answer_is_lost_goes(rig: Rig, docker: DirectDocker) -> None:
    """A port that nobody knows about would stay until the background finds it."""
    net = docker.network_create(CIDR)
    before = rig.state()
    lost(rig, "IpamDriver.RequestAddress", {"PoolID": net.pools[0].pool_id, "Address": "10.1.0.9", "Options": None})
    assert rig.state() == before


def test_a_second_pool_of_a_cidr(rig: Rig, docker: DirectDocker) -> None:
    """The pool of the first request would go with the second one's."""
    docker.network_create(CIDR)
    before = rig.state()
    lost(rig, "IpamDriver.RequestPool", {"AddressSpace": "", "Pool": CIDR, "SubPool": "", "Options": None, "V6": False})
    assert rig.state() == before


def test_an_auxiliary_address_that_is_requested_twice(rig: Rig, docker: DirectDocker) -> None:
    """A container would get an address that its user keeps for something else."""
    wanted = {"AddressSpace": "", "Pool": CIDR, "SubPool": "", "Options": None, "V6": False}
    pool = docker.client.call("IpamDriver.RequestPool", wanted)["PoolID"]
    request = {"PoolID": pool, "Address": "10.1.0.9", "Options": None}
    docker.client.call("IpamDriver.RequestAddress", request)
    before = rig.state()
    lost(rig, "IpamDriver.RequestAddress", request)
    assert rig.state() == before


def test_a_gateway_that_is_requested_twice(rig: Rig, docker: DirectDocker) -> None:
    """A container whose address is the network's gateway, as Docker was told it, would lose its port."""
    network = rig.neutron.seed_network(name="tenant")
    rig.neutron.seed_subnet(network.id, CIDR, gateway_ip="10.1.0.9")
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    pool = net.pools[0].pool_id
    docker.client.call("IpamDriver.RequestAddress", {"PoolID": pool, "Address": "10.1.0.9", "Options": None})
    before = rig.state()
    lost(rig, "IpamDriver.RequestAddress", {"PoolID": pool, "Address": "", "Options": GATEWAY})
    assert rig.state() == before


@pytest.mark.parametrize("arrives", [0, 1])
def test_one_of_the_answers_to_a_call_and_its_repetition_arrives(rig: Rig, docker: DirectDocker, arrives: int) -> None:
    """The interface of a container that runs would go: Docker has one of the two answers."""
    net = docker.network_create(CIDR)
    pool = {"PoolID": net.pools[0].pool_id, "Address": "10.1.0.9", "Options": None}
    address = docker.client.call("IpamDriver.RequestAddress", pool)["Address"]
    interface = {"Address": address, "AddressIPv6": "", "MacAddress": ""}
    arguments = {"NetworkID": net.network_id, "EndpointID": "e" * 64, "Interface": interface, "Options": {}}
    body = json.dumps(arguments).encode()
    answers = [rig.boundary.handle("POST", "/NetworkDriver.CreateEndpoint", body) for _ in range(2)]
    before = rig.state()
    for number, answer in enumerate(answers):
        step = answer.arrived if number == arrives else answer.undo
        assert step is not None
        step()
    assert rig.state() == before
