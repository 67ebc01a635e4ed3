# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports for containers: the only place that gets a Neutron port for a request of Docker, and releases it.

Neutron calls to get an address: a new port 1; an address that the user chose 1, the first one on a network of the
user's 2 (look, then create); a port found by its address 1, on a network that kuryr made, or after an address that was
free, 2; the second address of a dual-stack port 0. To release: 1, adopted 2. To bind: :mod:`~.binder`.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec

from kuryr_libnetwork.errors import (
    Conflict,
    InvalidOption,
    KuryrError,
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
    PortNotAdoptable,
    UnknownObject,
)
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import LEASES_BY_ADDRESS, WAITING_LEASES_BY_NETWORK, address_key
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.records import LeaseRecord, NetworkRecord, SubnetRecord
from kuryr_libnetwork.rules import adoption, ports as rules
from kuryr_libnetwork.rules.addresses import stand_in
from kuryr_libnetwork.rules.identity import made_by_us, made_on
from kuryr_libnetwork.rules.ownership import OwnPort
from kuryr_libnetwork.rules.port_pool import idle_spare
from kuryr_libnetwork.services.ports.adoption import Adoption
from kuryr_libnetwork.services.ports.creation import NewPorts
from kuryr_libnetwork.services.ports.exposed_ports import ExposedPorts
from kuryr_libnetwork.services.ports.spare_removal import SpareRemoval
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.dates import Dates
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)

_MAY_BE_TAKEN = (
    *(InvalidOption, UnknownObject),
    *(NeutronConflict, NeutronForbidden, NeutronNotFound, NeutronRefused),
)
"""Refusals of a new port with a chosen address after which an existing port is looked up: it may have the address, and
what was refused may not matter for it.
"""


class Acquired(NamedTuple):
    """``new``: Docker has not been told the address yet, or has released it since."""

    fixed_ip: FixedIp
    new: bool = True


