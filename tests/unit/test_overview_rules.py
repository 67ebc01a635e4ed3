# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The journal's records as an operator reads them."""

from __future__ import annotations

import msgspec

from kuryr_libnetwork.model.overview import PoolState
from kuryr_libnetwork.model.records import (
    EndpointRecord,
    LeaseRecord,
    NetworkRecord,
    PlugRecord,
    SpareRecord,
    SubnetRecord,
)
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.rules.neutron_paths import resource_of
from kuryr_libnetwork.rules.overview import (
    device_rows,
    endpoint_rows,
    network_rows,
    port_rows,
    spare_row,
    suspect_row,
    why_suspect,
)
from tests.unit.values import CIDR, DOCKER_ID, ENDPOINT_ID, IP, IP6, MAC, NET, POOL_ID, PORT, PORT_ID, SUBNET_ID

RECORD = NetworkRecord(
    docker_id=DOCKER_ID,
    neutron_id=NET,
    made=True,
    mtu=1500,
    asked_mtu=1400,
    subnets=(
        SubnetRecord(subnet_id=SUBNET_ID, pool_id=POOL_ID, cidr=CIDR, ip_version=4, made=True, gateway_ip="10.0.0.1"),
    ),
)
PLUG = PlugRecord(
    driver="veth", binding="veth", port_id=PORT_ID, vif_type="ovs", host_ifname="tap0f9e", container_ifname="t_c0f9e"
)
ENDPOINT = EndpointRecord(
    endpoint_id=ENDPOINT_ID,
    docker_network_id=DOCKER_ID,
    port_id=PORT_ID,
    state="ready",
    mac_address=MAC,
    address="10.0.0.5",
    address_ipv6="2001:db8::5",
    plug=PLUG,
)


def test_networks() -> None:
    """An operator would see another MTU than containers have, or count containers of other networks."""
    row = network_rows([RECORD], [ENDPOINT], {})[0]
    assert (row.docker_id, row.network_id, row.mtu, row.vnic_type, row.endpoints) == (DOCKER_ID, NET, 1400, "normal", 1)
    assert [(each.cidr, each.gateway) for each in row.subnets] == [(CIDR, "10.0.0.1")]


def test_the_port_pool_of_a_network() -> None:
    """An operator would have to count ports to see whether the pool is full."""
    pools = {DOCKER_ID: PoolState(wanted=5, ready=3, paused=60.04), "other": PoolState(wanted=9)}
    row = network_rows([msgspec.structs.replace(RECORD, port_pool="auto")], [], pools)[0]
    assert (row.port_pool, row.spares_wanted, row.spares_ready, row.spares_paused) == ("auto", 5, 3, 60.0)
    assert network_rows([RECORD], [], {})[0].port_pool == "0"


def test_endpoints() -> None:
    """At night nobody would find the container of a port, or the interface of a container."""
    row = endpoint_rows([ENDPOINT], [RECORD], {ENDPOINT_ID: "web"})[0]
    assert (row.container, row.network_id, row.port_id, row.interface) == ("web", NET, PORT_ID, "tap0f9e")
    assert row.addresses == ("10.0.0.5", "2001:db8::5")
    bare = EndpointRecord(endpoint_id=ENDPOINT_ID, docker_network_id="gone", port_id=PORT_ID, state="creating")
    row = endpoint_rows([bare], [], {})[0]
    assert (row.container, row.network_id, row.interface, row.addresses) == ("", "", "", ())


def test_ports() -> None:
    """A user's own port would look like one that may be deleted."""
    lease = LeaseRecord(
        port_id=PORT_ID,
        docker_network_id=DOCKER_ID,
        neutron_network_id=NET,
        mac_address=MAC,
        vnic_type="normal",
        held=(IP,),
        spare=(IP6,),
        original=PORT,
    )
    row = port_rows([lease])[0]
    assert (row.adopted, row.bound, row.addresses) == (True, False, ("10.0.0.5", "2001:db8::5"))


def test_devices() -> None:
    """A VF in quarantine would be shown without the reason."""
    lease = DeviceLease(
        pci_address="0000:01:10.0",
        pf_address="0000:01:00.0",
        index=3,
        port_id=PORT_ID,
        vnic_type="direct",
        state="quarantined",
        generation="g",
        reason="wrong MAC",
    )
    row = device_rows([lease])[0]
    assert (row.state, row.reason, row.index) == ("quarantined", "wrong MAC", 3)


def test_suspects() -> None:
    """Nobody could tell why something is going to be removed, or when."""
    row = suspect_row(("lease", PORT_ID), None, 30.04, 120.0, "")
    assert (row.kind, row.key, row.seconds, row.due_in, row.reason) == (
        "lease",
        PORT_ID,
        30.0,
        90.0,
        "no endpoint has the port",
    )
    assert suspect_row(("lease", PORT_ID), None, 999.0, 120.0, "quota").due_in == 0
    broken = EndpointRecord(endpoint_id=ENDPOINT_ID, docker_network_id="n", port_id=PORT_ID, state="creating")
    assert why_suspect("endpoint", broken) == "it is creating: a call of Docker did not come to its end"
    for kind in ("endpoint", "network", "lease", "pool", "plug", "port", "group"):
        assert why_suspect(kind, None)


def test_resources_of_paths_are_few() -> None:
    """With every port that is made Prometheus would get a series more."""
    assert resource_of(f"/v2.0/ports/{PORT_ID}/tags/x") == "ports"
    assert resource_of("/v2.0/qos/policies") == "policies"
    assert resource_of("/v2.0/security-group-rules") == "security-group-rules"
    assert {resource_of(path) for path in ("", "/", "/v2.0", f"/v2.0/{PORT_ID}", "/%00")} == {"other"}


def test_spares() -> None:
    """Nobody would see which groups and addresses a port pool holds, and for how long."""
    port = msgspec.structs.replace(PORT, fixed_ips=(IP, IP6), security_groups=("g",))
    spare = SpareRecord(port_id=PORT_ID, docker_network_id=DOCKER_ID, state="ready", port=port)
    row = spare_row(spare, 12.345)
    assert (row.port_id, row.docker_network_id, row.network_id) == (PORT_ID, DOCKER_ID, port.network_id)
    assert (row.state, row.seconds, row.security_groups) == ("ready", 12.3, ("g",))
    assert row.addresses == (IP.ip_address, IP6.ip_address)
