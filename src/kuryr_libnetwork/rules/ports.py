# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a Neutron port under a container.

Docker asks for an address first (RequestAddress), when neither the endpoint's id, nor a MAC, nor any option of the
container is known; these come with CreateEndpoint. Most containers have nothing but the id. So an ordinary port is
created bound to this host, by the only POST that the container waits for, and the endpoint's id is written on it while
the container starts (:func:`labels`). If more is asked, one PUT sets all of it before the interface is made; a MAC or a
``vnic_type`` needs another PUT before that, because Neutron changes neither on a bound port. Ports that need a device
of this host, or are bound by a trunk or by nobody, are created unbound, and one PUT binds them: MAC, device and host in
one update. (DVR needs owner and host to change in one update.) An address that a user's port already has means that
port (:mod:`~.adoption`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kuryr_libnetwork.errors import Conflict, InvalidOption, NeutronUnavailable, UnknownObject
from kuryr_libnetwork.model.links import BoundBy
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.records import Change, LeaseRecord, NetworkRecord, SubnetRecord
from kuryr_libnetwork.rules.addresses import canonical_ip
from kuryr_libnetwork.rules.adoption import remembered, unbinding
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    UNBOUND_PORT_NAME,
    is_docker_id,
    made_by_us,
    made_on,
    port_name,
)
from kuryr_libnetwork.rules.ownership import OwnProject, memory_of
from kuryr_libnetwork.rules.parsing import DNS_LABEL

_MISSING = ("could not be found", "included invalid subnet")
_NO_SUBNETS = "IP allocation requires subnets for network"
"""Parts of Neutron's messages that refuse a new port (neutron/db/ipam_backend_mixin.py)."""


def dns_label(container_name: str) -> str:
    """The port's ``dns_name`` for a container name; "" if that, in lower case, is not a DNS label (RFC 1123)."""
    label = container_name.strip("/").lower().replace("_", "-")
    return label if DNS_LABEL.fullmatch(label) else ""


def new_port(
    network_id: str,
    fixed_ips: Sequence[Mapping[str, str]],
    description: str,
    vnic_type: str = "",
    host: str = "",
) -> dict[str, Any]:
    """Attributes of a new port with addresses; Neutron chooses one for each subnet without ``ip_address``.

    ``host``: where to bind it; "": nowhere yet.
    """
    attributes: dict[str, Any] = {
        "name": UNBOUND_PORT_NAME,
        "network_id": network_id,
        "admin_state_up": True,
        "description": description,
        "fixed_ips": [dict(fixed_ip) for fixed_ip in fixed_ips],
    }
    if vnic_type:
        attributes["binding:vnic_type"] = vnic_type
    if host:
        attributes |= {"binding:host_id": host, "device_owner": DEVICE_OWNER}
    return attributes


def labels(endpoint_id: str) -> dict[str, Any]:
    """The attributes that name a port's endpoint. If the port has no tag, upstream recognises it by the name, too."""
    return {"device_id": endpoint_id, "name": port_name(endpoint_id)}


def suffices(made: Port, mac: str, device: Mapping[str, Any]) -> bool:
    """Whether a port that was created bound has all that its endpoint asks for, except its labels."""
    return not device and mac.lower() in ("", made.mac_address.lower())


def must_be_unbound(made: Port, mac: str, device: Mapping[str, Any]) -> bool:
    """Whether the endpoint asks for something that Neutron refuses while the port is bound."""
    return mac.lower() not in ("", made.mac_address.lower()) or "binding:vnic_type" in device


def is_unlabelled(port: Port) -> bool:
    """Whether a port was created for an endpoint, and Neutron has not been told for which one."""
    return port.name == UNBOUND_PORT_NAME and not port.device_id


def binding(port: LeaseRecord, endpoint_id: str, host: str, mac: str) -> dict[str, Any]:
    """The attributes of the PUT that binds a port of ours to this host for an endpoint."""
    attributes: dict[str, Any] = {
        "binding:host_id": host,
        "device_owner": DEVICE_OWNER,
        **labels(endpoint_id),
        "admin_state_up": True,
    }
    if mac and mac.lower() != port.mac_address.lower():
        attributes["mac_address"] = mac.lower()
    return attributes


