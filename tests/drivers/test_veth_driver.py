# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The veth port driver on a host in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import Conflict, LinkError, LinkExists, OvsdbUnavailable, UnsupportedVif
from kuryr_libnetwork.model.links import OvsInterface
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.rules import names
from tests.fakes.host import FakeLinks, FakeOvs, FakeScripts

ID = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60"
TAP, T_C = "tap0f9e3a55-7c", "t_c0f9e3a55-7c"
MAC = "fa:16:3e:00:00:01"


class Host:
    def __init__(self) -> None:
        self.links = FakeLinks()
        self.ovs = FakeOvs(["br-int", "br-dpdk"])
        self.scripts = FakeScripts("sdn", "ovs")
        self.driver = VethDriver(self.links, self.ovs, self.scripts)

    def plug(self, endpoint_id: str = "e1") -> PlugRecord:
        plug = self.driver.plan(port(), endpoint_id)
        self.driver.plug(plug, port(), endpoint_id, 1442)
        return plug

    def is_empty(self) -> bool:
        return self.links.names() == [] and self.ovs.owned() == []


@pytest.fixture
def host() -> Host:
    return Host()


def port(vif_type: str = "ovs", **details: Any) -> Port:
    return Port(id=ID, network_id="n", mac_address=MAC.upper(), vif_type=vif_type, vif_details=details)


def test_a_plan_has_upstreams_names_and_neutrons_bridge(host: Host) -> None:
    """The container would be plugged into another bridge than the one Neutron has bound the port to."""
    plug = host.driver.plan(port(bridge_name="br-dpdk"), "e1")
    assert (plug.host_ifname, plug.container_ifname, plug.bridge) == (TAP, T_C, "br-dpdk")
    assert (plug.driver, plug.binding, plug.port_id, plug.vif_type) == ("veth", "veth", ID, "ovs")
    assert host.driver.plan(port(), "e1").bridge == "br-int"
    assert host.is_empty()


@pytest.mark.parametrize("taken", [TAP, T_C])
def test_a_taken_name_is_gone_around(host: Host, taken: str) -> None:
    """A container could not start because somebody else's interface has the name, or that one would be lost."""
    host.links.add(taken, kind="veth")
    plug = host.plug()
    assert (plug.host_ifname, plug.container_ifname) == (TAP + "0", T_C + "0")
    host.driver.unplug(plug)
    assert host.links.names() == [taken]


def test_no_free_name_is_said(host: Host) -> None:
    """The service would try names for ever."""
    for number in range(names.MAX_ALTERNATIVES + 1):
        host.links.add(names.host_name(ID, number))
    with pytest.raises(LinkExists, match=TAP):
        host.driver.plan(port(), "e1")


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        (port("vhostuser"), "binding:vif_type vhostuser: a socket for a virtual machine"),
        (port("midonet"), "an executable midonet has to be in bindir"),
    ],
)
def test_what_it_cannot_plug_is_refused_with_the_reason(host: Host, bound: Port, reason: str) -> None:
    """A container would start without a network, and nobody would know why."""
    with pytest.raises(UnsupportedVif, match=f"{ID}.*{reason}"):
        host.driver.plan(bound, "e1")


def test_plugging_gives_the_pair_and_the_row(host: Host) -> None:
    """The container's interface would have another MAC or MTU than its port, or the port never becomes active."""
    host.plug()
    tap, t_c = host.links.get(TAP), host.links.get(T_C)
    assert tap is not None
    assert t_c is not None
    assert (t_c.mac, t_c.mtu, tap.mtu) == (MAC, 1442, 1442)
    assert tap.alias == t_c.alias == f"kuryr:{ID}"
    assert host.ovs.owned() == [OvsInterface(name=TAP, bridge="br-int", port_id=ID, endpoint_id="e1", mac=MAC)]


def test_plugging_again_keeps_the_interface(host: Host) -> None:
    """A repeated call of Docker would fail, or take the interface from a container that has it."""
    host.plug()
    before = host.links.get(TAP)
    host.plug()
    assert host.links.get(TAP) == before
    assert len(host.ovs.owned()) == 1


def test_a_remnant_of_ours_is_replaced(host: Host) -> None:
    """After a crash in between, the same port could never be plugged again."""
    host.links.add(TAP, kind="veth", alias=names.alias(ID))
    host.plug()
    assert host.links.names() == sorted([TAP, T_C])


