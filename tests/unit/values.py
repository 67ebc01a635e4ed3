# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Plain values that the tests of the rules vary with ``msgspec.structs.replace``, and strategies for them."""

from __future__ import annotations

import string
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from kuryr_libnetwork.model.neutron import FixedIp, Network, Port, SecurityGroup, Subnet, SubnetPool
from kuryr_libnetwork.model.records import (
    EndpointRecord,
    LeaseRecord,
    NetworkRecord,
    PlugRecord,
    PoolRecord,
    SubnetRecord,
)
from kuryr_libnetwork.rules.identity import DEVICE_OWNER, EXISTING_PORT, OWN_PORT, id_tags
from kuryr_libnetwork.rules.ownership import (
    PROFILE_KEY,
    OwnNetwork,
    OwnPort,
    OwnProject,
    OwnSecurityGroup,
    OwnSubnet,
    OwnSubnetPool,
    PortMemory,
)
from tests.fakes.neutron import PROJECT, TENANT

HOST = "compute-1"
OTHER_HOST = "compute-2"
DOCKER_ID = "0123456789abcdef" * 4
OTHER_ID = "fedcba9876543210" * 4
SWARM_ID = "n3k5x0q2v7w9y1z4b6d8f0h2j"
ENDPOINT_ID = "ab" * 32
NET = "5f0c0c3c-30cf-4f5e-8a4b-3f3a7b6f1d01"
OTHER_NET = "4e0b0b2b-20be-4e4d-9a3a-2e2a6a5f0c00"
SUBNET_ID = "6a1d1d4d-41df-4a6f-9b5c-4a4b8c7a2e02"
SUBNET6_ID = "7b2e2e5e-52ea-4b7a-8c6d-5b5c9d8b3f03"
POOL_ID = "8c3f3f6f-63fb-4c8b-9d7e-6c6d0e9c4a04"
POOL6_ID = "9d4a4a7a-74ac-4d9c-8e8f-7d7e1f0d5b05"
PORT_ID = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60"
ZUN_CONTAINER = "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
MAC = "fa:16:3e:11:22:33"

CIDR = "10.0.0.0/24"
CIDR6 = "2001:db8::/64"
IP = FixedIp(subnet_id=SUBNET_ID, ip_address="10.0.0.5")
IP6 = FixedIp(subnet_id=SUBNET6_ID, ip_address="2001:db8::5")

# Of the service's own project, but for PORT, which is a user's.
OURS = OwnProject(id=PROJECT)
NETWORK = Network(id=NET, name="private", mtu=1442, subnets=(SUBNET_ID,), project_id=PROJECT)
SUBNET = Subnet(id=SUBNET_ID, network_id=NET, cidr=CIDR, ip_version=4, gateway_ip="10.0.0.1", project_id=PROJECT)
SUBNET6 = Subnet(id=SUBNET6_ID, network_id=NET, cidr=CIDR6, ip_version=6, gateway_ip="2001:db8::1", project_id=PROJECT)
SUBNETPOOL = SubnetPool(id=POOL_ID, name=f"kuryrPool-{CIDR}", prefixes=(CIDR,), project_id=PROJECT)
GROUP = SecurityGroup(id="9f5b5b8b-85bd-4e0d-9f9a-8e8f2a1e6c06", project_id=PROJECT)
PORT = Port(id=PORT_ID, network_id=NET, mac_address=MAC, fixed_ips=(IP,), host_id="", project_id=TENANT)
POOL = PoolRecord(pool_id=POOL_ID, cidr=CIDR, ip_version=4, made=True)
USED = SubnetRecord(subnet_id=SUBNET_ID, pool_id=POOL_ID, cidr=CIDR, ip_version=4, made=True, gateway_ip="10.0.0.1")
USED6 = SubnetRecord(
    subnet_id=SUBNET6_ID, pool_id=POOL6_ID, cidr=CIDR6, ip_version=6, made=True, gateway_ip="2001:db8::1"
)
RECORD = NetworkRecord(docker_id=DOCKER_ID, neutron_id=NET, made=True, mtu=1442, subnets=(USED,))
LEASE = LeaseRecord(
    port_id=PORT_ID,
    docker_network_id=DOCKER_ID,
    neutron_network_id=NET,
    mac_address=MAC,
    vnic_type="normal",
    held=(IP,),
)
PLUG = PlugRecord(
    driver="veth",
    binding="veth",
    port_id=PORT_ID,
    vif_type="ovs",
    host_ifname="tap0f9e3a55-7c",
    container_ifname="t_c0f9e3a55-7c",
    bridge="br-int",
)
ENDPOINT = EndpointRecord(
    endpoint_id=ENDPOINT_ID,
    docker_network_id=DOCKER_ID,
    port_id=PORT_ID,
    state="ready",
    mac_address=MAC,
    address="10.0.0.5/24",
    plug=PLUG,
)
DUAL = replace(RECORD, subnets=(USED, USED6))
OWN = replace(PORT, tags=(OWN_PORT,), project_id=PROJECT)
IN_USE = replace(PORT, name="web", tags=("blue",), device_id=ENDPOINT_ID, device_owner=DEVICE_OWNER, host_id=HOST)
"""A user's port that a container has got, of which nothing is remembered."""
MEMORY = PortMemory(host=HOST, endpoint=ENDPOINT_ID, was={"binding:host_id": "", "device_owner": "", "device_id": ""})
LEFT_BOUND = replace(IN_USE, profile={PROFILE_KEY: to_builtins(MEMORY)})
LEFT_BY_UPSTREAM = replace(IN_USE, tags=("blue", *id_tags(ENDPOINT_ID), EXISTING_PORT))
ADOPTED_ZUN = replace(PORT, name="web", device_owner="compute:kuryr", device_id=ZUN_CONTAINER, host_id=HOST)

T = TypeVar("T")


def sure(found: T | None) -> T:
    assert found is not None
    return found


def own_network(**changes: Any) -> OwnNetwork:
    return sure(OURS.network(replace(NETWORK, **changes)))


def own_subnet(**changes: Any) -> OwnSubnet:
    return sure(OURS.subnet(replace(SUBNET, **changes)))


def own_pool(**changes: Any) -> OwnSubnetPool:
    return sure(OURS.subnetpool(replace(SUBNETPOOL, **changes)))


def own_port(**changes: Any) -> OwnPort:
    """A port of the service's own project, without a mark unless ``changes`` has one."""
    return sure(OURS.port(replace(PORT, project_id=PROJECT, **changes)))


def own_group(**changes: Any) -> OwnSecurityGroup:
    return sure(OURS.security_group(replace(GROUP, **changes)))


hex_ids = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
swarm_ids = st.text(alphabet=string.digits + string.ascii_lowercase, min_size=25, max_size=25)
docker_ids = hex_ids | swarm_ids
uuids = st.uuids().map(str)
macs = st.lists(st.integers(0, 255), min_size=6, max_size=6).map(lambda octets: ":".join(f"{o:02x}" for o in octets))
