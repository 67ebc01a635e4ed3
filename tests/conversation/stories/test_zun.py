# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""OpenStack Zun's use of the plugin, call by call (docs/notes/upstream.md, "How Zun uses the plugin").

Zun makes one Docker network per Neutron network and host, named by the Neutron network's id. It makes or takes the port
of a container itself: device, owner, host, groups and, for SR-IOV, the profile. Docker is then told its address, with
the MAC when the container is created and without one when it is connected later. When the container goes, Zun takes it
off the network and deletes the port, or unbinds it where it is the user's; and Zun does not wait for us with that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.model.neutron import Port
from tests.conversation.stories.test_sriov_stories import CIDR, SriovPlugin
from tests.conversation.stories.test_stories import at_most
from tests.world.dockerside import Container, Docker, DockerNetwork, PluginError, Wish
from tests.world.plugin import HOST, Plugin

V4, V6 = "10.7.0.0/24", "fd00:7::/64"
CONTAINER = "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
UNBIND = {"device_id": "", "device_owner": "", "binding:host_id": "", "binding:profile": {}}


class Zun:
    """Zun's compute agent on one host; ``gateway`` "" is Neutron's null."""

    def __init__(self, plugin: Plugin, docker: Docker, *, dual: bool = False, gateway: str = "10.7.0.1") -> None:
        self.plugin, self.docker, self.neutron = plugin, docker, plugin.neutron
        network = self.neutron.seed_network(name="tenant", shared=True)
        self.v4 = self.neutron.seed_subnet(network.id, V4, gateway_ip=gateway or None)
        self.v6 = self.neutron.seed_subnet(network.id, V6) if dual else None
        self.group = self.neutron.create_security_group({"name": "zun"}).id
        self.network_id, self.gateway = network.id, gateway
        self.before = self.neutron.find_networks(id=network.id), self.neutron.find_subnets(network_id=network.id)

    def create_network(self) -> DockerNetwork:
        options = {"neutron.net.uuid": self.network_id, "neutron.net.shared": "True"}
        ipam = {"neutron.net.shared": "True"}
        for key, subnet in (("neutron.subnet.uuid", self.v4), ("neutron.subnet.v6.uuid", self.v6)):
            if subnet is not None:
                options[key] = ipam[key] = subnet.id
        return self.docker.network_create(
            V4,
            subnet_v6=V6 if self.v6 else None,
            gateway=self.gateway,
            gateway_v6=(self.v6.gateway_ip or "") if self.v6 else "",
            options=options,
            ipam_options=ipam,
            name=self.network_id,
        )

    def port(self, **more: Any) -> Port:
        fixed = [{"subnet_id": subnet.id} for subnet in (self.v4, self.v6) if subnet]
        wanted = {"name": "of-the-user", "fixed_ips": fixed, "security_groups": [self.group], "dns_name": "web"}
        bound = {"device_id": CONTAINER, "device_owner": "compute:kuryr", "binding:host_id": HOST}
        return self.neutron.seed_port(self.network_id, tags=["keep"], **wanted | bound | more)

    def wish(self, port: Port, *, mac: bool) -> Wish:
        addresses = [fixed.ip_address for fixed in port.fixed_ips]
        ip6 = addresses[1] if len(addresses) > 1 else ""
        return Wish(ip=addresses[0], ip6=ip6, mac=port.mac_address if mac else "")

    def create_container(self, network: DockerNetwork, port: Port) -> Container:
        wish = self.wish(port, mac=True)
        return self.docker.run(network, ip=wish.ip, ip6=wish.ip6, mac=wish.mac)

    def now(self, port: Port) -> Port | None:
        return self.neutron.port(port.id)

    def assert_back(self, port: Port) -> None:
        now = self.now(port)
        assert now is not None
        assert msgspec.structs.replace(now, revision_number=port.revision_number) == port


@pytest.fixture(params=[False, True], ids=["v4", "dual"])
def zun(request: pytest.FixtureRequest, plugin: Plugin, docker: Docker) -> Zun:
    return Zun(plugin, docker, dual=request.param)


@pytest.fixture
def network(zun: Zun) -> Iterator[DockerNetwork]:
    """A Docker network as Zun makes it; after the test nothing of it is left."""
    network = zun.create_network()
    yield network
    zun.docker.network_rm(network)
    zun.plugin.nothing_left()
    found = zun.neutron.find_networks(id=zun.network_id), zun.neutron.find_subnets(network_id=zun.network_id)
    assert found == zun.before


def puts(plugin: Plugin) -> list[tuple[Any, ...]]:
    return plugin.neutron.called("update_port")


def test_a_container_with_a_port_that_zun_has_bound(zun: Zun, network: DockerNetwork) -> None:
    """Zun's containers would wait for an update that changes nothing, or lose the port that Zun made for them."""
    port = zun.port()
    with at_most(zun.plugin, 2):
        box = zun.create_container(network, port)
    now = zun.now(port)
    assert now is not None
    same = {"tags": port.tags, "revision_number": port.revision_number}
    assert msgspec.structs.replace(now, **same) == port
    assert now.tags == ("keep",)  # nothing that Zun's user can see or write tells what is his
    assert {ip.ip_address for ip in port.fixed_ips} == {ip for ip in (box.ip, box.ip6) if ip}
    with at_most(zun.plugin, 2):
        zun.docker.rm(box)
    assert puts(zun.plugin) == []
    zun.assert_back(port)