def address_on(port: Port, subnet_id: str, asked: str = "") -> FixedIp:
    """The address that a port has on a subnet. Raises :class:`~kuryr_libnetwork.errors.NeutronUnavailable` if Neutron
    answered with none, or with another one than was asked for.
    """
    for fixed_ip in port.fixed_ips:
        if fixed_ip.subnet_id == subnet_id and asked in ("", canonical_ip(fixed_ip.ip_address)):
            return fixed_ip
    wanted = f"address {asked}" if asked else "address"
    raise NeutronUnavailable(f"no usable answer from Neutron: port {port.id} has no {wanted} on subnet {subnet_id}")


def refuse_automatic(subnet: SubnetRecord, address: str) -> None:
    """Refuse ``--ip6`` on a subnet whose addresses cannot be chosen, if no port has the address already."""
    if subnet.automatic:
        raise InvalidOption(
            "--ip6",
            address,
            f"on subnet {subnet.cidr} a port's address follows from its MAC, and no port has this one; leave --ip6 "
            "out, or make the port first and give its address",
        )


def is_made_first(network: NetworkRecord, subnet: SubnetRecord, *, was_free: bool) -> bool:
    """Whether to create a port for an address that the user chose without first looking for a port that has it.

    Neutron refuses a second port. So this saves a call if the address is free, as it nearly always is on a network that
    kuryr made, and costs one more if it is not: on their own networks users, and Zun, create ports for containers.
    There the last chosen address tells (``was_free``): who makes ports makes them for each container. If addresses
    follow from MACs, only an existing port can have the address.
    """
    return (network.made or was_free) and not subnet.automatic


def refuse_other_answer(port: Port, told: Iterable[str], mac: str) -> None:
    """Refuse a port with other addresses, or another MAC, than Docker was told: Neutron would drop all traffic of the
    container.
    """
    has = {canonical_ip(ip.ip_address) for ip in port.fixed_ips}
    lost = [ip for ip in told if ip not in has]
    if lost:
        raise Conflict(
            f"port {port.id} has no longer {' and '.join(lost)}, but {' and '.join(sorted(has)) or 'no address'}, with "
            "which the container cannot be started: where a subnet's addresses follow from MACs (ipv6_address_mode "
            "slaac or dhcpv6-stateless), leave --mac-address out, or make the port first and give its address by --ip6"
        )
    if mac and port.mac_address.lower() != mac.lower():
        raise Conflict(
            f"port {port.id} has MAC {port.mac_address}, not {mac}, as Neutron answers; leave --mac-address out"
        )


def steps(attributes: Mapping[str, Any], by: BoundBy) -> tuple[dict[str, Any], dict[str, Any]]:
    """The PUTs of a binding, before and after the interface is made.

    1. Bound by this host: everything before.
    2. Bound by nobody: no host. The name stays, as with upstream, because the port cannot be found by its host.
    3. Bound by its trunk: the MAC before, because it cannot be changed later; the device after, because a trunk refuses
       a port that has one; Neutron itself sets the owner.
    """
    if by == "host":
        return dict(attributes), {}
    less = {name: value for name, value in attributes.items() if name not in ("binding:host_id", "name")}
    if by == "nobody":
        return less, {}
    before = {name: value for name, value in less.items() if name == "mac_address"}
    return before, {name: value for name, value in less.items() if name not in ("mac_address", "device_owner")}


def unbound(port: LeaseRecord) -> Port:
    """A port as its lease describes it, for when nothing has to be changed yet: this saves a call."""
    return Port(
        id=port.port_id,
        network_id=port.neutron_network_id,
        mac_address=port.mac_address,
        vnic_type=port.vnic_type,
        fixed_ips=(*port.held, *port.spare),
    )


class Unknown(NamedTuple):
    """How to release a port that the journal does not know. ``made``: delete it; else revert ``changes``.

    ``claim``: the id of the endpoint that it was adopted for. ``proven``: by Neutron alone, not only because Docker has
    named it.
    """

    made: bool
    claim: str = ""
    changes: tuple[Change, ...] = ()
    proven: bool = True


