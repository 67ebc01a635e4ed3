# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Networks, subnets and subnet pools as ML2 keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.neutron import addresses, ports
from tests.fakes.neutron.addresses import Prefix
from tests.fakes.neutron.store import Store
from tests.fakes.neutron.wire import Fault, Resource, bad_request, check_attributes


def create_network(store: Store, attributes: Mapping[str, Any]) -> Resource:
    check_attributes("networks", attributes)
    network = store.add("networks", store.build("networks", attributes))
    if store.metadata_ports:
        ports.create_metadata_port(store, network["id"])
    return network


def delete_network(store: Store, network_id: str) -> None:
    store.get("networks", network_id)
    there = store.ports_of(network_id)
    foreign = [port["id"] for port in there if port["device_owner"] not in ports.AUTO_DELETED]
    if foreign:
        text = f"Unable to complete operation on network {network_id}. There are one or more ports still in use on "
        raise Fault(409, "NetworkInUse", f"{text}the network, id for these ports is: {','.join(foreign)}.")
    for port in there:
        store.drop("ports", port["id"])
    for subnet in store.subnets_of(network_id):
        store.drop("subnets", subnet["id"])
    store.drop("networks", network_id)


def create_subnet(store: Store, attributes: Mapping[str, Any]) -> Resource:
    check_attributes("subnets", attributes)
    network = store.get("networks", attributes.get("network_id", ""))
    wanted = dict(attributes)
    length = wanted.pop("prefixlen", None)
    pool = store.get("subnetpools", wanted["subnetpool_id"]) if wanted.get("subnetpool_id") else None
    prefix = _prefix_for(store, wanted, pool, length)
    version = wanted.setdefault("ip_version", pool["ip_version"] if pool else None)
    if version != prefix.version:
        text = f"Invalid input for operation: cidr '{prefix}' does not match the ip_version '{version}'."
        raise bad_request(text, "InvalidInput")
    _check_neighbours(store, network["id"], prefix, pool)
    gateway = wanted.get("gateway_ip", str(addresses.default_gateway(prefix)))
    wanted["cidr"], wanted["gateway_ip"] = str(prefix), gateway
    if wanted.get("allocation_pools"):
        addresses.check_pools(wanted["allocation_pools"], prefix, gateway)
    else:
        wanted["allocation_pools"] = addresses.default_pools(prefix, gateway)
    subnet = store.add("subnets", store.build("subnets", wanted))
    network["subnets"] = [*network["subnets"], subnet["id"]]
    ports.serve_metadata(store, subnet)
    return subnet


def delete_subnet(store: Store, subnet_id: str) -> None:
    subnet = store.get("subnets", subnet_id)
    users = [
        port
        for port in store.ports_of(subnet["network_id"])
        if subnet_id in {f["subnet_id"] for f in port["fixed_ips"]}
    ]
    if subnet["ipv6_address_mode"] not in addresses.AUTO_MODES and any(
        port["device_owner"] not in ports.AUTO_DELETED for port in users
    ):
        text = f"Unable to complete operation on subnet {subnet_id}: "
        raise Fault(409, "SubnetInUse", f"{text}One or more ports have an IP allocation from this subnet.")
    for port in users:
        port["fixed_ips"] = [fixed for fixed in port["fixed_ips"] if fixed["subnet_id"] != subnet_id]
    network = store.get("networks", subnet["network_id"])
    network["subnets"] = [each for each in network["subnets"] if each != subnet_id]
    store.drop("subnets", subnet_id)


def create_subnetpool(store: Store, attributes: Mapping[str, Any]) -> Resource:
    check_attributes("subnetpools", attributes)
    prefixes = [addresses.prefix_of(text) for text in attributes.get("prefixes", ())]
    if not prefixes:
        raise bad_request("Empty subnet pool prefix list.", "EmptySubnetPoolPrefixList")
    versions = {prefix.version for prefix in prefixes}
    if len(versions) > 1:
        raise bad_request("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "PrefixVersionMismatch")
    version = versions.pop()
    shortest, longest = (8, 32) if version == 4 else (64, 128)
    shortest = int(attributes.get("min_prefixlen", shortest))
    longest = int(attributes.get("max_prefixlen", longest))
    default = int(attributes.get("default_prefixlen", shortest))
    for kind, length in (("min", default - shortest), ("max", longest - default), ("min", longest - shortest)):
        if length < 0:
            text = (
                f"Illegal prefix bounds: {kind}_prefixlen={shortest if kind == 'min' else longest}, default={default}."
            )
            raise bad_request(text, "IllegalSubnetPoolPrefixBounds")
    lengths = {"min_prefixlen": str(shortest), "max_prefixlen": str(longest), "default_prefixlen": str(default)}
    shown = {"ip_version": version, "prefixes": addresses.compact(prefixes)}
    return store.add("subnetpools", store.build("subnetpools", {**attributes, **lengths, **shown}))


def delete_subnetpool(store: Store, pool_id: str) -> None:
    store.get("subnetpools", pool_id)
    if any(subnet["subnetpool_id"] == pool_id for subnet in store.all("subnets")):
        text = "Unable to delete subnet pool: Subnet pool has existing allocations."
        raise bad_request(text, "SubnetPoolDeleteError")
    store.drop("subnetpools", pool_id)


def _prefix_for(store: Store, wanted: Mapping[str, Any], pool: Resource | None, length: int | None) -> Prefix:
    if pool is None:
        if not wanted.get("cidr"):
            text = "Bad subnets request: a subnetpool must be specified in the absence of a cidr."
            raise bad_request(text, "BadRequest")
        return addresses.prefix_of(wanted["cidr"])
    asked = addresses.prefix_of(wanted["cidr"]) if wanted.get("cidr") else None
    size = asked.prefixlen if asked else int(length or pool["default_prefixlen"])
    for bound, wrong in (("max", size > int(pool["max_prefixlen"])), ("min", size < int(pool["min_prefixlen"]))):
        if wrong:
            limit = f"{bound}imum allowed prefix length is {pool[bound + '_prefixlen']}"
            kind = f"{bound.capitalize()}PrefixSubnetAllocationError"
            raise bad_request(f"Unable to allocate subnet with prefix length {size}, {limit}.", kind)
    used = [subnet["cidr"] for subnet in store.all("subnets") if subnet["subnetpool_id"] == pool["id"]]
    if asked is None:
        found = addresses.free_prefix(pool["prefixes"], used, size)
        return found or _no_prefix(f"Insufficient prefix space to allocate subnet size /{size}")
    if addresses.inside(asked, pool["prefixes"]) and not addresses.overlaps(asked, used):
        return asked
    return _no_prefix("Cannot allocate requested subnet from the available set of prefixes")


def _no_prefix(reason: str) -> Prefix:
    """Neutron has no status of its own for this (seen in release 29)."""
    raise Fault(500, "SubnetAllocationError", f"Failed to allocate subnet: {reason}.")


def _check_neighbours(store: Store, network_id: str, prefix: Prefix, pool: Resource | None) -> None:
    there = store.subnets_of(network_id)
    if addresses.overlaps(prefix, [subnet["cidr"] for subnet in there]):
        text = f"Requested subnet with cidr: {prefix} for network: {network_id} overlaps with another subnet."
        raise bad_request(f"Invalid input for operation: {text}", "InvalidInput")
    for subnet in there:
        if subnet["ip_version"] == prefix.version and subnet["subnetpool_id"] != (pool["id"] if pool else None):
            text = "Subnets hosted on the same network must be allocated from the same subnet pool."
            raise bad_request(text, "NetworkSubnetPoolAffinityError")
