# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers with VFs, told through the socket: Neutron with a NIC switch agent, a card in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from kuryr_libnetwork.cli.service_client import call
from kuryr_libnetwork.errors import HostError, LinkError
from kuryr_libnetwork.interfaces.drivers import PortDriver
from kuryr_libnetwork.model.neutron import Network, Port
from kuryr_libnetwork.model.settings import DevicePolicy, SriovSettings
from kuryr_libnetwork.port_driver.drivers.sriov import SriovDriver
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.port_driver.qos import QosRules
from kuryr_libnetwork.protocol.routes import RELEASE_DEVICE
from kuryr_libnetwork.rules.names import device_name
from kuryr_libnetwork.rules.ownership import without_memory
from tests.conversation.stories.test_stories import at_most
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_profiles import ICE
from tests.world.dockerside import Docker, PluginError
from tests.world.plugin import HOST, Plugin

CIDR = "10.10.0.0/24"


class SriovPlugin(Plugin):
    policy = DevicePolicy()
    settings: Mapping[str, Any] = {}

    def __init__(self, folder: Path) -> None:
        self.nic = FakeNic()
        self.repaired: list[str] = []
        super().__init__(folder, FakeNeutron(hosts=[HOST], sriov_hosts=[HOST], role="admin"))

    def extra_drivers(self) -> list[PortDriver]:
        driver = SriovDriver(
            SriovParts(
                leases=self.journal.devices,
                pci=self.nic.pci,
                control=self.nic.control,
                netdevs=self.nic.netdevs,
                qos=QosRules(self.neutron),
                neighbours=lambda: self.neutron.find_ports(**{"binding:host_id": HOST}),
                settings=SriovSettings(**msgspec.structs.asdict(self.policy), **self.settings),
                now=lambda: self.now,
                repaired=self.repaired.append,
            )
        )
        return [driver]

    def network(self) -> Network:
        network = self.neutron.create_network(
            {
                "name": "physical",
                "provider:network_type": "vlan",
                "provider:physical_network": "physnet2",
                "provider:segmentation_id": 150,
            }
        )
        self.neutron.create_subnet({"network_id": network.id, "cidr": CIDR, "ip_version": 4})
        return network

    def port(self, network: Network, **profile: str) -> Port:
        subnet = self.neutron.find_subnets(network_id=network.id)[0]
        return self.neutron.create_port(
            {
                "network_id": network.id,
                "name": "sriov_port",
                "binding:vnic_type": "direct",
                "binding:profile": {"physical_network": "physnet2", "pci_vendor_info": "8086:10ca"} | profile,
                "fixed_ips": [{"subnet_id": subnet.id, "ip_address": "10.10.0.5"}],
            }
        )


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[SriovPlugin]:
    plugin = SriovPlugin(tmp_path)
    plugin.start()
    yield plugin
    plugin.stop()


@pytest.fixture
def docker(plugin: SriovPlugin) -> Docker:
    docker = plugin.docker()
    docker.activate()
    plugin.services.reconciler.round()  # as the background does at the start
    return docker


def test_the_guide(plugin: SriovPlugin, docker: Docker) -> None:
    """The SR-IOV guide's four commands would not give the container the VF of its port, or not give it back."""
    network = plugin.network()
    slot = plugin.nic.vf_address(2)
    port = plugin.port(network, pci_slot=slot)
    before = plugin.neutron.find_ports(id=port.id)[0]
    card = plugin.nic.control.read("pf0", 2), plugin.nic.of(slot).name
    net = docker.network_create(CIDR, gateway="10.10.0.1", options={"neutron.net.uuid": network.id})
    plugin.nic.carrier_after[device_name(port.id)] = 1
    with at_most(plugin, 4):
        box = docker.run(net, ip="10.10.0.5")
    assert plugin.nic.carrier_after[device_name(port.id)] == 0  # it was waited for
    assert (box.ip, box.mac, box.gateway) == ("10.10.0.5", port.mac_address, "10.10.0.1")
    assert plugin.nic.of(slot).name == box.interface["SrcName"]
    found = plugin.nic.control.read("pf0", 2)
    assert (found.mac, found.vlan, found.spoofchk) == (port.mac_address, 150, True)
    bound = plugin.neutron.find_ports(id=port.id)[0]
    assert (bound.host_id, bound.vif_type, without_memory(bound.profile)) == (HOST, "hw_veb", before.profile)
    plugin.services.reconciler.round()
    plugin.nic.move(box.interface["SrcName"], f"/var/run/docker/netns/{box.endpoint_id[:12]}", "eth0")
    with at_most(plugin, 1):
        docker.rm(box)
    assert (plugin.nic.control.read("pf0", 2), plugin.nic.of(slot).name) == card
    after = plugin.neutron.find_ports(id=port.id)[0]
    assert (after.host_id, after.profile, after.device_id) == ("", before.profile, "")
    docker.network_rm(net)
    plugin.nothing_left()


