# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A cloud's resources and configuration."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tests.fakes.neutron.wire import TEMPLATES, Fault, Resource, bad_request, not_found

BULK_TAGS = "tag-ports-during-bulk-creation"
TAG_CREATION = "tag-creation"
OVN_DETAILS = {
    "port_filter": True,
    "connectivity": "l2",
    "ovs_create_tap": True,
    "bridge_name": "br-int",
    "datapath_type": "netdev",
    "bound_drivers": {"0": "ovn"},
}
MAX_TAGS = 50
MAX_TAG_LENGTH = 255


def copied(value: Resource) -> Resource:
    """A copy through JSON: many times faster than a deep copy, and tests create thousands of clouds."""
    found: Resource = msgspec.json.decode(msgspec.json.encode(value))
    return found


class Store:
    """All resources by kind and id; not thread-safe by itself.

    ``alive_hosts``: hosts with an OVN chassis. ``sriov_hosts``: hosts with an alive NIC switch agent.
    ``stores_bulk_tags``: whether ML2 has the extension driver that stores the tags of a bulk POST. ``metadata_ports``:
    whether every network has a ``network:distributed`` port, as with OVN's metadata agent. ``quotas``: how many there
    may be of a kind. ``normal_vif``: vif type and details of what the host's agent binds. ``vrrp_pairs_only``: address
    pairs have the port's own MAC or one of VRRP (ML2/OVN of release 29 refuses all others). ``quotas``: how many there
    may be of a kind. ``stores_dns_domain``: whether ML2 has the extension driver ``dns_domain_ports``; without it the
    domain of a port is accepted and forgotten.
    """

    def __init__(
        self,
        alive_hosts: Iterable[str],
        sriov_hosts: Iterable[str],
        stores_bulk_tags: bool,
        metadata_ports: bool,
        vrrp_pairs_only: bool = True,
    ) -> None:
        self.alive_hosts = set(alive_hosts)
        self.sriov_hosts = set(sriov_hosts)
        self.stores_bulk_tags = stores_bulk_tags
        self.metadata_ports = metadata_ports
        self.vrrp_pairs_only = vrrp_pairs_only
        self.tables: dict[str, dict[str, Resource]] = {what: {} for what in TEMPLATES}
        self.quotas: dict[str, int] = {}
        self.normal_vif: tuple[str, Resource] = ("ovs", dict(OVN_DETAILS))
        self.stores_dns_domain = True
        self.default_group = self.add("security_groups", self.build("security_groups", {"name": "default"}))["id"]
        self._macs = 0

    def all(self, what: str) -> list[Resource]:
        return list(self.tables[what].values())

    def get(self, what: str, resource_id: str) -> Resource:
        found = self.tables[what].get(resource_id)
        if found is None:
            raise not_found(what, resource_id)
        return found

    def build(self, what: str, attributes: Mapping[str, Any]) -> Resource:
        """A new resource, not yet in its table."""
        resource = copied(TEMPLATES[what]) | copied(dict(attributes))
        resource["id"] = resource["id"] or str(uuid.uuid4())
        return resource

    def add(self, what: str, resource: Resource) -> Resource:
        self.tables[what][resource["id"]] = resource
        return resource

    def drop(self, what: str, resource_id: str) -> Resource:
        resource = self.get(what, resource_id)
        del self.tables[what][resource_id]
        return resource

    def rename(self, what: str, old_id: str, new_id: str) -> Resource:
        """Give a seeded resource the id that a test wants, in its own references as well."""
        resource = self.drop(what, old_id)
        for other in (*self.all("networks"), *self.all("subnets"), *self.all("ports")):
            for key in ("network_id", "subnetpool_id"):
                if other.get(key) == old_id:
                    other[key] = new_id
            for fixed in other.get("fixed_ips", ()):
                fixed["subnet_id"] = new_id if fixed["subnet_id"] == old_id else fixed["subnet_id"]
            if old_id in other.get("subnets", ()):
                other["subnets"] = [new_id if each == old_id else each for each in other["subnets"]]
        return self.add(what, resource | {"id": new_id})

    def new_mac(self) -> str:
        self._macs += 1
        return "fa:16:3e:" + ":".join(f"{self._macs >> shift & 0xFF:02x}" for shift in (16, 8, 0))

    def ports_of(self, network_id: str) -> list[Resource]:
        return [port for port in self.all("ports") if port["network_id"] == network_id]

    def subnets_of(self, network_id: str) -> list[Resource]:
        return [subnet for subnet in self.all("subnets") if subnet["network_id"] == network_id]


def set_tags(store: Store, what: str, resource_id: str, tags: list[str]) -> None:
    check_tags(tags)
    _limit(what, tags)
    _tag(store.get(what, resource_id), tags)


def add_tags(store: Store, what: str, resource_id: str, tags: list[str]) -> None:
    """``POST …/tags``: the limit holds for the new tags alone (seen in release 29)."""
    check_tags(tags)
    _limit(what, tags)
    resource = store.get(what, resource_id)
    _tag(resource, [*resource["tags"], *tags])


def add_tag(store: Store, what: str, resource_id: str, tag: str) -> None:
    check_tags([tag])
    resource = store.get(what, resource_id)
    _limit(what, [*resource["tags"], tag])
    _tag(resource, [*resource["tags"], tag])


def remove_tag(store: Store, what: str, resource_id: str, tag: str) -> None:
    resource = store.get(what, resource_id)
    if tag not in resource["tags"]:
        raise Fault(404, "TagNotFound", f"Tag {tag} could not be found.")
    _tag(resource, [each for each in resource["tags"] if each != tag])


def _tag(resource: Resource, tags: Iterable[str]) -> None:
    wanted = sorted(set(tags))
    if wanted != resource["tags"]:
        resource["tags"] = wanted
        resource["revision_number"] += 1


def check_tags(tags: list[str]) -> None:
    if len(set(tags)) != len(tags):
        text = f"Invalid input for operation: Duplicate items in the list: '{', '.join(tags)}'."
        raise bad_request(text, "InvalidInput")
    for tag in tags:
        if len(tag) > MAX_TAG_LENGTH:
            text = f"Invalid input for operation: '{tag}' exceeds maximum length of {MAX_TAG_LENGTH}."
            raise bad_request(text, "InvalidInput")


def _limit(what: str, tags: list[str]) -> None:
    if len(set(tags)) > MAX_TAGS:
        text = f"Bad {what} request: The number of tags exceed the per-resource limit of {MAX_TAGS}."
        raise bad_request(text, "BadRequest")
