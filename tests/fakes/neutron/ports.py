# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports: their addresses, and their binding as ML2 with the OVN and SR-IOV drivers does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from tests.fakes.neutron import addresses, groups, pairs, trunks
from tests.fakes.neutron.store import Store, check_tags
from tests.fakes.neutron.wire import Fault, Resource, bad_request, check_attributes, not_found

METADATA = "network:distributed"
AUTO_DELETED = frozenset({METADATA, "network:dhcp"})

Fixed = dict[str, str]

_SRIOV_DETAILS = {"port_filter": False, "connectivity": "l2", "vlan": "150", "bound_drivers": {"0": "sriovnicswitch"}}
_SRIOV_TYPES = {"direct": "hw_veb", "macvtap": "hw_veb", "direct-physical": "hostdev_physical"}
_REBIND = ("binding:host_id", "binding:vnic_type", "binding:profile")


def create_port(store: Store, attributes: Mapping[str, Any]) -> Resource:
    check_attributes("ports", attributes)
    wanted = dict(attributes)
    network = store.get("networks", wanted.get("network_id", ""))
    tags = wanted.pop("tags", [])
    check_tags(tags)
    mac = wanted["mac_address"] = str(attributes.get("mac_address") or store.new_mac())
    _check_mac(store, network["id"], mac, "")
    wanted["fixed_ips"] = _allocate(store, network["id"], wanted.get("fixed_ips"), mac, "")
    _check_policy(store, wanted)
    wanted["tags"] = sorted(tags) if store.stores_bulk_tags else []
    port = store.build("ports", wanted)
    port["allowed_address_pairs"] = pairs.checked(store, port, port)
    port["security_groups"] = groups.of_port(store, port, attributes.get("security_groups"))
    _bind(store, port)
    return store.add("ports", port)


def update_port(
    store: Store, port_id: str, attributes: Mapping[str, Any], revision: int | None = None, seen: int | None = None
) -> Resource:
    """``revision``: the one that the change is based on; ``seen``: the port's when the request arrived."""
    check_attributes("ports", attributes, "PUT")
    port = store.get("ports", port_id)
    if revision not in (None, seen):
        text = f"Constrained to {revision}, but current revision is {seen}"
        raise Fault(412, "RevisionNumberConstraintFailed", text)
    changed = dict(attributes)
    _check_policy(store, changed)
    if "allowed_address_pairs" in changed:
        changed["allowed_address_pairs"] = pairs.checked(store, port, changed)
    mac = str(changed.get("mac_address", port["mac_address"]))
    if mac != port["mac_address"]:
        _check_new_mac(store, port, mac)
    if "security_groups" in changed:
        changed["security_groups"] = groups.of_port(store, {**port, **changed}, changed["security_groups"])
    elif not changed.get("port_security_enabled", True) and port["security_groups"]:
        text = "Port has security group associated. Cannot disable port security or IP address until security group "
        raise Fault(409, "PortSecurityPortHasSecurityGroup", f"{text}is removed.")
    changed |= _new_ips(store, port, changed, mac)
    if changed.get("binding:host_id", "") is None:
        changed["binding:host_id"] = ""
    rebind = any(name in changed and changed[name] != port[name] for name in _REBIND)
    failed = port["binding:vif_type"] == "binding_failed" and "binding:host_id" in changed
    freed = port["device_id"] and changed.get("device_id") == changed.get("device_owner") == ""
    if freed and port["binding:vnic_type"] == "direct-physical":
        changed["mac_address"] = store.new_mac()
    port.update(changed)
    port["revision_number"] += 1
    if rebind or failed:
        _bind(store, port)
    return port


def delete_port(store: Store, port_id: str) -> None:
    port = store.get("ports", port_id)
    if port["device_owner"].startswith("network:router_"):
        owner = f"has device owner {port['device_owner']}"
        text = f"Port {port_id} cannot be deleted directly via the port API: {owner}."
        raise Fault(409, "ServicePortInUse", text)
    trunks.refuse_deletion(store, port_id)
    store.drop("ports", port_id)


