# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who is wired where, from the journal's records and what the background saw.

A wire for each endpoint; one for each lease and each device that belongs to none of them, so that a port without a
container, or a VF in quarantine, is not missing from the picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, PlugRecord, SpareRecord
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.model.wiring import Mark, Seen, Uplink, UplinkKind, Wire, WiredNetwork, Wiring
from kuryr_libnetwork.rules import wiring_commands as commands

ACTIVE = "ACTIVE"
GONE = "missing"
"""In place of a status: Neutron has no such port."""
UNKNOWN = ("port", "plug")
"""Kinds of suspects that the journal has no record of."""
_UPLINKS: dict[UplinkKind, int] = {"bridge": 0, "interface": 1, "pf": 2, "unknown": 3}
"""The order in which the kinds are shown."""


def wiring(
    host: str,
    networks: Sequence[NetworkRecord],
    endpoints: Sequence[EndpointRecord],
    leases: Sequence[LeaseRecord],
    devices: Sequence[DeviceLease],
    seen: Seen,
    spares: Sequence[SpareRecord] = (),
) -> Wiring:
    """Sorted: networks by name, wires by network and container, so that nothing moves without a reason."""
    by_port = {lease.port_id: lease for lease in leases}
    by_address = {lease.pci_address: lease for lease in devices}
    wires = [_of_endpoint(each, by_port.get(each.port_id), by_address, seen) for each in endpoints]
    wired_ports = {wire.port_id for wire in wires}
    wired_devices = {wire.device for wire in wires}
    alone = [_of_lease(lease, devices, seen) for lease in leases if lease.port_id not in wired_ports]
    wired_devices |= {wire.device for wire in alone}
    alone += [_of_device(lease, seen) for lease in devices if lease.pci_address not in wired_devices]
    known = {wire.port_id for wire in (*wires, *alone)}
    alone += [_of_suspect(kind, key, seen) for kind, key in seen.suspects if kind in UNKNOWN and key not in known]
    found = [_with_commands(wire, host, by_address, seen.pfs) for wire in (*wires, *alone)]
    ready = Counter(spare.docker_network_id for spare in spares if spare.state == "ready")
    return Wiring(
        host=host,
        networks=tuple(
            sorted(
                (_network(each, ready[each.docker_id], seen) for each in networks),
                key=lambda each: (each.name, each.docker_id),
            )
        ),
        wires=tuple(sorted(found, key=lambda wire: (wire.network, not wire.container, wire.container, wire.key))),
        uplinks=_uplinks(found, by_address, seen.pfs),
    )


def _network(network: NetworkRecord, ready: int, seen: Seen) -> WiredNetwork:
    return WiredNetwork(
        docker_id=network.docker_id,
        name=seen.networks.get(network.docker_id, ""),
        network_id=network.neutron_id,
        cidrs=tuple(subnet.cidr for subnet in network.subnets),
        mtu=network.container_mtu,
        vnic_type=network.vnic_type or "normal",
        physical_network=network.physical_network,
        made=network.made,
        internal=network.internal,
        ready=ready,
        marks=(*_passing(network.state), *_suspected("network", network.docker_id, seen)),
        commands=commands.of_network(network.docker_id, network.neutron_id),
    )


# -- wires -------------------------------------------------------------------------------------------------------------


def _of_endpoint(
    endpoint: EndpointRecord, lease: LeaseRecord | None, devices: Mapping[str, DeviceLease], seen: Seen
) -> Wire:
    plug = endpoint.plug
    device = devices.get(plug.pci_address) if plug else None
    status = seen.statuses.get(endpoint.port_id, "")
    return Wire(
        key=f"endpoint:{endpoint.endpoint_id}",
        network=endpoint.docker_network_id,
        port_id=endpoint.port_id,
        port_status=status,
        adopted=lease is not None and lease.original is not None,
        vnic_type=lease.vnic_type if lease else "",
        container=seen.containers.get(endpoint.endpoint_id, ""),
        endpoint_id=endpoint.endpoint_id,
        addresses=tuple(text.partition("/")[0] for text in (endpoint.address, endpoint.address_ipv6) if text),
        mac_address=endpoint.mac_address,
        interface=(plug.host_ifname or plug.container_ifname) if plug else "",
        device=plug.pci_address if plug else "",
        device_state=device.state if device else "",
        driver=plug.driver if plug else "",
        sandbox=endpoint.sandbox_key,
        uplink=_uplink_of(plug, device),
        marks=(
            *_passing(endpoint.state),
            *(_down(status, plug) if endpoint.state == "ready" else ()),
            *_suspected("endpoint", endpoint.endpoint_id, seen),
            *(_quarantined(device) if device else ()),
        ),
    )


