# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between Docker's engines (docs/notes/docker-plugin.md, "What differs by version"): on those of both
hosts, or on the newest of them.

``./dev test`` has two engines, ``./dev test --engines`` each one that this machine can have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.api import Host, Lab
from tests.cloud.user import User, unique_cidr, unique_cidr_v6

IFNAME = "com.docker.network.endpoint.ifname"


def major(host: Host) -> int:
    return int(host.engine.major)


def called(host: Host, since: int, verb: str) -> int:
    """How often a verb of Docker was answered well since this place in the service's log."""
    lines = host.kuryr.log.read_text()[since:].splitlines()
    return sum(f" {verb} " in line and " ok (" in line for line in lines)


def here(host: Host) -> int:
    return len(host.kuryr.log.read_text())


def default_gateway(user: User, host: Host, box: str) -> str:
    routes = user.inside(host, box, "ip", "route").splitlines()
    (route,) = [line for line in routes if line.startswith("default via")]
    return route.split()[2]


@pytest.fixture
def newest(lab: Lab) -> Host:
    found = max(lab.hosts.values(), key=major)
    if major(found) < 28:
        pytest.skip(f"needs Docker 28, and the newest here is {found.engine}")
    return found


@pytest.fixture
def live_restore(host: Host) -> Iterator[None]:
    """Containers go on while Docker is down."""
    settings = host.paths.state / "etc-docker" / "daemon.json"
    settings.write_text(json.dumps({"live-restore": True}))
    host.dockerd.restart()
    yield
    settings.unlink()
    host.dockerd.restart()


def test_each_host_has_the_engine_that_the_lab_shows(host: Host) -> None:
    """All that is said to hold for an engine would have been tried on another one."""
    shown = host.docker("version", "--format", "{{.Client.Version}} {{.Server.Version}}").stdout.split()
    assert [version.partition("+")[0] for version in shown] == [host.engine.version] * 2


def test_the_main_job(user: User, host: Host) -> None:
    """Networks and containers of both families would not work, or leave something behind, with this engine."""
    net = user.network(host, f"--subnet={unique_cidr()}", "--ipv6", f"--subnet={unique_cidr_v6()}")
    one, two = user.run(host, net), user.run(host, net)
    user.ping(host, one, user.address(host, two, net))
    host.docker("exec", one, "ping", "-6", "-c", "3", "-i", "0.2", "-w", "10", user.address_v6(host, two, net))
    host.docker("restart", "-t", "1", two)
    user.ping(host, two, user.address(host, one, net))
    network = user.network_of(host, net)
    for box in (one, two):
        user.rm(host, box)
    assert user.ports(network_id=network["id"], device_owner="compute:kuryr") == []
    user.network_rm(host, net)


def test_the_way_out_moves_to_another_network(user: User, host: Host) -> None:
    """Engines program and revoke the gateway in their own order; a container would lose its way out with a network."""
    nets = [user.network(host, f"--subnet={unique_cidr()}") for _ in range(2)]
    box, since = user.run(host, nets[0]), here(host)
    host.docker("network", "connect", nets[1], box)
    gateways = [user.settings(host, box, net)["Gateway"] for net in nets]
    first = default_gateway(user, host, box)
    used, other = (nets, gateways) if first == gateways[0] else (nets[::-1], gateways[::-1])
    host.docker("network", "disconnect", used[0], box)
    assert (first, default_gateway(user, host, box)) == tuple(other)
    assert called(host, since, "NetworkDriver.ProgramExternalConnectivity") >= 1
    assert called(host, since, "NetworkDriver.RevokeExternalConnectivity") >= 1


def test_who_is_asked_whether_a_gateway_is_wanted(user: User, host: Host) -> None:
    """A refused question would end every docker network create from Docker 28 on."""
    since = here(host)
    net = user.network(host, f"--subnet={unique_cidr()}")
    assert called(host, since, "NetworkDriver.GwAllocCheck") == int(major(host) >= 28)
    (subnet,) = user.neutron("GET", f"/subnets?network_id={user.network_of(host, net)['id']}")["subnets"]
    assert default_gateway(user, host, user.run(host, net)) == subnet["gateway_ip"]