def test_a_vf_without_typing_an_address(plugin: SriovPlugin, docker: Docker) -> None:
    """A network of VFs would need a port with a PCI address for each container."""
    network = plugin.network()
    net = docker.network_create(CIDR, options={"neutron.net.uuid": network.id, "kuryr.vnic_type": "direct"})
    boxes = []
    for _ in range(4):
        with at_most(plugin, 2):
            boxes.append(docker.run(net))
    ports = [plugin.neutron.find_ports(device_id=box.endpoint_id)[0] for box in boxes]
    assert {port.profile["pci_slot"] for port in ports} == {plugin.nic.vf_address(index) for index in range(4)}
    with pytest.raises(PluginError, match="no free VF on physnet2: 4 in use"):
        docker.run(net)
    for box in boxes:
        with at_most(plugin, 1):
            docker.rm(box)
    assert plugin.journal.devices.all() == []
    box = docker.run(net)
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_one_container_among_ordinary_ones(plugin: SriovPlugin, docker: Docker) -> None:
    """A container's own driver options would be ignored, or applied to all containers of the network."""
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id})
    slot = plugin.nic.vf_address(3)
    box = docker.run(net, options={"kuryr.vnic_type": "direct", "kuryr.pci_slot": slot})
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    assert (port.vnic_type, port.profile["pci_slot"]) == ("direct", slot)
    with pytest.raises(PluginError, match=r"kuryr\.pci_slot"):
        docker.run(net, options={"kuryr.vnic_type": "direct", "kuryr.pci_slot": "nonsense"})
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_dead_agent_is_named_and_the_vf_is_free_again(plugin: SriovPlugin, docker: Docker) -> None:
    """A failed binding would keep the VF leased for ever."""
    plugin.neutron.store.sriov_hosts.clear()
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    with pytest.raises(PluginError, match="could not bind port"):
        docker.run(net)
    assert plugin.journal.devices.all() == []
    docker.network_rm(net)
    plugin.nothing_left()


def test_the_agent_comes_after_docker(plugin: SriovPlugin, docker: Docker) -> None:
    """After a boot Docker starts containers before the agent has reported, and tries none of them again."""
    plugin.agent_alive_timeout = 30
    plugin.restart()
    hosts = plugin.neutron.store.sriov_hosts
    hosts.clear()
    agents = [each for each in plugin.neutron.store.all("agents") if each["agent_type"] == "NIC Switch agent"]
    agents[0]["alive"] = False
    looks = 0

    def reports(method: str, _: object) -> None:
        nonlocal looks
        looks += method == "find_agents"
        if looks == 2:
            agents[0]["alive"] = True
            hosts.add(HOST)

    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    plugin.neutron.hook = reports
    with at_most(plugin, 3 + 3):  # a new process asks once for ports that name VFs
        box = docker.run(net)
    assert looks == 2
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    assert (port.host_id, port.vif_type) == (HOST, "hw_veb")
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


def test_a_failure_right_after_the_choice_leaves_the_vf_free(plugin: SriovPlugin, docker: Docker) -> None:
    """A VF would stay taken by a container that never was, until the background finds it."""
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    plugin.nic.netdevs.fail_next("state", LinkError("the PF does not answer"))
    with pytest.raises(PluginError, match="the PF does not answer"):
        docker.run(net)
    assert plugin.journal.devices.all() == []
    docker.network_rm(net)
    plugin.nothing_left()


def test_the_service_dies_with_a_vf_in_a_container(plugin: SriovPlugin, docker: Docker) -> None:
    """A restarted service would have forgotten how the VF was."""
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    card = plugin.nic.control.read("pf0", 0), plugin.nic.of(plugin.nic.vf_address(0)).name
    box = docker.run(net)
    plugin.nic.move(box.interface["SrcName"], "/elsewhere", "eth0")
    plugin.restart()
    plugin.nic.destroy_sandbox("/elsewhere")
    docker.rm(box, delete_endpoint=True)
    assert (plugin.nic.control.read("pf0", 0), plugin.nic.of(plugin.nic.vf_address(0)).name) == card
    docker.network_rm(net)
    plugin.nothing_left()


def test_the_operator_has_a_vf_put_back_while_the_service_runs(plugin: SriovPlugin, docker: Docker) -> None:
    """To release a VF from quarantine the service would have to be stopped, or the host rebooted."""
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    slot = plugin.nic.vf_address(0)
    box = docker.run(net)
    with pytest.raises(HostError, match="of a container has it: docker rm"):
        call(plugin.socket, RELEASE_DEVICE, {"PciAddress": slot})
    plugin.nic.control.fail_next("apply", LinkError("the PF does not answer"))
    docker.rm(box)
    assert [lease.state for lease in plugin.journal.devices.all()] == ["quarantined"]
    plugin.nic.control.fail_next("apply", LinkError("the PF does still not answer"))
    with pytest.raises(HostError, match=f"{slot} stays in quarantine: the PF does still not answer"):
        call(plugin.socket, RELEASE_DEVICE, {"PciAddress": slot})
    assert call(plugin.socket, RELEASE_DEVICE, {"PciAddress": slot}) == {}
    with pytest.raises(HostError, match=f"there is no lease of {slot}"):
        call(plugin.socket, RELEASE_DEVICE, {"PciAddress": slot})
    with pytest.raises(HostError, match="must be a PCI address"):
        call(plugin.socket, RELEASE_DEVICE, {"PciAddress": "nonsense"})
    docker.network_rm(net)
    plugin.nothing_left()


