# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The marks of a port pool's ports, and when one may be given to a container."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model.links import SwitchView
from kuryr_libnetwork.model.neutron import AddressPair, Agent, FixedIp, Port
from kuryr_libnetwork.rules.options import parse_network_options, pool_size
from kuryr_libnetwork.rules.ownership import OwnPort, OwnProject, memory_of
from kuryr_libnetwork.rules.pool_orphans import of_dead_hosts, of_host
from kuryr_libnetwork.rules.port_pool import (
    PoolMark,
    changed_attributes,
    idle_spare,
    is_installed,
    is_taken,
    is_unchanged,
    marks_of_spare,
    needs_status,
    pool_mark,
)

NETWORK = "d" * 64
OVN, AGENT, SILENT = ({"bound_drivers": {"0": "ovn"}}, {"bound_drivers": {"0": "openvswitch"}}, dict[str, Any]())
MARKS = marks_of_spare("h1", NETWORK)
PORT = Port(
    id="port",
    network_id="net",
    name=MARKS["name"],
    device_id=MARKS["device_id"],
    profile=MARKS["binding:profile"],
    mac_address="fa:16:3e:00:00:01",
    fixed_ips=(FixedIp(subnet_id="s1", ip_address="10.0.0.5"), FixedIp(subnet_id="s2", ip_address="fd00::5")),
    host_id="h1",
    vif_type="ovs",
    security_groups=("a", "b"),
)
MINE = SwitchView(port_id="port", connected=True, installed=True)


def own(port: Port) -> OwnPort:
    found = OwnProject(id="").port(port)
    assert found is not None
    return found


def test_a_spare_says_whose_it_is() -> None:
    """After a lost journal nobody would know for which network, and on which host, it was made."""
    assert idle_spare(own(PORT)) == pool_mark(own(PORT)) == PoolMark(host="h1", network=NETWORK)
    assert memory_of(PORT) is None  # it is not what an adopted port's profile says


@pytest.mark.parametrize(
    "change",
    [
        {"name": "e-port"},
        {"device_id": "e" * 64},
        {"device_id": ""},
        {"profile": {}},
        {"profile": {"kuryr_pool": "h1"}},
    ],
)
def test_what_a_container_has_is_no_spare(change: dict[str, Any]) -> None:
    """A running container's port would be given to another one."""
    assert idle_spare(own(msgspec.structs.replace(PORT, **change))) is None


@pytest.mark.parametrize(
    ("details", "status", "view", "works"),
    [
        (OVN, "DOWN", MINE, True),
        (OVN, "ACTIVE", SwitchView(port_id="port", connected=True), False),
        (OVN, "ACTIVE", SwitchView(port_id="port", installed=True), False),
        (OVN, "ACTIVE", SwitchView(port_id="other", connected=True, installed=True), False),
        (AGENT, "ACTIVE", SwitchView(port_id="port", connected=True), True),
        (AGENT, "DOWN", MINE, False),
        (AGENT, "ACTIVE", SwitchView(port_id="port"), False),
        (AGENT, "ACTIVE", SwitchView(port_id="port", connected=True, dead=True), False),
        (SILENT, "DOWN", MINE, True),
        (SILENT, "ACTIVE", SwitchView(port_id="port", connected=True), True),
        (SILENT, "DOWN", SwitchView(port_id="port", connected=True), False),
        (OVN, "ACTIVE", None, True),
        (OVN, "DOWN", None, False),
    ],
)
def test_which_proof_counts(details: dict[str, Any], status: str, view: SwitchView | None, works: bool) -> None:
    """A container's first packets would be lost, or no container ever get a port of the pool."""
    port = msgspec.structs.replace(PORT, vif_details=details, status=status)
    assert is_installed(port, view) is works


@pytest.mark.parametrize(
    ("details", "status", "asked"), [(OVN, "DOWN", False), (AGENT, "DOWN", True), (AGENT, "ACTIVE", False)]
)
def test_when_neutron_is_asked_for_the_status(details: dict[str, Any], status: str, asked: bool) -> None:
    """Each port would cost a call more, or never be ready."""
    assert needs_status(msgspec.structs.replace(PORT, vif_details=details, status=status)) is asked


