# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of this host, and what port drivers are asked to make."""

from __future__ import annotations

from typing import Any, Literal

from kuryr_libnetwork.model.neutron import Id, SubPort
from kuryr_libnetwork.model.value import Value

NO_MAC = "00:00:00:00:00:00"
"""Stands for "no MAC", of an interface or of a VF at its PF."""


class HostIp(Value, frozen=True):
    """What the host's own IP does on an interface, named as the kernel's settings are (ip-sysctl.rst, if_link.h).

    ``None``: not known, or the interface lacks that family; in a wanted state: leave it as it is.
    """

    rp_filter: int | None = None
    arp_ignore: int | None = None
    addr_gen_mode: int | None = None
    disable_ipv6: int | None = None
    accept_ra: int | None = None


class Link(Value, frozen=True):
    """A network interface of this network namespace. ``alias`` is the kernel's ifalias ("" when unset).

    ``peer_away``: its peer (or the interface that it is on) is in another namespace.
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
    """What a container's network namespace contains. ``addresses`` maps each address to the index of its interface.

    Leaves out routes to the container's own addresses, and those that IPv6 gives every link (fe80::/64, ff00::/8).
    """

    routes: tuple[SandboxRoute, ...] = ()
    addresses: dict[str, int] = {}


BoundBy = Literal["host", "trunk", "nobody"]
"""Who binds a container's port: this host, under its own name; the trunk that the port is put on; or nobody."""


class BindingRequest(Value, frozen=True):
    """What is known before the binding: the port, and what its user asked for ("" for nothing).

    ``physical_network``: the network's, "" if Neutron does not show it. ``profile``: the port's, as it was found.
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
    """An interface to create on another one: macvlan (mode bridge), ipvlan (mode L2) or a VLAN.

    ``mac`` is not used for ipvlan, which has its parent's MAC; ``vlan`` is used for a VLAN only.
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
    """A veth pair to create: the host's end, and the end that Docker moves into the container. ``mac`` "": any.

    ``tx_checksum``: whether the container's end offloads checksums (the kernel's default).
    ``routed``: the host is the container's router and uses IP on its end; otherwise the host has no IP there.
    """

    host_name: str
    container_name: str
    mac: str
    mtu: int
    alias: str
    tx_checksum: bool = True
    routed: bool = False


class SwitchView(Value, frozen=True):
    """What Open vSwitch's database says of an interface. ``connected``: ovs-vswitchd has given it a number.

    ``installed``: ovn-controller says that the flows of its port are in place (``external_ids:ovn-installed``).
    ``dead``: it is on the VLAN whose packets Neutron's agent drops: the agent does not know the port yet, or any more.
    """

    port_id: str
    connected: bool = False
    installed: bool = False
    dead: bool = False


class OvsInterface(Value, frozen=True):
    """An interface of Open vSwitch that this service owns (``external_ids:owner`` is ``kuryr``).

    ``isolated``: no frame passes until Neutron's agent has set its VLAN.
    """

    name: str
    bridge: str
    port_id: str
    endpoint_id: str = ""
    mac: str = ""
    isolated: bool = False
