# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Neutron's default policies let the service's own user do and see, as measured with release 29 and Keystone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kuryr_libnetwork.rules.roles import Account
from tests.fakes.neutron.store import Store
from tests.fakes.neutron.wire import PROJECT, Fault, Resource, not_found

_ADMINS = {"networks": "provider:", "ports": "trusted"}
"""Prefixes of the attributes that only an admin sees."""
Role = Literal["service", "admin", "admin-only"]
"""The roles of the service's user: ``service`` and ``member``; ``service`` and ``admin``; or ``admin`` alone."""


ROLES: dict[Role, frozenset[str]] = {
    "service": frozenset({"service", "member", "reader"}),
    "admin": frozenset({"service", "admin", "manager", "member", "reader"}),
    "admin-only": frozenset({"admin", "manager", "member", "reader"}),
}
"""The roles in the token, including implied ones."""


class Policy:
    def __init__(self, role: Role) -> None:
        self.role = role
        self.hides_subnets = False
        """Those of other projects from the role service, as release 24 does."""

    @property
    def account(self) -> Account:
        return Account(user="kuryr", project="service", roles=ROLES[self.role])

    def sees(self, what: str, resource: Resource) -> bool:
        """Whether the resource is in a list at all."""
        if what == "subnets" and self.hides_subnets:
            return self.role != "service" or _is_own(resource)
        if self.role != "service" or what not in ("subnetpools", "security_groups", "agents"):
            return True
        if what == "agents":
            return False
        return _is_own(resource) or bool(resource["shared"])

    def shown(self, store: Store, what: str, resource: Resource) -> Resource:
        """The resource as the role sees it: without what only an admin sees, and without other projects' tags.

        Except the tags of shared networks and their subnets, which everybody sees.
        """
        if self.role != "service":
            return resource
        resource = {name: value for name, value in resource.items() if not name.startswith(_ADMINS.get(what, "-"))}
        if _is_own(resource) or "tags" not in resource:
            return resource
        network = store.tables["networks"].get(resource.get("network_id", "")) if what == "subnets" else resource
        if what in ("networks", "subnets") and network is not None and network["shared"]:
            return resource
        return {**resource, "tags": []}

    def check_tags(self, store: Store, what: str, resource_id: str) -> None:
        resource = store.tables[what].get(resource_id)
        if self.role == "service" and resource is not None and not _is_own(resource):
            raise _forbidden(f"update_{what}:tags")

    def check_create(self, store: Store, what: str, attributes: Mapping[str, Any]) -> None:
        if what == "ports":
            self._check_profile(attributes)
            self._check_groups(store, attributes)
        if self.role != "service":
            return
        if what in ("networks", "subnetpools") and attributes.get("shared"):
            raise _forbidden(f"create_{what}:shared")
        network = store.tables["networks"].get(attributes.get("network_id", ""))
        if what == "subnets" and network is not None and not _is_own(network):
            raise _forbidden("create_subnet")

    def check_update_port(self, store: Store, port_id: str, attributes: Mapping[str, Any]) -> None:
        self._check_profile(attributes)
        port = store.tables["ports"].get(port_id)
        if self.role == "service" and port is not None:
            for name in ("trusted", *(() if _is_own(port) else ("qos_policy_id",))):
                if name in attributes:
                    raise _forbidden(f"update_port:{name}")

    def check_delete(self, store: Store, what: str, resource_id: str) -> None:
        resource = store.tables[what].get(resource_id)
        if self.role == "service" and what != "ports" and resource is not None and not _is_own(resource):
            raise _forbidden(f"delete_{what}") if self.sees(what, resource) else not_found(what, resource_id)

    def _check_groups(self, store: Store, attributes: Mapping[str, Any]) -> None:
        """Of a new port; Neutron does not look at whose the groups are when the service changes a port."""
        for group_id in attributes.get("security_groups") or ():
            group = store.tables["security_groups"].get(group_id)
            if group is not None and not self.sees("security_groups", group):
                raise not_found("security_groups", group_id)

    def _check_profile(self, attributes: Mapping[str, Any]) -> None:
        if self.role == "admin-only" and "binding:profile" in attributes:
            raise _forbidden("update_port:binding:profile")


def _is_own(resource: Resource) -> bool:
    return bool(resource.get("project_id") == PROJECT)


def _forbidden(rule: str) -> Fault:
    return Fault(403, "PolicyNotAuthorized", f"(rule:{rule}) is disallowed by policy")
