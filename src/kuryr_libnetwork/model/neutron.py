# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's resources, decoded from REST answers; members that are not named here are ignored.

Addresses, CIDRs and ids are strings in their canonical form. Source: Neutron API v2.
"""

from __future__ import annotations

from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Annotated, Any, Literal

import msgspec

from kuryr_libnetwork.model.value import IpVersion, Value
from kuryr_libnetwork.text import shown

TagOwner = Literal["networks", "subnets", "subnetpools", "ports"]


Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]


ProjectId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z_-]{0,64}\Z")]
""""" for what Neutron creates for itself, such as ports of routers."""


Mac = Annotated[str, msgspec.Meta(pattern=r"\A(([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})?\Z")]
""""" if there is none."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""Limited to the numbers that Neutron and the kernel accept."""


PrefixLength = Annotated[int, msgspec.Meta(ge=0, le=128)] | Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,3}\Z")]


Revision = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def _check_ip(text: str) -> None:
    """Raises ValueError; msgspec adds the place of the value. Refuses a zone: it has no meaning on other hosts."""
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError:
        raise ValueError(f"{shown(text)} is not an IP address") from None


def _check_cidr(text: str, version: int) -> None:
    if ip_network(text).version != version:
        raise ValueError(f"{shown(text)} is not an IPv{version} CIDR")


class Network(Value, frozen=True):
    """Source: Neutron API v2, networks (extensions net-mtu, standard-attr-tag)."""

    id: Id
    name: str = ""
    description: str | None = ""
    shared: bool = False
    admin_state_up: bool = True
    mtu: Count | None = None
    subnets: tuple[Id, ...] = ()
    tags: tuple[str, ...] = ()
    project_id: ProjectId | None = None
    physical_network: str | None = msgspec.field(name="provider:physical_network", default=None)


class HostRoute(Value, frozen=True):
    destination: str
    nexthop: str

    def __post_init__(self) -> None:
        if self.destination:
            ip_network(self.destination, strict=False)
        if self.nexthop:
            _check_ip(self.nexthop)


class AddressSpan(Value, frozen=True):
    """Both ends included."""

    start: str
    end: str

    def __post_init__(self) -> None:
        _check_ip(self.start)
        _check_ip(self.end)


class Subnet(Value, frozen=True):
    """Source: Neutron API v2, subnets."""

    id: Id
    network_id: Id
    cidr: str
    ip_version: IpVersion
    name: str = ""
    description: str | None = ""
    gateway_ip: str | None = None
    host_routes: tuple[HostRoute, ...] = ()
    subnetpool_id: Id | None = None
    ipv6_address_mode: str | None = None
    ipv6_ra_mode: str | None = None
    allocation_pools: tuple[AddressSpan, ...] = ()
    tags: tuple[str, ...] = ()
    project_id: ProjectId | None = None

    def __post_init__(self) -> None:
        _check_cidr(self.cidr, self.ip_version)
        if self.gateway_ip:
            _check_ip(self.gateway_ip)


AUTOMATIC = ("slaac", "dhcpv6-stateless")
"""The values of ``ipv6_address_mode`` for which a port's address is derived from its MAC."""


class SubnetPool(Value, frozen=True):
    """Source: Neutron API v2, subnetpools (extension subnet_allocation). Prefix lengths arrive as text."""

    id: Id
    name: str = ""
    description: str | None = ""
    prefixes: tuple[str, ...] = ()
    shared: bool = False
    default_prefixlen: PrefixLength = 0
    ip_version: IpVersion = 4
    tags: tuple[str, ...] = ()
    project_id: ProjectId | None = None

    def __post_init__(self) -> None:
        for prefix in self.prefixes:
            _check_cidr(prefix, self.ip_version)


class FixedIp(Value, frozen=True):
    subnet_id: Id
    ip_address: str

    def __post_init__(self) -> None:
        _check_ip(self.ip_address)


class AddressPair(Value, frozen=True):
    """An address that a port may use besides its own (extension allowed-address-pairs); ``ip_address`` may be a
    CIDR.
    """

    ip_address: str
    mac_address: Mac

    def __post_init__(self) -> None:
        _check_ip(self.ip_address.partition("/")[0])
        if "/" in self.ip_address:
            ip_network(self.ip_address, strict=False)


class SubPort(Value, frozen=True):
    """A port on a trunk. ``segmentation_id``: its VLAN on the trunk's parent port."""

    port_id: Id
    segmentation_id: Count = 0
    segmentation_type: str = "vlan"


class TrunkDetails(Value, frozen=True):
    """A trunk as its parent port shows it (extension trunk-details)."""

    trunk_id: Id
    sub_ports: tuple[SubPort, ...] = ()


class Port(Value, frozen=True):
    """Source: Neutron API v2, ports (extensions binding, standard-attr-tag, standard-attr-revisions).

    ``host_id`` is ``None`` if our role may not see the binding, "" if the port is unbound.
    """

    id: Id
    network_id: Id
    name: str = ""
    description: str | None = ""
    mac_address: Mac = ""
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
    project_id: ProjectId | None = None
    security_groups: tuple[Id, ...] = ()
    port_security_enabled: bool = True
    revision_number: Revision = 0
    trusted: bool | None = None
    propagate_uplink_status: bool | None = None
    dns_domain: str | None = None
    qos_policy_id: Id | None = None
    qos_network_policy_id: Id | None = None
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    trunk_details: TrunkDetails | None = None


class SecurityGroupRule(Value, frozen=True):
    """``remote_group_id``: ``None`` for a rule about addresses, not about the members of a group."""

    direction: str
    remote_group_id: str | None = None


class SecurityGroup(Value, frozen=True):
    """Source: Neutron API v2, security groups (extension security-group)."""

    id: Id
    name: str = ""
    description: str | None = ""
    project_id: ProjectId | None = None
    rules: tuple[SecurityGroupRule, ...] = msgspec.field(name="security_group_rules", default=())


class QosRule(Value, frozen=True):
    """Source: Neutron API v2, QoS policies. ``type``: bandwidth_limit, minimum_bandwidth, dscp_marking …; rates in
    kbit/s.
    """

    type: str
    direction: str = "egress"
    max_kbps: Count | None = None
    min_kbps: Count | None = None


class QosPolicy(Value, frozen=True):
    """Source: Neutron API v2, QoS policies (extension qos), with their rules inside."""

    id: Id
    project_id: ProjectId | None = None
    shared: bool = False
    rules: tuple[QosRule, ...] = ()


class Agent(Value, frozen=True):
    """Source: Neutron API v2, agents."""

    id: Id
    agent_type: str
    host: str
    alive: bool
    binary: str = ""
    admin_state_up: bool = True
    configurations: dict[str, Any] = {}


class FreeAddresses(Value, frozen=True):
    """How many addresses of a subnet no port has. Of an IPv6 subnet they are more than a 64 bit number holds."""

    subnet_id: str
    subnet_name: str
    free: float


class Quota(Value, frozen=True):
    """Of one kind of resource in a project; ``limit`` -1: none. Source: Neutron API v2, quotas details."""

    limit: int
    used: int
    reserved: int = 0

    @property
    def free(self) -> int | None:
        """``None``: without limit."""
        return None if self.limit < 0 else max(0, self.limit - self.used - self.reserved)