def create_metadata_port(store: Store, network_id: str) -> None:
    device = f"ovnmeta-{network_id}"
    port = {"network_id": network_id, "device_owner": METADATA, "device_id": device, "mac_address": store.new_mac()}
    project = {"project_id": store.get("networks", network_id)["project_id"]}
    store.add("ports", store.build("ports", port | project))


def serve_metadata(store: Store, subnet: Resource) -> None:
    """The network's metadata port takes an address of every IPv4 subnet with DHCP."""
    if subnet["ip_version"] != 4 or not subnet["enable_dhcp"]:
        return
    for port in store.ports_of(subnet["network_id"]):
        if port["device_owner"] == METADATA:
            found = _next_free(store, [subnet])
            port["fixed_ips"] += [found] if found else []


def _check_policy(store: Store, wanted: dict[str, Any]) -> None:
    policy = wanted.get("qos_policy_id")
    if policy and policy not in store.tables["policies"]:
        raise not_found("policies", policy)
    if not store.stores_dns_domain:
        wanted.pop("dns_domain", None)


def _bind(store: Store, port: Resource) -> None:
    host, vnic_type = port["binding:host_id"], port["binding:vnic_type"]
    kind, details = "binding_failed", dict[str, Any]()
    if not host:
        kind = "unbound"
    elif vnic_type == "normal" and host in store.alive_hosts:
        kind, details = store.normal_vif
        details = dict(details)
    elif vnic_type in _SRIOV_TYPES and host in store.sriov_hosts:
        kind, details = _SRIOV_TYPES[vnic_type], dict(_SRIOV_DETAILS)
    if kind == "hostdev_physical":
        port["mac_address"] = port["binding:profile"].get("device_mac_address") or store.new_mac()
    port["binding:vif_type"], port["binding:vif_details"] = kind, details
    port["status"] = "ACTIVE" if kind == "hostdev_physical" else "DOWN"


def _check_new_mac(store: Store, port: Resource, mac: str) -> None:
    if port["binding:vif_type"] not in ("unbound", "binding_failed"):
        text = f"Unable to complete operation on port {port['id']}, port is already bound, port type: "
        text += f"{port['binding:vif_type']}, old_mac {port['mac_address']}, new_mac {mac}."
        raise Fault(409, "PortBound", text)
    _check_mac(store, port["network_id"], mac, port["id"])


def _check_mac(store: Store, network_id: str, mac: str, port_id: str) -> None:
    others = [port for port in store.ports_of(network_id) if port["id"] != port_id]
    if any(port["mac_address"] == mac for port in others):
        text = f"Unable to complete operation for network {network_id}. The mac address {mac} is in use."
        raise Fault(409, "MacAddressInUse", text)


def _allocate(store: Store, network_id: str, asked: list[Fixed] | None, mac: str, port_id: str) -> list[Fixed]:
    subnets = store.subnets_of(network_id)
    if asked is None:
        return _automatic(store, network_id, subnets, mac)
    taken: list[Fixed] = []
    for one in asked:
        subnet = _subnet_for(store, network_id, subnets, one)
        if "ip_address" in one:
            taken.append(_take(store, subnet, str(ip_address(one["ip_address"])), mac, port_id))
        elif subnet["ipv6_address_mode"] in addresses.AUTO_MODES:
            taken.append(_auto_address(subnet, mac))
        else:
            found = _next_free(store, [subnet], taken)
            if found is None:
                raise _exhausted(network_id)
            taken.append(found)
    return taken


def _automatic(store: Store, network_id: str, subnets: list[Resource], mac: str) -> list[Fixed]:
    """One IPv4 address, and one IPv6 address or all that SLAAC gives."""
    taken: list[Fixed] = []
    for version in (4, 6):
        there = [subnet for subnet in subnets if subnet["ip_version"] == version]
        auto = [subnet for subnet in there if subnet["ipv6_address_mode"] in addresses.AUTO_MODES]
        taken += [_auto_address(subnet, mac) for subnet in auto]
        rest = [subnet for subnet in there if subnet not in auto]
        if rest:
            found = _next_free(store, rest)
            if found is None:
                raise _exhausted(network_id)
            taken.append(found)
    return taken


