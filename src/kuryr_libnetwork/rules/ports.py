# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a Neutron port under a container.

Docker asks for an address first (RequestAddress), when neither the endpoint's id, nor a MAC, nor any option of the
container is known; CreateEndpoint brings these. So a port is made unbound, with its address only, and one later PUT
binds it with everything else: MAC, device and host in one update. (A port bound at once would have to be unbound again
for ``--mac-address``: Neutron changes no MAC of a bound port. Owner and host change in one update, as DVR wants it.) An
address that a port of the user already holds means that port: it is adopted, and put back as it was at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.model import Agent, FixedIp, LeaseRecord, Port, PortOriginal, SubnetRecord
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
    UNBOUND_PORT_NAME,
    id_tags,
    is_docker_id,
    is_ours,
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


def may_adopt(port: Port, host: str, leased: Iterable[str]) -> None:
    """Refuse a port that somebody uses; the owner is named.

    1. A container of this host has it already. 2. Kuryr made it: for a container of another host, or one that is about to
    be cleaned up here. 3. The binding is not visible: we cannot know. 4. Neutron's own ports (routers, DHCP …) are never
    given away. 5. Zun's, which prepares ports for us with its own container as the device (kuryr-compat §6): free.
    6. Bound to a host: in use. 7. Upstream leaves the id of the last endpoint as device, and nothing else: free. 8. Not
    bound, but with a device or an owner (a trunk's subport has no device): somebody is about to use it.
    """
    what = f"port {port.id} ({', '.join(ip.ip_address for ip in port.fixed_ips)})"
    if port.id in set(leased):
        raise PortNotAdoptable(f"{what} is in use by a container of this host")
    if made_by_us(port):
        raise PortNotAdoptable(f"{what} was made for another container (description: {port.description or 'none'})")
    if port.host_id is None:
        raise PortNotAdoptable(
            f"{what}: the service's role may not see binding:host_id, so whether it is free is unknown"
        )
    if port.device_owner.startswith("network:"):
        raise PortNotAdoptable(f"{what} belongs to Neutron itself ({port.device_owner}, device {port.device_id})")
    if port.device_owner == DEVICE_OWNER and port.host_id in {"", host}:
        return
    if port.host_id:
        raise PortNotAdoptable(f"{what} is bound to host {port.host_id} by {_owner(port)}")
    if is_docker_id(port.device_id) and not port.device_owner:
        return
    if port.device_id or port.device_owner:
        raise PortNotAdoptable(f"{what} is reserved by {_owner(port)}")


def binding(port: LeaseRecord, endpoint_id: str, host: str, mac: str, device_id: str = "") -> dict[str, Any]:
    """The one PUT that binds a port to this host for an endpoint.

    Ours gets the endpoint's name, by which upstream also knows it as its own where it has no tag. An adopted port keeps
    its name and a device that it already had (Zun finds its ports by it).
    """
    attributes: dict[str, Any] = {"binding:host_id": host, "device_owner": DEVICE_OWNER, "admin_state_up": True}
    if port.original is None:
        attributes |= {"name": port_name(endpoint_id), "device_id": endpoint_id}
    else:
        attributes["device_id"] = device_id or endpoint_id
    if mac and mac.lower() != port.mac_address.lower():
        attributes["mac_address"] = mac.lower()
    return attributes


def adoption_tags(endpoint_id: str) -> tuple[str, ...]:
    return (*id_tags(endpoint_id), EXISTING_PORT)


def original_of(port: Port) -> PortOriginal:
    """What the port looked like without us: our own tags, device and binding, left by a crash, are not part of it.

    A device that is no endpoint was there before us, and with it (rule 5 of :func:`may_adopt`) its owner and binding.
    """
    left = is_docker_id(port.device_id) or (EXISTING_PORT in port.tags and not port.device_id)
    return PortOriginal(
        name=port.name,
        device_id="" if left else port.device_id,
        device_owner="" if left else port.device_owner,
        host_id="" if left else port.host_id or "",
        admin_state_up=port.admin_state_up,
        mac_address=port.mac_address,
        tags=tuple(tag for tag in port.tags if not is_ours(tag)),
        profile=port.profile,
    )