def _of_lease(lease: LeaseRecord, devices: Sequence[DeviceLease], seen: Seen) -> Wire:
    """A port without a container: one is about to get it, or had it."""
    device = next((each for each in devices if each.port_id == lease.port_id), None)
    return Wire(
        key=f"port:{lease.port_id}",
        network=lease.docker_network_id,
        port_id=lease.port_id,
        port_status=seen.statuses.get(lease.port_id, ""),
        adopted=lease.original is not None,
        vnic_type=lease.vnic_type,
        addresses=tuple(fixed.ip_address for fixed in (*lease.held, *lease.spare)),
        mac_address=lease.mac_address,
        device=device.pci_address if device else "",
        device_state=device.state if device else "",
        uplink=f"pf:{device.pf_address}" if device else "",
        marks=(*_suspected("lease", lease.port_id, seen), *(_quarantined(device) if device else ())),
    )


def _of_device(lease: DeviceLease, seen: Seen) -> Wire:
    """A VF or PF that no endpoint has, or none has any more."""
    return Wire(
        key=f"device:{lease.pci_address}",
        network="",
        port_id=lease.port_id,
        port_status=seen.statuses.get(lease.port_id, ""),
        vnic_type=lease.vnic_type,
        device=lease.pci_address,
        device_state=lease.state,
        uplink=f"pf:{lease.pf_address}",
        marks=(*_quarantined(lease), *_passing(lease.state)),
    )


def _of_suspect(kind: str, port_id: str, seen: Seen) -> Wire:
    """A port in Neutron, or an interface of this host, of which the journal knows nothing."""
    return Wire(
        key=f"{kind}:{port_id}",
        network="",
        port_id=port_id,
        port_status=seen.statuses.get(port_id, ""),
        marks=_suspected(kind, port_id, seen),
    )


def _with_commands(wire: Wire, host: str, devices: Mapping[str, DeviceLease], pfs: Mapping[str, str]) -> Wire:
    device = devices.get(wire.device)
    kinds = frozenset(mark.kind for mark in wire.marks)
    pf = device.pf_address if device else ""
    return replace(wire, commands=commands.of_wire(wire, host, kinds, pf, pfs.get(pf, "")))


# -- marks -------------------------------------------------------------------------------------------------------------


_PASSING = {
    "creating": "it is being made, or its call did not come to its end",
    "deleting": "it is being removed",
    "taking": "a container is getting it",
    "returning": "it is being given back",
}


def _passing(state: str) -> tuple[Mark, ...]:
    return (Mark(kind="passing", text=state, why=_PASSING[state]),) if state in _PASSING else ()


def _down(status: str, plug: PlugRecord | None) -> tuple[Mark, ...]:
    if status == GONE:
        return (Mark(kind="down", text=status, why="Neutron has no such port any more"),)
    if status in ("", ACTIVE) or not _becomes_active(plug):
        return ()
    return (Mark(kind="down", text=status, why=f"Neutron says that the port is {status}"),)


def _becomes_active(plug: PlugRecord | None) -> bool:
    """Whether Neutron's agent sees that a port is in use. It does not see a VF in a container (docs/notes/sriov.md,
    "What Neutron's agent cannot see"), and nobody binds the ports of macvlan and ipvlan in a virtual machine.
    """
    return plug is None or not (plug.pci_address or plug.vif_type == "unbound")


def _suspected(kind: str, key: str, seen: Seen) -> tuple[Mark, ...]:
    why = seen.suspects.get((kind, key))
    return () if why is None else (Mark(kind="suspect", text="suspect", why=why),)


def _quarantined(lease: DeviceLease) -> tuple[Mark, ...]:
    if lease.state != "quarantined":
        return ()
    return (Mark(kind="quarantine", text="quarantined", why=lease.reason or "it could not be verified as restored"),)


# -- where wires end ---------------------------------------------------------------------------------------------------


def _uplink_of(plug: PlugRecord | None, device: DeviceLease | None) -> str:
    if plug is None:
        return ""
    if plug.pci_address:
        return f"pf:{device.pf_address}" if device else "unknown:"
    if plug.parent:
        return f"interface:{plug.parent}"
    return f"bridge:{plug.bridge}" if plug.bridge else ""


def _uplinks(wires: Sequence[Wire], devices: Mapping[str, DeviceLease], pfs: Mapping[str, str]) -> tuple[Uplink, ...]:
    physical: dict[str, set[str]] = {}
    for lease in devices.values():
        physical.setdefault(f"pf:{lease.pf_address}", set()).update({lease.physical_network} - {""})
    found = []
    for key in {wire.uplink for wire in wires if wire.uplink}:
        kind, _, name = key.partition(":")
        known = next(each for each in _UPLINKS if each == kind)
        networks = tuple(sorted(physical.get(key, ())))
        address = name if known == "pf" else ""
        found.append(Uplink(key=key, name=pfs.get(address, name), kind=known, address=address, networks=networks))
    return tuple(sorted(found, key=lambda uplink: (_UPLINKS[uplink.kind], uplink.name)))
