# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the user reads when a port does not come up."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.model.neutron import Agent, Port
from kuryr_libnetwork.rules import plugging
from kuryr_libnetwork.rules.plugging import SHOWN_HOSTS, is_awaited, unknown_host, why_unbound
from tests.unit.values import HOST, PORT_ID

DEAD = Agent(id="a", agent_type="OVN Controller agent", host=HOST, alive=False)
ALIVE = Agent(id="b", agent_type="OVN Metadata agent", host=HOST, alive=True)
BY_OVN = Port(id=PORT_ID, network_id="n", vif_details={"bound_drivers": {"0": "ovn"}})
BY_OVS = replace(BY_OVN, vif_details={"bound_drivers": {"0": "openvswitch"}})


@pytest.mark.parametrize(("status", "settled"), [("ACTIVE", True), ("gone", True), ("DOWN", False), ("BUILD", False)])
def test_what_is_waited_for(status: str, settled: bool) -> None:
    """Somebody would wait a minute for a port that does not exist any more, or start a container without a network."""
    assert plugging.is_settled(status) is settled


def test_port_status_and_agents_are_named() -> None:
    """The user would not know which port, and whose log to read."""
    said = plugging.why_inactive(BY_OVN, "DOWN", 60.0, HOST, [DEAD, ALIVE])
    assert f"port {PORT_ID} is DOWN, not ACTIVE, 60 s after it was plugged" in said
    assert (
        f"on host '{HOST}', as far as Neutron knows, OVN Controller agent is not alive, OVN Metadata agent is alive"
        in said
    )


def test_a_host_of_which_neutron_knows_nothing() -> None:
    """A wrong [DEFAULT] host would look like a broken agent."""
    said = plugging.why_inactive(BY_OVN, "DOWN", 5, HOST, [])
    assert f"Neutron knows no agent or chassis on a host named '{HOST}'; compare [DEFAULT] host" in said


def test_agents_that_cannot_be_listed() -> None:
    """A role that may not list agents would hide the error itself."""
    assert plugging.why_inactive(BY_OVN, "DOWN", 5, HOST, None).endswith(
        "is an agent alive on host 'compute-1'? Agents are shown to the role admin only: 'openstack network agent list'"
    )


@pytest.mark.parametrize(("port", "asked"), [(BY_OVN, False), (BY_OVS, True)])
@pytest.mark.parametrize("agents", [[ALIVE], None])
def test_the_dhcp_agent_is_asked_for_where_neutron_waits_for_it(
    port: Port, asked: bool, agents: list[Agent] | None
) -> None:
    """It is on another host: with all agents of this one alive, nobody would think of it."""
    said = plugging.why_inactive(port, "DOWN", 5, HOST, agents)
    assert ("the DHCP agent of the network (enable_dhcp)" in said) is asked


def test_a_dead_agent_of_this_host_is_the_only_one_to_blame() -> None:
    """The user would look after an agent that does its work."""
    assert "DHCP" not in plugging.why_inactive(BY_OVS, "DOWN", 5, HOST, [DEAD, ALIVE])


def test_a_port_that_was_deleted_meanwhile() -> None:
    """An agent would be blamed for what somebody has done."""
    assert plugging.why_inactive(BY_OVN, "gone", 5, HOST, [ALIVE]) == f"port {PORT_ID} was deleted while it was plugged"


# -- failed bindings ---------------------------------------------------------------------------------------------

NIC = Agent(id="2", agent_type="NIC Switch agent", host=HOST, alive=False)


def alive(agent: Agent) -> Agent:
    return replace(agent, alive=True)


@pytest.mark.parametrize(
    ("vnic_type", "agents", "awaited"),
    [
        ("normal", [], False),
        ("normal", [DEAD], True),
        ("normal", [DEAD, ALIVE, alive(NIC)], True),
        ("normal", [alive(DEAD), NIC], False),
        ("direct", [NIC], True),
        ("macvtap", [NIC, alive(DEAD)], True),
        ("direct-physical", [alive(NIC), DEAD], False),
        ("direct", [DEAD], True),
        ("direct", [ALIVE], False),
    ],
)
def test_which_agent_a_binding_waits_for(vnic_type: str, agents: list[Agent], awaited: bool) -> None:
    """After a boot containers would not start for want of an agent that comes a moment later, or wait for none."""
    assert is_awaited(vnic_type, agents) == awaited


def test_a_failed_binding_names_the_likely_cause() -> None:
    """The operator would not learn whether the host's name, its agent or its mappings are wrong."""
    port = Port(id="p1", network_id="n", vif_type="binding_failed")
    head = f"Neutron could not bind port p1 to host '{HOST}' (vif_type binding_failed)"
    unknown = why_unbound(port, HOST, None)
    assert unknown.startswith(f"{head}: is an agent alive on a host of exactly this name")
    assert unknown.endswith("Agents are shown to the role admin only: 'openstack network agent list'")
    assert f"{head}, also after 5 s ([neutron] agent_alive_timeout): " in why_unbound(port, HOST, None, 5)
    nobody = why_unbound(port, HOST, [])
    assert nobody.startswith(f"{head}: Neutron knows no agent")
    assert "[DEFAULT] host" in nobody
    assert why_unbound(port, HOST, [DEAD, DEAD]) == f"{head}: OVN Controller agent on this host is not alive"
    waited = f"{head}: OVN Controller agent on this host is not alive, also after 60 s ([neutron] agent_alive_timeout)"
    assert why_unbound(port, HOST, [DEAD, ALIVE], 60.0) == waited
    mapping = "is alive; is the network's physical network mapped on this host?"
    assert why_unbound(port, HOST, [NIC, alive(DEAD)]) == f"{head}: OVN Controller agent {mapping}"
    direct = replace(port, vnic_type="direct")
    assert why_unbound(direct, HOST, [alive(NIC), DEAD]) == f"{head}: NIC Switch agent {mapping}"


def test_the_likeliest_names_of_a_host_are_shown() -> None:
    """The name that was meant would be lost among those of a thousand hosts, or all of them would be shown."""
    names = [*(f"rack{number:03}-compute" for number in range(500)), "db7.example.org"]
    agents = [replace(ALIVE, host=name) for name in names]
    line = unknown_host("db7", agents)
    assert "501 hosts are known, such as db7.example.org" in line
    assert "1 host is known, such as other" in unknown_host("h1", [replace(ALIVE, host="other")])
    assert line.count("rack") < SHOWN_HOSTS
    assert unknown_host("z", agents).endswith("such as db7.example.org, rack000-compute, rack001-compute")
    assert unknown_host("rack001-compute", agents) == ""
    assert unknown_host("db7", []) == ""


def test_what_an_agent_left_down() -> None:
    """A frozen agent would be seen by users alone; or ports be told that somebody set down, or no agent reports."""
    down = Port(id="p0", network_id="n", status="DOWN", vif_type="ovs")
    others = [
        replace(down, status="ACTIVE"),
        replace(down, status="BUILD"),
        replace(down, admin_state_up=False),
        replace(down, vif_type="hw_veb"),
        replace(down, vif_type="tap"),
    ]
    assert plugging.left_down([]) == plugging.left_down(others) == ""
    assert "still has port p0 DOWN, 60 s after" in plugging.left_down([*others, down])
    many = [replace(down, id=f"p{number}") for number in range(5)]
    assert "port p0, p1, p2 and 2 more DOWN" in plugging.left_down(many)
