# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The veth port driver with ports that do not simply go into Open vSwitch, on a host in memory."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kuryr_libnetwork.errors import BindingScriptFailed, LinkError, LinkExists, OvsdbUnavailable
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.rules.host_ip import is_silent
from tests.fakes.host import NEW, FakeLinks, FakeOvs, FakeScripts
from tests.unit.values import ENDPOINT_ID, MAC, NET, PORT_ID

TAP, T_C, QBR, QVB, QVO = (f"{prefix}{PORT_ID}"[:14] for prefix in ("tap", "t_c", "qbr", "qvb", "qvo"))
BRQ = f"brq{NET}"[:14]
PREFERRED = {"tap"}


class Host:
    def __init__(self) -> None:
        self.links = FakeLinks()
        self.ovs = FakeOvs()
        self.scripts = FakeScripts("sdn", "ovs", "tap")
        self.driver = VethDriver(self.links, self.ovs, self.scripts, PREFERRED)

    def plug(self, bound: Port) -> PlugRecord:
        plug = self.driver.plan(bound, ENDPOINT_ID)
        self.driver.plug(plug, bound, ENDPOINT_ID, 1442)
        return plug

    def is_empty(self) -> bool:
        return self.links.names() == [] and self.ovs.owned() == [] and self.scripts.bound == {}


@pytest.fixture
def host() -> Host:
    return Host()


def port(vif_type: str = "ovs", **details: Any) -> Port:
    return Port(id=PORT_ID, network_id=NET, mac_address=MAC, vif_type=vif_type, vif_details=details, project_id="p")


HYBRID = port(ovs_hybrid_plug=True)


@pytest.mark.parametrize("method", ["create_bridge", "create_veth", "add_to_bridge"])
def test_a_hybrid_plug_that_fails_leaves_nothing(host: Host, method: str) -> None:
    """Each try would leave a bridge and a pair of interfaces."""
    plug = host.driver.plan(HYBRID, ENDPOINT_ID)
    host.links.fail_next(method, LinkError("no"))
    with pytest.raises(LinkError):
        host.driver.plug(plug, HYBRID, ENDPOINT_ID, 1442)
    assert host.is_empty()


def test_the_bridge_goes_even_when_open_vswitch_is_down(host: Host) -> None:
    """Bridges would pile up on the host."""
    plug = host.plug(HYBRID)
    assert host.links.names() == sorted([QBR, QVB, QVO, TAP, T_C])
    host.ovs.fail_next("unplug", OvsdbUnavailable("down"))
    with pytest.raises(OvsdbUnavailable):
        host.driver.unplug(plug)
    assert host.links.names() == []
    host.driver.unplug(plug)
    assert host.is_empty()


@pytest.mark.parametrize("gone", [QBR, QVO])
def test_what_is_missing_of_a_hybrid_plug_is_made_again(host: Host, gone: str) -> None:
    """After a crash in between, the container would have no network."""
    host.plug(HYBRID)
    host.links.delete(gone)
    host.plug(HYBRID)
    assert sorted(host.links.members(QBR)) == [QVB, TAP]
    assert [row.name for row in host.ovs.owned()] == [QVO]


def test_a_hybrid_plug_follows_the_networks_mtu(host: Host) -> None:
    """Large packets would be lost between bridge and Open vSwitch after the network's MTU has grown."""
    plug = host.plug(HYBRID)
    host.driver.plug(plug, HYBRID, ENDPOINT_ID, 9000)
    assert {link.mtu for name in (QVB, QVO, TAP) if (link := host.links.get(name))} == {9000}


def test_somebody_elses_bridge_of_that_name_stays(host: Host) -> None:
    """A bridge of the operator's would be taken into use, and deleted with the container."""
    host.links.add(QBR, kind="bridge", alias="uplink")
    with pytest.raises(LinkExists):
        host.plug(HYBRID)
    assert host.links.names() == [QBR]
    assert host.ovs.owned() == []


