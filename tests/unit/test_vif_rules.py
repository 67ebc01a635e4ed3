# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How an interface is attached, by what Neutron says of its port."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.errors import UnsupportedVif
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.rules import vifs
from tests.unit.values import ENDPOINT_ID, MAC, NET, PORT, PORT_ID


def port(vif_type: str, **details: Any) -> Port:
    return replace(PORT, vif_type=vif_type, vif_details=details, project_id="b7c1")


@pytest.mark.parametrize("has_script", [False, True])
@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (port("ovs"), "ovs"),
        (port("ovs", ovs_hybrid_plug=False), "ovs"),
        (port("ovs", ovs_hybrid_plug=True), "hybrid"),
        (port("bridge"), "bridge"),
        (port("tap"), "none"),
    ],
)
def test_what_the_service_does_itself(bound: Port, expected: str, has_script: bool) -> None:
    """Upstream's own scripts, still in bindir after the change, would plug into br-int whatever Neutron says."""
    assert vifs.attachment_of(bound, (), has_script=has_script) == expected


@pytest.mark.parametrize("vif_type", ["ovs", "tap", "midonet", "vhostuser"])
def test_the_operators_word_counts(vif_type: str) -> None:
    """An operator could not keep the script that his network needs."""
    assert vifs.attachment_of(port(vif_type), {vif_type}, has_script=True) == "script"
    with pytest.raises(
        UnsupportedVif, match=rf"{PORT_ID} has binding:vif_type {vif_type}, which is listed in \[binding\]"
    ):
        vifs.attachment_of(port(vif_type), {vif_type}, has_script=False)


def test_a_script_is_run_for_what_the_service_does_not_know() -> None:
    """Networks of other vendors, which worked with upstream by their script, would have no containers any more."""
    assert vifs.attachment_of(port("midonet"), (), has_script=True) == "script"


@pytest.mark.parametrize(
    ("vif_type", "reason"),
    [
        ("vhostuser", "a socket for a virtual machine or a DPDK program"),
        ("hw_veb", "takes vnic_type direct or macvtap and the port driver sriov"),
        ("hostdev_physical", "takes vnic_type direct-physical"),
        ("midonet", "an executable midonet has to be in bindir"),
    ],
)
def test_anything_else_is_refused_with_the_reason(vif_type: str, reason: str) -> None:
    """A container would start without a network, and nobody would know why."""
    with pytest.raises(UnsupportedVif) as refused:
        vifs.attachment_of(port(vif_type), (), has_script=False)
    assert f"port {PORT_ID} has binding:vif_type {vif_type}: " in str(refused.value)
    assert reason in str(refused.value)


def test_the_arguments_are_upstreams() -> None:
    """The operator's script would take one thing for another: bind and unbind have different orders."""
    bound = port("midonet", ovs_hybrid_plug=True, port_filter=False)
    details = "\"{'ovs_hybrid_plug': True, 'port_filter': False}\""
    bind = ("bind", PORT_ID, "tap1", ENDPOINT_ID, MAC, NET, "b7c1", details)
    assert vifs.bind_arguments(bound, "tap1", ENDPOINT_ID) == bind
    unbind = ("unbind", PORT_ID, "tap1", ENDPOINT_ID, MAC, details, NET)
    assert vifs.unbind_arguments(bound, "tap1", ENDPOINT_ID) == unbind


def test_no_details_are_the_word_none() -> None:
    """Scripts would look into an argument that is not there; and the project is not always shown."""
    bare = replace(port("midonet"), project_id=None)
    assert vifs.bind_arguments(bare, "tap1", ENDPOINT_ID)[-2:] == ("", "None")


@pytest.mark.parametrize(
    ("name", "good"), [("midonet", True), ("a_b-c.d", True), ("../sh", False), (".x", False), ("", False)]
)
def test_a_vif_type_is_no_path(name: str, good: bool) -> None:
    """Neutron could name any program of the host."""
    assert bool(vifs.NAME.fullmatch(name)) is good


@pytest.mark.parametrize(
    ("told", "bridge", "isolated"),
    [
        ({"0": "openvswitch"}, "br-int", True),
        ({"0": "switch-of-racks", "1": "openvswitch"}, "br-int", True),
        ({"0": "openvswitch"}, "tbr-0f9e3a55-7", False),
        ({"0": "ovn"}, "br-int", False),
        ({}, "br-int", False),
        (None, "br-int", False),
        (["openvswitch"], "br-int", False),
        ({"0": ["openvswitch"], "1": {}}, "br-int", False),
    ],
)
def test_who_starts_isolated(told: Any, bridge: str, isolated: bool) -> None:
    """A container would hear all networks before the agent acts; or, where no agent acts, have no network ever."""
    assert vifs.starts_isolated(port("ovs", bound_drivers=told), bridge) is isolated
    assert not vifs.starts_isolated(port("ovs"), bridge)


def test_the_bridge_that_neutron_names() -> None:
    """A container would be in no bridge, or a plug end in a traceback."""
    assert vifs.bridge_of(port("ovs", bridge_name="br-x"), "br-int") == "br-x"
    for told in (None, ""):
        assert vifs.bridge_of(port("ovs", bridge_name=told), "br-int") == "br-int"
    wrong: list[Any] = [5, ["br-x"], {"br-x": 1}, True]
    for each in wrong:
        with pytest.raises(UnsupportedVif, match="must be the name of a bridge"):
            vifs.bridge_of(port("ovs", bridge_name=each), "br-int")
