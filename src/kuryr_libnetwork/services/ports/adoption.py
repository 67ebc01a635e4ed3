# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The user's ports: claimed for an endpoint, bound to this host, given back (:mod:`~kuryr_libnetwork.rules.adoption`).

Neutron calls: bind 3 (claim, see who else claims it, PUT); 1 if the port is bound to this host already, 0 if nothing
has to change; give back 1, with a changed MAC 2. More only if somebody else changes the port at the same moment, or an
earlier attempt was interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import tenacity

from kuryr_libnetwork.errors import (
    Conflict,
    NeutronChanged,
    NeutronForbidden,
    NeutronNotFound,
    NeutronUnavailable,
    PortNotAdoptable,
)
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import Change, LeaseRecord
from kuryr_libnetwork.rules import adoption as rules
from kuryr_libnetwork.rules.identity import id_tags, owners_tags
from kuryr_libnetwork.rules.ownership import memory_of, without_memory
from kuryr_libnetwork.services.ports.claims import Claims
from kuryr_libnetwork.services.ports.exposed_ports import ExposedPorts
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
WAIT = 5.0
INTERVAL = 0.25
"""Seconds that another host may take to give way, and seconds between two looks."""


class Adoption:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        claims: Claims,
        exposed_ports: ExposedPorts,
        host: str,
        *,
        wait: float = WAIT,
        interval: float = INTERVAL,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._claims = claims
        self._exposed_ports = exposed_ports
        self._host = host
        self._wait = wait
        self._interval = interval
        self._remembers = True

    def intend(self, lease: LeaseRecord, original: Port, endpoint_id: str, changes: tuple[Change, ...]) -> LeaseRecord:
        """The lease to write before :meth:`bind`; ``changes``: what giving the port back has to restore."""
        if lease.claim:
            raise Conflict(f"port {lease.port_id} is still being given back; start the container again")
        if self._remembers:
            changes = rules.with_profile(changes, original, self._host, endpoint_id)
        return msgspec.structs.replace(lease, claim=endpoint_id, changes=changes)

    # -- binding ---------------------------------------------------------------------------------------------------

    def bind(self, lease: LeaseRecord, original: Port, attributes: Mapping[str, Any]) -> Port:
        """Set ``attributes`` on the port, with their former values stored in its profile; returns the port afterwards.

        ``lease``: from :meth:`intend`. Raises :class:`PortNotAdoptable` if somebody else gets the port.
        """
        changes = [change for change in rules.changes_of(original, attributes) if change.name != rules.PROFILE]
        changes += [change for change in lease.changes if change.name == rules.PROFILE]
        if not changes:
            return original
        if original.host_id == self._host:  # no other host may have it
            return self._bind(lease, original, changes, claimed=False)
        with self._claimed(lease):
            return self._bind(lease, original, changes, claimed=True)

    def change_further(self, lease: LeaseRecord, attributes: Mapping[str, Any]) -> Port:
        """Set what :meth:`bind` had to leave out; it has written the profile already."""
        told = [change for change in lease.changes if change.name in attributes and change.name != rules.PROFILE]
        return self._neutron.update_port(lease.port_id, rules.attributes_of(told))

    @contextmanager
    def _claimed(self, lease: LeaseRecord) -> Iterator[None]:
        pool_id = self._claims.enter(lease)
        try:
            with ExitStack() as after:
                after.callback(self._claims.finish, pool_id, lease.claim)
                yield
        except PortNotAdoptable:
            self._journal.leases.put(msgspec.structs.replace(lease, claim="", changes=()))
            self._claims.leave(lease)  # another host may be waiting for it
            raise

    def _bind(self, lease: LeaseRecord, original: Port, changes: list[Change], *, claimed: bool) -> Port:
        if not claimed or not self._claims.rivals(lease):
            try:
                return self._change(original, changes)
            except NeutronChanged as error:
                LOG.info("port %s was changed in the same moment: %s", lease.port_id, error)
        return self._contend(lease, changes, claimed=claimed)

    def _contend(self, lease: LeaseRecord, changes: list[Change], *, claimed: bool) -> Port:
        """Somebody has changed or claimed the port since it was read: try to bind it again, or give way."""
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(NeutronChanged),
            stop=tenacity.stop_after_delay(self._wait),
            wait=tenacity.wait_fixed(self._interval),
            reraise=True,
        )
        try:
            return retry(self._try_again, lease, changes, claimed=claimed)
        except NeutronChanged:
            raise PortNotAdoptable(
                f"port {lease.port_id} changes again and again, or another host that wants it is stuck; try again"
            ) from None

    def _try_again(self, lease: LeaseRecord, changes: list[Change], *, claimed: bool) -> Port:
        """Rivals are read before the port: if a rival's claim has gone because it bound the port, the port says so."""
        others = self._claims.rivals(lease) if claimed else set[str]()
        port = self._look(lease.port_id)
        if port is None:
            raise NeutronNotFound(f"port {lease.port_id} does not exist any more")
        rules.may_adopt(port, self._own.project, self._host, leased=[])  # leased by nobody but this lease
        if rules.must_wait(others, port, lease.claim):
            raise NeutronChanged(f"another host claims port {lease.port_id}")
        port = rules.as_found(port)
        if not rules.untouched(changes, port):
            raise PortNotAdoptable(f"port {lease.port_id} was changed while it was adopted; start the container again")
        return self._change(port, changes)

    def _change(self, port: Port, changes: list[Change]) -> Port:
        """If the role may not write a profile, our memory may be left out of it, but not what a device needs."""
        profile = next((change for change in changes if change.name == rules.PROFILE), None)
        optional = profile is not None and without_memory(profile.ours) == without_memory(profile.before)
        return self._put(port.id, rules.attributes_of(changes), port.revision_number, optional=optional)

    def _put(self, port_id: str, attributes: dict[str, Any], revision: int | None, *, optional: bool) -> Port:
        try:
            return self._neutron.update_port(port_id, attributes, revision)
        except NeutronForbidden:
            less = {name: value for name, value in attributes.items() if name != rules.PROFILE}
            if not optional or len(less) == len(attributes):
                raise
            port = self._neutron.update_port(port_id, less, revision) if less else self._there(port_id)
        self._note_forgetful()
        return port

    def _note_forgetful(self) -> None:
        if self._remembers:
            LOG.warning(
                "the service's role may not write binding:profile, so what adopted ports were before is in the journal "
                "alone; give the service's user the role 'service'"
            )
        self._remembers = False

    # -- giving back -----------------------------------------------------------------------------------------------

    def give_back(self, lease: LeaseRecord, original: Port, *, look: bool) -> None:
        """Give the port back as it was. ``look``: its owner may already use it again, so restore only what is still
        ours.
        """
        if not lease.claim and not lease.changes:
            return
        if lease.claim and (original.host_id != self._host or any(c.name == rules.HOST_ID for c in lease.changes)):
            self._claims.leave(lease)
        groups = lease.exposed_groups is not None or any(change.name == rules.GROUPS for change in lease.changes)
        rebuilt = rules.is_rebuilt(lease.changes, original)
        if look or groups or rebuilt or not lease.bound or not lease.changes:
            port = self._look(lease.port_id)
            if port is not None and rebuilt:
                lease = self._sure_memory(lease, original, port)
            if port is not None:
                self._give_back_rest(lease, port, sure=rebuilt)
            return
        port = original
        for attributes in rules.restoration(lease.changes):
            port = self._put(lease.port_id, attributes, None, optional=True)
        self._untag(port, lease.claim)

    def _sure_memory(self, lease: LeaseRecord, original: Port, port: Port) -> LeaseRecord:
        """The lease of a port that the journal did not know, with what two answers of Neutron's say of it."""
        if rules.differences(original, port):
            self._confirm(port)
            lease = self._exposed_ports.recognised(lease, port)
        memory = memory_of(port)
        if memory is None or memory.host != self._host:
            return lease
        return msgspec.structs.replace(lease, changes=rules.remembered(port, memory))

    def _confirm(self, port: Port) -> None:
        """Somebody has changed the port since it was bound, or the answer is wrong: only a second one tells."""
        again = self._look(port.id)
        if again is None:
            raise NeutronNotFound(f"port {port.id} does not exist any more")
        unsure = rules.differences(port, again)
        if unsure:
            raise NeutronUnavailable(
                f"no usable answer from Neutron: within a moment it said two different things about "
                f"{', '.join(unsure)} of port {port.id}; the port is given back later"
            )

    def _give_back_rest(self, lease: LeaseRecord, port: Port, *, sure: bool) -> None:
        """``sure``: more than one answer of Neutron's said what the port looks like."""
        off = self._exposed_ports.taken_off(lease, port)
        exposed = set(port.security_groups) - set(off.get(rules.GROUPS, port.security_groups))
        groups = None if lease.exposed_groups is None else lease.security_groups
        if not sure and not rules.as_left(lease.changes, port, groups, exposed):
            self._confirm(port)
        changes = rules.standing(lease.changes, port, self._host, exposed)
        puts = rules.restoration(changes)
        if off and not any(rules.GROUPS in attributes for attributes in puts):
            puts = [off | puts[0], *puts[1:]] if puts else [off]
        for attributes in puts:
            port = self._put(lease.port_id, attributes, None, optional=True)
        self._untag(port, lease.claim)

    def _untag(self, port: Port, claim: str) -> None:
        """Remove the endpoint's tags, which upstream and earlier versions write; ``claim``: the endpoint id, "" if
        neither the journal nor Docker proves it.
        """
        if claim and set(id_tags(claim)) <= set(port.tags):
            try:
                self._neutron.set_tags("ports", port.id, owners_tags(port))
            except NeutronForbidden as error:
                LOG.info("the tags of port %s, which is not ours, stay: %s", port.id, error)

    def _look(self, port_id: str) -> Port | None:
        return next(iter(self._neutron.find_ports(id=port_id)), None)

    def _there(self, port_id: str) -> Port:
        port = self._look(port_id)
        if port is None:
            raise NeutronNotFound(f"port {port_id} does not exist any more")
        return port
