# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a Neutron port under a container.

Docker asks for an address first (RequestAddress), when neither the endpoint's id, nor a MAC, nor any option of the
container is known; CreateEndpoint brings these. So a port is made unbound, with its address only, and one later PUT
binds it with everything else: MAC, device and host in one update. (A port bound at once would have to be unbound again
for ``--mac-address``: Neutron changes no MAC of a bound port. Owner and host change in one update, as DVR wants it.) An
address that a port of the user already holds means that port (:mod:`~.adoption`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kuryr_libnetwork.model import FixedIp, LeaseRecord, NetworkRecord, Port, SubnetRecord
from kuryr_libnetwork.plugs import BoundBy
from kuryr_libnetwork.rules.adoption import remembered, rivals
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
    UNBOUND_PORT_NAME,
    id_from_tags,
    made_by_us,
    made_on,
    port_name,
)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def dns_label(container_name: str) -> str:
    """The port's ``dns_name`` for a container name: "" where it is no DNS label (RFC 1123) after lower-casing."""
    label = container_name.strip("/").lower().replace("_", "-")
    return label if _LABEL.fullmatch(label) else ""


def new_port(
    network_id: str, fixed_ips: Sequence[Mapping[str, str]], description: str, dns_name: str, vnic_type: str = ""
) -> dict[str, Any]:
    """Attributes of an unbound port that holds addresses; subnets without ``ip_address`` get one from Neutron."""
    attributes: dict[str, Any] = {
        "name": UNBOUND_PORT_NAME,
        "network_id": network_id,
        "admin_state_up": True,
        "description": description,
        "fixed_ips": [dict(fixed_ip) for fixed_ip in fixed_ips],
    }
    if dns_name:
        attributes["dns_name"] = dns_name
    if vnic_type:
        attributes["binding:vnic_type"] = vnic_type
    return attributes


def binding(port: LeaseRecord, endpoint_id: str, host: str, mac: str) -> dict[str, Any]:
    """The one PUT that binds a port of ours to this host for an endpoint.

    It gets the endpoint's name, by which upstream also knows it as its own where it has no tag.
    """
    attributes: dict[str, Any] = {
        "binding:host_id": host,
        "device_owner": DEVICE_OWNER,
        "device_id": endpoint_id,
        "name": port_name(endpoint_id),
        "admin_state_up": True,
    }
    if mac and mac.lower() != port.mac_address.lower():
        attributes["mac_address"] = mac.lower()
    return attributes


def steps(attributes: Mapping[str, Any], by: BoundBy) -> tuple[dict[str, Any], dict[str, Any]]:
    """The PUT of a binding, before and after the interface is made.

    1. Bound by this host: all of it before. 2. By nobody: no host. Its name stays, as upstream's does: so it is found where no
    host stands on it. 3. By its trunk: the MAC before, for it cannot be changed later; the device after, for a port with one is
    refused there; its owner is Neutron's affair.
    """
    if by == "host":
        return dict(attributes), {}
    less = {name: value for name, value in attributes.items() if name not in ("binding:host_id", "name")}
    if by == "nobody":
        return less, {}
    before = {name: value for name, value in less.items() if name == "mac_address"}
    return before, {name: value for name, value in less.items() if name not in ("mac_address", "device_owner")}


def unbound(port: LeaseRecord) -> Port:
    """A port as its lease knows it: where nothing has to be changed yet, nothing has to be asked."""
    return Port(
        id=port.port_id,
        network_id=port.neutron_network_id,
        mac_address=port.mac_address,
        vnic_type=port.vnic_type,
        fixed_ips=(*port.held, *port.spare),
    )


def release_of_unknown(port: Port, host: str) -> bool:
    """Whether a port that only Neutron knows is ours to release on this host.

    1. Bound to another host: no. 2. Unbound and its description names another host: that one is about to use it. 3. So is
    the host that has marked an unbound port for an endpoint. 4. Made or adopted by kuryr: yes. 5. Anybody else's: no.
    """
    if port.host_id is None or port.host_id not in {"", host}:
        return False
    if not port.host_id and made_on(port.description or "") not in {"", host}:
        return False
    if not port.host_id and EXISTING_PORT in port.tags and rivals(port, port.device_id):
        return False
    return made_by_us(port) or EXISTING_PORT in port.tags


def lease_of(
    port: Port, docker_network_id: str, subnets: Sequence[SubnetRecord], asked: str, now: float, address: str = ""
) -> LeaseRecord:
    """The lease of a port for the subnet ``asked``: that address is held, others on the network's subnets are spare.

    ``address`` tells which, where an adopted port has several on one subnet.
    """
    ours = {subnet.subnet_id for subnet in subnets}
    on_network = [ip for ip in port.fixed_ips if ip.subnet_id in ours]
    on_asked = [ip for ip in on_network if ip.subnet_id == asked]
    on_asked.sort(key=lambda ip: ip.ip_address != address)
    claim, changes = ("", ()) if made_by_us(port) else (id_from_tags(port.tags) or "", remembered(port))
    return LeaseRecord(
        port_id=port.id,
        docker_network_id=docker_network_id,
        neutron_network_id=port.network_id,
        mac_address=port.mac_address,
        vnic_type=port.vnic_type,
        held=tuple(on_asked[:1]),
        spare=tuple(ip for ip in on_network if ip.subnet_id != asked),
        original=None if made_by_us(port) else port,
        claim=claim,
        changes=changes,
        bound=bool(claim or changes),
        profile=port.profile,
        security_groups=port.security_groups,
        port_security=port.port_security_enabled,
        created_at=now,
    )


def pending_spare(
    leases: Iterable[LeaseRecord], network: NetworkRecord, subnet: SubnetRecord
) -> tuple[LeaseRecord, FixedIp] | None:
    """The lease whose IPv6 address Docker asks for now, be it on another of the network's IPv6 subnets.

    Docker makes one endpoint after the other on a network, the addresses of an endpoint one after the other, IPv4 first,
    and CreateEndpoint last (docker-plugin-protocol §2.6); so it is the newest lease of the network without an endpoint.
    """
    if subnet.ip_version == 4:
        return None
    family = {each.subnet_id for each in (*network.subnets, subnet) if each.ip_version == 6}
    waiting = [
        (lease, ip)
        for lease in leases
        if lease.docker_network_id == network.docker_id and not lease.endpoint_id
        for ip in lease.spare
        if ip.subnet_id in family
    ]
    return max(waiting, key=lambda pair: (pair[0].created_at, pair[1].subnet_id == subnet.subnet_id), default=None)