@pytest.mark.parametrize("bound", [HYBRID, port("bridge")])
def test_no_other_name_where_the_agent_knows_the_port_by_it(host: Host, bound: Port) -> None:
    """The agent's firewall would not find the interface: the container would be open to all, or cut off."""
    host.links.add(TAP, kind="tun")
    with pytest.raises(LinkExists, match=f"{TAP} or {T_C} is somebody else's"):
        host.driver.plan(bound, ENDPOINT_ID)


def test_the_networks_bridge_is_shared_and_goes_with_the_last(host: Host) -> None:
    """The second container of a network would be alone, or lose its bridge with the first one."""
    other = Port(id="1" + PORT_ID[1:], network_id=NET, mac_address="fa:16:3e:00:00:09", vif_type="bridge")
    one, two = host.plug(port("bridge")), host.plug(other)
    assert len(host.links.members(BRQ)) == 2
    host.driver.unplug(one)
    assert host.links.members(BRQ) == [two.host_ifname]
    host.driver.unplug(two)
    assert host.is_empty()


def test_a_bridge_that_the_agent_makes_at_the_same_moment_is_used(host: Host) -> None:
    """The container would fail to start because somebody was quicker."""
    plug = host.driver.plan(port("bridge"), ENDPOINT_ID)

    class Race(FakeLinks):
        def create_bridge(self, name: str, alias: str) -> None:
            self.add(name, kind="bridge")
            super().create_bridge(name, alias)

    links = Race()
    driver = VethDriver(links, host.ovs, host.scripts)
    driver.plug(plug, port("bridge"), ENDPOINT_ID, 1442)
    assert links.members(BRQ) == [TAP]
    driver.unplug(plug)
    assert links.names() == [BRQ]


def test_a_script_is_called_for_what_only_it_knows(host: Host) -> None:
    """It would get one thing for another, or never be told that the container is gone."""
    plug = host.plug(port("sdn", zone="a"))
    details = "\"{'zone': 'a'}\""
    host.driver.unplug(plug)
    assert host.scripts.runs == [
        ("sdn", "bind", PORT_ID, TAP, ENDPOINT_ID, MAC, NET, "p", details),
        ("sdn", "unbind", PORT_ID, TAP, ENDPOINT_ID, MAC, details, NET),
    ]
    assert host.is_empty()


def test_scripts_are_run_instead_of_our_own_only_where_the_operator_says_so(host: Host) -> None:
    """Upstream's scripts, left in bindir, would come back to life; or the operator's own be ignored."""
    host.driver.unplug(host.plug(port()))
    assert host.scripts.runs == []
    host.driver.unplug(host.plug(port("tap")))
    assert [run[:2] for run in host.scripts.runs] == [("tap", "bind"), ("tap", "unbind")]


def test_an_interface_that_is_not_unbound_stays_for_the_next_try(host: Host) -> None:
    """The script would look in vain for what it is to unbind."""
    plug = host.plug(port("sdn"))
    for _ in range(2):
        host.scripts.fail_next("run", BindingScriptFailed("ended with 1"))
        with pytest.raises(BindingScriptFailed):
            host.driver.unplug(plug)
        assert TAP in host.links.names()
    host.driver.unplug(plug)
    assert host.is_empty()


def test_without_an_interface_a_failure_is_only_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """After a reboot the script would be tried for ever, and the port never be given back."""
    plug = host.plug(port("sdn"))
    host.links.delete(TAP)
    host.scripts.fail_next("run", BindingScriptFailed("ended with 1: no such interface"))
    with caplog.at_level(logging.WARNING):
        host.driver.unplug(plug)
    assert "ended with 1: no such interface" in caplog.text


