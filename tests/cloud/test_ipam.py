# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Networks, subnets and pools that the user chooses, with the real Docker and the real Neutron."""

from __future__ import annotations

from typing import Any

import pytest

from lab.api import Host, Lab
from lab.people import ADMIN, KURYR
from tests.cloud.budget import calls_of_kuryr
from tests.cloud.user import User, unique_cidr, unique_cidr_v6


def tenant(user: User, cidr: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Neutron network of the user's with one subnet; its gateway is .254."""
    network = user.make("network", name="tenant")
    gateway = cidr.replace(".0/24", ".254")
    subnet = user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4, gateway_ip=gateway, **more)
    return network, subnet


@pytest.mark.parametrize("place", ["-o", "--ipam-opt"])
def test_a_subnet_chosen_once(user: User, h1: Host, place: str) -> None:
    """Upstream only labels a pool with neutron.subnet.uuid; the container would land on a network of its own."""
    cidr = unique_cidr()
    network, subnet = tenant(user, cidr)
    net = user.network(h1, f"--subnet={cidr}", place, f"neutron.subnet.uuid={subnet['id']}")
    one, two = user.run(h1, net), user.run(h1, net)
    assert user.port_of(h1, one, net)["network_id"] == network["id"]
    user.ping(h1, one, user.address(h1, two, net))
    for box in (one, two):
        user.rm(h1, box)
    user.network_rm(h1, net)
    assert user.get("subnet", subnet["id"])["tags"] == user.get("network", network["id"])["tags"] == []


def test_one_cidr_on_three_networks(user: User, h1: Host) -> None:
    """Docker asks for addresses by pool: containers of one network would get ports on another one of the same CIDR."""
    cidr = unique_cidr()
    chosen = [tenant(user, cidr)[0]["id"] for _ in range(2)]
    nets = [user.network(h1, f"--subnet={cidr}", "-o", f"neutron.net.uuid={each}") for each in chosen]
    nets.append(user.network(h1, f"--subnet={cidr}"))
    chosen.append(user.network_of(h1, nets[2])["id"])
    for net, network_id in zip(nets, chosen, strict=True):
        two = user.run(h1, net, f"--ip={cidr.replace('.0/24', '.77')}")  # before Neutron can choose it by chance
        one = user.run(h1, net)
        for box in (one, two):
            assert user.port_of(h1, box, net)["network_id"] == network_id
        user.ping(h1, one, user.address(h1, two, net))
        user.rm(h1, one)


def test_a_pool_of_the_users(user: User, h1: Host, h2: Host) -> None:
    """Subnets would not come from the pool, or the pool go with the first Docker network that used it."""
    cidr = unique_cidr()
    wide, other = cidr.replace(".0/24", ".0/25"), cidr.replace(".0/24", ".128/25")
    pool = user.make("subnetpool", by=ADMIN, name="for-all", shared=True, prefixes=[cidr], default_prefixlen=25)
    chosen = f"neutron.pool.uuid={pool['id']}"
    first = user.network(h1, f"--subnet={wide}", "-o", chosen)
    second = user.network(h2, "--ipam-opt", chosen)
    assert h2.docker_inspect(second)["IPAM"]["Config"][0]["Subnet"] == other
    subnets = user.neutron("GET", f"/subnets?subnetpool_id={pool['id']}")["subnets"]
    assert {subnet["cidr"] for subnet in subnets} == {wide, other}
    said = user.refused(h1, "network", "create", "-d", "kuryr", "--ipam-driver=kuryr", "--ipam-opt", chosen, "bad")
    assert "has no free prefix left; give --subnet" in said
    for host, net in ((h1, first), (h2, second)):
        user.rm(host, user.run(host, net))
        user.network_rm(host, net)
    assert user.get("subnetpool", pool["id"])["tags"] == []


def test_default_pools_of_both_families(user: User, h1: Host) -> None:
    """Without --subnet the operator's pools would be used up by one network, or not at all."""
    cidr, cidr_v6 = unique_cidr(), unique_cidr_v6()
    half = cidr.replace(".0/24", ".0/25")
    user.make("subnetpool", by=KURYR, name="kuryr", prefixes=[cidr], default_prefixlen=25)
    user.make("subnetpool", by=KURYR, name="kuryr6", prefixes=[cidr_v6], default_prefixlen=64)
    net = user.network(h1, "--ipv6", f"--subnet={unique_cidr_v6()}")
    assert half in [each["Subnet"] for each in h1.docker_inspect(net)["IPAM"]["Config"]]
    one, two = user.run(h1, net), user.run(h1, net)
    user.ping(h1, one, user.address(h1, two, net))