FOR_ATTACH = {"device_owner": "", "binding:host_id": ""}
"""The ports that Zun creates or uses for a container's further networks: it sets nothing but their device."""


@pytest.mark.parametrize("prepared", [{}, FOR_ATTACH], ids=["prepared", "device-only"])
def test_connecting_a_running_container(zun: Zun, network: DockerNetwork, prepared: dict[str, Any]) -> None:
    """zun network-attach: the second interface comes without a MAC, and goes again."""
    port = zun.port(**prepared)
    other = zun.docker.network_create("10.9.0.0/24")
    box = zun.docker.run(other)
    more = zun.docker.connect(box, network, zun.wish(port, mac=False))
    assert more.mac == port.mac_address
    zun.docker.disconnect(more)
    zun.assert_back(port)
    zun.docker.rm(box)
    zun.docker.network_rm(other)


@pytest.mark.parametrize("when", ["before", "between", "after"])
@pytest.mark.parametrize("unbinds", [False, True], ids=["deletes", "unbinds"])
def test_zun_takes_the_port_away(zun: Zun, network: DockerNetwork, unbinds: bool, when: str) -> None:
    """A port that Zun has given up would be bound again by us, or its interface stay on the host."""
    port = zun.port()
    box = zun.create_container(network, port)

    def give_up() -> None:
        if unbinds:
            zun.neutron.update_port(port.id, UNBIND)
        else:
            zun.neutron.delete_port(port.id)

    if when == "before":
        give_up()
    if when == "between":
        zun.docker.client.call("NetworkDriver.Leave", box.ids)
        zun.docker.client.call("NetworkDriver.DeleteEndpoint", box.ids)
        give_up()
    zun.docker.rm(box)
    if when == "after":
        give_up()
    now = zun.now(port)
    assert (now is not None) is unbinds
    if now is not None:
        assert (now.host_id, now.device_id, now.device_owner, now.tags) == ("", "", "", ("keep",))
        assert (now.name, now.security_groups) == ("of-the-user", (zun.group,))
    assert zun.plugin.links.names() == []


def test_a_port_that_zun_has_not_bound(zun: Zun, network: DockerNetwork) -> None:
    """Where Zun's role may not bind, its port would stay unbound, or come back without Zun's device and owner."""
    port = zun.port(**{"binding:host_id": ""})
    with at_most(zun.plugin, 4):
        box = zun.create_container(network, port)
    now = zun.now(port)
    assert now is not None
    assert (now.host_id, now.device_id, now.device_owner, now.vif_type) == (HOST, CONTAINER, "compute:kuryr", "ovs")
    with at_most(zun.plugin, 3):
        zun.docker.rm(box)
    zun.assert_back(port)


@pytest.mark.parametrize("bound", [False, True], ids=["unbound", "bound"])
def test_the_journal_is_lost_under_zuns_container(zun: Zun, network: DockerNetwork, bound: bool) -> None:
    """Zun's port would be deleted, or stay bound or tagged for ever."""
    port = zun.port() if bound else zun.port(**{"binding:host_id": ""})
    box = zun.create_container(network, port)
    zun.plugin.restart(lose_journal=True)
    zun.docker.rm(box)
    zun.assert_back(port)
    assert zun.plugin.links.names() == []


def test_a_subnet_without_a_gateway(plugin: Plugin, docker: Docker) -> None:
    """Zun's networks without a router (gateway null) could not be made."""
    zun = Zun(plugin, docker, gateway="")
    network = zun.create_network()
    port = zun.port()
    box = zun.create_container(network, port)
    assert box.gateway == ""
    zun.docker.rm(box)
    zun.assert_back(port)
    zun.docker.network_rm(network)
    plugin.nothing_left()


def test_two_hosts_share_zuns_network(zun: Zun, network: DockerNetwork) -> None:
    """Zun's second host would be refused the network, or its port be taken for ours."""
    theirs = zun.port(**{"binding:host_id": "h2"})
    wish = zun.wish(theirs, mac=False)
    with pytest.raises(PluginError, match=f"bound to host h2 by compute:kuryr .device {CONTAINER}"):
        zun.docker.run(network, ip=wish.ip, ip6=wish.ip6)
    assert zun.now(theirs) == theirs
    zun.neutron.delete_port(theirs.id)


def test_a_vf_that_zun_has_chosen(tmp_path: Path) -> None:
    """Zun's SR-IOV containers would get another VF than Zun counts, or one whose port says something else."""
    plugin = SriovPlugin(tmp_path)
    plugin.start()
    try:
        physical = plugin.network()
        bound = {"device_id": CONTAINER, "device_owner": "compute:kuryr", "binding:host_id": HOST}
        port = plugin.port(physical, pci_slot=plugin.nic.vf_address(3))
        port = plugin.neutron.update_port(port.id, bound)
        docker = plugin.docker()
        network = docker.network_create(CIDR, options={"neutron.net.uuid": physical.id, "neutron.net.shared": "False"})
        before = len(plugin.neutron.calls)
        box = docker.run(network, ip="10.10.0.5", mac=port.mac_address)
        docker.rm(box)
        assert [call for call in plugin.neutron.calls[before:] if call[0] == "update_port"] == []
        now = plugin.neutron.port(port.id)
        assert now is not None
        assert msgspec.structs.replace(now, revision_number=port.revision_number) == port
        assert plugin.journal.devices.all() == []
    finally:
        plugin.stop()
