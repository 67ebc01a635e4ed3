# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Many calls at a time, on one host: even if calls come late, twice or in between, each container has its own port."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from tests.world.dockerside import Container, DockerNetwork, PluginError, new_id
from tests.world.rig import GRACE, DirectDocker, Rig
from tests.world.threads import Call, Pause, at_once, interleaved

CROWD = 20


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def alive(rig: Rig, *boxes: Container) -> None:
    """Each container, and nobody else, has a port with its address, bound here, and a row of its own."""
    ports = {port.device_id: port for port in rig.neutron.user_ports()}
    assert set(ports) == {box.endpoint_id for box in boxes}
    for box in boxes:
        port = ports[box.endpoint_id]
        assert {ip.ip_address for ip in port.fixed_ips} >= {ip for ip in (box.ip, box.ip6) if ip}
        assert (port.host_id, port.vif_type) == (rig.host, "ovs")
    assert sorted(row.port_id for row in rig.ovs.owned()) == sorted(port.id for port in ports.values())
    leases = {lease.port_id: lease.endpoint_id for lease in rig.journal.leases.all()}
    assert leases == {port.id: endpoint_id for endpoint_id, port in ports.items()}


def release(docker: DirectDocker, network: DockerNetwork, ip: str) -> None:
    docker.client.call("IpamDriver.ReleaseAddress", {"PoolID": network.pools[0].pool_id, "Address": ip})


def request(docker: DirectDocker, network: DockerNetwork, ip: str = "") -> str:
    arguments = {"PoolID": network.pools[0].pool_id, "Address": ip, "Options": None}
    address: str = docker.client.call("IpamDriver.RequestAddress", arguments)["Address"]
    return address


def create_endpoint(docker: DirectDocker, network: DockerNetwork, address: str) -> dict[str, str]:
    ids = {"NetworkID": network.network_id, "EndpointID": new_id()}
    interface = {"Address": address, "AddressIPv6": "", "MacAddress": ""}
    docker.client.call("NetworkDriver.CreateEndpoint", ids | {"Interface": interface, "Options": {}})
    return ids


def run(rig: Rig, network: DockerNetwork, ip: str = "") -> Container | None:
    """With an engine of its own, so that each thread has one."""
    return DirectDocker(rig).run(network, ip=ip)


def rm(rig: Rig, box: Container) -> Container | None:
    DirectDocker(rig).rm(box)
    return None


def look(rig: Rig) -> Container | None:
    rig.services.reconciler.round()
    return None


def boxes_of(calls: Sequence[Call[Container | None]]) -> list[Container]:
    return [box for box in (call.result() for call in calls) if box is not None]


def next_address(rig: Rig, network: DockerNetwork) -> str:
    """The address that Neutron gives to the next container."""
    docker = DirectDocker(rig)
    box = docker.run(network)
    docker.rm(box)
    return box.ip


def existing(rig: Rig, cidr: str = "10.1.0.0/24") -> str:
    network = rig.neutron.seed_network(name="tenant")
    rig.neutron.seed_subnet(network.id, cidr, gateway_ip="10.1.0.254")
    return network.id


@pytest.mark.parametrize("dual", [False, True], ids=["v4", "dual"])
@pytest.mark.parametrize("count", [1, 5])
def test_a_crowd_comes_and_goes(rig: Rig, docker: DirectDocker, count: int, dual: bool) -> None:
    """Two containers would get one port, or one of many would leave something behind."""
    before = rig.state()
    nets = [
        docker.network_create(f"10.{n}.0.0/24", subnet_v6=f"fd00:{n}::/64" if dual else None)
        for n in range(1, count + 1)
    ]
    crowd = CROWD if count > 1 or not dual else 1  # Docker never interleaves the two calls of an endpoint
    turns = [nets[n % count] for n in range(crowd)]
    if dual:
        turns = nets  # one at a time on each network, as Docker does
    with interleaved(rig.outside):
        boxes = boxes_of(at_once([partial(run, rig, net) for net in turns]))
        alive(rig, *boxes)
        boxes_of(at_once([partial(rm, rig, box) for box in boxes]))
    alive(rig)
    for net in nets:
        docker.network_rm(net)
    assert rig.state() == before


