# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port drivers ``nested`` and ``vlan`` on a machine in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kuryr_libnetwork.binding.child import ChildBinding
from kuryr_libnetwork.errors import LinkError, LinkExists, NeutronConflict, NeutronUnavailable
from kuryr_libnetwork.model.neutron import Port, SubPort
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.port_driver.drivers.nested import NestedDriver
from kuryr_libnetwork.port_driver.drivers.vlan import ATTEMPTS, VlanDriver
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.rules import names
from tests.fakes.host import FakeLinks
from tests.fakes.neutron import PROJECT, TENANT, FakeNeutron, Hook

MTU = 1442


class Host:
    """A virtual machine with a trunk, and a port for a container."""

    def __init__(self) -> None:
        self.neutron = FakeNeutron()
        self.links = FakeLinks()
        network = self.neutron.seed_network()
        self.neutron.seed_subnet(network.id, "10.1.0.0/24")
        owner = {"device_owner": "compute:nova", "device_id": "vm", "binding:host_id": "h1"}
        self.vm = self.neutron.seed_port(network.id, **owner)
        self.links.add("ens3", mac=self.vm.mac_address, up=True)
        self.trunk = self.neutron.seed_trunk(self.vm.id)
        self.port = self.neutron.seed_port(network.id)
        self.machine = Machine(self.links, self.neutron, "ens3", longest_wait=5)
        self.nested = NestedDriver(self.neutron, self.machine, ChildBinding(self.links, "ipvlan"))
        self.vlan = VlanDriver(self.neutron, self.machine, ChildBinding(self.links, "vlan"), "h1", choose=_first)

    def plug(self, driver: NestedDriver | VlanDriver) -> PlugRecord:
        plug = driver.plan(self.port, "e1")
        driver.plug(plug, self.port, "e1", MTU)
        return plug

    def vlans(self) -> list[int]:
        return [each.segmentation_id for each in self.neutron.trunk(self.trunk.id).sub_ports]

    def pairs(self) -> int:
        port = self.neutron.port(self.vm.id)
        assert port is not None
        return len(port.allowed_address_pairs)

    def drivers(self) -> tuple[NestedDriver, VlanDriver]:
        return self.nested, self.vlan


def _first(free: Sequence[int]) -> int:
    return free[0]


@pytest.fixture
def host() -> Host:
    return Host()


def test_plugging_again_changes_nothing(host: Host) -> None:
    """A repeated call would put a port on its trunk twice, add a pair twice, or fail."""
    for driver in host.drivers():
        plug = host.plug(driver)
        driver.plug(plug, host.port, "e1", MTU)
        assert (host.vlans(), host.pairs()) == (([1], 0) if driver is host.vlan else ([], 1))
        driver.unplug(plug)
        driver.unplug(plug)
        assert (host.vlans(), host.pairs(), host.links.names()) == ([], 0, ["ens3"])


def test_a_taken_name_is_gone_around(host: Host) -> None:
    """A container could not start because somebody else's interface has the name, or that one would be lost."""
    name = names.container_name(host.port.id)
    host.links.add(name)
    plug = host.plug(host.nested)
    assert plug.container_ifname == name + "0"
    host.nested.unplug(plug)
    assert host.links.names() == sorted(["ens3", name])


def test_no_free_name_is_said(host: Host) -> None:
    """The service would try names for ever."""
    for number in range(names.MAX_ALTERNATIVES + 1):
        host.links.add(names.container_name(host.port.id, number))
    with pytest.raises(LinkExists, match="every interface name"):
        host.nested.plan(host.port, "e1")


def test_a_remnant_of_ours_is_replaced(host: Host) -> None:
    """After a crash in between, the same port could never be plugged again."""
    remnant = names.container_name(host.port.id)
    host.links.add(remnant, kind="ipvlan", mtu=1400, alias=names.alias(host.port.id))
    host.plug(host.nested)
    found = host.links.get(remnant)
    assert found is not None
    assert found.mtu == MTU


@pytest.mark.parametrize("away", [False, True])
def test_a_refused_interface_takes_the_rest_back(host: Host, away: bool) -> None:
    """The pair, or the place on the trunk, would stay; or a second error hide what was wrong."""
    for driver in host.drivers():
        plug = driver.plan(host.port, "e1")
        host.links.fail_next("create_child", LinkError("no such kind"))
        if away:
            host.neutron.hook = _away_after_the_first_change()
        with pytest.raises(LinkError, match="no such kind"):
            driver.plug(plug, host.port, "e1", MTU)
        host.neutron.hook = lambda *_: None
        assert away == bool(host.vlans() or host.pairs())
        driver.unplug(plug)
        assert (host.vlans(), host.pairs()) == ([], 0)


def _away_after_the_first_change() -> Hook:
    seen: list[str] = []

    def hook(method: str, arguments: tuple[object, ...]) -> None:
        if {"update_port", "add_subport"} & set(seen):
            raise NeutronUnavailable("away")
        seen.append(method)

    return hook


def test_a_refusal_that_is_not_about_the_vlan_is_shown(host: Host) -> None:
    """The service would try VLAN after VLAN, and never say that the port cannot be on a trunk."""
    host.neutron.change_port(host.port.id, device_id="somebody")
    with pytest.raises(NeutronConflict, match="attached device somebody"):
        host.plug(host.vlan)
    assert len(host.neutron.called("add_subport")) == 1


