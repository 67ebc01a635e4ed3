# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the background removes, what it never touches, and what it does when others do not answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from kuryr_libnetwork.errors import EngineUnavailable, NeutronError, NeutronUnavailable, OvsdbUnavailable
from kuryr_libnetwork.model.links import OvsInterface
from kuryr_libnetwork.rules.identity import OWN_PORT, UNBOUND_PORT_NAME, intent_description
from kuryr_libnetwork.rules.leftovers import Suspect
from tests.fakes.neutron import PROJECT
from tests.world.dockerside import Container, DockerNetwork, PluginError, new_id
from tests.world.outside import is_read
from tests.world.rig import GRACE, DirectDocker, Rig

CIDR = "10.1.0.0/24"


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def look(rig: Rig) -> list[Suspect]:
    return rig.services.reconciler.round()


def request_address(docker: DirectDocker, network: DockerNetwork, ip: str = "") -> str:
    arguments = {"PoolID": network.pools[0].pool_id, "Address": ip, "Options": None}
    address: str = docker.client.call("IpamDriver.RequestAddress", arguments)["Address"]
    return address


def fails(party: str) -> Callable[[str, tuple[Any, ...]], None]:
    """A hook: the service there does not answer."""
    errors = {"neutron": NeutronUnavailable, "ovs": OvsdbUnavailable}

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name.startswith(f"{party}."):
            raise errors[party]("no answer")

    return hook


# -- each kind of leftover --------------------------------------------------------------------------------------------