def release_of_unknown(port: Port, project: OwnProject, host: str, *, named: bool) -> Unknown | None:
    """Whether a port that only Neutron knows is ours to release on this host. ``named``: Docker has just named its
    address or its endpoint.

    1. Bound to another host: no.
    2. Adopted for a container of this host, as its profile says, which only this service writes: give it back.
    3. Made by kuryr in its own project: delete it, unless it is unbound and another host made it, which is about to use
       it.
    4. Bound to this host for an endpoint of Docker's, and named by Docker: upstream's service adopted it; unbind it,
       and no more than that.
    5. Anything else belongs to somebody else, whatever its name and tags say.
    """
    if port.host_id is None or port.host_id not in {"", host}:
        return None
    memory, own = memory_of(port), project.port(port)
    if memory is not None:
        return (
            Unknown(made=False, claim=memory.endpoint, changes=remembered(port, memory))
            if memory.host == host
            else None
        )
    if own is not None and made_by_us(own):
        return Unknown(made=True) if port.host_id or made_on(own) in {"", host} else None
    if named and port.host_id and port.device_owner == DEVICE_OWNER and is_docker_id(port.device_id):
        return Unknown(made=False, claim=port.device_id, changes=unbinding(port), proven=False)
    return None


def lease_of(
    port: Port,
    docker_network_id: str,
    subnets: Sequence[SubnetRecord],
    asked: str,
    now: float,
    address: str = "",
    *,
    unknown: Unknown | None = None,
) -> LeaseRecord:
    """The lease of a port for the subnet ``asked``: the address there is held, those on the network's other subnets are
    spare.

    ``address``: which one, if an adopted port has several on the subnet. ``unknown``: what was found out about a port
    that the journal did not know; without it the port is to be adopted.
    """
    ours = {subnet.subnet_id for subnet in subnets}
    on_network = [ip for ip in port.fixed_ips if ip.subnet_id in ours]
    on_asked = [ip for ip in on_network if ip.subnet_id == asked]
    on_asked.sort(key=lambda ip: ip.ip_address != address)
    found = unknown or Unknown(made=False)
    return LeaseRecord(
        port_id=port.id,
        docker_network_id=docker_network_id,
        neutron_network_id=port.network_id,
        mac_address=port.mac_address,
        vnic_type=port.vnic_type,
        held=tuple(on_asked[:1]),
        spare=tuple(ip for ip in on_network if ip.subnet_id != asked),
        original=None if found.made else port,
        claim=found.claim,
        changes=found.changes,
        bound=bool(found.claim or found.changes),
        profile=port.profile,
        security_groups=port.security_groups,
        port_security=port.port_security_enabled,
        created_at=now,
    )


def deleted_in_neutron(network: NetworkRecord, message: str) -> UnknownObject | None:
    """The error if Neutron refuses a port because the Docker network's subnet or network is gone; else ``None``."""
    things = [(f"Neutron subnet {subnet.subnet_id} ({subnet.cidr})", subnet.subnet_id) for subnet in network.subnets]
    things.append((f"Neutron network {network.neutron_id}", network.neutron_id))
    named = [what for what, its_id in things if its_id in message and any(words in message for words in _MISSING)]
    if _NO_SUBNETS in message:
        named.append(f"each subnet of Neutron network {network.neutron_id}")
    if not named:
        return None
    return UnknownObject(
        f"{named[0]}, which Docker network {network.docker_id[:12]} stands for, was deleted in Neutron; remove the "
        "Docker network ('docker network rm') and create it again"
    )


def without_ipv6(leases: Iterable[LeaseRecord], network: NetworkRecord, subnet: SubnetRecord) -> LeaseRecord | None:
    """The lease for which Docker asks for an IPv6 address now, if that is a user's port that has none.

    It is the newest one of the network without an endpoint, as in :func:`pending_spare`.
    """
    waiting = [lease for lease in leases if lease.docker_network_id == network.docker_id and not lease.endpoint_id]
    newest = max(waiting, key=lambda lease: lease.created_at, default=None)
    if newest is None or newest.original is None or subnet.ip_version != 6:
        return None
    return None if any(":" in ip.ip_address for ip in (*newest.held, *newest.spare)) else newest


def pending_spare(
    leases: Iterable[LeaseRecord], network: NetworkRecord, subnet: SubnetRecord
) -> tuple[LeaseRecord, FixedIp] | None:
    """The lease whose IPv6 address Docker asks for now, even if that is on another IPv6 subnet of the network.

    Docker creates the endpoints of a network one after the other, and for each requests its addresses one by one, IPv4
    first, before CreateEndpoint (docs/notes/docker-plugin.md, "Order of calls" and "Calls at the same time"). So it is
    the newest lease of the network without an endpoint.
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