def test_a_full_trunk_is_said(host: Host) -> None:
    """Whoever starts the 4095th container would read about an index."""
    full = [{"port_id": f"p{n}", "segmentation_id": n, "segmentation_type": "vlan"} for n in range(1, 4095)]
    host.neutron.change_port(host.vm.id, trunk_details={"trunk_id": host.trunk.id, "sub_ports": full})
    with pytest.raises(NeutronConflict, match="no free VLAN: all 4094 are in use"):
        host.plug(host.vlan)


def test_somebody_is_faster_again_and_again(host: Host) -> None:
    """A call of Docker would never end."""
    others = [host.neutron.seed_port(host.vm.network_id) for _ in range(ATTEMPTS)]

    def interfere(method: str, arguments: tuple[object, ...]) -> None:
        if method == "add_subport" and isinstance(wanted := arguments[1], SubPort) and wanted.port_id == host.port.id:
            taken = SubPort(port_id=others.pop().id, segmentation_id=wanted.segmentation_id)
            host.neutron.add_subport(host.trunk.id, taken)

    host.neutron.hook = interfere
    with pytest.raises(NeutronConflict, match=f"changed by others {ATTEMPTS} times"):
        host.plug(host.vlan)
    assert len(host.vlans()) == ATTEMPTS


def test_only_our_ports_on_the_trunk_are_strays(host: Host) -> None:
    """A port that the operator, a tenant or another host has put on the trunk would be taken off."""
    mine = "made by kuryr-libnetwork on h1, 0123456789abcdef"
    ours: dict[str, Any] = {"tags": ["compute:kuryr"], "description": mine, "project_id": PROJECT}
    theirs = {**ours, "description": mine.replace("h1", "h2")}
    memory = {"host": "h1", "endpoint": "e1", "was": {}}
    ports = {
        name: host.neutron.seed_port(host.vm.network_id, name=name, **attributes)
        for name, attributes in (
            ("ours", ours),
            ("adopted", {"binding:profile": {"kuryr": memory}}),
            ("adopted-in-our-project", {"binding:profile": {"kuryr": memory}, "project_id": PROJECT}),
            ("of-another-host", theirs),
            ("adopted-by-another-host", {**ours, "binding:profile": {"kuryr": memory | {"host": "h2"}}}),
            ("forged", {**ours, "project_id": TENANT}),
            ("remembers-nonsense", {"tags": ["kuryr.port.existing"], "binding:profile": {"kuryr": ["h1"]}}),
            ("operators", {"project_id": PROJECT}),
        )
    }
    for number, port in enumerate(ports.values(), 1):
        host.neutron.add_subport(host.trunk.id, SubPort(port_id=port.id, segmentation_id=number))
    found = {plug.port_id for plug in host.vlan.strays()}
    assert found == {ports[name].id for name in ("ours", "adopted", "adopted-in-our-project")}


def test_an_interface_in_no_container_is_a_stray(host: Host) -> None:
    """What a container that never started left would stay until the next reboot."""
    for driver in host.drivers():
        plug = host.plug(driver)
        (stray,) = driver.strays()
        assert stray.port_id == plug.port_id
        host.links.move_away(plug.container_ifname)
        assert driver.strays() == []
        driver.unplug(plug)
        host.links.forget_all()
        host.links.add("ens3", mac=host.vm.mac_address, up=True)


def test_a_port_that_was_never_on_a_trunk_is_recovered(host: Host) -> None:
    """Cleaning up after a lost journal would need a trunk that the operator has removed."""
    host.neutron.drop_trunk(host.trunk.id)
    plug = host.vlan.recover(host.port)
    assert plug.trunk_id == ""
    host.vlan.unplug(plug)


def test_an_unbound_port_of_another_mac_is_known(host: Host) -> None:
    """After a change of the binding the pairs of the other kind would stay."""
    recovered = host.nested.recover(Port(id="p", network_id="n", mac_address="FA:16:3E:00:00:01"))
    assert recovered.pairs == ()
    both = host.nested.recover(host.port)
    assert {pair.mac_address for pair in both.pairs} == {host.port.mac_address, host.vm.mac_address}


def test_a_port_is_put_on_the_trunk_whatever_another_container_saw() -> None:
    """A container would start without a network: one beside it had seen its port on the trunk just before."""
    host = Host()
    other = host.neutron.seed_port(host.port.network_id)
    plug = host.plug(host.vlan)
    again: list[PlugRecord] = []

    def hook(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "after find_ports" and not again:
            again.append(plug)
            host.vlan.unplug(plug)
            again[0] = host.vlan.plan(host.port, "e2")

    host.neutron.find_ports = _with(host.neutron.find_ports, hook)  # type: ignore[method-assign]
    host.vlan.plan(other, "e3")
    host.vlan.plug(again[0], host.port, "e2", MTU)
    assert len(host.vlans()) == 1


def _with(call: Any, hook: Hook) -> Any:
    """The call, and the hook after it."""

    def both(**query: Any) -> Any:
        found = call(**query)
        hook("after find_ports", ())
        return found

    return both
