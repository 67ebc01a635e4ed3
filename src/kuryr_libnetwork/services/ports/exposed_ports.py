# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Opening the ports that containers expose, and closing them again.

They are opened in CreateEndpoint, with the binding. Upstream does it in ProgramExternalConnectivity, which Docker calls
only for the endpoint that becomes the container's default gateway (docs/notes/docker-plugin.md, "Gateways and routes"):
the names of networks would decide where the ports are open, and adding the group would cost one more call, removing it
two more. The group is deleted with the port: Revoke may come without Program, or never. Neutron calls: open 2 (the
binding's own PUT adds the group), close 1.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import NeutronConflict, NeutronForbidden, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Port, SecurityGroup
from kuryr_libnetwork.model.records import LeaseRecord
from kuryr_libnetwork.rules import exposure as rules
from kuryr_libnetwork.rules.exposure import PortRange
from kuryr_libnetwork.rules.ownership import OwnSecurityGroup
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
EXTENSION = "security-group"
FILTERED = "normal"
"""The only vnic_type whose traffic passes something that enforces security groups."""
_HINT = "or set [DEFAULT] process_external_connectivity = false to open none"


class ExposedPorts:
    """``enabled``: ``process_external_connectivity``; if false nothing is opened, and what is open will be closed."""

    def __init__(
        self, neutron: Neutron, journal: Journal, own: OwnThings, attempts: Attempts, *, enabled: bool
    ) -> None:
        self._attempts = attempts
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._enabled = enabled
        self._looked = not enabled
        self._ended: set[str] = set()

    def wanted(self, options: Mapping[str, Any] | None) -> list[PortRange]:
        """The ports to open, from Docker's options of an endpoint or a sandbox."""
        return rules.exposed_ranges(options or {}) if self._enabled else []

    # -- opening ---------------------------------------------------------------------------------------------------

    def open(
        self, lease: LeaseRecord, ranges: Sequence[PortRange], vnic_type: str
    ) -> tuple[LeaseRecord, dict[str, Any]]:
        """Create the group; returns the lease with it, and the attributes for the PUT that binds the port.

        If a later step fails, the group is deleted with the lease. An earlier attempt may have left one on the port.
        """
        own = list(lease.security_groups)
        if not ranges or not lease.port_security or vnic_type != FILTERED:
            return lease, {} if lease.exposed_groups is None else {"security_groups": own}
        rules.refuse_too_many(ranges)
        former = self._groups(lease)
        self._journal.leases.put(msgspec.structs.replace(lease, exposed_groups=()))
        group = self._make(lease.port_id, ranges)
        mine = msgspec.structs.replace(lease, exposed_groups=(*former, group.id))
        return mine, {"security_groups": [*own, group.id]}

    def add(self, lease: LeaseRecord, ranges: Sequence[PortRange]) -> None:
        """Open ports on a port that is bound already; nothing if it has a group."""
        if not ranges or lease.exposed_groups:
            return
        for port in self._neutron.find_ports(id=lease.port_id):
            ours = self._groups(lease)
            now = msgspec.structs.replace(
                lease,
                security_groups=tuple(rules.without(port.security_groups, ours)),
                port_security=port.port_security_enabled,
            )
            opened, attributes = self.open(now, ranges, port.vnic_type)
            if attributes:
                self._neutron.update_port(port.id, attributes)
                self._journal.leases.put(opened)

    def _make(self, port_id: str, ranges: Sequence[PortRange]) -> SecurityGroup:
        if EXTENSION not in self._neutron.extensions():
            raise NeutronRefused(
                f"the ports that the container exposes cannot be opened: Neutron has no extension {EXTENSION}; {_HINT}"
            )
        try:
            group = self._neutron.create_security_group(rules.new_group(port_id))
            for part in rules.new_rules(group.id, ranges):
                self._neutron.create_security_group_rules(part)
        except (NeutronConflict, NeutronForbidden, NeutronNotFound, NeutronRefused) as error:
            text = f"the ports that the container exposes cannot be opened: {str(error).rstrip('.')}; fix that, {_HINT}"
            raise type(error)(text) from error
        return group

    # -- closing ---------------------------------------------------------------------------------------------------

    def taken_off(self, lease: LeaseRecord, port: Port) -> dict[str, Any]:
        """The attributes of a PUT that takes our groups off the port and leaves the others as they are now."""
        ours = set(self._groups(lease)) & set(port.security_groups)
        return {"security_groups": rules.without(port.security_groups, ours)} if ours else {}

    def close(self, lease: LeaseRecord, *, last_try: bool) -> None:
        """Delete the groups of a port that is gone or no longer has them; on the ``last_try`` leave a group in use."""
        for group_id in self._groups(lease):
            try:
                self._neutron.delete_security_group(group_id)
            except NeutronNotFound:
                LOG.debug("security group %s was gone already", group_id)
            except NeutronConflict as error:
                if not last_try:
                    raise
                LOG.warning("security group %s stays, somebody else uses it: %s", group_id, error)

    def _groups(self, lease: LeaseRecord) -> tuple[str, ...]:
        """The ids of the groups made for the port; looked up by name if Neutron's answer never came."""
        return () if lease.exposed_groups is None else lease.exposed_groups or self._found(lease.port_id)

    # -- what the journal does not know ----------------------------------------------------------------------------

    def recognised(self, lease: LeaseRecord, port: Port) -> LeaseRecord:
        """The lease of a port that only Neutron knew, with the groups that were made for it."""
        groups = self._found(port.id) if self._enabled and port.security_groups else ()
        if not groups:
            return lease
        own = tuple(rules.without(port.security_groups, groups))
        return msgspec.structs.replace(lease, security_groups=own, exposed_groups=groups)

    def strays(self) -> list[OwnSecurityGroup]:
        """Groups whose port is gone or no longer has them, after the journal was lost in between. Neutron is asked
        after the start, until there are none. One that somebody else uses is left after one try.
        """
        if self._looked:
            return []
        return self._attempts.result("look for security groups without a port", self._look_for_strays, [])

    def _look_for_strays(self) -> list[OwnSecurityGroup]:
        found: list[OwnSecurityGroup] = []
        if EXTENSION in self._neutron.extensions():
            found += self._strays()
        self._looked = not found
        return found

    def end_stray(self, group: SecurityGroup) -> None:
        own = self._own.project.security_group(group)
        port_id = rules.port_of_group(own) if own is not None else ""
        if port_id and self._journal.leases.get(port_id) is None and not self._with_group([(port_id, group)]):
            gone = LeaseRecord(
                port_id=port_id,
                docker_network_id="",
                neutron_network_id="",
                mac_address="",
                vnic_type=FILTERED,
                held=(),
                exposed_groups=(group.id,),
            )
            self.close(gone, last_try=True)
        self._ended.add(group.id)

    def _strays(self) -> list[OwnSecurityGroup]:
        leased = {lease.port_id for lease in self._journal.leases.all()}
        found = [(rules.port_of_group(group), group) for group in self._all() if group.id not in self._ended]
        found = [(port_id, group) for port_id, group in found if port_id and port_id not in leased]
        used = self._with_group(found)
        return [group for _, group in found if group.id not in used]

    def _with_group(self, found: Sequence[tuple[str, SecurityGroup]]) -> set[str]:
        """The ids of groups that are on their ports."""
        ports = self._neutron.find_ports(id=sorted({port_id for port_id, _ in found}))
        return {group.id for _, group in found} & {group_id for port in ports for group_id in port.security_groups}

    def _all(self) -> list[OwnSecurityGroup]:
        return self._own.security_groups(description=rules.DESCRIPTION)

    def _found(self, port_id: str) -> tuple[str, ...]:
        named = self._own.security_groups(name=rules.group_name(port_id))
        return tuple(group.id for group in named if rules.port_of_group(group) == port_id)