def test_the_rates_and_the_port_security_follow_the_port(plugin: SriovPlugin, docker: Docker) -> None:
    """What a tenant changes at his port would do nothing until the container starts again; nor a QoS policy at all."""
    plugin.nic.add_pf(ICE, 2, "0000:02:00.0", "pf1")
    net = docker.network_create(
        CIDR,
        options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct", "kuryr.pf": "pf1"},
    )
    box = docker.run(net)
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    policy = plugin.neutron.seed_qos_policy(rules=[{"type": "bandwidth_limit", "max_kbps": 20_000}])
    plugin.neutron.change_port(port.id, port_security_enabled=False, qos_policy_id=policy.id)
    with at_most(plugin, 11):  # the first look after the start, too
        plugin.services.reconciler.round()
    found = plugin.nic.control.read("pf1", 0)
    assert (found.spoofchk, found.max_tx_rate, found.mac, found.vlan) == (False, 20, port.mac_address, 150)
    docker.rm(box)
    assert plugin.nic.control.read("pf1", 0).max_tx_rate == 0
    docker.network_rm(net)
    plugin.nothing_left()


def test_an_operator_sees_how_many_vfs_are_left_and_what_was_repaired(plugin: SriovPlugin, docker: Docker) -> None:
    """The next container would find out that there is none; that somebody keeps changing VFs, nobody would."""
    overview = plugin.services.overview
    free = overview.counts().free_devices[""]
    network = plugin.network()
    plugin.port(network)
    net = docker.network_create(CIDR, gateway="10.10.0.1", options={"neutron.net.uuid": network.id})
    box = docker.run(net, ip="10.10.0.5")
    plugin.services.reconciler.round()
    counts = overview.counts()
    assert (counts.free_devices, counts.devices) == ({"": free - 1}, {("leased", "physnet2"): 1})
    assert overview.devices()[0].endpoint_id == box.endpoint_id
    assert plugin.repaired == []
    index = overview.devices()[0].index
    changed = replace(plugin.nic.control.read("pf0", index), vlan=7)
    plugin.nic.control.apply("pf0", index, changed)
    plugin.services.reconciler.round()
    assert (plugin.repaired, plugin.nic.control.read("pf0", index).vlan) == (["vf"], 150)
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    plugin.neutron.change_port(port.id, port_security_enabled=False)
    plugin.services.reconciler.round()
    assert (plugin.repaired, plugin.nic.control.read("pf0", index).spoofchk) == (["vf"], False)


def test_the_neighbours_are_told(plugin: SriovPlugin, docker: Docker) -> None:
    """With engines before 28, neighbours on the wire would send to the address's former place."""
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    box = docker.run(net)
    plugin.nic.move(box.interface["SrcName"], box.sandbox.key, "eth0")
    plugin.services.announcer.work()
    assert plugin.nic.announced == [(box.sandbox.key, box.mac, box.ip)]
    docker.rm(box)
    docker.network_rm(net)
    plugin.nothing_left()


class Minutes(threading.Event):
    """The time passes while the background waits. Something is done in the third pause; the twelfth is the last."""

    def __init__(self, plugin: SriovPlugin, third: Callable[[], object]) -> None:
        super().__init__()
        self._plugin = plugin
        self._third = third
        self._pauses = 0

    def wait(self, timeout: float | None = None) -> bool:
        self._plugin.now += timeout or 0
        self._pauses += 1
        if self._pauses == 3:
            self._third()
        return self._pauses >= 12


def test_what_ports_say_is_enforced_though_nobody_looks_for_leftovers(plugin: SriovPlugin, docker: Docker) -> None:
    """``reconcile_interval = 0`` would silently end port security and rates, and keep a VF in quarantine."""
    net = docker.network_create(CIDR, options={"neutron.net.uuid": plugin.network().id, "kuryr.vnic_type": "direct"})
    box = docker.run(net)
    port = plugin.neutron.find_ports(device_id=box.endpoint_id)[0]
    (index,) = [lease.index for lease in plugin.journal.devices.all() if lease.port_id == port.id]
    plugin.nic.move(box.interface["SrcName"], f"/var/run/docker/netns/{box.endpoint_id[:12]}", "eth0")

    def after_the_start() -> None:
        plugin.neutron.change_port(port.id, port_security_enabled=False)
        gone = docker.run(net)
        plugin.nic.control.fail_next("apply", LinkError("the PF does not answer"))
        docker.rm(gone)
        assert [lease.state for lease in plugin.journal.devices.all()] == ["leased", "quarantined"]

    plugin.services.reconciler.run(Minutes(plugin, after_the_start), 0)
    assert not plugin.nic.control.read("pf0", index).spoofchk
    assert [lease.port_id for lease in plugin.journal.devices.all()] == [port.id]
