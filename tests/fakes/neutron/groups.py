# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules, and which of them a port has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.fakes.neutron.store import Store
from tests.fakes.neutron.wire import Fault, Resource, bad_request, check_attributes, not_found

_WHAT = ("ethertype", "protocol", "direction", "port_range_min", "port_range_max", "remote_ip_prefix")


def create_group(store: Store, attributes: Mapping[str, Any]) -> Resource:
    """A new group lets everything out."""
    check_attributes("security_groups", attributes)
    if str(attributes.get("name", "")).lower() == "default":
        raise Fault(409, "SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
    _check_quota(store, "security_groups", 1)
    group = store.add("security_groups", store.build("security_groups", attributes))
    for ethertype in ("IPv4", "IPv6"):
        rule = {"security_group_id": group["id"], "direction": "egress", "ethertype": ethertype}
        store.add("security_group_rules", store.build("security_group_rules", rule))
    return with_rules(store, group)


def with_rules(store: Store, group: Resource) -> Resource:
    """A group as Neutron shows it."""
    rules = [rule for rule in store.all("security_group_rules") if rule["security_group_id"] == group["id"]]
    return {**group, "security_group_rules": rules}


def create_rules(store: Store, wanted: Iterable[Mapping[str, Any]]) -> list[Resource]:
    made = [store.build("security_group_rules", rule) for rule in wanted]
    there = [_key(rule) for rule in store.all("security_group_rules")]
    _check_quota(store, "security_group_rules", len(made))
    for rule in made:
        check_attributes("security_group_rules", {key: rule[key] for key in _WHAT})
        store.get("security_groups", rule["security_group_id"])
        if _key(rule) in there:
            raise Fault(409, "SecurityGroupRuleExists", "Security group rule already exists.")
        there.append(_key(rule))
        low, high = rule["port_range_min"], rule["port_range_max"]
        if rule["protocol"] in ("tcp", "udp", "sctp") and not 1 <= (low or 1) <= (high or 1) <= 65535:
            raise bad_request("For TCP/UDP protocols, port_range_min must be <= port_range_max", "InvalidInput")
    return [store.add("security_group_rules", rule) for rule in made]


def delete_group(store: Store, group_id: str) -> None:
    store.get("security_groups", group_id)
    if any(group_id in port["security_groups"] for port in store.all("ports")):
        raise Fault(409, "SecurityGroupInUse", f"Security Group {group_id} in use.")
    if group_id == store.default_group:
        raise Fault(409, "SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
    for rule in store.all("security_group_rules"):
        if rule["security_group_id"] == group_id:
            store.drop("security_group_rules", rule["id"])
    store.drop("security_groups", group_id)


def of_port(store: Store, port: Mapping[str, Any], asked: list[str] | None) -> list[str]:
    """The groups that a port gets; ``asked``: those in the request, ``None`` if it named none."""
    open_to_all = not port["port_security_enabled"] or port["device_owner"].startswith("network:")
    if open_to_all and asked:
        text = "Port security must be enabled and port must have an IP address in order to use security groups."
        raise bad_request(text, "PortSecurityAndIPRequiredForSecurityGroups")
    if asked is None:
        return [] if open_to_all else [store.default_group]
    for group_id in asked:
        if group_id not in store.tables["security_groups"]:
            raise not_found("security_groups", group_id)
    return sorted(set(asked))


def _check_quota(store: Store, what: str, more: int) -> None:
    limit = store.quotas.get(what, -1)
    if 0 <= limit < len(store.tables[what]) + more:
        raise Fault(409, "OverQuota", f"Quota exceeded for resources: ['{what[:-1]}'].")


def _key(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    return (rule["security_group_id"], *(rule[key] for key in _WHAT))
