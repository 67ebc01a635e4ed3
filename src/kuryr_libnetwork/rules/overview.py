# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The journal's records as an operator reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kuryr_libnetwork.model.overview import (
    DeviceRow,
    EndpointRow,
    NetworkRow,
    PoolState,
    PortRow,
    SpareRow,
    SubnetRow,
    SuspectRow,
)
from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, SpareRecord
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.leftovers import Suspect


def network_rows(
    networks: Sequence[NetworkRecord], endpoints: Sequence[EndpointRecord], pools: Mapping[str, PoolState]
) -> list[NetworkRow]:
    """``pools``: the port pools, by the ids of the Docker networks that have one."""
    count = Counter(endpoint.docker_network_id for endpoint in endpoints)
    return [
        _network(network, count[network.docker_id], pools.get(network.docker_id, PoolState())) for network in networks
    ]


def _network(network: NetworkRecord, endpoints: int, pool: PoolState) -> NetworkRow:
    subnets = [
        SubnetRow(subnet_id=subnet.subnet_id, cidr=subnet.cidr, gateway=subnet.gateway_ip or "", pool_id=subnet.pool_id)
        for subnet in network.subnets
    ]
    return NetworkRow(
        docker_id=network.docker_id,
        state=network.state,
        network_id=network.neutron_id,
        subnets=tuple(subnets),
        mtu=network.container_mtu,
        vnic_type=network.vnic_type or "normal",
        physical_network=network.physical_network,
        made=network.made,
        endpoints=endpoints,
        port_pool=str(network.port_pool),
        spares_wanted=pool.wanted,
        spares_ready=pool.ready,
        spares_paused=round(pool.paused, 1),
    )


def endpoint_rows(
    endpoints: Sequence[EndpointRecord], networks: Sequence[NetworkRecord], containers: Mapping[str, str]
) -> list[EndpointRow]:
    neutron = {network.docker_id: network.neutron_id for network in networks}
    return [
        EndpointRow(
            endpoint_id=each.endpoint_id,
            state=each.state,
            container=containers.get(each.endpoint_id, ""),
            docker_network_id=each.docker_network_id,
            network_id=neutron.get(each.docker_network_id, ""),
            port_id=each.port_id,
            addresses=tuple(text.partition("/")[0] for text in (each.address, each.address_ipv6) if text),
            mac_address=each.mac_address,
            interface=each.plug.host_ifname if each.plug else "",
            vf=each.plug.pci_address if each.plug else "",
            driver=each.plug.driver if each.plug else "",
            sandbox=each.sandbox_key,
        )
        for each in endpoints
    ]


def port_rows(leases: Sequence[LeaseRecord]) -> list[PortRow]:
    return [
        PortRow(
            port_id=lease.port_id,
            endpoint_id=lease.endpoint_id,
            docker_network_id=lease.docker_network_id,
            network_id=lease.neutron_network_id,
            vnic_type=lease.vnic_type,
            mac_address=lease.mac_address,
            addresses=tuple(fixed.ip_address for fixed in (*lease.held, *lease.spare)),
            adopted=lease.original is not None,
            bound=lease.bound,
        )
        for lease in leases
    ]


def spare_row(spare: SpareRecord, seconds: float) -> SpareRow:
    """``seconds``: for how long it has been in its state."""
    port = spare.port
    return SpareRow(
        port_id=spare.port_id,
        docker_network_id=spare.docker_network_id,
        network_id=port.network_id,
        state=spare.state,
        mac_address=port.mac_address,
        addresses=tuple(ip.ip_address for ip in port.fixed_ips),
        security_groups=port.security_groups,
        seconds=round(seconds, 1),
    )


def device_rows(devices: Sequence[DeviceLease]) -> list[DeviceRow]:
    return [
        DeviceRow(
            pci_address=lease.pci_address,
            pf=lease.pf_address,
            index=lease.index,
            vnic_type=lease.vnic_type,
            physical_network=lease.physical_network,
            state=lease.state,
            reason=lease.reason,
            port_id=lease.port_id,
            endpoint_id=lease.endpoint_id,
        )
        for lease in devices
    ]


def suspect_row(suspect: Suspect, seen: Value | None, seconds: float, grace: float, trouble: str) -> SuspectRow:
    """``seen``: as the look found it; ``seconds``: for how long it has been so."""
    kind, key = suspect
    return SuspectRow(
        kind=kind,
        key=key,
        reason=why_suspect(kind, seen),
        seconds=round(seconds, 1),
        due_in=round(max(0.0, grace - seconds), 1),
        trouble=trouble,
    )


_REASONS = {
    "endpoint": "no container has its interface, or Docker does not know it",
    "network": "Docker does not know it any more",
    "lease": "no endpoint has the port",
    "pool": "no network uses it",
    "plug": "it is set up on this host for a port that the journal does not know",
    "port": "it is on this host in Neutron, and neither the journal nor Docker knows it",
    "group": "its port is gone",
}


def why_suspect(kind: str, seen: Value | None) -> str:
    """Why something is believed to be used by nobody."""
    if isinstance(seen, EndpointRecord | NetworkRecord) and seen.state != "ready":
        return f"it is {seen.state}: a call of Docker did not come to its end"
    return _REASONS[kind]
