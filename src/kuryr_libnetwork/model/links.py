# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of this host, and what port drivers are asked to make."""

from __future__ import annotations

from typing import Any, Literal

from kuryr_libnetwork.model.neutron import Id, SubPort
from kuryr_libnetwork.model.value import Value

NO_MAC = "00:00:00:00:00:00"
"""Of an interface, or of a VF at its PF, that has none."""


class HostIp(Value, frozen=True):
    """What the host's own IP does on an interface, named as the kernel's settings are (ip-sysctl.rst, if_link.h).

    ``None``: not known, or the interface has not that family; as a wish: to be left as it is.
    """

    rp_filter: int | None = None
    arp_ignore: int | None = None
    addr_gen_mode: int | None = None
    disable_ipv6: int | None = None
    accept_ra: int | None = None


class Link(Value, frozen=True):
    """A network interface of this network namespace. ``alias`` is the kernel's ifalias ("" when unset).

    ``peer_away``: it is an end of a pair (or stands on an interface), the other of which is in another namespace.
    """

    index: int
    name: str
    kind: str = ""
    mac: str = ""
    mtu: int = 0
    up: bool = False
    alias: str = ""
    peer_away: bool = False
    host_ip: HostIp = HostIp()


class SandboxRoute(Value, frozen=True):
    """A route of a container's main table. ``next_hop`` "": on the link of ``interface`` (an index). ``metric``:
    smaller wins.
    """

    destination: str
    next_hop: str
    interface: int
    metric: int = 0


class SandboxView(Value, frozen=True):
    """What there is in a container's network namespace. ``addresses``: by address, the index of the interface that has
    it.

    Without routes to single addresses of the container itself, and without IPv6's own of each link (fe80::/64,
    ff00::/8).
    """

    routes: tuple[SandboxRoute, ...] = ()
    addresses: dict[str, int] = {}


BoundBy = Literal["host", "trunk", "nobody"]
"""Who binds a port for its container: this host by its name, the trunk that the port is put on, or nobody."""


class BindingRequest(Value, frozen=True):
    """What is known before the binding: the port, and what its user asked for ("" where nothing was).

    ``physical_network``: the network's own, "" where Neutron does not show it. ``profile``: the port's, as it was
    found.
    """

    port_id: str
    vnic_type: str
    physical_network: str
    mac_address: str = ""
    profile: dict[str, Any] = {}
    pci_slot: str = ""
    pf_name: str = ""
    numa_node: int | None = None


ChildKind = Literal["macvlan", "ipvlan", "vlan"]


class ChildSpec(Value, frozen=True):
    """An interface on another one, to be made: macvlan (mode bridge), ipvlan (mode L2) or a VLAN.

    ``mac`` is not for ipvlan, which has that of its parent; ``vlan`` is for a VLAN only.
    """

    kind: ChildKind
    name: str
    parent: str
    mtu: int
    alias: str
    mac: str = ""
    vlan: int = 0


class Trunk(Value, frozen=True):
    """Source: Neutron API v2, trunks (extension trunk). ``port_id``: the parent port, a virtual machine's."""

    id: Id
    port_id: Id
    sub_ports: tuple[SubPort, ...] = ()


class VethSpec(Value, frozen=True):
    """A veth pair to be made: the host's end, and the end that Docker moves into the container. ``mac`` "": any.

    ``tx_checksum``: whether the container's end may leave checksums to be finished later (the kernel's default).
    ``routed``: the host itself is the container's router, and has its own IP on its end; else it has none there.
    """

    host_name: str
    container_name: str
    mac: str
    mtu: int
    alias: str
    tx_checksum: bool = True
    routed: bool = False


class OvsInterface(Value, frozen=True):
    """An interface of Open vSwitch that this service owns (``external_ids:owner`` is ``kuryr``).

    ``isolated``: no frame passes before Neutron's agent has given it its VLAN.
    """

    name: str
    bridge: str
    port_id: str
    endpoint_id: str = ""
    mac: str = ""
    isolated: bool = False