def test_options_of_one_container(user: User, host: Host) -> None:
    """An option would be ignored or tear down what stands; the user must read which one is wrong."""
    net = user.network(host, f"--subnet={unique_cidr()}")
    bad = f"name={net},driver-opt=kuryr.nuam_node=1"
    said = user.refused(host, "run", "--rm", "--network", bad, "busybox", "true")
    assert "kuryr.nuam_node" in said
    assert "no such option" in said
    user.run(host, f"name={net},driver-opt=kuryr.vnic_type=normal")


def test_ipv6_only(user: User, newest: Host) -> None:
    """From Docker 28 on networks need no IPv4; a container would get no port, or a port with an IPv4 address too."""
    net = user.network(newest, "--ipv4=false", "--ipv6", f"--subnet={unique_cidr_v6()}")
    one, two = user.run(newest, net), user.run(newest, net)
    address = user.address_v6(newest, two, net)
    newest.docker("exec", one, "ping", "-6", "-c", "3", "-i", "0.2", "-w", "10", address)
    (fixed,) = user.port_of(newest, two, net)["fixed_ips"]
    assert fixed["ip_address"] == address
    assert "inet " not in user.inside(newest, one, "ip", "address", "show", "eth0")
    for box in (one, two):
        user.rm(newest, box)
    user.network_rm(newest, net)


def test_a_name_for_the_interface(user: User, newest: Host) -> None:
    """A container that wants a name for its interface would not start, where no engine gives remote drivers one yet."""
    net = user.network(newest, f"--subnet={unique_cidr()}")
    box, peer = user.run(newest, f"name={net},driver-opt={IFNAME}=data0"), user.run(newest, net)
    user.ping(newest, box, user.address(newest, peer, net))
    assert "eth0" in user.inside(newest, box, "ip", "link")


def test_dockerd_is_killed(user: User, host: Host) -> None:
    """After a crash Docker sends no DeleteEndpoint for what died with it: ports and veths would pile up."""
    net = user.network(host, f"--subnet={unique_cidr()}")
    user.run(host, net)
    host.dockerd.kill()
    host.dockerd.start()
    again, other = user.run(host, net), user.run(host, net)
    user.ping(host, again, user.address(host, other, net))


@pytest.mark.usefixtures("live_restore")
def test_containers_outlive_dockerd(user: User, host: Host) -> None:
    """With live-restore a container would lose its port with Docker's end, or keep it when it is removed afterwards."""
    net = user.network(host, f"--subnet={unique_cidr()}")
    one, two = user.run(host, net), user.run(host, net)
    pid = host.docker_inspect(one)["State"]["Pid"]
    host.dockerd.kill()
    host.dockerd.start()
    assert host.docker_inspect(one)["State"]["Pid"] == pid
    user.ping(host, one, user.address(host, two, net))
    three = user.run(host, net)
    user.ping(host, three, user.address(host, one, net))
    network = user.network_of(host, net)
    for box in (one, two, three):
        user.rm(host, box)
    assert user.ports(network_id=network["id"], device_owner="compute:kuryr") == []


def test_ipv6_turned_off_in_a_container(user: User, newest: Host) -> None:
    """From Docker 28 on the IPv6 address goes back during Join; the port would stay when the container goes."""
    net = user.network(newest, f"--subnet={unique_cidr()}", "--ipv6", f"--subnet={unique_cidr_v6()}")
    box, peer = user.run(newest, net, "--sysctl=net.ipv6.conf.all.disable_ipv6=1"), user.run(newest, net)
    user.ping(newest, box, user.address(newest, peer, net))
    assert user.address_v6(newest, box, net) == ""
    for each in (box, peer):
        user.rm(newest, each)
    assert user.ports(network_id=user.network_of(newest, net)["id"], device_owner="compute:kuryr") == []
    user.network_rm(newest, net)
