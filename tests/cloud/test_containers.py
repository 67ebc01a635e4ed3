# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers on Neutron networks: the real docker command, Docker, kuryr-server, Neutron, OVN and Open vSwitch."""

from __future__ import annotations

import json
import subprocess

import pytest

from lab.api import Host, Lab
from lab.people import ADMIN
from lab.process import wait_for
from tests.cloud.budget import calls_of_kuryr
from tests.cloud.user import User, together, unique_cidr, unique_cidr_v6


def test_two_containers_ping_and_everything_goes_again(user: User, h1: Host, lab: Lab) -> None:
    """The main job: containers get ports that are ACTIVE, reach each other, and leave nothing behind."""
    cidr = unique_cidr()
    gateway = cidr.replace(".0/24", ".1")
    net = user.network(h1, f"--subnet={cidr}", f"--gateway={gateway}")
    network = user.network_of(h1, net)
    assert network["name"] == f"kuryr-net-{h1.docker_inspect(net)['Id'][:8]}"
    one, two = user.run(h1, net), user.run(h1, net)
    user.ping(h1, one, user.address(h1, two, net))
    port = user.port_of(h1, one, net)
    assert port["status"] == "ACTIVE"
    assert port["binding:host_id"] == "h1"
    assert port["fixed_ips"][0]["ip_address"] == user.address(h1, one, net)
    assert port["mac_address"] == user.settings(h1, one, net)["MacAddress"]
    assert "compute:kuryr" in port["tags"]
    assert f"default via {gateway}" in user.inside(h1, one, "ip", "route")
    link = user.inside(h1, one, "ip", "link", "show", "eth0")
    assert f"mtu {network['mtu']}" in link
    host_link = json.loads(h1.run(["ip", "-json", "link", "show", f"tap{port['id']}"[:14]]).stdout)[0]
    assert host_link["mtu"] == network["mtu"]
    for name in (one, two):
        user.rm(h1, name)
    assert user.ports(network_id=network["id"], device_owner="compute:kuryr") == []
    user.network_rm(h1, net)
    assert user.neutron("GET", f"/networks?id={network['id']}")["networks"] == []


def test_a_container_that_is_the_router(user: User, host: Host) -> None:
    """A container with the gateway's address would not start: Docker cannot set a gateway that is the container
    itself.
    """
    cidr = unique_cidr()
    net = user.network(host, f"--subnet={cidr}")
    router = user.run(host, net, f"--ip={cidr.replace('.0/24', '.1')}")
    one = user.run(host, net)
    user.ping(host, one, user.address(host, router, net))
    assert "default" not in user.inside(host, router, "ip", "route")
    assert "default via" in user.inside(host, one, "ip", "route")


def test_neutron_calls_stay_in_the_budget(user: User, h1: Host, lab: Lab) -> None:
    """Every call more than the budget allows costs each docker run a tenth of a second, for ever."""
    at, cidr = lab.neutron_log_position(), unique_cidr()
    net = user.network(h1, f"--subnet={cidr}")
    assert len(calls := calls_of_kuryr(lab, at)) <= 7, calls
    at = lab.neutron_log_position()
    box = user.run(h1, net)
    labelled = f"PUT /v2.0/ports/{user.port_of(h1, box, net)['id']}"
    assert wait_for(lambda: labelled in calls_of_kuryr(lab, at), 30)
    assert calls_of_kuryr(lab, at) == ["POST /v2.0/ports", labelled]  # the container waits for the first one only
    at = lab.neutron_log_position()
    h1.docker("inspect", box)
    h1.docker("network", "inspect", net)
    assert calls_of_kuryr(lab, at) == []
    user.rm(h1, box)
    assert len(calls := calls_of_kuryr(lab, at)) <= 1, calls
    at = lab.neutron_log_position()
    box = user.run(h1, net, f"--ip={cidr.replace('.0/24', '.77')}")
    labelled = f"PUT /v2.0/ports/{user.port_of(h1, box, net)['id']}"
    assert wait_for(lambda: labelled in calls_of_kuryr(lab, at), 30)
    assert calls_of_kuryr(lab, at) == ["POST /v2.0/ports", labelled]
    user.rm(h1, box)
    at = lab.neutron_log_position()
    user.network_rm(h1, net)
    assert len(calls := calls_of_kuryr(lab, at)) <= 4, calls


