# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Finding in Neutron what the options for ports name (:mod:`~kuryr_libnetwork.rules.port_options`).

Anybody can give a group or a policy of his any name: a name means a group of the service's own project; a policy of it,
else the one policy of that name that others share. Ids mean any.

Neutron calls: for a network 1 to 3, so that a wrong one is refused before anything is made; for a container none for
ids, which Neutron looks at in the binding, and 1 for all names of groups, 1 for the name of a policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.records import PortSettings
from kuryr_libnetwork.rules import port_options as rules
from kuryr_libnetwork.services.state.own_things import OwnThings


class PortOptions:
    def __init__(self, neutron: Neutron, own: OwnThings) -> None:
        self._neutron = neutron
        self._own = own

    def of_network(self, options: Mapping[str, Any]) -> PortSettings:
        """What ``docker network create -o`` says of ports, names resolved, everything known to exist."""
        return self._resolved(rules.parse_port_options(options), check_ids=True)

    def of_container(self, options: Mapping[str, Any]) -> PortSettings:
        """The same of an endpoint's driver options; ids are as they were given."""
        return self._resolved(rules.parse_port_options(options), check_ids=False)

    def _resolved(self, said: PortSettings, *, check_ids: bool) -> PortSettings:
        if rules.keys_of(said):
            rules.refuse_missing(said, self._neutron.extensions())
        groups, policy = said.security_groups, said.qos_policy
        return msgspec.structs.replace(
            said,
            security_groups=self._groups(groups, check_ids=check_ids) if groups else groups,
            qos_policy=self._policy(policy, check_ids=check_ids) if policy else policy,
        )

    def _groups(self, texts: tuple[str, ...], *, check_ids: bool) -> tuple[str, ...]:
        names = [text for text in texts if not rules.is_id(text)]
        ids = [text for text in texts if rules.is_id(text)]
        found = [(group.name, group.id) for group in self._own.security_groups(name=names)]
        if check_ids:
            found += [(group.id, group.id) for group in self._neutron.find_security_groups(id=ids)]
        else:
            found += [(text, text) for text in ids]
        return tuple(
            rules.pick(rules.SECURITY_GROUPS, text, [its for name, its in found if name == text], rules.GROUP)
            for text in texts
        )

    def _policy(self, text: str, *, check_ids: bool) -> str:
        if rules.is_id(text) and not check_ids:
            return text
        query = {"id": text} if rules.is_id(text) else {"name": text}
        found = self._neutron.find_qos_policies(**query)
        own = [policy for policy in found if self._own.project.has(policy.project_id)]
        return rules.pick(rules.QOS_POLICY, text, [policy.id for policy in own or found], "QoS policy")
