# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's resources, decoded from REST answers; members that are not named here are ignored.

Addresses, CIDRs and ids are strings in their canonical form. Source: Neutron API v2.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kuryr_libnetwork.model.value import IpVersion, Value

TagOwner = Literal["networks", "subnets", "subnetpools", "ports"]


class Network(Value, frozen=True):
    """Source: Neutron API v2, networks (extensions net-mtu, standard-attr-tag)."""

    id: str
    name: str = ""
    description: str | None = ""
    shared: bool = False
    mtu: int | None = None
    subnets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    project_id: str | None = None
    physical_network: str | None = msgspec.field(name="provider:physical_network", default=None)


class HostRoute(Value, frozen=True):
    destination: str
    nexthop: str


class AddressSpan(Value, frozen=True):
    """Both ends included."""

    start: str
    end: str


class Subnet(Value, frozen=True):
    """Source: Neutron API v2, subnets."""

    id: str
    network_id: str
    cidr: str
    ip_version: IpVersion
    name: str = ""
    description: str | None = ""
    gateway_ip: str | None = None
    host_routes: tuple[HostRoute, ...] = ()
    subnetpool_id: str | None = None
    ipv6_address_mode: str | None = None
    ipv6_ra_mode: str | None = None
    allocation_pools: tuple[AddressSpan, ...] = ()
    tags: tuple[str, ...] = ()
    project_id: str | None = None


AUTOMATIC = ("slaac", "dhcpv6-stateless")
"""The values of ``ipv6_address_mode`` with which a port's address follows from its MAC."""


class SubnetPool(Value, frozen=True):
    """Source: Neutron API v2, subnetpools (extension subnet_allocation). Prefix lengths arrive as text."""

    id: str
    name: str = ""
    description: str | None = ""
    prefixes: tuple[str, ...] = ()
    shared: bool = False
    default_prefixlen: int | str = 0
    ip_version: IpVersion = 4
    tags: tuple[str, ...] = ()
    project_id: str | None = None


class FixedIp(Value, frozen=True):
    subnet_id: str
    ip_address: str


class AddressPair(Value, frozen=True):
    """An address that a port may use besides its own (extension allowed-address-pairs); ``ip_address`` may be a CIDR."""

    ip_address: str
    mac_address: str


class SubPort(Value, frozen=True):
    """A port on a trunk. ``segmentation_id``: its VLAN on the trunk's parent port."""

    port_id: str
    segmentation_id: int = 0
    segmentation_type: str = "vlan"


class TrunkDetails(Value, frozen=True):
    """The same as the parent port shows it (extension trunk-details)."""

    trunk_id: str
    sub_ports: tuple[SubPort, ...] = ()


class Port(Value, frozen=True):
    """Source: Neutron API v2, ports (extensions binding, standard-attr-tag, standard-attr-revisions).

    ``host_id`` is ``None`` where the role may not see the binding, "" where the port is unbound.
    """

    id: str
    network_id: str
    name: str = ""
    description: str | None = ""
    mac_address: str = ""
    status: str = ""
    admin_state_up: bool = True
    fixed_ips: tuple[FixedIp, ...] = ()
    device_id: str = ""
    device_owner: str = ""
    tags: tuple[str, ...] = ()
    host_id: str | None = msgspec.field(name="binding:host_id", default=None)
    vnic_type: str = msgspec.field(name="binding:vnic_type", default="normal")
    vif_type: str = msgspec.field(name="binding:vif_type", default="unbound")
    vif_details: dict[str, Any] = msgspec.field(name="binding:vif_details", default_factory=dict)
    profile: dict[str, Any] = msgspec.field(name="binding:profile", default_factory=dict)
    project_id: str | None = None
    security_groups: tuple[str, ...] = ()
    port_security_enabled: bool = True
    revision_number: int = 0
    trusted: bool | None = None
    propagate_uplink_status: bool | None = None
    dns_domain: str | None = None
    qos_policy_id: str | None = None
    qos_network_policy_id: str | None = None
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    trunk_details: TrunkDetails | None = None


class SecurityGroup(Value, frozen=True):
    """Source: Neutron API v2, security groups (extension security-group)."""

    id: str
    name: str = ""
    description: str | None = ""
    project_id: str | None = None


class QosRule(Value, frozen=True):
    """Source: Neutron API v2, QoS policies. ``type``: bandwidth_limit, minimum_bandwidth, dscp_marking …; rates in kbit/s."""

    type: str
    direction: str = "egress"
    max_kbps: int | None = None
    min_kbps: int | None = None


class QosPolicy(Value, frozen=True):
    """Source: Neutron API v2, QoS policies (extension qos), with their rules inside."""

    id: str
    project_id: str | None = None
    rules: tuple[QosRule, ...] = ()


class Agent(Value, frozen=True):
    """Source: Neutron API v2, agents."""

    id: str
    agent_type: str
    host: str
    alive: bool
    binary: str = ""
    admin_state_up: bool = True
    configurations: dict[str, Any] = {}
