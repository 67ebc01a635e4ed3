# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Looks up in Neutron what the options for ports name (:mod:`~kuryr_libnetwork.rules.port_options`).

An id may be that of any group or policy. What a name means is explained at :func:`~.port_options.group_named`.

Neutron calls: for a network 1 to 3, so that a wrong option is refused before anything is created; for a container none
for ids, which Neutron checks in the binding, 1 for all names of groups and 1 for the name of a policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network, SecurityGroup
from kuryr_libnetwork.model.records import NetworkRecord, PortSettings
from kuryr_libnetwork.rules import port_options as rules
from kuryr_libnetwork.services.state.own_things import OwnThings


class PortOptions:
    def __init__(self, neutron: Neutron, own: OwnThings) -> None:
        self._neutron = neutron
        self._own = own

    def of_network(self, options: Mapping[str, Any], network: Network | None) -> PortSettings:
        """The options for ports in ``docker network create -o``, with names resolved and everything checked to exist.

        ``network``: the Neutron network that the ports will be on; ``None``: a new one.
        """
        owner = (network.project_id or "") if network is not None else ""
        return self._resolved(rules.parse_port_options(options), owner, check_ids=True)

    def of_container(self, options: Mapping[str, Any], network: NetworkRecord) -> PortSettings:
        """The options for ports in an endpoint's driver options, with names resolved; ids are not checked."""
        return self._resolved(rules.parse_port_options(options), network.project_id, check_ids=False)

    def _resolved(self, said: PortSettings, owner: str, *, check_ids: bool) -> PortSettings:
        """``owner``: the id of the network's project; "": the service's own."""
        if rules.keys_of(said):
            rules.refuse_missing(said, self._neutron.extensions())
        groups, policy = said.security_groups, said.qos_policy
        return msgspec.structs.replace(
            said,
            security_groups=self._groups(groups, owner, check_ids=check_ids) if groups else groups,
            qos_policy=self._policy(policy, owner, check_ids=check_ids) if policy else policy,
        )

    def _groups(self, texts: tuple[str, ...], owner: str, *, check_ids: bool) -> tuple[str, ...]:
        names = [text for text in texts if not rules.is_id(text)]
        ids = [text for text in texts if rules.is_id(text)]
        named = self._named(names, owner) if names else []
        there = [group.id for group in self._neutron.find_security_groups(id=ids)] if ids and check_ids else ids
        own = self._own.project
        return tuple(
            rules.group_with_id(text, there) if rules.is_id(text) else rules.group_named(text, named, own, owner)
            for text in texts
        )

    def _named(self, names: list[str], owner: str) -> list[SecurityGroup]:
        projects = sorted({self._own.project.id, owner} - {""})
        query = {"project_id": projects} if self._own.project.id else {}
        return self._neutron.find_security_groups(name=names, **query)

    def _policy(self, text: str, owner: str, *, check_ids: bool) -> str:
        if rules.is_id(text):
            found = self._neutron.find_qos_policies(id=text) if check_ids else []
            return rules.policy_with_id(text, [policy.id for policy in found] if check_ids else [text])
        return rules.policy_named(text, self._neutron.find_qos_policies(name=text), self._own.project, owner)
