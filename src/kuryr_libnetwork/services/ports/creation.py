# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Creates ports: for a container that is about to start, and for a port pool.

Neutron calls: 1; on a subnet with ``--ip-range`` 1 more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import (
    BindingFailed,
    InvalidOption,
    NeutronNotFound,
    NeutronRefused,
    NeutronUnavailable,
    UnsupportedVif,
)
from kuryr_libnetwork.interfaces.drivers import Drivers, Enforcer, Preparing
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.records import NetworkRecord, SpareRecord, SubnetRecord
from kuryr_libnetwork.rules import port_pool, ports as rules
from kuryr_libnetwork.rules.identity import OWN_PORT
from kuryr_libnetwork.rules.plugging import UNBOUND, why_unbound
from kuryr_libnetwork.rules.port_options import attributes_of, missing, refuse_ignored
from kuryr_libnetwork.services.ports.address_choice import AddressChoice, FixedIps
from kuryr_libnetwork.services.state.dates import Dates
from kuryr_libnetwork.services.state.intents import Intents

DNS_EXTENSION = "dns-integration"


class NewPorts:
    def __init__(
        self, neutron: Neutron, journal: Journal, intents: Intents, drivers: Drivers, host: str, dates: Dates
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._intents = intents
        self._drivers = drivers
        self._ranges = AddressChoice(neutron)
        self._host = host
        self._dates = dates

    def for_container(self, network: NetworkRecord, subnet: SubnetRecord, address: str, container: str) -> FixedIp:
        """A port with its lease; ``address`` "" lets Neutron choose. Returns the address on the subnet."""
        dns_name = rules.dns_label(container) if DNS_EXTENSION in self._neutron.extensions() else ""
        host = self._host if self._is_bound_at_once(network.vnic_type) else ""

        def save(port: Port) -> None:
            made = rules.Unknown(made=True)
            lease = rules.lease_of(
                port, network.docker_id, network.subnets, subnet.subnet_id, self._dates(), unknown=made
            )
            self._journal.leases.put(msgspec.structs.replace(lease, as_made=port if host else None))

        subnets = [subnet, *self._together(network, subnet)]
        port = self._create(network, subnets, {"dns_name": dns_name} if dns_name else {}, [], host, save, address)
        try:
            refuse_ignored(attributes_of(network.ports), port.dns_domain)
            return rules.address_on(port, subnet.subnet_id, address)
        except (InvalidOption, NeutronUnavailable):
            self._neutron.delete_port(port.id)
            self._journal.leases.drop(port.id)
            raise

    def for_pool(self, network: NetworkRecord) -> SpareRecord:
        """A port for the network's port pool, in the journal as ``making``; one that cannot be used as ``leaving``."""
        found: list[SpareRecord] = []

        def save(port: Port) -> None:
            date = self._dates()
            usable = port.vif_type not in UNBOUND
            spare = SpareRecord(
                port_id=port.id,
                docker_network_id=network.docker_id,
                state="making" if usable else "leaving",
                port=port,
                created_at=date,
                since=date,
            )
            self._journal.spares.put(spare)
            found.append(spare)

        first = min(network.subnets, key=lambda subnet: subnet.ip_version)
        marks = port_pool.marks_of_spare(self._host, network.docker_id)
        subnets = [first, *self._together(network, first)]
        port = self._create(network, subnets, marks, [port_pool.POOL_TAG], self._host, save)
        if port.vif_type in UNBOUND:
            raise BindingFailed(why_unbound(port, self._host, None))
        return found[0]

    def _create(
        self,
        network: NetworkRecord,
        subnets: Sequence[SubnetRecord],
        more: Mapping[str, Any],
        tags: Sequence[str],
        host: str,
        save: Callable[[Port], None],
        address: str = "",
    ) -> Port:
        """``more``: attributes besides those of every port of the network; ``host``: where to bind it, "": nowhere."""
        wanted = attributes_of(network.ports)

        def make(fixed_ips: FixedIps) -> Port:
            def post(description: str) -> Port:
                attributes = rules.new_port(network.neutron_id, fixed_ips, description, network.vnic_type, host)
                return self._neutron.create_port({**attributes, **wanted, **more}, tags=[OWN_PORT, *tags])

            return self._intents.create("ports", post, save)

        try:
            return self._ranges.make(subnets, address, make)
        except (NeutronNotFound, NeutronRefused) as error:
            cause = missing(wanted, str(error)) or rules.deleted_in_neutron(network, str(error))
            if cause is not None:
                raise cause from error
            raise

    def _is_bound_at_once(self, vnic_type: str) -> bool:
        """Whether to create the port bound to this host. Not if it needs a device: that is chosen once the endpoint's
        options are known, and its lease names the port. Nor if a trunk binds it, or nobody does.
        """
        try:
            driver = self._drivers.for_port(Port(id="", network_id="", vnic_type=vnic_type or "normal"))
        except UnsupportedVif:
            return False  # the container may ask for another one
        return driver.bound_by == "host" and not isinstance(driver, Enforcer)

    def may_be_pooled(self, vnic_type: str) -> bool:
        """Whether such ports can be made ready before there is a container."""
        if not self._is_bound_at_once(vnic_type):
            return False
        return isinstance(
            self._drivers.for_port(Port(id="", network_id="", vnic_type=vnic_type or "normal")), Preparing
        )

    def _together(self, network: NetworkRecord, subnet: SubnetRecord) -> list[SubnetRecord]:
        """The IPv6 subnet from which an IPv4 port gets a second address, for Docker's next request; Docker asks for one
        of the first such subnet.

        Only while this Docker network alone uses the pool: Docker names no network when it asks for an address.
        """
        others = [known for known in self._journal.networks.all() if known.docker_id != network.docker_id]
        shared = {used.pool_id for known in others for used in known.subnets}
        if subnet.ip_version != 4:
            return []
        return [each for each in network.subnets if each.ip_version == 6 and each.pool_id not in shared][:1]