def test_a_script_that_is_gone_holds_nothing_up(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Containers of an uninstalled network would leave their interfaces and ports for ever."""
    plug = host.plug(port("sdn"))
    host.scripts.known.clear()
    with caplog.at_level(logging.WARNING):
        host.driver.unplug(plug)
    assert "sdn is no longer in bindir" in caplog.text
    assert host.links.names() == []


def test_a_script_that_refuses_leaves_no_interface(host: Host) -> None:
    """Each try would leave a pair of interfaces."""
    plug = host.driver.plan(port("sdn"), ENDPOINT_ID)
    host.scripts.fail_next("run", BindingScriptFailed("ended with 1"))
    with pytest.raises(BindingScriptFailed):
        host.driver.plug(plug, port("sdn"), ENDPOINT_ID, 1442)
    assert host.is_empty()


@pytest.mark.parametrize(
    ("bound", "attachment"),
    [(HYBRID, "hybrid"), (port("bridge"), "bridge"), (port("sdn"), "script"), (port("vhostuser"), "ovs")],
)
def test_without_a_record_the_port_tells_how_it_was(host: Host, bound: Port, attachment: str) -> None:
    """With the journal lost, bridges and what scripts have bound would stay for ever."""
    if attachment != "ovs":
        host.plug(bound)
    recovered = host.driver.recover(bound)
    assert recovered.attachment == attachment
    host.driver.unplug(recovered)
    assert host.is_empty()


def test_rows_without_an_interface_are_found_for_what_they_are(host: Host) -> None:
    """After a reboot Open vSwitch would complain of interfaces that are not there, and the pair's name be lost."""
    host.plug(HYBRID)
    for name in (QVO, TAP, QBR):
        host.links.delete(name)
    (stray,) = host.driver.strays()
    assert (stray.attachment, stray.host_ifname, stray.port_id) == ("hybrid", TAP, PORT_ID)
    host.driver.unplug(stray)
    assert host.is_empty()


@pytest.mark.parametrize("hybrid", [False, True])
def test_ml2_ovs_gets_its_interface_isolated_and_unhindered_afterwards(host: Host, hybrid: bool) -> None:
    """A container would be on every VLAN of the host before the agent acts, or be cut off by each repeated call."""
    bound = port(ovs_hybrid_plug=hybrid, bound_drivers={"0": "openvswitch"})
    host.plug(bound)
    assert [row.isolated for row in host.ovs.owned()] == [True]
    host.ovs.agent_acts()
    host.plug(bound)
    assert [row.isolated for row in host.ovs.owned()] == [False]
    for name in host.links.names():
        host.links.delete(name)
    host.plug(bound)
    assert [row.isolated for row in host.ovs.owned()] == [True]


@pytest.mark.parametrize(
    ("bound", "parts"),
    [
        (port(), [TAP]),
        (HYBRID, [TAP, QBR, QVB, QVO]),
        (port("bridge"), [TAP, BRQ]),
        (port("sdn"), [TAP]),
        (Port(id=PORT_ID, network_id=NET, mac_address=MAC, vif_type="tap"), []),
    ],
    ids=["ovs", "hybrid", "bridge", "script", "routed"],
)
def test_the_host_is_on_no_interface_of_a_container(bound: Port, parts: list[str]) -> None:
    """A container would reach the host past all security groups; but a routed one needs it, for it is its router."""
    links = FakeLinks()
    driver = VethDriver(links, FakeOvs(), FakeScripts("sdn"))
    plug = driver.plan(bound, ENDPOINT_ID)
    driver.plug(plug, bound, ENDPOINT_ID, 1442)

    def reached() -> list[str]:
        return sorted(link.name for link in links.all() if not is_silent(link.host_ip))

    routed = [TAP] if not parts else []
    assert reached() == routed
    links.set_host_ip_for_all(NEW)
    driver.repair(lambda: [plug])
    assert set(reached()) == set(links.names()) - {*parts}
    driver.repair(list)
    links.add("uplink")
    driver.repair(lambda: [plug])
    assert "uplink" in reached()


def test_what_only_has_a_name_of_ours_is_left_alone(host: Host) -> None:
    """The host would lose its address on an interface of the operator's, or on the agent's bridge."""
    plug = host.plug(port("bridge"))
    for name in (TAP, BRQ):
        host.links.delete(name)
    host.links.add(TAP, kind="tun", alias="uplink")
    host.links.add(BRQ, kind="bridge")
    host.driver.repair(lambda: [plug])
    assert [is_silent(link.host_ip) for link in host.links.all()] == [False, False]