def unbinding(original: PortOriginal, mac_now: str) -> dict[str, Any]:
    """The PUT that takes an adopted port off this host; the first of its :func:`restoration`."""
    return restoration(original, mac_now)[0]


def restoration(
    original: PortOriginal, mac_now: str, profile_now: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The PUTs that put an adopted port back as it was.

    The MAC, where a container had another one, needs a second: Neutron looks at the binding before the PUT, and refuses
    a new MAC while there is one (409 PortBound), also in the very PUT that ends it. A port that was bound before kept
    its MAC for the same reason.
    """
    attributes: dict[str, Any] = {
        "binding:host_id": original.host_id,
        "device_owner": original.device_owner,
        "device_id": original.device_id,
        "admin_state_up": original.admin_state_up,
    }
    if profile_now is not None and profile_now != original.profile:
        attributes["binding:profile"] = original.profile  # only then: to write it takes a role of its own
    if original.host_id or mac_now.lower() == original.mac_address.lower():
        return [attributes]
    return [attributes, {"mac_address": original.mac_address}]


def release_of_unknown(port: Port, host: str) -> bool:
    """Whether a port that only Neutron knows is ours to release on this host.

    1. Bound to another host: no. 2. Unbound and its description names another host: that one is about to use it. 3. Made
    or adopted by kuryr: yes. 4. Anybody else's: no.
    """
    if port.host_id is None or port.host_id not in {"", host}:
        return False
    if not port.host_id and made_on(port.description or "") not in {"", host}:
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
    return LeaseRecord(
        port_id=port.id,
        docker_network_id=docker_network_id,
        neutron_network_id=port.network_id,
        mac_address=port.mac_address,
        vnic_type=port.vnic_type,
        held=tuple(on_asked[:1]),
        spare=tuple(ip for ip in on_network if ip.subnet_id != asked),
        original=None if made_by_us(port) else original_of(port),
        profile=port.profile,
        security_groups=port.security_groups,
        port_security=port.port_security_enabled,
        created_at=now,
    )


def pending_spare(
    leases: Iterable[LeaseRecord], docker_network_id: str, subnet_id: str
) -> tuple[LeaseRecord, FixedIp] | None:
    """The lease whose second address Docker asks for now.

    Docker makes one endpoint after the other on a network, the addresses of an endpoint one after the other, and
    CreateEndpoint last (docker-plugin-protocol §2.6); so it is the newest lease of the network without an endpoint.
    """
    waiting = [
        (lease, ip)
        for lease in leases
        if lease.docker_network_id == docker_network_id and not lease.endpoint_id
        for ip in lease.spare
        if ip.subnet_id == subnet_id
    ]
    return max(waiting, key=lambda pair: pair[0].created_at, default=None)


def why_unbound(port: Port, host: str, agents: Sequence[Agent]) -> str:
    """One line on a failed binding: what Neutron says, and the likely cause."""
    head = f"Neutron could not bind port {port.id} to host {host!r} (vif_type {port.vif_type})"
    alive = [agent for agent in agents if agent.alive]
    if not agents:
        return f"{head}: Neutron knows no agent or chassis on a host of this name; compare [DEFAULT] host with 'openstack network agent list'"
    if not alive:
        names = ", ".join(sorted({agent.agent_type for agent in agents}))
        return f"{head}: {names} on this host is not alive"
    names = ", ".join(sorted({agent.agent_type for agent in alive}))
    return f"{head}: {names} is alive; is the network's physical network mapped on this host?"


def _owner(port: Port) -> str:
    return f"{port.device_owner or 'an unnamed owner'} (device {port.device_id or 'none'})"
