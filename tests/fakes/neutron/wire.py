# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Resources in the form of Neutron's REST API, and its filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Resource = dict[str, Any]
Query = Mapping[str, list[str]]

PROJECT = "11111111111141118111111111111111"
"""The service's own project."""
TENANT = "22222222222242228222222222222222"
"""The project of a user of the cloud."""

TEMPLATES: dict[str, Resource] = {
    "networks": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "admin_state_up": True,
        "mtu": 1442,
        "status": "ACTIVE",
        "subnets": [],
        "shared": False,
        "port_security_enabled": True,
        "router:external": False,
        "provider:network_type": "geneve",
        "provider:physical_network": None,
        "provider:segmentation_id": 1,
        "dns_domain": "",
        "qos_policy_id": None,
        "tags": [],
        "revision_number": 1,
    },
    "subnets": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "network_id": "",
        "ip_version": 4,
        "subnetpool_id": None,
        "enable_dhcp": True,
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "gateway_ip": None,
        "cidr": "",
        "allocation_pools": [],
        "host_routes": [],
        "dns_nameservers": [],
        "service_types": [],
        "segment_id": None,
        "tags": [],
        "revision_number": 0,
    },
    "subnetpools": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "default_prefixlen": "",
        "min_prefixlen": "",
        "max_prefixlen": "",
        "is_default": False,
        "shared": False,
        "prefixes": [],
        "ip_version": 4,
        "default_quota": None,
        "address_scope_id": None,
        "tags": [],
        "revision_number": 0,
    },
    "ports": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "network_id": "",
        "mac_address": "",
        "admin_state_up": True,
        "status": "DOWN",
        "device_id": "",
        "device_owner": "",
        "fixed_ips": [],
        "binding:host_id": "",
        "binding:vnic_type": "normal",
        "binding:profile": {},
        "binding:vif_type": "unbound",
        "binding:vif_details": {},
        "port_security_enabled": True,
        "security_groups": [],
        "allowed_address_pairs": [],
        "trunk_details": None,
        "extra_dhcp_opts": [],
        "dns_name": "",
        "dns_domain": None,
        "qos_policy_id": None,
        "trusted": None,
        "tags": [],
        "revision_number": 1,
    },
    "security_groups": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "stateful": True,
        "shared": False,
        "tags": [],
        "revision_number": 1,
    },
    "security_group_rules": {
        "id": "",
        "security_group_id": "",
        "project_id": PROJECT,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_group_id": None,
        "remote_ip_prefix": None,
        "description": "",
        "revision_number": 0,
    },
    "policies": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "shared": False,
        "is_default": False,
        "rules": [],
        "tags": [],
        "revision_number": 0,
    },
    "trunks": {
        "id": "",
        "name": "",
        "description": "",
        "project_id": PROJECT,
        "admin_state_up": True,
        "port_id": "",
        "status": "ACTIVE",
        "sub_ports": [],
        "tags": [],
        "revision_number": 0,
    },
    "agents": {
        "id": "",
        "agent_type": "",
        "binary": "",
        "host": "",
        "alive": True,
        "admin_state_up": True,
        "configurations": {},
        "availability_zone": "",
        "topic": "n/a",
        "description": "",
    },
}

_READ_ONLY = {
    "networks": {"id", "status", "subnets", "revision_number", "tags"},
    "subnets": {"id", "revision_number", "tags"},
    "subnetpools": {"id", "ip_version", "revision_number", "tags"},
    "security_groups": {"id", "shared", "revision_number", "tags"},
    "security_group_rules": {"id", "revision_number"},
    "ports": {"id", "status", "binding:vif_type", "binding:vif_details", "trunk_details", "revision_number"},
}
_ALSO_WRITABLE = {"subnets": {"prefixlen", "tenant_id"}}
_NOT_CHANGED_LATER = {"network_id", "tags", "project_id"}
_TAG_FILTERS = {"tags", "tags-any", "not-tags", "not-tags-any"}
_PAGING = {"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"}


class Fault(Exception):
    """An error as Neutron's REST API reports it."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


def bad_request(message: str, kind: str = "HTTPBadRequest") -> Fault:
    return Fault(400, kind, message)


def not_found(what: str, resource_id: str) -> Fault:
    if what == "security_groups":
        return Fault(404, "SecurityGroupNotFound", f"Security group {resource_id} does not exist")
    if what == "policies":
        return Fault(404, "QosPolicyNotFound", f"QoS policy {resource_id} could not be found.")
    kinds = {
        "networks": "Network",
        "subnets": "Subnet",
        "subnetpools": "SubnetPool",
        "ports": "Port",
        "trunks": "Trunk",
    }
    kind = kinds[what]
    words = "Subnet pool" if kind == "SubnetPool" else kind
    return Fault(404, f"{kind}NotFound", f"{words} {resource_id} could not be found.")


def check_attributes(what: str, attributes: Mapping[str, Any], verb: str = "POST") -> None:
    """Refuse what the API layer refuses before any plugin sees it."""
    template = TEMPLATES[what]
    known = set(template) | _ALSO_WRITABLE.get(what, set())
    forbidden = _READ_ONLY[what] | (_NOT_CHANGED_LATER if verb == "PUT" else set())
    for name, value in attributes.items():
        if name not in known:
            raise bad_request(f"Unrecognized attribute(s) '{name}'")
        if name in forbidden:
            raise bad_request(f"Attribute '{name}' not allowed in {verb}")
        if name in ("name", "description", "device_id", "device_owner") and not isinstance(value, str):
            raise bad_request(f"Invalid input for {name}. Reason: '{value}' is not a valid string.")
        if name in ("name", "description", "device_id", "device_owner") and len(value) > 255:
            raise bad_request(f"Invalid input for {name}. Reason: '{value}' exceeds maximum length of 255.")


def select(what: str, resources: Iterable[Resource], query: Query) -> list[Resource]:
    """The resources that match Neutron's query parameters."""
    unknown = sorted(set(query) - set(TEMPLATES[what]) - _TAG_FILTERS - _PAGING)
    if unknown:
        raise bad_request(f"{unknown} is invalid attribute for filtering")
    return [each for each in resources if all(_matches(each, key, values) for key, values in query.items())]


def _matches(resource: Resource, key: str, values: list[str]) -> bool:
    if key in _PAGING:
        return True
    if key in _TAG_FILTERS:
        return _matches_tags(set(resource["tags"]), key, values)
    if key == "fixed_ips":
        return any(_matches_address(fixed, values) for fixed in resource["fixed_ips"])
    actual = resource[key]
    if isinstance(actual, bool):
        return any((value.lower() in ("true", "1")) == actual for value in values)
    return str(actual if actual is not None else "") in values


def _matches_tags(tags: set[str], key: str, values: list[str]) -> bool:
    wanted = {tag for value in values for tag in value.split(",")}
    found = bool(wanted & tags) if key.endswith("any") else wanted <= tags
    return found != key.startswith("not")


def _matches_address(fixed: Mapping[str, str], values: list[str]) -> bool:
    wanted: dict[str, set[str]] = {}
    for value in values:
        name, _, text = value.partition("=")
        wanted.setdefault(name, set()).add(text)
    return all(fixed[name] in texts for name, texts in wanted.items())
