# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""OpenStack Zun's own driver and network code, with the lab's Docker and Neutron, on each Docker Engine.

``tests/cloud/test_zun.py`` has its calls one by one, and what they cost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Host, Lab
from lab.process import wait_for
from tests.clients.zun_agent import Zun
from tests.cloud.user import MOVING, User, unique_cidr, unique_cidr_v6

_NUMBERS = itertools.count(1)
MANY = 10


class Tenant:
    """Somebody who uses Zun: networks, ports and groups of his own, and containers on one host."""

    def __init__(self, user: User, host: Host, zun: Zun) -> None:
        self.user, self.host, self.zun = user, host, zun
        self.containers: list[str] = []
        self.group = user.open_group()["id"]

    def network(self, *, dual: bool = True) -> str:
        network = str(self.user.make("network", name=f"tenant{next(_NUMBERS)}")["id"])
        self.user.make("subnet", network_id=network, cidr=unique_cidr(), ip_version=4)
        if dual:
            self.user.make("subnet", network_id=network, cidr=unique_cidr_v6(), ip_version=6)
        return network

    def name(self) -> str:
        self.containers.append(f"zun{next(_NUMBERS)}")
        return self.containers[-1]

    def run(self, *networks: dict[str, Any], **wanted: Any) -> dict[str, Any]:
        """A container that runs; its first network is the last one that is named."""
        found: dict[str, Any] = self.zun.ask("run", name=self.name(), networks=networks, **wanted)
        assert found["status"] == "Running"
        return found

    def delete(self, name: str) -> None:
        self.containers.remove(name)
        self.zun.ask("delete", name=name)

    def port(self, network: str, **attributes: Any) -> dict[str, Any]:
        return self.user.make("port", network_id=network, name="of-the-user", **attributes)

    def now(self, port: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in self.user.get("port", port["id"]).items() if key not in MOVING}

    def inside(self, container: dict[str, Any], *command: str) -> str:
        return self.host.docker("exec", container["container_id"], *command).stdout

    def has(self, container: dict[str, Any], network: str) -> set[str]:
        """The addresses that Zun believes the container has there; they are those of its interfaces."""
        addresses = {str(each["addr"]) for each in container["addresses"][network]}
        shown = self.inside(container, "ip", "addr")
        assert all(f"inet{'6' if ':' in each else ''} {each}/" in shown for each in addresses), shown
        return addresses

    def ping(self, container: dict[str, Any], address: str) -> None:
        self.user.ping(self.host, container["container_id"], address)

    def tidy(self) -> None:
        for name in list(self.containers):
            self.delete(name)
        self.zun.ask("delete_networks")


@pytest.fixture(params=["h1", "h2"])
def tenant(request: pytest.FixtureRequest, lab: Lab, user: User) -> Iterator[Tenant]:
    host = lab.host(request.param)
    with Zun.on(lab, host) as zun:
        tenant = Tenant(user, host, zun)
        yield tenant
        tenant.tidy()


def v4(addresses: set[str]) -> str:
    (found,) = (each for each in addresses if ":" not in each)
    return found


def test_a_life_of_a_container(tenant: Tenant) -> None:
    """Zun's containers would not start, not reach each other, or not come back after a stop or a reboot."""
    network = tenant.network()
    first, second = (tenant.run({"network": network}, groups=[tenant.group]) for _ in range(2))
    addresses = tenant.has(first, network)
    assert len(addresses) == 2
    tenant.ping(second, v4(addresses))
    name = tenant.containers[0]
    tenant.zun.ask("reboot", name=name)
    assert tenant.has(first, network) == addresses
    tenant.zun.ask("stop", name=name)
    again = tenant.zun.ask("start", name=name)
    assert again["status"] == "Running"
    assert tenant.has(again, network) == addresses
    tenant.ping(second, v4(addresses))


@pytest.mark.quick
def test_a_port_of_the_users(tenant: Tenant) -> None:
    """A port that the user requests would not be the container's, or not be given back."""
    network = tenant.network()
    port = tenant.port(network, security_groups=[tenant.group])
    before = tenant.now(port)
    container = tenant.run({"network": network, "port": port["id"]})
    assert tenant.has(container, network) == {fixed["ip_address"] for fixed in port["fixed_ips"]}
    assert port["mac_address"] in tenant.inside(container, "ip", "link")
    tenant.delete(tenant.containers[0])
    # Zun unbinds it by a null of its own, which makes "" of the host.
    assert tenant.now(port) == before