@pytest.mark.parametrize(
    "change",
    [
        {"status": "ACTIVE"},
        {"name": "e-port", "device_id": "e" * 64},
        {"revision_number": 9},
        {"security_groups": ("b", "a")},
        {"fixed_ips": tuple(reversed(PORT.fixed_ips))},
        {"mac_address": PORT.mac_address.upper()},
        {"tags": ("kuryr.port.pool",)},
    ],
)
def test_what_makes_no_difference(change: dict[str, Any]) -> None:
    """No port would ever be used again."""
    assert is_unchanged(PORT, msgspec.structs.replace(PORT, **change))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"security_groups": ("a",)}, "security_groups"),
        ({"fixed_ips": PORT.fixed_ips[:1]}, "fixed_ips"),
        ({"mac_address": "fa:16:3e:00:00:02"}, "mac_address"),
        ({"host_id": "h2"}, "binding:host_id"),
        ({"vif_type": "binding_failed"}, "binding:vif_type"),
        ({"vnic_type": "direct"}, "binding:vnic_type"),
        ({"device_owner": "compute:nova"}, "device_owner"),
        ({"admin_state_up": False}, "admin_state_up"),
        ({"port_security_enabled": False}, "port_security_enabled"),
        ({"qos_policy_id": "gold"}, "qos_policy_id"),
        ({"dns_domain": "example.org."}, "dns_domain"),
        ({"profile": {}}, "binding:profile"),
        ({"project_id": "other"}, "project_id"),
        ({"allowed_address_pairs": (AddressPair(ip_address="10.0.0.9", mac_address=""),)}, "allowed_address_pairs"),
    ],
)
def test_what_was_changed_is_seen(change: dict[str, Any], name: str) -> None:
    """A container would get another one's groups, address pairs or rate."""
    now = msgspec.structs.replace(PORT, **change)
    assert not is_unchanged(PORT, now)
    assert list(changed_attributes(PORT, now)) == [name]


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("5", 5), (" auto ", "auto"), ("AUTO", "auto"), ("1000", 1000)])
def test_sizes(text: str, size: object) -> None:
    """Users would have to guess how the option is spelt."""
    assert pool_size("kuryr.port_pool", text) == size
    assert parse_network_options({"kuryr.port_pool": text}).port_pool == size
    assert parse_network_options({}).port_pool is None


@pytest.mark.parametrize("text", ["", "-1", "1001", "99999999999", "many", "1.5", "٣"])
def test_no_sizes(text: str) -> None:
    """A slip would silently be no pool, or an enormous one."""
    with pytest.raises(InvalidOption, match=r"kuryr\.port_pool=.*: must be a number of ports from 0 to 1000, or auto"):
        parse_network_options({"kuryr.port_pool": text})


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"device_id": "", "device_owner": "", "host_id": ""}, False),
        ({"security_groups": ()}, False),
        ({"device_id": "e" * 64}, True),
        ({"device_id": "e" * 64, "name": f"{'e' * 64}-port"}, False),
        ({"device_id": "e" * 64, "name": f"{'f' * 64}-port"}, True),
        ({"device_owner": "compute:nova"}, True),
        ({"host_id": "h2"}, True),
        ({"host_id": None}, True),
    ],
)
def test_whether_somebody_else_uses_it_by_now(change: dict[str, Any], taken: bool) -> None:
    """A port that a virtual machine has would be deleted."""
    assert is_taken(PORT, msgspec.structs.replace(PORT, **change)) is taken


# -- hosts that are gone -------------------------------------------------------------------------------------------


def spare_of(host: str, **more: Any) -> OwnPort:
    profile = marks_of_spare(host, NETWORK)["binding:profile"]
    return own(msgspec.structs.replace(PORT, id=f"port-{host}", **{"profile": profile, "host_id": host, **more}))


def agent(host: str, *, alive: bool) -> Agent:
    return Agent(id=f"a-{host}-{alive}", agent_type="OVN Controller agent", host=host, alive=alive)


def test_ports_of_hosts_that_are_gone() -> None:
    """The ports of a host that is only down for a while, or of this one, would be deleted."""
    ports = [spare_of(host) for host in ("h1", "h2", "h3", "h4")]
    ports += [spare_of("h5", host_id="h1"), spare_of("h6", name="e-port")]
    agents = [agent("h2", alive=True), agent("h2", alive=False), agent("h3", alive=False)]
    found = of_dead_hosts(ports, agents, "h1")
    assert [(each.host, each.docker_network_id) for each in found] == [("h3", NETWORK), ("h4", NETWORK)]
    assert [each.port.id for each in of_host(ports, "h2")] == ["port-h2"]
    assert of_host(ports, "h5") == of_host(ports, "h6") == []
