# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the journal keeps, as JSON (:mod:`~kuryr_libnetwork.host.journal`)."""

from __future__ import annotations

from typing import Any, Literal

from kuryr_libnetwork.model.neutron import AddressPair, FixedIp, HostRoute, Port, Subnet, TagOwner
from kuryr_libnetwork.model.value import IpVersion, Value


class PoolRecord(Value, frozen=True):
    """A pool that Docker requested from us (key: ``pool_id``, the id of its Neutron subnetpool).

    ``made``: this service created the subnetpool. ``requests``: RequestPool calls not yet answered by ReleasePool (1;
    more in journals of pools that were shared). ``gateway``: the address told to Docker as gateway; ``reserved``:
    auxiliary addresses promised to Docker. ``options``: what ``--ipam-opt`` chose. ``ip_range``: ``--ip-range``.
    ``unasked``: the user gave no ``--subnet``. ``source``: the subnetpool that the CIDR is to be taken from, "" for
    none but its own. ``subnet``: the Neutron subnet that it stands for, where that is known.
    """

    pool_id: str
    cidr: str
    ip_version: IpVersion
    made: bool
    requests: int = 1
    gateway: str = ""
    gateway_chosen: bool = False
    reserved: tuple[str, ...] = ()
    options: dict[str, str] = {}
    ip_range: str = ""
    unasked: bool = False
    source: str = ""
    subnet: Subnet | None = None
    created_at: float = 0.0


class SubnetRecord(Value, frozen=True):
    """A Neutron subnet as a Docker network uses it.

    ``made``: kuryr created the subnet. ``ip_range``: the part of it that we choose containers' addresses from; "" where
    Neutron chooses. ``recorded``: the pool carries the Docker network's id, and no tag of the subnet names the pool.
    ``advertised``: a router of Neutron's, if there is one, sends advertisements there. ``automatic``: a port's address
    follows from its MAC.
    """

    subnet_id: str
    pool_id: str
    cidr: str
    ip_version: IpVersion
    made: bool
    gateway_ip: str | None = None
    host_routes: tuple[HostRoute, ...] = ()
    ip_range: str = ""
    recorded: bool = False
    advertised: bool = False
    automatic: bool = False


class PortSettings(Value, frozen=True):
    """What the user wants of ports, ``None`` where he says nothing.

    ``security_groups``: ids, empty for none; ``qos_policy``: an id, "" for none; ``dns_domain``: with its dot, "" for
    none.
    """

    security_groups: tuple[str, ...] | None = None
    qos_policy: str | None = None
    port_security: bool | None = None
    dns_domain: str | None = None


class NetworkRecord(Value, frozen=True):
    """A Docker network (key: ``docker_id``) and its Neutron network.

    ``state``: ``creating`` (as much as stands in Neutron so far), ``ready``, ``deleting``. ``neutron_id`` is "" before
    there is one. ``vnic_type`` and ``pf``: what its containers get unless they say otherwise. ``made``: kuryr made the
    Neutron network, for this or for another Docker network. ``engine_id``: of the engine that has been seen to have it.
    ``pools``: its pools, from its first step on. ``aux_ports``: Neutron ports that keep its auxiliary addresses.
    ``rebuilt``: from Neutron, which does not tell everything. ``mtu``: Neutron's; ``asked_mtu``: what its containers
    get at most, 0: as Neutron has it. ``project_id``: of the Neutron network; "" where it is not known. ``port_pool``:
    how many ports are kept ready for its containers.
    """

    docker_id: str
    neutron_id: str
    made: bool
    mtu: int
    subnets: tuple[SubnetRecord, ...]
    state: Literal["creating", "ready", "deleting"] = "ready"
    internal: bool = False
    physical_network: str = ""
    vnic_type: str = ""
    pf: str = ""
    ports: PortSettings = PortSettings()
    fingerprint: str = ""
    options: dict[str, str] = {}
    pools: tuple[str, ...] = ()
    aux_ports: tuple[str, ...] = ()
    rebuilt: bool = False
    engine_id: str = ""
    created_at: float = 0.0
    asked_mtu: int = 0
    project_id: str = ""
    port_pool: PoolSize = 0

    @property
    def container_mtu(self) -> int:
        return min(self.mtu, self.asked_mtu) if self.asked_mtu else self.mtu


PoolSize = int | Literal["auto"]
"""How many ports a Docker network's port pool keeps ready; 0: there is none."""
SpareState = Literal["making", "ready", "used", "cooling", "leaving"]


class Change(Value, frozen=True):
    """An attribute of an adopted port: its name in Neutron's API, what it was, and what we made of it."""

    name: str
    before: Any
    ours: Any