def test_tcp_works_on_the_user_space_datapath(user: User, h1: Host) -> None:
    """Ping would work and every TCP connection hang: the kernel leaves checksums to hardware that is not there."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    server, client = user.run(h1, net), user.run(h1, net)
    address = user.address(h1, server, net)
    h1.docker("exec", "-d", server, "sh", "-c", "echo hello-tcp | nc -l -p 7000")
    user.ping(h1, client, address)
    said = h1.docker("exec", client, "sh", "-c", f"for i in 1 2 3 4 5; do nc -w 5 {address} 7000 && break; done").stdout
    assert "hello-tcp" in said


def test_dual_stack(user: User, h1: Host) -> None:
    """A fresh dual-stack container failed with upstream (docs/compatibility.md, B2); both families must work."""
    cidr_v6 = unique_cidr_v6()
    net = user.network(h1, f"--subnet={unique_cidr()}", "--ipv6", f"--subnet={cidr_v6}")
    one, two = user.run(h1, net), user.run(h1, net)
    assert len(user.port_of(h1, one, net)["fixed_ips"]) == 2
    user.ping(h1, one, user.address(h1, two, net))
    h1.docker("exec", one, "ping", "-6", "-c", "3", "-i", "0.2", "-w", "10", user.address_v6(h1, two, net))
    user.rm(h1, one)
    user.rm(h1, two)
    user.network_rm(h1, net)


def test_chosen_addresses_and_mac(user: User, h1: Host) -> None:
    """--ip, --ip6 and --mac-address would be ignored, or contradict Neutron's anti-spoofing."""
    cidr, cidr_v6 = unique_cidr(), unique_cidr_v6()
    net = user.network(h1, f"--subnet={cidr}", "--ipv6", f"--subnet={cidr_v6}")
    ip, ip6, mac = cidr.replace(".0/24", ".77"), cidr_v6.replace("::/64", "::77"), "02:42:ac:11:77:01"
    one = user.run(h1, net, f"--ip={ip}", f"--ip6={ip6}", f"--mac-address={mac}")
    two = user.run(h1, net)
    port = user.port_of(h1, one, net)
    assert ({fixed["ip_address"] for fixed in port["fixed_ips"]}, port["mac_address"]) == ({ip, ip6}, mac)
    user.ping(h1, two, ip)
    assert mac in user.inside(h1, one, "ip", "link", "show", "eth0")


def test_existing_network_is_untouched_afterwards(user: User, h1: Host) -> None:
    """A tenant's network would be renamed, deleted, or keep tags of ours after docker network rm."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4, gateway_ip=cidr.replace(".0/24", ".254"))
    before = user.get("network", network["id"])
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    box = user.run(h1, net)
    assert f"default via {cidr.replace('.0/24', '.254')}" in user.inside(h1, box, "ip", "route")
    user.rm(h1, box)
    user.network_rm(h1, net)
    after = user.get("network", network["id"])
    changing = {"revision_number", "updated_at"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert len(after["subnets"]) == 1


def test_adopting_an_unbound_port(user: User, h1: Host) -> None:
    """A port made beforehand would be replaced by another one, or deleted with the container."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    ip = cidr.replace(".0/24", ".50")
    fixed, groups = [{"subnet_id": subnet["id"], "ip_address": ip}], [user.open_group()["id"]]
    port = user.make("port", network_id=network["id"], name="mine", fixed_ips=fixed, security_groups=groups)
    before = user.get("port", port["id"])
    net = user.network(h1, f"--subnet={cidr}", "-o", "neutron.net.name=tenant")
    one, two = user.run(h1, net, f"--ip={ip}"), user.run(h1, net)
    assert user.port_of(h1, one, net)["id"] == port["id"]
    user.ping(h1, two, ip)
    user.rm(h1, one)
    after = user.get("port", port["id"])
    same = (
        "name",
        "mac_address",
        "fixed_ips",
        "device_id",
        "device_owner",
        "binding:host_id",
        "tags",
        "security_groups",
    )
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    user.rm(h1, two)
    user.network_rm(h1, net)


