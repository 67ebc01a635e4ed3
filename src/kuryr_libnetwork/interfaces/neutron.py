# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's REST API, as far as the services need it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import (
    Agent,
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
    """Neutron's REST API. Every method is one call, but :meth:`extensions`, which asks once and remembers, and
    :meth:`project_id` and :meth:`account`.

    ``find_*`` take Neutron's own query parameters (``tags`` all have to match; lists are repeated keys) and follow
    pagination. ``attributes`` are sent as they are (REST names such as ``binding:host_id``). Deleting or changing
    what does not exist raises :class:`~kuryr_libnetwork.errors.NeutronNotFound`.
    """

    def extensions(self) -> frozenset[str]:
        """Aliases of the extensions that this cloud has."""
        ...

    def project_id(self) -> str:
        """The project of the service's own credentials; "" where there are no projects (``auth_type = none``).

        No call of Neutron's: the token says it. Raises :class:`~kuryr_libnetwork.errors.NeutronForbidden` for
        credentials that are for no project.
        """
        ...

    def account(self) -> Account | None:
        """The roles of the service's user, and where he has them; ``None`` where there are none (``auth_type = none``).

        No call of Neutron's: the token says it, each one anew. Raises
        :class:`~kuryr_libnetwork.errors.NeutronForbidden` for credentials that Keystone refuses, or that are for no
        project.
        """
        ...

    def quota(self, project_id: str) -> Mapping[str, Quota]:
        """By the kind of resource (``port``, ``security_group`` …); shown to whoever has a role in the project."""
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
        """All of them or none, by one bulk call."""
        ...

    def create_port(self, attributes: Mapping[str, Any], tags: Iterable[str] = ()) -> Port:
        """Make a port by a bulk call of one; ``tags`` are sent only where the cloud stores them (else dropped)."""
        ...

    def update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None = None) -> Port:
        """``revision``: the port's revision number on which the change rests (``If-Match``).

        Raises :class:`~kuryr_libnetwork.errors.NeutronChanged`, and changes nothing, when it is another by now. Of two
        changes under way at the same time both go through, though (seen with release 29, whose database layer repeats
        the later one without the condition): whoever must exclude that has to mark the port first.
        """
        ...

    def delete_network(self, network_id: str) -> None: ...
    def delete_subnet(self, subnet_id: str) -> None: ...
    def delete_subnetpool(self, pool_id: str) -> None: ...
    def delete_port(self, port_id: str) -> None: ...
    def delete_security_group(self, group_id: str) -> None: ...

    def add_subport(self, trunk_id: str, subport: SubPort) -> Trunk:
        """Put a port without a device on a trunk; the answer is the trunk afterwards.

        :class:`~kuryr_libnetwork.errors.NeutronConflict` if the VLAN is taken there, or the port is on a trunk.
        """
        ...

    def remove_subport(self, trunk_id: str, port_id: str) -> Trunk: ...

    def set_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        """Replace all tags of a resource."""
        ...

    def add_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        """Add tags, leaving all others: one call where the cloud has ``tag-creation``, else one call per tag."""
        ...

    def remove_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None: ...