class LeaseRecord(Value, frozen=True):
    """A Neutron port in use for Docker (key: ``port_id``) and the addresses of it that Docker holds.

    ``original`` is set for adopted ports only: the port as it was found. ``claim``: the endpoint that it was bound for,
    or is about to be, "" before; ``changes``: what that changes on an adopted port; ``bound``: it has been done (else
    perhaps). All three are written before the first step. ``endpoint_id`` is "" before CreateEndpoint and after
    DeleteEndpoint. ``spare``: addresses of the port that Docker has not asked for yet (the IPv6 address of a dual-stack
    port). ``profile``: the port's ``binding:profile`` as it is now. ``security_groups`` and ``port_security``: as the
    port came. ``exposed_groups``: those made for the ports that the container exposes; empty: one may be in the making,
    and is found by its name; ``None``: there is none. ``as_made``: the port as it was bound by the POST that made it;
    ``None`` where it was not, and as soon as anything else is asked of it. ``unlabelled``: Neutron is still to be told
    which endpoint has the port.
    """

    port_id: str
    docker_network_id: str
    neutron_network_id: str
    mac_address: str
    vnic_type: str
    held: tuple[FixedIp, ...]
    spare: tuple[FixedIp, ...] = ()
    original: Port | None = None
    claim: str = ""
    changes: tuple[Change, ...] = ()
    bound: bool = False
    profile: dict[str, Any] = {}
    security_groups: tuple[str, ...] = ()
    port_security: bool = True
    exposed_groups: tuple[str, ...] | None = None
    as_made: Port | None = None
    unlabelled: bool = False
    endpoint_id: str = ""
    created_at: float = 0.0


Attachment = Literal["ovs", "hybrid", "bridge", "none", "script"]
"""Where the host's end of a pair goes: a bridge of Open vSwitch, directly or by way of a bridge of Linux; the bridge of
the Neutron network; nowhere; or where a script of the operator's takes it."""


class PlugRecord(Value, frozen=True):
    """What a binding made on this host; enough to undo it in whatever state it is.

    ``mac``: of the port, where the plug was found again after the journal was lost; it proves that the device is still
    the port's. ``unbind``: the arguments with which the operator's script undoes its work.
    ``parent``, ``parent_mac``: the virtual machine's own interface that the container's stands on. ``pairs``: what the
    machine's port was allowed for the container. ``trunk_id``: of the trunk that the port is on.
    ``keeps_mac``: the interface has a MAC that nobody can change.
    """

    driver: str
    binding: str
    port_id: str
    vif_type: str
    host_ifname: str
    container_ifname: str
    bridge: str = ""
    pci_address: str = ""
    mac: str = ""
    attachment: Attachment = "ovs"
    unbind: tuple[str, ...] = ()
    parent: str = ""
    parent_mac: str = ""
    pairs: tuple[AddressPair, ...] = ()
    trunk_id: str = ""
    keeps_mac: bool = False


Whereabouts = Literal["container", "host", "gone"]
"""Where the container's end of an interface is."""


class RouteRecord(Value, frozen=True):
    """A route of a container: a CIDR in canonical form, and the next hop, "" where the destination is on the link."""

    destination: str
    next_hop: str = ""


class EndpointRecord(Value, frozen=True):
    """A Docker endpoint (key: ``endpoint_id``).

    ``state``: ``creating`` (intent written, outcome open), ``ready``, ``deleting``. ``sandbox_key``: from Join.
    ``exposes``: CreateEndpoint named exposed ports. ``routes``: those that Docker was told to install. ``kept_back``:
    those that it was not told, because the container has one to the same destination, or may get a subnet there.
    """

    endpoint_id: str
    docker_network_id: str
    port_id: str
    state: Literal["creating", "ready", "deleting"]
    fingerprint: str = ""
    mac_address: str = ""
    mac_requested: bool = False
    address: str = ""
    address_ipv6: str = ""
    plug: PlugRecord | None = None
    options: dict[str, str] = {}
    sandbox_key: str = ""
    exposes: bool = False
    routes: tuple[RouteRecord, ...] = ()
    kept_back: tuple[RouteRecord, ...] = ()
    created_at: float = 0.0


class SpareRecord(Value, frozen=True):
    """A port of a Docker network's port pool (key: ``port_id``).

    ``state``: ``making`` (it exists in Neutron; its interface is being made, or not proven to work yet), ``ready``,
    ``used`` (a container has it, and its lease), ``cooling`` (released; no container gets it yet), ``leaving`` (to be
    deleted). ``port``: as it was made, and as it has to be when a container gets it. ``plug``: its interface, from
    before that is made, with this ``mtu``. ``since``: when it entered its state, to be compared with dates alone.
    """

    port_id: str
    docker_network_id: str
    state: SpareState
    port: Port
    plug: PlugRecord | None = None
    mtu: int = 0
    created_at: float = 0.0
    since: float = 0.0


class IntentRecord(Value, frozen=True):
    """A resource of Neutron about to be created (key: ``token``).

    Written before the POST and dropped with its outcome. The token stands in the ``description`` of the resource, so
    that one whose answer never arrived can be found and removed.
    """

    token: str
    resource: TagOwner
    created_at: float