class Ports:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        intents: Intents,
        new_ports: NewPorts,
        spares: Spares,
        removal: SpareRemoval,
        drivers: Drivers,
        adoption: Adoption,
        exposed_ports: ExposedPorts,
        locks: KeyedLocks,
        host: str,
        dates: Dates,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._intents = intents
        self._new_ports = new_ports
        self._spares = spares
        self._removal = removal
        self._drivers = drivers
        self._adoption = adoption
        self._exposed_ports = exposed_ports
        self._locks = locks
        self._host = host
        self._dates = dates
        self._free_last: set[str] = set()  # the Docker networks whose last chosen address no port had

    # -- getting an address ----------------------------------------------------------------------------------------

    def acquire(self, network: NetworkRecord, subnet: SubnetRecord, address: str, container: str) -> Acquired:
        """An address on the subnet for a container that is about to start; ``address`` "" lets Neutron choose."""
        with self._locks.hold("subnet-address", f"{subnet.subnet_id}/{address}" if address else network.docker_id):
            unused = self._journal.leases.find(WAITING_LEASES_BY_NETWORK, network.docker_id)
            waiting = rules.pending_spare(unused, network, subnet)
            if waiting:
                return Acquired(self._hand_out(*waiting, subnet, address))
            alone = None if address else rules.without_ipv6(unused, network, subnet)
            if alone is not None:
                ip = FixedIp(subnet_id=subnet.subnet_id, ip_address=stand_in(alone.mac_address))
                return Acquired(ip, new=False)  # nothing was created, so nothing is to be undone
            if not address:
                return Acquired(self._any(network, subnet, container))
            return self._by_address(network, subnet, address, container)

    def _hand_out(self, lease: LeaseRecord, spare: FixedIp, subnet: SubnetRecord, address: str) -> FixedIp:
        """The second address of a dual-stack port, which got it together with the first one.

        If this fails, Docker forgets the IPv4 address without releasing it (docs/notes/docker-plugin.md, "What is
        undone after failures"): so the port is released.
        """
        try:
            return self._second(lease, spare, subnet, address)
        except KuryrError:
            with self._locks.hold("port", lease.port_id):
                self.release(lease)
            raise

    def _second(self, lease: LeaseRecord, spare: FixedIp, subnet: SubnetRecord, address: str) -> FixedIp:
        others = tuple(ip for ip in lease.spare if ip != spare)
        if subnet.subnet_id != spare.subnet_id or address not in ("", spare.ip_address):
            if lease.original is not None:
                raise Conflict(
                    f"port {lease.port_id}, adopted for this container, has {spare.ip_address}, not {address}"
                )
            if address:
                rules.refuse_automatic(subnet, address)
            asked = {"subnet_id": subnet.subnet_id} | ({"ip_address": address} if address else {})
            wanted = [*(msgspec.to_builtins(ip) for ip in lease.held), asked]
            self._spares.leave_with_interface(lease.port_id)
            port = self._neutron.update_port(lease.port_id, {"fixed_ips": wanted})
            spare = rules.address_on(port, subnet.subnet_id, address)
            lease = msgspec.structs.replace(lease, as_made=port if lease.as_made else None)
        self._journal.leases.put(msgspec.structs.replace(lease, held=(*lease.held, spare), spare=others))
        return spare

    def _by_address(self, network: NetworkRecord, subnet: SubnetRecord, address: str, container: str) -> Acquired:
        known = self.holding(subnet.subnet_id, address)
        if known is not None and self._take_leftover(known, network, subnet):
            return Acquired(FixedIp(subnet_id=subnet.subnet_id, ip_address=address), new=False)
        pooled = self._of_pool(network, subnet, address)
        if pooled is not None:
            return Acquired(pooled)
        found: list[Port] = []
        if not rules.is_made_first(network, subnet, was_free=network.docker_id in self._free_last):
            found = self.find(subnet.subnet_id, address)
        if not found:
            rules.refuse_automatic(subnet, address)
            try:
                made = self._make(network, subnet, address, container)
            except _MAY_BE_TAKEN:
                found = self.find(subnet.subnet_id, address)
                if not found:
                    raise
            else:
                self._free_last.add(network.docker_id)
                return Acquired(made)
        self._free_last.discard(network.docker_id)
        with self._locks.hold("port", found[0].id):
            return Acquired(self._adopt(found[0], network, subnet, address))

    def _take_leftover(self, known: LeaseRecord, network: NetworkRecord, subnet: SubnetRecord) -> bool:
        """Reuse the lease that a failed attempt left and Docker has not released; refuse one that a container uses."""
        with self._locks.hold("port", known.port_id):
            lease = self._journal.leases.get(known.port_id)
            if lease is None:
                return False
            if lease.endpoint_id or self._is_shared(network, subnet):
                raise Conflict(f"the address is in use by port {lease.port_id} of a container of this host")
            if lease.claim:
                self.release(lease, look=True)
                return False
            self._journal.leases.put(msgspec.structs.replace(lease, created_at=self._dates()))
            return True

    def _adopt(self, port: Port, network: NetworkRecord, subnet: SubnetRecord, address: str) -> FixedIp:
        leased = self._leased(port)
        adoption.may_adopt(port, self._own.project, self._host, leased)
        driver = self._drivers.for_port(port)
        if driver.where(driver.recover(port)) == "container":
            raise PortNotAdoptable(f"port {port.id} ({address}) is in use by a container of this host")
        port = self._tidied(port)
        adoption.may_adopt(port, self._own.project, self._host, leased)
        port = adoption.as_found(port)
        lease = rules.lease_of(port, network.docker_id, network.subnets, subnet.subnet_id, self._dates(), address)
        self._refuse_missing_family(network, lease)
        self._journal.leases.put(lease)
        LOG.info("adopting port %s for %s", port.id, address)
        return lease.held[0]

    def _tidied(self, port: Port) -> Port:
        """The port without what its last container left on it; no Neutron call if there is nothing."""
        unknown = rules.release_of_unknown(port, self._own.project, self._host, named=True)
        if unknown is None or unknown.made:
            return port
        LOG.info("port %s is put back as it was before its last container", port.id)
        left = rules.lease_of(port, "", (), "", self._dates(), unknown=unknown)
        self.release(self._exposed_ports.recognised(left, port), look=True)
        return next(iter(self._neutron.find_ports(id=port.id)), port)

    def _is_shared(self, network: NetworkRecord, subnet: SubnetRecord) -> bool:
        """Whether other Docker networks use the subnet: Docker may then create two endpoints on it at the same time."""
        others = [known for known in self._journal.networks.all() if known.docker_id != network.docker_id]
        return any(used.subnet_id == subnet.subnet_id for other in others for used in other.subnets)

    def _refuse_missing_family(self, network: NetworkRecord, lease: LeaseRecord) -> None:
        """Refuse an adopted port without IPv4 on a network that has it: Docker asks for IPv4 first, and would get it
        from another port. Without IPv6 the container just has IPv4 alone.
        """
        has = {ip.subnet_id for ip in (*lease.held, *lease.spare)}
        subnets = [subnet for subnet in network.subnets if subnet.ip_version == 4]
        if subnets and has.isdisjoint(subnet.subnet_id for subnet in subnets):
            raise Conflict(
                f"port {lease.port_id} has no address on {' or '.join(subnet.cidr for subnet in subnets)}, which this "
                "Docker network needs as well; give the port one, or use a network without it"
            )

    def _any(self, network: NetworkRecord, subnet: SubnetRecord, container: str) -> FixedIp:
        """An address that Neutron chooses, or has chosen for a port of the network's port pool."""
        self._spares.note_start(network)
        return self._spares.take(network, subnet) or self._make(network, subnet, "", container)

    def _make(self, network: NetworkRecord, subnet: SubnetRecord, address: str, container: str) -> FixedIp:
        """A new port; if there is no room for it, a port pool of this host makes way, and it is tried once more."""
        with self._spares.foreground():
            try:
                return self._new_ports.for_container(network, subnet, address, container)
            except NeutronConflict as error:
                if not self._removal.make_way(network, subnet, error):
                    raise
            return self._new_ports.for_container(network, subnet, address, container)

    def _of_pool(self, network: NetworkRecord, subnet: SubnetRecord, address: str) -> FixedIp | None:
        """The address that the user chose, if a port of a port pool has it; one that cannot be used is deleted."""
        spare = self._spares.holding(subnet.subnet_id, address)
        if spare is None or spare.state == "used":
            return None
        taken = self._spares.take(network, subnet, address) if spare.docker_network_id == network.docker_id else None
        if taken is None:
            self._removal.remove(spare)
        return taken

    # -- looking ---------------------------------------------------------------------------------------------------

    def holding(self, subnet_id: str, address: str) -> LeaseRecord | None:
        """The lease in the journal that has an address (held or spare)."""
        return next(iter(self._journal.leases.find(LEASES_BY_ADDRESS, address_key(subnet_id, address))), None)

    def _leased(self, port: Port) -> list[str]:
        """The port's id in a list, if a container of this host has it; else an empty list."""
        return [port.id] if self._journal.leases.get(port.id) is not None else []

    def find(self, subnet_id: str, address: str) -> list[Port]:
        """The ports in Neutron that have an address of a subnet (one or none)."""
        return self._neutron.find_ports(fixed_ips=[f"subnet_id={subnet_id}", f"ip_address={address}"])

    def addresses(self, network_id: str, port_id: str) -> list[str]:
        """The addresses of a port of that network; none if there is no such port."""
        found = self._neutron.find_ports(id=port_id, network_id=network_id)
        return [ip.ip_address for port in found for ip in port.fixed_ips]

    def recover(self, network: NetworkRecord, subnet: SubnetRecord, address: str) -> LeaseRecord | None:
        """After the journal was lost: the lease of a port that this host made for a container, and nobody has used yet.

        No other port counts: Neutron may have given the address to somebody else's since Docker was told it.
        """
        spare = self._spares.holding(subnet.subnet_id, address)
        if spare is not None:
            ip = FixedIp(subnet_id=subnet.subnet_id, ip_address=address)
            taken = self._spares.take_named(spare, network, subnet, ip)
            return self._journal.leases.get(spare.port_id) if taken else None
        for port in self.find(subnet.subnet_id, address):
            own = self._own.project.port(port)
            mine = own is not None and made_by_us(own) and made_on(own) == self._host
            if mine and own is not None and self._is_unused(own) and not self._intents.open(port.description):
                made = rules.Unknown(made=True)
                lease = rules.lease_of(
                    port, network.docker_id, network.subnets, subnet.subnet_id, self._dates(), address, unknown=made
                )
                lease = msgspec.structs.replace(
                    lease, held=(*lease.held, *lease.spare), spare=(), as_made=port if port.host_id else None
                )
                with self._journal.transaction():
                    self._spares.take_up(own, "used")
                    self._journal.leases.put(lease)
                return lease
        return None

    def _is_unused(self, port: OwnPort) -> bool:
        """Whether no container has the port. A bound port without an endpoint is looked for among the interfaces."""
        if not port.host_id or (port.device_id and idle_spare(port) is None):
            return not port.host_id and not port.device_id
        driver = self._drivers.for_port(port)
        return port.host_id == self._host and driver.where(driver.recover(port)) != "container"

    # -- giving back -------------------------------------------------------------------------------------------------

    def release(self, lease: LeaseRecord, *, look: bool = False) -> None:
        """Delete the port, or give an adopted one back as it was; a port that is gone counts as released.

        ``look``: some time has passed since Docker last used the port, and its owner may already use it again. The
        group that was made for the port is deleted as well; if that fails, the lease stays, without the addresses. A
        port of a port pool goes back there, without a call.
        """
        if self._spares.take_back(lease):
            return
        try:
            if lease.original is None:
                self._neutron.delete_port(lease.port_id)
            else:
                self._adoption.give_back(lease, lease.original, look=look)
        except NeutronNotFound:
            LOG.warning("port %s was gone already", lease.port_id)
        try:
            self._exposed_ports.close(lease, last_try=look)
        except NeutronError:
            self._journal.leases.put(msgspec.structs.replace(lease, held=(), spare=()))
            raise
        self._journal.leases.drop(lease.port_id)
