# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports of the user's: claimed for an endpoint, bound to this host, given back (:mod:`~kuryr_libnetwork.rules.adoption`).

Neutron calls: bind 2 (tags, PUT), a port that is bound as it has to be 1; give back 2, with its MAC 3. More only where
somebody else is at the port in the same moment, or an earlier attempt was cut off.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import msgspec
import tenacity

from kuryr_libnetwork.errors import Conflict, NeutronChanged, NeutronNotFound, PortNotAdoptable
from kuryr_libnetwork.interfaces import Journal, Neutron
from kuryr_libnetwork.model import Change, LeaseRecord, Port
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.identity import id_tags, is_ours
from kuryr_libnetwork.services.exposure import Exposure

LOG = logging.getLogger(__name__)
TAG_CREATION = "tag-creation"
WAIT = 5.0
INTERVAL = 0.25
"""Seconds for which another host may take to give way, and between two looks."""


class Adoption:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        exposure: Exposure,
        host: str,
        *,
        wait: float = WAIT,
        interval: float = INTERVAL,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._exposure = exposure
        self._host = host
        self._wait = wait
        self._interval = interval

    def intend(self, lease: LeaseRecord, endpoint_id: str, changes: tuple[Change, ...]) -> LeaseRecord:
        """The lease to be written before :meth:`bind`; ``changes``: what is to be put back one day."""
        if lease.claim:
            raise Conflict(f"port {lease.port_id} is still being given back; start the container again")
        return msgspec.structs.replace(lease, claim=endpoint_id, changes=changes)

    def bind(self, lease: LeaseRecord, original: Port, changes: tuple[Change, ...]) -> Port:
        """Mark the port, and make the changes; raises :class:`PortNotAdoptable` when somebody else gets it.

        ``lease``: from :meth:`intend`.
        """
        tags = rules.claim_tags(lease.claim, lease.changes)
        self._neutron.add_tags("ports", lease.port_id, tags)
        if not changes:
            return original
        steps = 1 if TAG_CREATION in self._neutron.extensions() else len(set(tags) - set(original.tags))
        try:
            return self._change(lease, changes, original.revision_number + steps)
        except NeutronChanged:
            return self._contend(lease, changes)

    def _change(self, lease: LeaseRecord, changes: tuple[Change, ...], revision: int) -> Port:
        return self._neutron.update_port(lease.port_id, rules.attributes_of(changes), revision)

    def _contend(self, lease: LeaseRecord, changes: tuple[Change, ...]) -> Port:
        """Somebody has changed the port since it was found: bind it all the same, or give way."""
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(NeutronChanged),
            stop=tenacity.stop_after_delay(self._wait),
            wait=tenacity.wait_fixed(self._interval),
            reraise=True,
        )
        try:
            return retry(self._try_again, lease, changes)
        except NeutronChanged:
            self._withdraw(lease)
            raise PortNotAdoptable(
                f"port {lease.port_id} changes again and again, or another host that wants it is stuck; try again"
            ) from None
        except PortNotAdoptable:
            self._withdraw(lease)
            raise

    def _try_again(self, lease: LeaseRecord, changes: tuple[Change, ...]) -> Port:
        port = self._look(lease.port_id)
        if port is None:
            raise NeutronNotFound(f"port {lease.port_id} does not exist any more")
        leased = {other.port_id for other in self._journal.leases.all()} - {lease.port_id}
        if rules.must_wait(port, lease.claim, self._host, leased):
            raise NeutronChanged(f"another host has marked port {lease.port_id}")
        if not rules.untouched(changes, port):
            raise PortNotAdoptable(f"port {lease.port_id} was changed while it was adopted; start the container again")
        return self._change(lease, changes, port.revision_number)

    def _withdraw(self, lease: LeaseRecord) -> None:
        """Take our marks off a port that somebody else has got, and forget that we wanted it."""
        port = self._look(lease.port_id)
        if port is not None:
            self._untag(port, lease.claim)
        self._journal.leases.put(msgspec.structs.replace(lease, claim="", changes=()))

    def give_back(self, lease: LeaseRecord, original: Port, *, look: bool) -> None:
        """Put the port back as it was. ``look``: its owner may use it again, so only what is still ours."""
        if not lease.claim and not lease.changes and not any(is_ours(tag) for tag in original.tags):
            return
        groups = lease.exposed_groups is not None or any(change.name == rules.GROUPS for change in lease.changes)
        if look or groups or not lease.bound or not lease.changes:
            port = self._look(lease.port_id)
            if port is not None:
                self._give_back_rest(lease, port)
            return
        answers = [self._neutron.update_port(lease.port_id, put) for put in rules.restoration(lease.changes)]
        self._untag(answers[-1], "")

    def _give_back_rest(self, lease: LeaseRecord, port: Port) -> None:
        claim = "" if port.host_id == self._host else lease.claim
        off = self._exposure.taken_off(lease, port)
        exposed = set(port.security_groups) - set(off.get(rules.GROUPS, port.security_groups))
        changes = rules.standing(lease.changes, port, self._host, exposed)
        puts = rules.restoration(changes)
        if off and not any(rules.GROUPS in attributes for attributes in puts):
            puts = [off | puts[0], *puts[1:]] if puts else [off]
        for attributes in puts:
            port = self._neutron.update_port(lease.port_id, attributes)
        self._untag(port, claim)

    def _untag(self, port: Port, claim: str) -> None:
        """All of ours in one call; those of ``claim`` alone where another host has marked the port as well."""
        kept = rules.own_tags(port)
        if claim and rules.rivals(port, claim):
            for tag in id_tags(claim):
                with suppress(NeutronNotFound):
                    self._neutron.remove_tag("ports", port.id, tag)
        elif len(kept) < len(port.tags):
            self._neutron.set_tags("ports", port.id, kept)

    def _look(self, port_id: str) -> Port | None:
        return next(iter(self._neutron.find_ports(id=port_id)), None)