def test_a_bound_port_is_refused_with_its_owner(user: User, h1: Host) -> None:
    """--ip would take the port of a running virtual machine (docs/compatibility.md, B5)."""
    cidr = unique_cidr()
    network = user.make("network", name="tenant")
    subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    ip = cidr.replace(".0/24", ".50")
    fixed = [{"subnet_id": subnet["id"], "ip_address": ip}]
    owner = {"device_owner": "compute:nova", "device_id": "vm-1", "binding:host_id": "h2"}
    common = {"network_id": network["id"], "project_id": network["project_id"]}
    port = user.make("port", by=ADMIN, fixed_ips=fixed, **common, **owner)
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    said = user.refused(h1, "run", "--rm", "--net", net, f"--ip={ip}", "busybox", "true")
    assert "bound to host h2 by compute:nova (device vm-1)" in said
    assert user.get("port", port["id"])["device_id"] == "vm-1"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("neutron.net.uuid=11111111-2222-3333-4444-555555555555", "no such network"),
        ("neutron.net.uuid=x", "must be the UUID"),
        ("neutron.net.nmae=x", "no such option"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(user: User, h1: Host, option: str, message: str) -> None:
    """A typing error would make a network that nobody wanted; the user must read what is wrong."""
    command = [
        "network",
        "create",
        "-d",
        "kuryr",
        "--ipam-driver=kuryr",
        f"--subnet={unique_cidr()}",
        "-o",
        option,
        "bad",
    ]
    said = user.refused(h1, *command)
    assert message in said
    assert option.partition("=")[0] in said
    assert len(said.strip().splitlines()) == 1


def test_without_our_ipam_driver(user: User, h1: Host) -> None:
    """With Docker's own IPAM the addresses would not be Neutron's; the user must read what to type instead."""
    said = user.refused(h1, "network", "create", "-d", "kuryr", f"--subnet={unique_cidr()}", "bad")
    assert "--ipam-driver=kuryr" in said


def test_a_binding_that_fails_says_why(user: User, h1: Host) -> None:
    """A network that this host cannot reach would give a container without a network, or an error without a cause."""
    cidr = unique_cidr()
    provider = {
        "provider:network_type": "vlan",
        "provider:physical_network": "physnet2",
        "provider:segmentation_id": 77,
    }
    network = user.make("network", by=ADMIN, name="unmapped", project_id=user.member.project_id, **provider)
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    net = user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    said = user.refused(h1, "run", "--rm", "--net", net, "busybox", "true")
    assert "could not bind port" in said
    assert "physical network" in said
    user.network_rm(h1, net)


def test_two_networks_on_one_container(user: User, h1: Host) -> None:
    """The second network's interface would fail to come, or take the name of the first."""
    nets = [user.network(h1, f"--subnet={unique_cidr()}") for _ in range(2)]
    box, peers = user.run(h1, nets[0]), [user.run(h1, net) for net in nets]
    h1.docker("network", "connect", nets[1], box)
    for net, peer in zip(nets, peers, strict=True):
        user.ping(h1, box, user.address(h1, peer, net))
    h1.docker("network", "disconnect", nets[1], box)
    user.ping(h1, box, user.address(h1, peers[0], nets[0]))


def test_stop_and_start(user: User, h1: Host) -> None:
    """A stopped container would keep its port, or not come back."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    box, peer = user.run(h1, net), user.run(h1, net)
    network = user.network_of(h1, net)
    h1.docker("stop", "-t", "1", box)
    assert len(user.ports(network_id=network["id"], device_owner="compute:kuryr")) == 1
    h1.docker("start", box)
    user.ping(h1, box, user.address(h1, peer, net))


def test_internal_network_has_no_default_route(user: User, h1: Host) -> None:
    """--internal would be ignored, as Docker leaves it to the driver."""
    net = user.network(h1, "--internal", f"--subnet={unique_cidr()}")
    one, two = user.run(h1, net), user.run(h1, net)
    assert "default" not in user.inside(h1, one, "ip", "route")
    user.ping(h1, one, user.address(h1, two, net))


def test_twenty_containers_at_once(user: User, h1: Host) -> None:
    """Parallel starts would get each other's ports, time out, or leak when they go."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    names = [f"crowd{number}" for number in range(20)]
    started = [
        h1.popen(
            ["docker", "run", "-d", "--name", name, "--net", net, "busybox", "sleep", "600"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for name in names
    ]
    try:
        assert together(*started, timeout=110) == [(0, "")] * 20
        network = user.network_of(h1, net)
        ports = user.ports(network_id=network["id"], device_owner="compute:kuryr")
        addresses = {user.address(h1, name, net) for name in names}
        assert {port["fixed_ips"][0]["ip_address"] for port in ports} == addresses
        assert len(addresses) == 20
        user.ping(h1, names[0], user.address(h1, names[-1], net))
    finally:
        h1.docker("rm", "-f", *names, check=False)
    assert user.ports(network_id=network["id"], device_owner="compute:kuryr") == []