@pytest.mark.parametrize("error", [OvsdbUnavailable("down"), Conflict("not ours")])
def test_a_failed_plug_leaves_no_interface(host: Host, error: OvsdbUnavailable | Conflict) -> None:
    """Every failed start would leave a pair of interfaces on the host."""
    host.ovs.fail_next("plug", error)
    with pytest.raises(type(error)):
        host.plug()
    assert host.is_empty()


def test_a_failed_repetition_keeps_what_was_there(host: Host) -> None:
    """A container that works would lose its network because a repeated call met a busy database."""
    host.plug()
    host.ovs.fail_next("plug", OvsdbUnavailable("down"))
    with pytest.raises(OvsdbUnavailable):
        host.plug()
    assert TAP in host.links.names()


def test_a_refused_pair_is_not_plugged(host: Host) -> None:
    """Open vSwitch would have a row for an interface that does not exist."""
    host.links.fail_next("create_veth", LinkError("no"))
    with pytest.raises(LinkError):
        host.plug()
    assert host.is_empty()


@pytest.mark.parametrize("state", ["whole", "in container", "renamed", "link gone", "row gone", "nothing"])
def test_unplugging_takes_away_whatever_is_there(host: Host, state: str) -> None:
    """``docker rm`` would fail or leave something behind, depending on what happened before."""
    plug = host.plug()
    if state == "in container":
        host.links.move_away(T_C)
    if state == "renamed":
        host.links.rename(TAP, "veth1")
        host.links.rename(T_C, "eth7")
    if state in {"link gone", "nothing"}:
        host.links.delete(TAP)
    if state in {"row gone", "nothing"}:
        host.ovs.unplug(ID)
    host.driver.unplug(plug)
    assert host.is_empty()
    host.driver.unplug(plug)


def test_the_interface_goes_even_when_open_vswitch_is_down(host: Host) -> None:
    """An interface would stay on the host for ever, or the row in the database without anybody told."""
    plug = host.plug()
    host.ovs.fail_next("unplug", OvsdbUnavailable("down"))
    with pytest.raises(OvsdbUnavailable):
        host.driver.unplug(plug)
    assert host.links.names() == []
    host.driver.unplug(plug)
    assert host.is_empty()


def test_upstreams_interface_without_a_mark_is_ours_by_its_exact_name(host: Host) -> None:
    """After the change from upstream's service, its containers' interfaces would stay."""
    host.links.add(TAP, kind="veth")
    host.driver.unplug(host.driver.recover(port()))
    assert host.is_empty()


@pytest.mark.parametrize(("kind", "alias"), [("tun", ""), ("veth", "uplink"), ("veth", "kuryr:other")])
def test_somebody_elses_interface_of_that_name_stays(host: Host, kind: str, alias: str) -> None:
    """A virtual machine's tap device of the same name would be deleted."""
    host.links.add(TAP, kind=kind, alias=alias)
    host.driver.unplug(host.driver.recover(port()))
    assert host.links.names() == [TAP]


def test_an_unmarked_interface_of_another_name_stays(host: Host) -> None:
    """A wrong record could delete any interface of the host."""
    plug = host.plug()
    host.driver.unplug(plug)
    host.links.add("tap-mine", kind="veth")
    host.driver.unplug(msgspec.structs.replace(plug, host_ifname="tap-mine"))
    assert host.links.names() == ["tap-mine"]


def test_an_interface_without_a_record_is_recovered_by_its_mark(host: Host) -> None:
    """With the journal lost, a renamed interface or one with an alternative name would stay for ever."""
    host.links.add(TAP, kind="tun")
    plug = host.plug()
    assert host.driver.recover(port()) == plug
    host.links.rename(plug.host_ifname, "veth1")
    host.links.move_away(plug.container_ifname)
    recovered = host.driver.recover(port())
    assert (recovered.host_ifname, recovered.container_ifname) == ("veth1", T_C)
    host.driver.unplug(recovered)
    assert host.links.names() == [TAP]


def test_a_port_that_neutron_has_unbound_is_still_recovered(host: Host) -> None:
    """Upstream's unbind fails for such a port: its interface could never be removed."""
    host.plug()
    host.driver.unplug(host.driver.recover(port("binding_failed")))
    assert host.is_empty()