def test_a_port_of_one_family(tenant: Tenant) -> None:
    """On a network of both families, Zun's user could not ask for an IPv4 address: Docker's network is dual stack."""
    network = tenant.network()
    (subnet,) = tenant.user.neutron("GET", f"/subnets?network_id={network}&ip_version=4")["subnets"]
    address = subnet["cidr"].replace(".0/24", ".77")
    container = tenant.run({"network": network, "fixed_ip": address})
    assert tenant.has(container, network) == {address}


@pytest.mark.quick
def test_two_networks(tenant: Tenant) -> None:
    """A container with two networks would not start: the second port comes without owner and host."""
    front, back = tenant.network(), tenant.network(dual=False)
    container = tenant.run({"network": back}, {"network": front}, groups=[tenant.group])
    other = tenant.run({"network": back}, groups=[tenant.group])
    addresses = tenant.has(container, front), tenant.has(container, back)
    tenant.ping(other, v4(addresses[1]))
    tenant.zun.ask("reboot", name=tenant.containers[0])
    assert (tenant.has(container, front), tenant.has(container, back)) == addresses
    tenant.ping(other, v4(addresses[1]))


@pytest.mark.parametrize("requested", [False, True], ids=["new", "of the user"])
def test_attaching_and_detaching(tenant: Tenant, requested: bool) -> None:
    """A running container could not get another network, or the user's port on it would be lost."""
    front, back = tenant.network(), tenant.network()
    tenant.run({"network": front})
    name = tenant.containers[0]
    port = tenant.port(back) if requested else None
    before = tenant.now(port) if port else {}
    container = tenant.zun.ask("attach", name=name, network={"network": back, **({"port": port["id"]} if port else {})})
    addresses = tenant.has(container, back)
    assert not port or addresses == {fixed["ip_address"] for fixed in port["fixed_ips"]}
    tenant.zun.ask("reboot", name=name)
    assert tenant.has(container, back) == addresses
    tenant.zun.ask("detach", name=name, network=back)
    assert v4(addresses) not in tenant.inside(container, "ip", "addr")
    if port:
        assert tenant.now(port) == before
    assert tenant.user.ports(network_id=back, device_id=container["uuid"]) == []


def test_security_groups(tenant: Tenant) -> None:
    """Groups that Zun adds and removes would be lost, or the service would set them back."""
    network = tenant.network(dual=False)
    closed = tenant.user.make("security-group", name="closed")["id"]
    container = tenant.run({"network": network}, groups=[closed])
    other = tenant.run({"network": network}, groups=[closed])
    name, address = tenant.containers[0], v4(tenant.has(container, network))
    ping = ("exec", other["container_id"], "ping", "-c", "1", "-w", "2", address)
    assert tenant.host.docker(*ping, check=False).returncode != 0
    tenant.zun.ask("add_group", name=name, group=tenant.group)
    assert wait_for(lambda: tenant.host.docker(*ping, check=False).returncode == 0, 30)
    tenant.zun.ask("reboot", name=name)
    assert wait_for(lambda: tenant.host.docker(*ping, check=False).returncode == 0, 30)
    tenant.zun.ask("remove_group", name=name, group=tenant.group)
    (port,) = tenant.user.ports(device_id=container["uuid"])
    assert port["security_groups"] == [closed]


def test_exposed_ports(tenant: Tenant) -> None:
    """Zun opens exposed ports by a group of its own, and its guide turns ours off: its group would be lost."""
    network = tenant.network(dual=False)
    with tenant.host.configured(process_external_connectivity="false"):
        container = tenant.run({"network": network}, exposed=["80/tcp"])
        assert container["ports"] == [80]
        (group,) = container["security_groups"]
        (port,) = tenant.user.ports(device_id=container["uuid"])
        assert port["security_groups"] == [group]
        tenant.delete(tenant.containers[0])
    assert tenant.user.neutron("GET", f"/security-groups?id={group}")["security_groups"] == []


def test_many_at_once(tenant: Tenant) -> None:
    """Of several containers that Zun makes at once on a new network some would fail."""
    network = tenant.network()
    wanted = {"networks": [{"network": network}], "groups": [tenant.group]}
    calls = [("run", {"name": tenant.name(), **wanted}) for _ in range(MANY)]
    found = tenant.zun.ask("together", calls=calls)
    assert {each["status"] for each in found} == {"Running"}
    assert len({address for each in found for address in tenant.has(each, network)}) == 2 * MANY
    names, tenant.containers = tenant.containers, []
    tenant.zun.ask("together", calls=[("delete", {"name": name}) for name in names])
    assert tenant.user.ports(network_id=network, device_owner="compute:kuryr") == []