def test_calls_with_zuns_options(user: User, h1: Host, lab: Lab) -> None:
    """What Zun asks for, once per host and network, would cost more calls than the budget has."""
    cidr = unique_cidr()
    network, subnet = tenant(user, cidr)
    common = [f"neutron.net.shared={network['shared']}", f"neutron.subnet.uuid={subnet['id']}"]
    options = [f"neutron.net.uuid={network['id']}", *common]
    arguments = [part for each in options for part in ("-o", each)] + [
        part for each in common for part in ("--ipam-opt", each)
    ]
    at = lab.neutron_log_position()
    net = user.network(h1, f"--subnet={cidr}", f"--gateway={subnet['gateway_ip']}", *arguments)
    assert len(calls := calls_of_kuryr(lab, at)) <= 7, calls
    user.rm(h1, user.run(h1, net))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "neutron.subnet.uuid=11111111-2222-3333-4444-555555555555"], "neutron.subnet.uuid=11111111"),
        (["--ipam-opt", "neutron.pool.name=nowhere"], "neutron.pool.name=nowhere: no such subnetpool"),
        (["-o", "neutron.net.shared=true", "--ipam-opt", "neutron.net.shared=no"], "contradicts --ipam-opt"),
        (["--ipam-opt", "neutron.pool.nmae=x"], "neutron.pool.nmae=x: no such option"),
    ],
)
def test_wrong_choices_are_one_line_and_leave_nothing(user: User, h1: Host, options: list[str], words: str) -> None:
    """A typing error would make a network that nobody wanted; the user must read what is wrong."""
    command = ["network", "create", "-d", "kuryr", "--ipam-driver=kuryr", f"--subnet={unique_cidr()}", *options, "bad"]
    said = user.refused(h1, *command)
    assert words in said
    assert len(said.strip().splitlines()) == 1


def in_dockers_order(host: Host, net: str) -> list[str]:
    """The docker command sends several --subnet in any order; the engine keeps the one in which they came."""
    return [each["Subnet"] for each in host.docker_inspect(net)["IPAM"]["Config"]]


def test_two_subnets_of_one_family(user: User, h1: Host) -> None:
    """Of several --subnet only the first would count, or Neutron refuse the second beside it."""
    cidrs = unique_cidr(), unique_cidr()
    net = user.network(h1, *(f"--subnet={cidr}" for cidr in cidrs))
    first, second = in_dockers_order(h1, net)
    assert sorted(cidrs) == sorted((first, second))
    ip = second.replace(".0/24", ".77")
    two = user.run(h1, net, f"--ip={ip}")
    one = user.run(h1, net)
    assert user.address(h1, one, net).startswith(first.removesuffix("0/24"))
    assert user.address(h1, two, net) == ip
    assert f"default via {second.replace('.0/24', '.1')}" in user.inside(h1, two, "ip", "route")
    assert len(user.network_of(h1, net)["subnets"]) == 2


def test_a_full_subnet_is_followed_by_the_next(user: User, h1: Host) -> None:
    """Docker takes the first subnet only: containers would fail while the second one has addresses."""
    cidrs = [unique_cidr().replace("/24", "/29") for _ in range(2)]
    net = user.network(h1, *(f"--subnet={cidr}" for cidr in cidrs))
    _, second = in_dockers_order(h1, net)
    boxes = [user.run(h1, net) for _ in range(6)]
    found = {user.address(h1, box, net) for box in boxes}
    assert len(found) == 6
    assert any(ip.startswith(second.removesuffix("0/29")) for ip in found)
    for box in boxes:
        user.rm(h1, box)
    network = user.network_of(h1, net)
    assert user.ports(network_id=network["id"], device_owner="compute:kuryr") == []


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_range_and_auxiliary_addresses(user: User, h1: Host, existing: bool) -> None:
    """Containers would get addresses outside of --ip-range, or one that is promised to a printer."""
    cidr = unique_cidr()
    head = cidr.removesuffix("0/24")
    arguments = [f"--subnet={cidr}", f"--ip-range={head}64/30", f"--aux-address=printer={head}65"]
    if existing:
        network, _ = tenant(user, cidr)
        arguments += ["-o", f"neutron.net.uuid={network['id']}"]
    net = user.network(h1, *arguments)
    boxes = [user.run(h1, net) for _ in range(3)]  # Neutron's own port is outside of the range
    found = {user.address(h1, box, net) for box in boxes}
    assert len(found) == len(boxes)
    assert found <= {f"{head}{last}" for last in (64, 66, 67)}
    assert all(f"{user.address(h1, box, net)}/24" in user.inside(h1, box, "ip", "-4", "addr") for box in boxes)
    said = user.refused(h1, "run", "--rm", "--net", net, "busybox", "true")
    assert "has no free address left" in said
    said = user.refused(h1, "run", "--rm", "--net", net, f"--ip={head}65", "busybox", "true")
    assert "aux-address" in said
    for box in boxes:
        user.rm(h1, box)
    user.network_rm(h1, net)
    if existing:
        assert user.ports(network_id=network["id"], device_owner="kuryr:aux-address") == []
