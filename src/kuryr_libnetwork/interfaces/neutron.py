# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's REST API, as far as the services need it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import (
    Agent,
    FreeAddresses,
    Network,
    Port,
    QosPolicy,
    Quota,
    SecurityGroup,
    Subnet,
    SubnetPool,
    SubPort,
    TagOwner,
)
from kuryr_libnetwork.rules.roles import Account


class Neutron(Protocol):
    """Neutron's REST API. Every method is one call, except :meth:`extensions`, which asks once and remembers, and
    :meth:`project_id` and :meth:`account`, which need none.

    ``find_*`` take Neutron's query parameters (all ``tags`` have to match; a list becomes repeated keys) and follow
    pagination. ``attributes`` are sent unchanged (REST names such as ``binding:host_id``). Deleting or changing
    what does not exist raises :class:`~kuryr_libnetwork.errors.NeutronNotFound`.
    """

    def extensions(self) -> frozenset[str]:
        """Aliases of the extensions that this cloud has."""
        ...

    def project_id(self) -> str:
        """The project of the service's own credentials; "" if there are no projects (``auth_type = none``).

        Read from the token. Raises :class:`~kuryr_libnetwork.errors.NeutronForbidden` for credentials without a
        project.
        """
        ...

    def account(self) -> Account | None:
        """The service's user, project and roles; ``None`` if there are none (``auth_type = none``).

        Read from the current token. Raises :class:`~kuryr_libnetwork.errors.NeutronForbidden` for credentials that
        Keystone refuses, or that are without a project.
        """
        ...

    def quota(self, project_id: str) -> Mapping[str, Quota]:
        """By the kind of resource (``port``, ``security_group`` …); shown to whoever has a role in the project."""
        ...

    def free_addresses(self, network_ids: Iterable[str]) -> list[FreeAddresses]:
        """Of each subnet of these networks; shown to the roles service (not in older releases) and admin.

        Empty in a cloud without the extension ``network-ip-availability``. Raises
        :class:`~kuryr_libnetwork.errors.NeutronForbidden` for other roles.
        """
        ...

    def find_networks(self, **query: str | Iterable[str]) -> list[Network]: ...
    def find_subnets(self, **query: str | Iterable[str]) -> list[Subnet]: ...
    def find_subnetpools(self, **query: str | Iterable[str]) -> list[SubnetPool]: ...
    def find_ports(self, **query: str | Iterable[str]) -> list[Port]: ...
    def find_agents(self, **query: str | Iterable[str]) -> list[Agent]: ...
    def find_security_groups(self, **query: str | Iterable[str]) -> list[SecurityGroup]: ...
    def find_qos_policies(self, **query: str | Iterable[str]) -> list[QosPolicy]: ...
    def find_trunks(self, **query: str | Iterable[str]) -> list[Trunk]: ...

    def create_network(self, attributes: Mapping[str, Any]) -> Network: ...
    def create_subnet(self, attributes: Mapping[str, Any]) -> Subnet: ...
    def create_subnetpool(self, attributes: Mapping[str, Any]) -> SubnetPool: ...
    def create_security_group(self, attributes: Mapping[str, Any]) -> SecurityGroup: ...

    def create_security_group_rules(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Creates all of them or none, by one bulk call."""
        ...

    def create_port(self, attributes: Mapping[str, Any], tags: Iterable[str] = ()) -> Port:
        """Create a port by a bulk call of one; ``tags`` are sent only if the cloud stores them (else dropped)."""
        ...

    def update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None = None) -> Port:
        """``revision``: the port's revision number on which the change is based (``If-Match``).

        If it has changed since, raises :class:`~kuryr_libnetwork.errors.NeutronChanged` and changes nothing. But two
        concurrent changes both succeed (seen with release 29, whose database layer repeats the later one without the
        condition): callers that must exclude this have to mark the port first.
        """
        ...

    def delete_network(self, network_id: str) -> None: ...
    def delete_subnet(self, subnet_id: str) -> None: ...
    def delete_subnetpool(self, pool_id: str) -> None: ...
    def delete_port(self, port_id: str) -> None: ...
    def delete_security_group(self, group_id: str) -> None: ...

    def add_subport(self, trunk_id: str, subport: SubPort) -> Trunk:
        """Put a port without a device on a trunk; answers the trunk after the change.

        Raises :class:`~kuryr_libnetwork.errors.NeutronConflict` if the VLAN is taken or the port is on a trunk.
        """
        ...

    def remove_subport(self, trunk_id: str, port_id: str) -> Trunk: ...

    def set_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        """Replace all tags of a resource."""
        ...

    def add_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        """Add tags and keep all others: one call if the cloud has ``tag-creation``, else one call per tag."""
        ...

    def remove_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None: ...