def test_coming_and_going_at_the_same_time(rig: Rig, docker: DirectDocker) -> None:
    """Releasing one container's address would take it from the next container, which has it by then."""
    net = docker.network_create()
    with interleaved(rig.outside):
        for _ in range(5):
            leaving = [docker.run(net) for _ in range(CROWD // 2)]
            going = [partial(rm, rig, box) for box in leaving]
            coming = [partial(run, rig, net)] * (CROWD // 2)
            staying = boxes_of(at_once([*going, *coming]))
            alive(rig, *staying)
            for box in staying:
                docker.rm(box)


def test_two_docker_networks_share_a_neutron_network(rig: Rig, docker: DirectDocker) -> None:
    """Docker names only a pool when it asks for an address: containers of one would be removed with the other."""
    options = {"neutron.net.uuid": existing(rig)}
    before = rig.state()
    one = docker.network_create(options=options)
    two = docker.network_create(options=options)
    assert one.pools[0].pool_id != two.pools[0].pool_id
    with interleaved(rig.outside):
        turns = [one, two] * (CROWD // 2)
        boxes = boxes_of(at_once([partial(run, rig, net) for net in turns]))
    alive(rig, *boxes)
    staying = [box for box in boxes if box.network is two]
    for box in boxes:
        if box.network is one:
            docker.rm(box)
    docker.network_rm(one)
    alive(rig, *staying)
    rig.settle()
    staying.append(docker.run(two))
    alive(rig, *staying)
    for box in staying:
        docker.rm(box)
    docker.network_rm(two)
    rig.settle()
    assert rig.state() == before


def test_one_address_for_two_containers(rig: Rig, docker: DirectDocker) -> None:
    """Two containers with the same --ip would both get the port, or the refused one would take it from the other."""
    options = {"neutron.net.uuid": existing(rig)}
    nets = [docker.network_create(options=options) for _ in range(2)]
    with interleaved(rig.outside):
        for _ in range(10):
            works = [partial(run, rig, net, ip="10.1.0.7") for net in nets]
            calls = at_once(works)
            (winner,) = boxes_of([call for call in calls if call.error is None])
            (loser,) = [call.error for call in calls if call.error is not None]
            assert isinstance(loser, PluginError)
            assert "in use" in loser.message
            alive(rig, winner)
            docker.rm(winner)


def test_one_address_for_two_containers_step_by_step(rig: Rig, docker: DirectDocker) -> None:
    """The second one would share the address that the first has asked for, and not yet bound."""
    options = {"neutron.net.uuid": existing(rig)}
    one, two = [docker.network_create(options=options) for _ in range(2)]
    address = request(docker, one, "10.1.0.7")
    with pytest.raises(PluginError, match=r"in use by port .* of a container of this host"):
        request(docker, two, "10.1.0.7")
    create_endpoint(docker, one, address)
    with pytest.raises(PluginError, match="in use"):
        create_endpoint(docker, two, address)


def test_one_adopted_port_for_two_containers(rig: Rig, docker: DirectDocker) -> None:
    """Two addresses of one port of the user would be given to two containers."""
    network = existing(rig)
    subnet = rig.neutron.find_subnets(network_id=network)[0]
    fixed = [{"subnet_id": subnet.id, "ip_address": ip} for ip in ("10.1.0.7", "10.1.0.8")]
    rig.neutron.seed_port(network, name="mine", fixed_ips=fixed)
    nets = [docker.network_create(options={"neutron.net.uuid": network}) for _ in range(2)]
    with interleaved(rig.outside):
        works = [partial(run, rig, net, ip=ip) for net, ip in zip(nets, ("10.1.0.7", "10.1.0.8"), strict=True)]
        calls = at_once(works)
    (winner,) = boxes_of([call for call in calls if call.error is None])
    alive(rig, winner)


def test_a_late_release_while_the_next_owner_is_made(rig: Rig, docker: DirectDocker) -> None:
    """ReleaseAddress of a former container would delete the next container's port while it is plugged."""
    net = docker.network_create()
    address = next_address(rig, net)
    for name in ("neutron.update_port", "links.create_veth", "ovs.plug"):
        with Pause(rig.outside, name) as pause:
            start = Call(partial(run, rig, net))
            pause.reached()
            late = Call(lambda: release(DirectDocker(rig), net, address))
            pause.go()
            (box,) = boxes_of([start])
            late.result()
        assert box.ip == address
        alive(rig, box)
        docker.rm(box)
        alive(rig)


def test_a_late_release_while_the_next_port_is_made(rig: Rig, docker: DirectDocker) -> None:
    """A port that Neutron has just created is not in the journal yet: it would be taken for a leftover."""
    net = docker.network_create()
    address = next_address(rig, net)
    with Pause(rig.outside, "after neutron.create_port") as pause:
        start = Call(partial(run, rig, net))
        pause.reached()
        release(docker, net, address)
        pause.go()
        (box,) = boxes_of([start])
    assert box.ip == address
    alive(rig, box)


@pytest.mark.parametrize("name", ["create_subnetpool", "create_network", "create_subnet", "create_port"])
def test_the_reconciler_looks_while_neutron_takes_its_time(rig: Rig, docker: DirectDocker, name: str) -> None:
    """What Neutron creates but answers late would be taken for the leftover of a creation that was cut off."""
    rig.lock_timeout = 0.01
    rig.revive()

    def both() -> Container:
        return DirectDocker(rig).run(DirectDocker(rig).network_create())

    with Pause(rig.outside, f"after neutron.{name}") as pause:
        start = Call(both)
        pause.reached()
        for _ in range(3):
            rig.services.reconciler.round()
            rig.now += GRACE + 1
        pause.go()
        alive(rig, start.result())


@pytest.mark.parametrize("age", [1.0, GRACE * 3], ids=["young", "old"])
def test_a_release_too_many(rig: Rig, docker: DirectDocker, age: float) -> None:
    """A ReleaseAddress that comes twice would delete the port of whoever has the address by then."""
    net = docker.network_create()
    docker.rm(docker.run(net))
    box = docker.run(net)
    rig.now += age
    release(docker, net, box.ip)
    release(docker, net, box.ip)
    alive(rig, box)
    docker.rm(box)
    alive(rig)
    release(docker, net, box.ip)
    alive(rig)


def test_a_release_that_comes_after_the_reconciler(rig: Rig, docker: DirectDocker) -> None:
    """A hung dockerd's ReleaseAddress would hit the next container, between its address and its endpoint."""
    net = docker.network_create()
    address = request(docker, net)
    rig.settle()
    alive(rig)
    assert request(docker, net) == address
    release(docker, net, address.partition("/")[0])
    ids = create_endpoint(docker, net, address)
    rig.services.labels.work()
    (port,) = rig.neutron.user_ports()
    assert port.device_id == ids["EndpointID"]
    docker.client.call("NetworkDriver.DeleteEndpoint", ids)
    release(docker, net, address.partition("/")[0])
    alive(rig)


def test_two_releases_at_the_same_time(rig: Rig, docker: DirectDocker) -> None:
    """The second one would go on with what it saw before the first, and hit the next owner."""
    net = docker.network_create()
    address = request(docker, net)
    with Pause(rig.outside, "neutron.delete_port") as pause:
        first = Call(lambda: release(DirectDocker(rig), net, address.partition("/")[0]))
        pause.reached()
        second = Call(lambda: release(DirectDocker(rig), net, address.partition("/")[0]))
        pause.go()
        first.result()
        second.result()
    assert len(rig.neutron.called("delete_port")) == 1


@pytest.mark.parametrize("name", ["neutron.create_port", "ovs.plug", "neutron.update_port"])
def test_the_reconciler_looks_while_a_container_starts_slowly(rig: Rig, docker: DirectDocker, name: str) -> None:
    """A container whose start takes longer than the grace time would lose its port when it is just ready."""
    rig.lock_timeout = 0.01  # how long a round waits for the container that starts
    rig.revive()
    net = docker.network_create()
    with Pause(rig.outside, name) as pause:
        start = Call(partial(run, rig, net))
        pause.reached()
        rig.services.reconciler.round()
        rig.now += GRACE + 1
        rig.services.reconciler.round()
        pause.go()
        (box,) = boxes_of([start])
    rig.settle()
    alive(rig, box)


def test_the_reconciler_looks_while_containers_come_and_go(rig: Rig, docker: DirectDocker) -> None:
    """Whatever the reconciler sees half done would be taken for a leftover."""
    net = docker.network_create()
    with interleaved(rig.outside):
        boxes = boxes_of(at_once([*[partial(run, rig, net)] * CROWD, *[partial(look, rig)] * 3]))
    rig.settle()
    alive(rig, *boxes)


def test_delete_endpoint_and_network_at_the_same_time(rig: Rig, docker: DirectDocker) -> None:
    """After a crash Docker removes a network and its endpoints at the same time: one removal would break the other."""
    before = rig.state()
    net = docker.network_create()
    box = docker.run(net)
    with Pause(rig.outside, "ovs.unplug") as pause:
        end = Call(partial(rm, rig, box))
        pause.reached()
        gone = Call(lambda: DirectDocker(rig).network_rm(net))
        pause.go()
        end.result()
        gone.result()
    rig.settle()
    assert rig.state() == before


def test_whoever_waits_too_long_is_told_so(rig: Rig, docker: DirectDocker) -> None:
    """Docker has no time-out: a call that waits for another one would hang docker ps with it."""
    rig.lock_timeout = 0.01
    rig.revive()
    net = docker.network_create()
    with Pause(rig.outside, "ovs.plug") as pause:
        start = Call(partial(run, rig, net))
        pause.reached()
        (endpoint,) = rig.journal.endpoints.all()
        ids = {"NetworkID": net.network_id, "EndpointID": endpoint.endpoint_id}
        with pytest.raises(PluginError, match="is held by another call"):
            docker.client.call("NetworkDriver.DeleteEndpoint", ids)
        pause.go()
        (box,) = boxes_of([start])
    alive(rig, box)
