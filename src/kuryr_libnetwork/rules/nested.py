# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Containers in a virtual machine: which port is the machine's, what it has to be allowed, which VLANs are free.

The machine's interface is one Neutron port. A container's traffic leaves through it, either with the container's own
address, which that port must be allowed to use (``allowed_address_pairs``), or in a VLAN that Neutron maps to the
container's port (a trunk).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from kuryr_libnetwork.errors import NeutronRefused, ParentPortError
from kuryr_libnetwork.model.links import NO_MAC, Link
from kuryr_libnetwork.model.neutron import AddressPair, Port, SubPort
from kuryr_libnetwork.rules.addresses import canonical_ip
from kuryr_libnetwork.rules.identity import SUBPORT_OWNER
from kuryr_libnetwork.rules.names import ALIAS_PREFIX
from kuryr_libnetwork.rules.vifs import OVN, bound_drivers

OPTION = "[binding] link_iface"
FIRST_VLAN, LAST_VLAN = 1, 4094

IPVLAN = "set [binding] default_driver and enabled_drivers to ipvlan"
_HINTS = {
    "VRRP": f"ML2/OVN allows no MAC beside the port's own; {IPVLAN}",
    "exceeds the maximum": "raise max_allowed_address_pair in neutron.conf, or run fewer containers in this machine",
}
"""What to do about a refusal, by a substring of Neutron's message (seen in release 29)."""


def candidates(links: Iterable[Link]) -> list[Link]:
    """The interfaces that may be the machine's own: not made by us, and with a MAC."""
    return [link for link in links if link.mac not in {"", NO_MAC} and not link.alias.startswith(ALIAS_PREFIX)]


def parent_port(link: Link, found: Iterable[Port], addresses: Collection[str]) -> Port:
    """The machine's port: it has the interface's MAC and, if that MAC exists on several networks, the interface's
    address.

    A subport of a trunk often has its parent's MAC, but is not the machine's port.
    """
    ports = [port for port in found if port.device_owner != SUBPORT_OWNER]
    here = [port for port in ports if any(ip.ip_address in addresses for ip in port.fixed_ips)]
    chosen = ports if len(ports) == 1 else here
    if len(chosen) == 1:
        return chosen[0]
    what = f"{OPTION} = {link.name}: "
    if not ports:
        raise ParentPortError(
            f"{what}no Neutron port has its MAC {link.mac}; name the interface that is this virtual machine's port, "
            "and let the service's user see that port"
        )
    ids = ", ".join(sorted(port.id for port in ports))
    raise ParentPortError(
        f"{what}several Neutron ports have its MAC {link.mac} ({ids}), and its addresses do not tell which"
    )


def only_link(links: Sequence[Link], found: Iterable[Port]) -> Link:
    """The only interface of this host that has a Neutron port, for an operator who named none."""
    macs = {port.mac_address.lower() for port in found if port.device_owner != SUBPORT_OWNER}
    behind = [link for link in links if link.mac in macs]
    if len(behind) == 1:
        return behind[0]
    names = ", ".join(sorted(link.name for link in behind or links)) or "none"
    how_many = "several interfaces" if behind else "no interface"
    raise ParentPortError(
        f"{OPTION} is not set, and {how_many} of this host ({names}) has the MAC of a Neutron port; set it"
    )


def check_network(port: Port, parent: Port) -> None:
    """Refuse another network than the machine's: the container's interface is a child of the machine's own."""
    if port.network_id != parent.network_id:
        raise ParentPortError(
            f"port {port.id} is on network {port.network_id}, and this virtual machine's port {parent.id} on "
            f"{parent.network_id}: the port driver nested serves that network only (vlan serves any)"
        )


def check_backend(parent: Port, *, own_mac: bool) -> None:
    """Refuse what ML2/OVN cannot do (seen with release 29 and OVN 23.03).

    OVN knows the container's port, too, and sends frames for that port's MAC to it: they are lost. The same holds for
    its address, unless the machine's port is allowed that address, which requires port security.
    """
    if OVN not in bound_drivers(parent):
        return
    if own_mac:
        raise ParentPortError(
            f"port {parent.id} of this virtual machine is bound by ML2/OVN, which delivers no frames to a macvlan's "
            f"MAC: {IPVLAN}"
        )
    if not parent.port_security_enabled:
        raise ParentPortError(
            f"port {parent.id} of this virtual machine has no port security, without which ML2/OVN delivers nothing to "
            f"its containers: openstack port set --enable-port-security {parent.id}"
        )


def pairs_of(port: Port, mac: str) -> tuple[AddressPair, ...]:
    return tuple(AddressPair(ip_address=ip.ip_address, mac_address=mac.lower()) for ip in port.fixed_ips)


def with_pairs(present: Iterable[AddressPair], wanted: Iterable[AddressPair]) -> list[AddressPair]:
    """The present pairs, unchanged, and the wanted ones that are missing."""
    present = list(present)
    there = {_key(pair) for pair in present}
    return [*present, *(pair for pair in wanted if _key(pair) not in there)]


def without_pairs(present: Iterable[AddressPair], gone: Iterable[AddressPair]) -> list[AddressPair]:
    """Compares address and MAC: somebody else's pair for the same address is kept."""
    away = {_key(pair) for pair in gone}
    return [pair for pair in present if _key(pair) not in away]


def as_attributes(pairs: Iterable[AddressPair]) -> dict[str, list[dict[str, str]]]:
    wanted = [{"ip_address": pair.ip_address, "mac_address": pair.mac_address} for pair in pairs]
    return {"allowed_address_pairs": wanted}


def explained(error: NeutronRefused) -> NeutronRefused:
    """The refusal of an address pair, with what the operator can do about it."""
    hints = [hint for words, hint in _HINTS.items() if words in str(error)]
    return NeutronRefused(f"{error} ({hints[0]})") if hints else error


def free_vlans(sub_ports: Iterable[SubPort]) -> list[int]:
    """VLANs that the trunk does not use."""
    used = {each.segmentation_id for each in sub_ports}
    return [vlan for vlan in range(FIRST_VLAN, LAST_VLAN + 1) if vlan not in used]


def vlan_of(sub_ports: Iterable[SubPort], port_id: str) -> int:
    """The VLAN that a port has on the trunk; 0 if it is not on it."""
    by_port: Mapping[str, int] = {each.port_id: each.segmentation_id for each in sub_ports}
    return by_port.get(port_id, 0)


def _key(pair: AddressPair) -> tuple[str, str]:
    network, slash, length = pair.ip_address.partition("/")
    return canonical_ip(network) + slash + length, pair.mac_address.lower()
