# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Binds a container's port to this host, whoever made the port.

Neutron calls: 0 if it was created bound and needs no change, else 1, with a MAC 2, adopted 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kuryr_libnetwork.errors import Conflict, NeutronConflict, NeutronForbidden, NeutronNotFound
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import LeaseRecord
from kuryr_libnetwork.rules import adoption, ports as rules
from kuryr_libnetwork.rules.exposure import without
from kuryr_libnetwork.rules.port_options import missing, refuse_admins, refuse_ignored
from kuryr_libnetwork.services.ports.adoption import Adoption
from kuryr_libnetwork.services.ports.binding import Binding
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.own_things import OwnThings


class Binder:
    def __init__(
        self, neutron: Neutron, journal: Journal, own: OwnThings, adoption: Adoption, spares: Spares, host: str
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._adoption = adoption
        self._spares = spares
        self._host = host

    def intend(self, binding: Binding) -> Binding:
        """The binding with the lease that :meth:`bind` needs; the caller writes the lease to the journal first."""
        lease = binding.lease
        if lease.original is None:
            return self._intend_own(binding)
        before, after = self._steps(binding)
        wanted = before | after
        if adoption.GROUPS in wanted:  # those made for exposed ports come and go by themselves
            wanted[adoption.GROUPS] = without(wanted[adoption.GROUPS], lease.exposed_groups or ())
        wanted |= adoption.by_neutron(lease.original, wanted)
        changes = adoption.changes_of(lease.original, wanted)
        return binding.with_lease(self._adoption.intend(lease, lease.original, binding.endpoint_id, changes))

    def _intend_own(self, binding: Binding) -> Binding:
        lease = msgspec.structs.replace(binding.lease, claim=binding.endpoint_id)
        made, mac, device = lease.as_made, binding.mac, binding.device
        if made is None:
            return binding.with_lease(msgspec.structs.replace(lease, unlabelled=False))
        if rules.suffices(made, mac, device):
            return binding.with_lease(msgspec.structs.replace(lease, unlabelled=True))
        self._spares.leave(lease.port_id)
        changed = binding.with_lease(msgspec.structs.replace(lease, as_made=None, unlabelled=False))
        return msgspec.structs.replace(changed, unbind=rules.must_be_unbound(made, mac, device))

    def bind(self, binding: Binding) -> Port:
        """Bind the port to this host for an endpoint; returns the port with its binding (vif_type, vif_details).

        For a port that its trunk will bind only the MAC is set here, the rest by :meth:`give_device`. A port that was
        created bound, and needs no change, is returned without a call.
        """
        lease, device = binding.lease, binding.device
        if lease.as_made is not None:
            return lease.as_made
        before, _ = self._steps(binding)
        try:
            if binding.unbind:
                self._neutron.update_port(lease.port_id, {"binding:host_id": "", "device_owner": ""})
            port = self._bind(lease, before)
        except NeutronConflict:
            self._refuse_foreign_mac(lease, binding.mac)
            raise
        except NeutronForbidden as error:
            if lease.original is not None and self._own.project.port(lease.original) is None:
                refuse_admins(device, lease.port_id, str(error))
            raise
        except NeutronNotFound as error:
            wrong = missing(device, str(error))
            if wrong is not None:
                raise wrong from error
            raise
        refuse_ignored(before, port.dns_domain)
        return port

    def _bind(self, lease: LeaseRecord, attributes: Mapping[str, Any]) -> Port:
        if lease.original is not None:
            return self._adoption.bind(lease, lease.original, attributes)
        return self._neutron.update_port(lease.port_id, attributes) if attributes else rules.unbound(lease)

    def _refuse_foreign_mac(self, lease: LeaseRecord, mac: str) -> None:
        """Explain that the MAC is another port's. Docker names the MAC only now, after it got this port's address."""
        if mac:
            found = self._neutron.find_ports(network_id=lease.neutron_network_id, mac_address=mac.lower())
            for port in found:
                if port.id != lease.port_id:
                    leased = [port.id] if self._journal.leases.get(port.id) is not None else []
                    raise Conflict(
                        adoption.why_not_by_mac(port, mac, lease.held, self._own.project, self._host, leased)
                    )

    def _steps(self, binding: Binding) -> tuple[dict[str, Any], dict[str, Any]]:
        lease, endpoint_id, mac = binding.lease, binding.endpoint_id, binding.mac
        if lease.original is not None:
            said = adoption.binding(lease.original, endpoint_id, self._host, mac)
        else:
            unsure = msgspec.structs.replace(lease, mac_address="")  # a failed attempt may have changed it
            said = rules.binding(unsure, endpoint_id, self._host, mac)
        return rules.steps(said | binding.device, binding.by)

    def give_device(self, binding: Binding) -> Port:
        """Set what :meth:`bind` had to leave out for a port that is put on a trunk."""
        lease = binding.lease
        _, after = self._steps(binding)
        if lease.original is not None:
            port = self._adoption.change_further(lease, after)
        else:
            port = self._neutron.update_port(lease.port_id, after)
        refuse_ignored(after, port.dns_domain)
        return port