def _subnet_for(store: Store, network_id: str, subnets: list[Resource], one: Fixed) -> Resource:
    address = addresses.address_of(one["ip_address"]) if "ip_address" in one else None
    if not subnets:
        raise bad_request("Invalid input for operation: IP allocation requires subnets for network.", "InvalidInput")
    if "subnet_id" in one:
        subnet = store.get("subnets", one["subnet_id"])
        if subnet["network_id"] != network_id:
            text = f"Invalid input for operation: Failed to create port on network {network_id}, because fixed_ips "
            raise bad_request(f"{text}included invalid subnet {subnet['id']}.", "InvalidInput")
        return subnet
    for subnet in subnets:
        if address is not None and address in ip_network(subnet["cidr"]):
            return subnet
    if address is None:
        raise bad_request(
            "Invalid input for operation: IP allocation requires subnet_id or ip_address.", "InvalidInput"
        )
    text = f"IP address {address} is not a valid IP for any of the subnets on the specified network."
    raise bad_request(text, "InvalidIpForNetwork")


def _take(store: Store, subnet: Resource, address: str, mac: str, port_id: str) -> Fixed:
    first, last = addresses.hosts(ip_network(subnet["cidr"]))
    if not first <= int(ip_address(address)) <= last or ip_address(address) not in ip_network(subnet["cidr"]):
        text = f"IP address {address} is not a valid IP for the specified subnet."
        raise bad_request(text, "InvalidIpForSubnet")
    if subnet["ipv6_address_mode"] in addresses.AUTO_MODES and address != addresses.eui64(subnet["cidr"], mac):
        text = f"IPv6 address {address} cannot be directly assigned to a port on subnet {subnet['id']} as the subnet "
        raise bad_request(f"{text}is configured for automatic addresses.", "AllocationOnAutoAddressSubnet")
    if address in _used(store, subnet, port_id):
        text = f"IP address {address} already allocated in subnet {subnet['id']}"
        raise Fault(409, "IpAddressAlreadyAllocated", text)
    return {"subnet_id": subnet["id"], "ip_address": address}


def _new_ips(store: Store, port: Resource, changed: Mapping[str, Any], mac: str) -> dict[str, list[Fixed]]:
    if "fixed_ips" in changed:
        return {"fixed_ips": _allocate(store, port["network_id"], changed["fixed_ips"], mac, port["id"])}
    return {"fixed_ips": [_with_mac(store, fixed, mac) for fixed in port["fixed_ips"]]}


def _with_mac(store: Store, fixed: Fixed, mac: str) -> Fixed:
    """The address that Neutron computes when the port's MAC changes."""
    subnet = store.get("subnets", fixed["subnet_id"])
    return _auto_address(subnet, mac) if subnet["ipv6_address_mode"] in addresses.AUTO_MODES else fixed


def _auto_address(subnet: Resource, mac: str) -> Fixed:
    return {"subnet_id": subnet["id"], "ip_address": addresses.eui64(subnet["cidr"], mac)}


def _next_free(store: Store, subnets: Iterable[Resource], also: Iterable[Fixed] = ()) -> Fixed | None:
    more = {fixed["ip_address"] for fixed in also}
    for subnet in subnets:
        used = _used(store, subnet, "") | more
        for address in addresses.candidates(subnet):
            if address not in used:
                return {"subnet_id": subnet["id"], "ip_address": address}
    return None


def _used(store: Store, subnet: Resource, but_of: str) -> set[str]:
    return {
        fixed["ip_address"]
        for port in store.ports_of(subnet["network_id"])
        if port["id"] != but_of
        for fixed in port["fixed_ips"]
        if fixed["subnet_id"] == subnet["id"]
    }


def _exhausted(network_id: str) -> Fault:
    text = f"No more IP addresses available on network {network_id}."
    return Fault(409, "IpAddressGenerationFailure", text)
