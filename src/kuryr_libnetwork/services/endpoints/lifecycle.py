# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker endpoints: CreateEndpoint, Join, DeleteEndpoint.

After a failed CreateEndpoint Docker sends ReleaseAddress, never DeleteEndpoint (docs/notes/docker-plugin.md, "What is
undone after failures"): so CreateEndpoint unplugs its own interface, and the port is deleted with its address. Neutron
calls: CreateEndpoint 0 for a port that was created bound, else 1 (adopted 3), all others 0; and 1 in the background
(:mod:`~.labels`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from kuryr_libnetwork.errors import Conflict, InvalidRequest, UnknownObject
from kuryr_libnetwork.interfaces.drivers import Drivers, Enforcer, PortDriver
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.indexes import ENDPOINTS_BY_SANDBOX
from kuryr_libnetwork.model.links import BindingRequest
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, PortSettings
from kuryr_libnetwork.model.settings import ServiceSettings
from kuryr_libnetwork.protocol.messages import (
    CreateEndpointRequest,
    CreateEndpointResponse,
    EndpointInterface,
    ExternalConnectivityRequest,
    JoinRequest,
    JoinResponse,
)
from kuryr_libnetwork.protocol.routes import Kept
from kuryr_libnetwork.rules.addresses import canonical_ip, is_stand_in
from kuryr_libnetwork.rules.endpoints import advertised_gateways, join_answer, refuse_no_mac, refuse_no_path, unnamed
from kuryr_libnetwork.rules.exposure import PortRange, published
from kuryr_libnetwork.rules.networks import subnet_for
from kuryr_libnetwork.rules.options import (
    EndpointOptions,
    NetworkOptions,
    device_options,
    fingerprint,
    interface_name,
    parse_endpoint_options,
)
from kuryr_libnetwork.rules.port_options import (
    attributes_of,
    effective,
    parse_port_uuid,
    refuse_contradictions,
    refuse_other_port,
)
from kuryr_libnetwork.rules.ports import refuse_other_answer
from kuryr_libnetwork.rules.refusals import network_subject
from kuryr_libnetwork.services.endpoints.agent_wait import PlugWaiter
from kuryr_libnetwork.services.endpoints.announcer import Announcer
from kuryr_libnetwork.services.endpoints.labels import Labels
from kuryr_libnetwork.services.endpoints.release import Releaser
from kuryr_libnetwork.services.endpoints.sandbox_routes import SandboxRoutes
from kuryr_libnetwork.services.ports.binder import Binder
from kuryr_libnetwork.services.ports.binding import Binding
from kuryr_libnetwork.services.ports.exposed_ports import ExposedPorts
from kuryr_libnetwork.services.ports.lifecycle import Ports
from kuryr_libnetwork.services.ports.port_options import PortOptions
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.dates import Ages, Dates
from kuryr_libnetwork.services.state.explaining import explaining
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.lookup import Lookup
from kuryr_libnetwork.undo import Undo

LOG = logging.getLogger(__name__)


class _EndpointWish(NamedTuple):
    """What the user asks for one container's endpoint."""

    device: EndpointOptions
    port: PortSettings
    exposed: list[PortRange]


class Endpoints:
    def __init__(
        self,
        *,
        journal: Journal,
        settings: ServiceSettings,
        lookup: Lookup,
        ports: Ports,
        binder: Binder,
        spares: Spares,
        drivers: Drivers,
        exposed_ports: ExposedPorts,
        port_options: PortOptions,
        releaser: Releaser,
        labels: Labels,
        plugged: PlugWaiter,
        announcer: Announcer,
        routes: SandboxRoutes,
        locks: KeyedLocks,
        dates: Dates,
        ages: Ages,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._lookup = lookup
        self._ports = ports
        self._binder = binder
        self._spares = spares
        self._drivers = drivers
        self._exposed_ports = exposed_ports
        self._port_options = port_options
        self._releaser = releaser
        self._labels = labels
        self._plugged = plugged
        self._announcer = announcer
        self._routes = routes
        self._locks = locks
        self._dates = dates
        self._ages = ages

    # -- create ----------------------------------------------------------------------------------------------------

    def create(self, request: CreateEndpointRequest) -> CreateEndpointResponse | Kept[CreateEndpointResponse]:
        mark = fingerprint(msgspec.to_builtins(request))
        if known := self._known(request.endpoint_id, mark):
            return Kept(self._answer(known))
        interface = request.interface or EndpointInterface()
        if interface.mac_address:
            refuse_no_mac(interface.mac_address)
        options = {key: str(value) for key, value in (request.options or {}).items() if isinstance(value, str | bool)}
        device = parse_endpoint_options(options)
        interface_name(options)  # refuse it now, not when the container is half made
        network = self._lookup.known_network(request.network_id)
        wish = _EndpointWish(
            device, self._port_options.of_container(options, network), self._exposed_ports.wanted(request.options)
        )
        if interface.address_ipv6 and is_stand_in(canonical_ip(interface.address_ipv6)):
            interface = msgspec.structs.replace(interface, address_ipv6="")
        lease = self._lease(network, interface)
        self._refuse_other_port(parse_port_uuid(options), lease)
        refuse_contradictions(wish.port, lease)
        record = EndpointRecord(
            endpoint_id=request.endpoint_id,
            docker_network_id=request.network_id,
            port_id=lease.port_id,
            state="creating",
            fingerprint=mark,
            mac_address=interface.mac_address.lower(),
            mac_requested=bool(interface.mac_address),
            address=interface.address,
            address_ipv6=interface.address_ipv6,
            options=options,
            exposes=bool(wish.exposed),
            created_at=self._dates(),
        )
        subject = partial(network_subject, network.docker_id, network)
        with self._locks.hold("port", lease.port_id), explaining(subject), Undo() as undo:
            current = self._journal.leases.get(lease.port_id)  # it may have been released or taken while we waited
            if current is None:
                raise UnknownObject(f"port {lease.port_id} was released meanwhile; start the container again")
            self._refuse_taken(current)
            return self._answer(self._take(network, current, record, wish, undo))

    def _known(self, endpoint_id: str, mark: str) -> EndpointRecord | None:
        """The very same endpoint, if it exists already; raises :class:`~kuryr_libnetwork.errors.Conflict` if it
        differs.
        """
        known = self._journal.endpoints.get(endpoint_id)
        if known is not None and (known.state != "ready" or known.fingerprint != mark):
            raise Conflict(f"endpoint {endpoint_id[:12]} exists already ({known.state})")
        return known

    def _take(
        self, network: NetworkRecord, lease: LeaseRecord, record: EndpointRecord, wish: _EndpointWish, undo: Undo
    ) -> EndpointRecord:
        """Reserve, then build. The port's attributes come from its device, the user's options and the exposed ports."""
        wanted = device_options(NetworkOptions(vnic_type=network.vnic_type, pf=network.pf), wish.device)
        said = attributes_of(wish.port)
        device = {**self._reserve(network, lease, wanted, record.mac_address, undo), **said}
        vnic_type = _vnic_type(lease, device)
        exposed = wish.exposed if self._guarded(vnic_type) else []
        lease, groups = self._exposed_ports.open(effective(lease, said), exposed, vnic_type)
        return self._build(network, lease, record, {**device, **groups}, undo)

    def _refuse_other_port(self, port_uuid: str, lease: LeaseRecord) -> None:
        """Refuse a port that the user named if it is not the lease's. One Neutron call, only for the error."""
        if port_uuid and port_uuid != lease.port_id:
            refuse_other_port(port_uuid, lease, self._ports.addresses(lease.neutron_network_id, port_uuid))

    def _reserve(
        self, network: NetworkRecord, lease: LeaseRecord, wanted: EndpointOptions, mac: str, undo: Undo
    ) -> Mapping[str, Any]:
        """Reserve what the port needs of this host; returns the attributes that this adds to its binding."""
        vnic_type = wanted.vnic_type or lease.vnic_type
        if lease.original is not None and vnic_type != lease.vnic_type:
            raise Conflict(f"port {lease.port_id} has vnic_type {lease.vnic_type}, the container wants {vnic_type}")
        asked = BindingRequest(
            port_id=lease.port_id,
            vnic_type=vnic_type,
            physical_network=network.physical_network,
            mac_address=mac,
            profile=lease.profile,
            pci_slot=wanted.pci_slot,
            pf_name=wanted.pf,
            numa_node=wanted.numa_node,
        )
        driver = self._driver(vnic_type)
        undo.add("give the device back", lambda: driver.unreserve(lease.port_id))
        device = driver.reserve(asked)
        changed = {} if vnic_type == lease.vnic_type else {"binding:vnic_type": vnic_type}
        return {**device, **changed}

    def _build(
        self,
        network: NetworkRecord,
        lease: LeaseRecord,
        record: EndpointRecord,
        device: Mapping[str, Any],
        undo: Undo,
    ) -> EndpointRecord:
        """Intent, binding, interface, outcome; each step registers its undo."""
        self._ages.begin("endpoint", record.endpoint_id)
        record = msgspec.structs.replace(record, plug=self._spares.plug_of(lease.port_id))
        with self._journal.transaction():
            self._journal.endpoints.put(record)
            mine = msgspec.structs.replace(
                lease,
                endpoint_id=record.endpoint_id,
                docker_network_id=record.docker_network_id,
                mac_address=record.mac_address or lease.mac_address,
                profile=device.get("binding:profile", lease.profile),
            )
            by = self._driver(_vnic_type(lease, device)).bound_by
            asked = Binding(
                lease=mine, endpoint_id=record.endpoint_id, mac=record.mac_address, device=dict(device), by=by
            )
            binding = self._binder.intend(asked)
            self._journal.leases.put(binding.lease)
        undo.add("forget the endpoint", lambda: self._forget(record.endpoint_id))
        if record.plug is not None and binding.lease.as_made is None:  # it was made for the port as that was
            self._drivers.named(record.plug.driver).unplug(record.plug)
        record, port = self._plug(network, binding, record, undo)
        record = msgspec.structs.replace(record, state="ready")
        with self._journal.transaction():
            self._journal.endpoints.put(record)
            self._journal.leases.put(
                msgspec.structs.replace(binding.lease, mac_address=port.mac_address, bound=True, as_made=None)
            )
        if binding.lease.unlabelled:
            self._labels.wanted(binding.lease.port_id)
        return record

    def _plug(
        self,
        network: NetworkRecord,
        binding: Binding,
        record: EndpointRecord,
        undo: Undo,
    ) -> tuple[EndpointRecord, Port]:
        """Bind in Neutron and make the interface here, in the order that the driver's kind of binding needs."""
        driver = self._driver(_vnic_type(binding.lease, binding.device))
        port = self._binder.bind(binding)
        told = [canonical_ip(text) for text in (record.address, record.address_ipv6) if text]
        refuse_other_answer(port, told, record.mac_address)
        if binding.by == "host":
            port = self._plugged.bound(port)
        plug = driver.plan(port, record.endpoint_id)
        record = msgspec.structs.replace(record, plug=plug, mac_address="" if plug.keeps_mac else port.mac_address)
        self._journal.endpoints.put(record)
        undo.add("unplug", lambda: driver.unplug(plug))
        driver.plug(plug, port, record.endpoint_id, network.container_mtu)
        if binding.by == "trunk":
            port = self._binder.give_device(binding)
        if binding.by != "nobody":
            self._plugged.wait(port)
        return record, port

    def _driver(self, vnic_type: str) -> PortDriver:
        return self._drivers.for_port(Port(id="", network_id="", vnic_type=vnic_type))

    def _guarded(self, vnic_type: str) -> bool:
        """Whether the security groups of its own port apply to the container's traffic."""
        return self._driver(vnic_type).bound_by != "nobody"

    def _forget(self, endpoint_id: str) -> None:
        record = self._journal.endpoints.get(endpoint_id)
        if record is not None:
            self._releaser.end_endpoint(record)

    def _lease(self, network: NetworkRecord, interface: EndpointInterface) -> LeaseRecord:
        """The one lease that holds all of the endpoint's addresses."""
        addresses = [canonical_ip(text) for text in (interface.address, interface.address_ipv6) if text]
        if not addresses:
            raise InvalidRequest("the endpoint has no address; create the network with --ipam-driver=kuryr")
        leases = {lease.port_id: lease for lease in (self._lease_at(network, ip) for ip in addresses)}
        if len(leases) > 1:
            raise Conflict(
                f"addresses {' and '.join(addresses)} belong to different Neutron ports; give --ip and --ip6 of one"
            )
        return next(iter(leases.values()))

    def _refuse_taken(self, lease: LeaseRecord) -> None:
        if lease.endpoint_id and self._journal.endpoints.get(lease.endpoint_id):
            raise Conflict(f"port {lease.port_id} is in use by endpoint {lease.endpoint_id[:12]}")

    def _lease_at(self, network: NetworkRecord, address: str) -> LeaseRecord:
        subnet = subnet_for(network, address)
        if subnet is None:
            raise InvalidRequest(f"the network has no subnet for address {address}")
        lease = self._ports.holding(subnet.subnet_id, address)
        if lease is not None:
            return lease
        lease = self._ports.recover(network, subnet, address)
        if lease is None:
            raise UnknownObject(f"address {address} has no port in Neutron; start the container again")
        return lease

    def _answer(self, record: EndpointRecord) -> CreateEndpointResponse:
        """The answer may hold only what Docker left empty: the MAC, so that Docker sets and announces the port's."""
        mac = "" if record.mac_requested else record.mac_address
        return CreateEndpointResponse(interface=EndpointInterface(mac_address=mac))

    # -- join, leave, delete ---------------------------------------------------------------------------------------

    def join(self, request: JoinRequest) -> JoinResponse:
        refuse_no_path(request.sandbox_key)
        with self._locks.hold("endpoint", request.endpoint_id):
            record = self._journal.endpoints.get(request.endpoint_id)
            if record is None or record.state != "ready":
                raise UnknownObject(f"endpoint {request.endpoint_id[:12]} is unknown; start the container again")
            network = self._lookup.known_network(record.docker_network_id)
            answer = self._join_answer(network, record)
            self._explain_published(record, request)
            record = msgspec.structs.replace(record, sandbox_key=request.sandbox_key)
            record, answer = self._routes.join(record, answer, advertised_gateways(network, record))
            self._journal.endpoints.put(record)
            self._announcer.joined(record)
            self._routes.joined(record)
        self._settle(record)
        return answer

    def _join_answer(self, network: NetworkRecord, record: EndpointRecord) -> JoinResponse:
        name, prefix = interface_name(record.options), self._settings.veth_dst_prefix
        answer = join_answer(network, record, prefix, name)
        if name and answer.interface_name is not None:
            LOG.warning("endpoint %s: %s", record.endpoint_id[:12], unnamed(name, prefix))
        return answer

    def _settle(self, record: EndpointRecord) -> None:
        driver = self._drivers.named(record.plug.driver) if record.plug else None
        if record.plug is not None and isinstance(driver, Enforcer):
            driver.wait_for_carrier(record.plug)

    def _explain_published(self, record: EndpointRecord, request: JoinRequest) -> None:
        """Log once per container what ``-p`` means here; Docker names the ports to each of its networks."""
        ports = published(request.options or {})
        if not ports or self._journal.endpoints.find(ENDPOINTS_BY_SANDBOX, request.sandbox_key):
            return
        addresses = " and ".join(text.partition("/")[0] for text in (record.address, record.address_ipv6) if text)
        LOG.info(
            "-p %s: nothing is published on this host; the container has an address of its own, %s, and the security "
            "groups of Neutron port %s decide who reaches it",
            ports,
            addresses,
            record.port_id,
        )

    def program(self, request: ExternalConnectivityRequest) -> None:
        """Open ports that Docker did not name in CreateEndpoint, because another endpoint publishes some."""
        exposed = self._exposed_ports.wanted(request.options)
        record = self._journal.endpoints.get(request.endpoint_id)
        if not exposed or record is None or record.exposes:
            return
        with self._locks.hold("endpoint", record.endpoint_id), self._locks.hold("port", record.port_id):
            lease = self._journal.leases.get(record.port_id)
            if lease is not None and lease.endpoint_id == record.endpoint_id and self._guarded(lease.vnic_type):
                self._exposed_ports.add(lease, exposed)

    def delete(self, endpoint_id: str) -> None:
        record = self._journal.endpoints.get(endpoint_id)
        if record is None:
            self._releaser.end_unknown_endpoint(endpoint_id)
        else:
            self._releaser.end_endpoint(record)
            self._releaser.release_unnamed(record.port_id)

    def status(self, endpoint_id: str) -> dict[str, str]:
        """What ``EndpointOperInfo`` shows; from the journal, because Docker asks often."""
        record = self._journal.endpoints.get(endpoint_id)
        return {"port": record.port_id, "status": record.state} if record else {}


def _vnic_type(lease: LeaseRecord, device: Mapping[str, Any]) -> str:
    return str(device.get("binding:vnic_type", lease.vnic_type))