def forgotten_address(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    """The first address of a dual-stack endpoint whose second one failed is never released."""
    request_address(docker, net)


def forgotten_endpoint(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    box = docker.run(net)
    rig.engine.endpoints.discard(box.endpoint_id)


def dead_container(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    """The host was rebooted: interfaces are gone, rows and records are not."""
    docker.run(net)
    rig.engine.endpoints.clear()
    for name in rig.links.names():
        rig.links.delete(name)


def forgotten_pool(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    request = {"AddressSpace": "", "Pool": "10.7.0.0/24", "SubPool": "", "Options": None, "V6": False}
    docker.client.call("IpamDriver.RequestPool", request)


def forgotten_network(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    other = docker.network_create("10.7.0.0/24")
    docker.run(other)
    rig.engine.networks.discard(other.network_id)
    rig.engine.endpoints.clear()


def stray_row(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    """A hung ovsdb-server carried out a request after its caller had given up."""
    rig.ovs.plug(OvsInterface(name="tap12345678-90", bridge="br-int", port_id="12345678-90ab"))


def orphan_port(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    """The journal was lost between RequestAddress and CreateEndpoint."""
    request_address(docker, net)
    rig.revive(lose_journal=True)


def orphan_of_a_dead_container(docker: DirectDocker, rig: Rig, net: DockerNetwork) -> None:
    dead_container(docker, rig, net)
    rig.revive(lose_journal=True)


LEFTOVERS = [
    forgotten_address,
    forgotten_endpoint,
    dead_container,
    forgotten_pool,
    forgotten_network,
    stray_row,
    orphan_port,
    orphan_of_a_dead_container,
]


@pytest.mark.parametrize("leave", LEFTOVERS)
def test_a_leftover_goes_after_the_grace_time_and_not_before(
    rig: Rig, docker: DirectDocker, leave: Callable[[DirectDocker, Rig, DockerNetwork], None]
) -> None:
    """It would stay for ever; or something that is only slow would be removed."""
    net = docker.network_create(CIDR)
    look(rig)
    before = rig.state()
    leave(docker, rig, net)
    left = rig.state()
    assert left != before
    look(rig)
    left["journal"] = rig.state()["journal"]  # in which networks may have been found again
    for _ in range(5):
        rig.now += GRACE / 6
        assert look(rig) == []
    assert rig.state() == left
    rig.settle()
    after = rig.state()
    assert {part: rows for part, rows in after.items() if part != "journal"} == {
        part: rows for part, rows in before.items() if part != "journal"
    }
    assert not any(after["journal"][2:])


@pytest.mark.parametrize("owner", ["compute:nova", "compute:az1", "Octavia", "trunk:subport", "baremetal:none"])
@pytest.mark.parametrize("tags", [(), (OWN_PORT,)], ids=["untagged", "tagged"])
def test_a_port_of_ours_that_somebody_else_has_taken_stays(rig: Rig, owner: str, tags: tuple[str, ...]) -> None:
    """A virtual machine, a load balancer or a trunk would lose its port (Neutron 22 does not know the filter
    ``device_owner=``).
    """
    neutron = rig.neutron
    network = neutron.seed_network(project_id=PROJECT)
    neutron.seed_subnet(network.id, CIDR, project_id=PROJECT)
    made = {"name": UNBOUND_PORT_NAME, "description": intent_description(rig.host, "0" * 16), "tags": tags}
    taken = neutron.seed_port(network.id, project_id=PROJECT, device_owner=owner, device_id="vm", **made)
    free = neutron.seed_port(network.id, project_id=PROJECT, **made)
    rig.settle()
    assert neutron.port(taken.id) == taken
    assert neutron.port(free.id) is None


@pytest.mark.parametrize("what", ["network", "subnet", "subnetpool", "port"])
def test_what_was_made_before_neutron_stumbled_goes(rig: Rig, docker: DirectDocker, what: str) -> None:
    """Neutron's internal error would be taken for a refusal, and what it created before would stay for ever."""
    before = rig.state()
    rig.neutron.fail_next(f"create_{what}", NeutronError("HTTP 500"), after=True)
    with pytest.raises(PluginError, match="HTTP 500"):
        docker.run(docker.network_create(CIDR))
    for network_id in list(rig.engine.networks):
        docker.client.call("NetworkDriver.DeleteNetwork", {"NetworkID": network_id})
    rig.engine.networks.clear()
    rig.settle()
    after = rig.state()
    assert {part: rows for part, rows in after.items() if part != "journal"} == {
        part: rows for part, rows in before.items() if part != "journal"
    }


def test_the_grace_time_starts_again_with_each_use(rig: Rig, docker: DirectDocker) -> None:
    """Something that is used again and again would be removed if the looks happen to fall between its uses."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, CIDR)
    rig.neutron.seed_port(network.id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.1.0.9"}])
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    for _ in range(4):
        request_address(docker, net, "10.1.0.9")
        assert look(rig) == []
        rig.now += GRACE + 1
        docker.client.call("IpamDriver.ReleaseAddress", {"PoolID": net.pools[0].pool_id, "Address": "10.1.0.9"})


def test_what_is_in_use_stays(rig: Rig, docker: DirectDocker) -> None:
    """The reconciler would cut off running containers, one grace time after their start."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, CIDR)
    rig.neutron.seed_port(network.id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.1.0.9"}])
    rig.neutron.seed_port(network.id, name="of-a-vm", device_owner="compute:nova", device_id="vm")
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    dual = docker.network_create("10.2.0.0/24", subnet_v6="fd00:2::/64")
    docker.run(net)
    docker.run(net, ip="10.1.0.9")
    docker.run(dual)
    look(rig)
    before = rig.state()
    rig.settle()
    assert rig.state() == before


# -- Docker's word ----------------------------------------------------------------------------------------------------


def test_the_wrong_docker_is_not_believed(rig: Rig, docker: DirectDocker) -> None:
    """With the socket of another engine in kuryr.conf every container and network would go."""
    net = docker.network_create(CIDR)
    docker.run(net)
    before = rig.state()
    rig.engine.networks, rig.engine.endpoints, rig.engine.engine_id = {new_id()}, {new_id()}, "another"
    rig.settle()
    assert rig.state() == before


def test_the_same_docker_with_other_data_is_not_believed(rig: Rig, docker: DirectDocker) -> None:
    """If Docker's data folder was not mounted, every running container would lose its port."""
    net = docker.network_create(CIDR)
    docker.run(net)
    look(rig)
    before = rig.state()
    rig.engine.networks, rig.engine.endpoints = set(), set()
    rig.settle()
    assert rig.state() == before


def test_a_docker_that_has_none_of_our_networks_any_more(rig: Rig, docker: DirectDocker) -> None:
    """The last network, removed while the service was down, would keep its subnet's addresses for ever."""
    before = rig.state()
    docker.network_create(CIDR)
    look(rig)
    rig.engine.networks.clear()
    rig.settle()
    assert rig.state() == before


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_wrong_docker_is_told_once(rig: Rig, docker: DirectDocker, caplog: pytest.LogCaptureFixture) -> None:
    """The operator would not learn why nothing is cleaned up, or read it once a minute for ever."""
    docker.network_create(CIDR)
    rig.engine.networks, rig.engine.engine_id = {new_id()}, "another"
    for _ in range(3):
        look(rig)
    assert warnings(caplog) == [
        "Docker at docker_socket knows none of our 1 networks: what it says is not in use stays"
    ]


def test_what_docker_removed_is_not_called_unused(
    rig: Rig, docker: DirectDocker, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of an ordinary ``docker network rm`` that Neutron held up for a while would look like a fault."""
    net = docker.network_create(CIDR)
    rig.outside.hook = fails("neutron")
    docker.network_rm(net)
    rig.outside.hook = None
    rig.engine.networks.clear()
    caplog.clear()
    rig.settle()
    assert rig.journal.networks.all() == []
    assert warnings(caplog) == []


def test_an_old_docker_without_an_id_of_its_data(rig: Rig, docker: DirectDocker) -> None:
    """Before version 25 any data folder has the same id: an empty one would be believed."""
    rig.engine.engine_id = ""
    docker.network_create(CIDR)
    look(rig)
    before = rig.state()
    rig.engine.networks.clear()
    rig.settle()
    assert rig.state() == before


@pytest.mark.parametrize("leave", [forgotten_address, dead_container, forgotten_pool, stray_row, orphan_port])
def test_docker_does_not_answer(
    rig: Rig, docker: DirectDocker, leave: Callable[[DirectDocker, Rig, DockerNetwork], None]
) -> None:
    """While Docker is down nothing would be cleaned up, not even what needs no answer from it."""
    net = docker.network_create(CIDR)
    box = docker.run(net)
    docker.rm(box)
    leave(docker, rig, net)
    rig.engine.error = EngineUnavailable("no answer")
    rig.settle()
    assert rig.neutron.user_ports() == []
    assert (rig.links.names(), rig.ovs.owned()) == ([], [])
    assert rig.journal.leases.all() == []
    assert rig.neutron.find_networks() != []


def test_docker_does_not_answer_and_nothing_is_lost(rig: Rig, docker: DirectDocker) -> None:
    """A Docker that hangs would be taken for one that knows nothing."""
    net = docker.network_create(CIDR)
    docker.run(net)
    before = rig.state()
    rig.engine.error = EngineUnavailable("no answer")
    rig.settle()
    rig.engine.error = None
    rig.settle()
    after = rig.state()
    assert {part: after[part] for part in ("ports", "networks", "links", "ovs")} == {
        part: before[part] for part in ("ports", "networks", "links", "ovs")
    }


# -- those who do not answer ------------------------------------------------------------------------------------------


def test_neutron_is_down_in_a_round(rig: Rig, docker: DirectDocker) -> None:
    """One error would end the background for good, or keep it from tasks that do not need Neutron."""
    net = docker.network_create(CIDR)
    box = docker.run(net)
    rig.engine.endpoints.clear()
    rig.outside.hook = fails("neutron")
    rig.settle()
    assert (rig.links.names(), rig.ovs.owned()) == ([], [])
    assert [port.device_id for port in rig.neutron.user_ports()] == [box.endpoint_id]
    rig.outside.hook = None
    rig.settle()
    assert rig.neutron.user_ports() == []
    docker.run(net)


def test_one_leftover_that_cannot_be_removed(rig: Rig, docker: DirectDocker) -> None:
    """All leftovers after it would stay as well."""
    net = docker.network_create(CIDR)
    for _ in range(3):
        request_address(docker, net)
    stuck = rig.neutron.user_ports()[0].id

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.delete_port" and arguments == (stuck,):
            raise NeutronUnavailable("no answer")

    rig.outside.hook = hook
    rig.settle()
    assert [port.id for port in rig.neutron.user_ports()] == [stuck]
    rig.outside.hook = None
    rig.settle()
    assert rig.neutron.user_ports() == []


def test_open_vswitch_is_down_at_rm(rig: Rig, docker: DirectDocker) -> None:
    """Docker never deletes an endpoint twice: row and port would stay once Open vSwitch is back."""
    net = docker.network_create(CIDR)
    box = docker.run(net)
    rig.outside.hook = fails("ovs")
    docker.rm(box)
    rig.settle()
    rig.outside.hook = None
    assert rig.links.names() == []
    rig.settle()
    assert rig.ovs.owned() == []
    assert rig.neutron.user_ports() == []


def test_a_failed_run_is_repeated_at_once(rig: Rig, docker: DirectDocker) -> None:
    """Leftovers of a failed attempt would block the next one with the same --ip until the grace time is over."""
    net = docker.network_create(CIDR)
    rig.outside.hook = fails("ovs")
    with pytest.raises(PluginError, match="no answer"):
        docker.run(net, ip="10.1.0.77")
    rig.outside.hook = None
    look(rig)
    box = docker.run(net, ip="10.1.0.77")
    rig.settle()
    assert [port.device_id for port in rig.neutron.user_ports()] == [box.endpoint_id]


# -- what is nobody's business ----------------------------------------------------------------------------------------


def test_rows_of_others_and_rows_with_an_interface_stay(rig: Rig, docker: DirectDocker) -> None:
    """The interface of a container, or of another service with our mark, would be taken from the bridge."""
    docker.network_create(CIDR)
    rig.links.add("tap-of-somebody")
    rig.ovs.plug(OvsInterface(name="tap-of-somebody", bridge="br-int", port_id="99999999-90ab"))
    rig.settle()
    assert [row.name for row in rig.ovs.owned()] == ["tap-of-somebody"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": "kuryr-unbound-port"},
        {"name": "kuryr-unbound-port", "description": "made by kuryr-libnetwork on h2, 0123456789abcdef"},
        {"name": "kuryr-unbound-port", "device_owner": "compute:nova", "device_id": "vm"},
        {"name": "x", "binding:host_id": "h1", "device_owner": "compute:kuryr", "device_id": "of-zun"},
        {"name": "x", "binding:host_id": "h2", "device_owner": "compute:kuryr", "device_id": "ab" * 32},
        {"name": "x", "binding:host_id": "h1", "device_owner": "compute:nova", "device_id": "ab" * 32},
    ],
)
def test_ports_of_others_stay(rig: Rig, docker: DirectDocker, attributes: dict[str, str]) -> None:
    """A port that another host is about to use, or that is not ours at all, would be deleted."""
    docker.network_create(CIDR)
    network = rig.neutron.find_networks()[0]
    port = rig.neutron.seed_port(network.id, **attributes)
    rig.settle()
    assert rig.neutron.user_ports() == [port]


def test_a_port_taken_by_its_owner_is_not_given_back(rig: Rig, docker: DirectDocker) -> None:
    """A virtual machine would lose its port, which a container asked for and never got, long before."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, CIDR)
    fixed = {"subnet_id": subnet.id, "ip_address": "10.1.0.9"}
    port = rig.neutron.seed_port(network.id, fixed_ips=[fixed], tags=["mine"])
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    request_address(docker, net, "10.1.0.9")
    taken = {"device_owner": "compute:nova", "device_id": "vm", "binding:host_id": "h1"}
    rig.neutron.update_port(port.id, taken)
    before = rig.neutron.port(port.id)
    rig.settle()
    assert rig.neutron.port(port.id) == before
    assert rig.journal.leases.all() == []


# -- routes -----------------------------------------------------------------------------------------------------------


def gateway_of(docker: DirectDocker, net: DockerNetwork) -> tuple[str, list[dict[str, Any]]]:
    box: Container = docker.run(net)
    docker.rm(box)
    return box.gateway, box.routes


def test_gateway_and_routes_are_refreshed(rig: Rig, docker: DirectDocker) -> None:
    """A gateway or host routes that the user changes in Neutron would never reach a new container."""
    network = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(network.id, CIDR, gateway_ip="10.1.0.1")
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    assert gateway_of(docker, net) == ("10.1.0.1", [])
    row = rig.neutron.store.get("subnets", subnet.id)
    row["gateway_ip"] = "10.1.0.2"
    row["host_routes"] = [{"destination": "192.0.2.0/24", "nexthop": "10.1.0.7"}]
    look(rig)
    routes = [{"Destination": "192.0.2.0/24", "RouteType": 0, "NextHop": "10.1.0.7"}]
    assert gateway_of(docker, net) == ("10.1.0.2", routes)


def test_the_mtu_is_refreshed(rig: Rig, docker: DirectDocker) -> None:
    """Packets of new containers would be too large for the network, or smaller than need be, for ever."""
    network = rig.neutron.seed_network(name="tenant")
    rig.neutron.seed_subnet(network.id, CIDR)
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
    rig.neutron.store.get("networks", network.id)["mtu"] = 1300
    look(rig)
    box = docker.run(net)
    (link,) = [link for link in rig.links.all() if link.name.startswith("tap")]
    assert link.mtu == 1300
    docker.rm(box)


MTU = "com.docker.network.driver.mtu"


@pytest.mark.parametrize("journal_lost", [False, True])
def test_a_network_has_the_mtu_that_its_user_asked_for(rig: Rig, docker: DirectDocker, journal_lost: bool) -> None:
    """Docker's own drivers honour the option; packets would be lost in a tunnel that only the user knows of."""
    net = docker.network_create(CIDR, options={MTU: "1300"})
    if journal_lost:
        rig.journal.networks.drop(net.network_id)
    boxes = [docker.run(net)]
    (network,) = rig.neutron.find_networks()
    rig.neutron.store.get("networks", network.id)["mtu"] = 1280
    look(rig)
    boxes.append(docker.run(net))
    assert [link.mtu for link in rig.links.all() if link.name.startswith("tap")] == [1300, 1280]
    for box in boxes:
        docker.rm(box)
    docker.network_rm(net)
    assert rig.neutron.find_networks(id=network.id) == []


def test_an_mtu_that_is_too_large_leaves_nothing_behind(rig: Rig, docker: DirectDocker) -> None:
    """A network that was refused would keep its addresses."""
    before = rig.state()
    with pytest.raises(PluginError, match=r"driver.mtu=9000: the Neutron network carries at most 1\d\d\d"):
        docker.network_create(CIDR, options={MTU: "9000"})
    assert rig.state() == before


def test_what_cannot_be_read_stays_as_it_was(rig: Rig, docker: DirectDocker) -> None:
    """One bad minute of Neutron's, or a network that somebody deleted, would take the routes of all new containers."""
    net = docker.network_create(CIDR)
    look(rig)
    before = rig.journal.networks.all()
    for what in ("find_subnets", "find_networks"):
        rig.neutron.fail_next(what, NeutronUnavailable("not now"))
        look(rig)
        assert rig.journal.networks.all() == before
    assert gateway_of(docker, net) == ("10.1.0.1", [])


def test_a_round_is_cheap(rig: Rig, docker: DirectDocker) -> None:
    """Every host would ask Neutron dozens of questions a minute, for each of its networks and containers."""
    for number in range(1, 6):
        docker.run(docker.network_create(f"10.{number}.0.0/24"))
    rig.settle()  # after the start it looks for more
    rig.outside.arm(None)
    look(rig)
    rig.outside.disarm()
    calls = [name for name in rig.outside.names if name.startswith("neutron.")]
    assert len(calls) <= 6, calls  # two of them, about quota and addresses, only every five minutes
    changes = [name for name in rig.outside.names if not is_read(name)]
    assert not changes
