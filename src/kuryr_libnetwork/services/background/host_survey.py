# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What exists of ours on this host and in Neutron, compared with what the journal says."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from kuryr_libnetwork.errors import BindingFailed
from kuryr_libnetwork.interfaces.drivers import Drivers, Enforcer, PortDriver
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.engine import EngineView
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import EndpointRecord, PlugRecord
from kuryr_libnetwork.rules.identity import DEVICE_OWNER, UNBOUND_PORT_NAME, is_docker_id, made_on
from kuryr_libnetwork.rules.ownership import memory_of
from kuryr_libnetwork.rules.plugging import LATE, left_down
from kuryr_libnetwork.rules.port_pool import PoolMark, idle_spare
from kuryr_libnetwork.rules.ports import Unknown, is_unlabelled, labels, release_of_unknown
from kuryr_libnetwork.services.endpoints.release import Releaser
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.dates import Ages
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings


class HostSurvey:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        drivers: Drivers,
        releaser: Releaser,
        locks: KeyedLocks,
        attempts: Attempts,
        intents: Intents,
        ages: Ages,
        host: str,
    ) -> None:
        self._attempts = attempts
        self._intents = intents
        self._ages = ages
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._drivers = drivers
        self._releaser = releaser
        self._locks = locks
        self._host = host
        self._unbound_looked = False
        self._machines_looked = False

    def idle(self, endpoints: Iterable[EndpointRecord]) -> list[str]:
        """The ids of the endpoints whose interface is certainly in no container."""
        return [each.endpoint_id for each in endpoints if each.plug and not self._may_be_in_use(each)]

    def _may_be_in_use(self, endpoint: EndpointRecord) -> bool:
        what = f"look for the interface of endpoint {endpoint.endpoint_id[:12]}"
        return self._attempts.result(what, partial(self._releaser.in_container, endpoint), otherwise=True)

    def in_container(self, endpoints: Iterable[EndpointRecord]) -> bool:
        """Whether the interface of any of them is, or may be, in a container."""
        return any(self._may_be_in_use(each) for each in endpoints)

    def repair(self) -> None:
        """Have each driver repair what others have changed on interfaces in use."""
        for driver in self._drivers.all():
            what = f"look after the containers of port driver {driver.name}"
            self._attempts.run(what, partial(driver.repair, partial(self._in_use, driver.name)))

    def _in_use(self, driver: str) -> list[PlugRecord]:
        ready = [endpoint.plug for endpoint in self._journal.endpoints.all() if endpoint.state == "ready"]
        return [plug for plug in ready if plug is not None and plug.driver == driver]

    def stray_plugs(self) -> list[PlugRecord]:
        """Plugs without an interface, or of ports that the journal does not know."""
        return self._strays(self._drivers.all())

    def stray_devices(self) -> list[PlugRecord]:
        """Of these the VFs and PFs: nobody else gets one before it is given back."""
        return self._strays([driver for driver in self._drivers.all() if isinstance(driver, Enforcer)])

    def _strays(self, drivers: Iterable[PortDriver]) -> list[PlugRecord]:
        found = [plug for driver in drivers for plug in self._strays_of(driver)]
        return [plug for plug in found if not self._is_known(plug.port_id)]

    def _is_known(self, port_id: str) -> bool:
        return self._journal.leases.get(port_id) is not None or self._journal.spares.get(port_id) is not None

    def _strays_of(self, driver: PortDriver) -> list[PlugRecord]:
        return self._attempts.result(f"look for leftovers of port driver {driver.name}", driver.strays, [])

    def end_plug(self, plug: PlugRecord) -> None:
        with self._locks.hold("port", plug.port_id):
            driver = self._drivers.named(plug.driver)
            if not self._is_known(plug.port_id) and plug in driver.strays():
                driver.unplug(plug)
                self._unbound_looked = False  # its port may have no owner now

    def orphan_ports(self, view: EngineView | None) -> list[Port]:
        """Ports of this host that the journal does not know; a bound one only if Docker does not know it either.

        Docker has named none of them, so only what is proven to be ours counts
        (:mod:`~kuryr_libnetwork.rules.ownership`).
        """
        nothing: list[Port] = []
        found = self._attempts.result("look for ports of this host", partial(self._candidates, view), nothing)
        found = [port for port in found if not self._is_known(port.id) and not self._intents.open(port.description)]
        if view is not None:
            for port in filter(self._is_unlabelled, found):
                self._attempts.run(f"label port {port.id} in Neutron", partial(self._label, port, view))
        return [port for port in found if self._is_one(port, view)]

    def _is_unlabelled(self, port: Port) -> bool:
        """Whether this host created and bound the port, and Neutron has not been told its endpoint."""
        own = self._own.project.port(port)
        return port.host_id == self._host and is_unlabelled(port) and own is not None and made_on(own) == self._host

    def _label(self, port: Port, view: EngineView) -> None:
        """Label a port whose endpoint Neutron was not told before the journal was lost; Docker knows it by its MAC."""
        named = [endpoint for endpoint, mac in view.macs.items() if mac.lower() == port.mac_address.lower()]
        if len(named) == 1 and self._has_interface(port):
            self._neutron.update_port(port.id, labels(named[0]))

    def _has_interface(self, port: Port) -> bool:
        driver = self._drivers.for_port(port)
        return driver.where(driver.recover(port)) == "container"

    def _candidates(self, view: EngineView | None) -> list[Port]:
        found: list[Port] = list(self._own.ports(name=UNBOUND_PORT_NAME, device_owner=""))
        if view is None:
            bound = {"device_owner": DEVICE_OWNER, "binding:host_id": self._host}
            found += self._own.ports(name=UNBOUND_PORT_NAME, **bound)
        if any(driver.bound_by == "nobody" for driver in self._drivers.all()):
            found += self._unbound_in_use()
        if view is not None:
            found += self._of_this_host()
        return found

    def _of_this_host(self) -> list[Port]:
        """The ports that are bound to this host. After the start, until none are left, also unbound ones with our owner
        (there may be many in the cloud), and ports without an owner on this host's networks, such as one that was
        removed from its trunk.
        """
        hosts = [self._host] if self._unbound_looked else [self._host, ""]
        found = self._neutron.find_ports(**{"device_owner": DEVICE_OWNER, "binding:host_id": hosts})
        if not self._unbound_looked:
            networks = sorted({network.neutron_id for network in self._journal.networks.all()} - {""})
            without_owner = self._neutron.find_ports(network_id=networks, device_owner="")
            found += filter(self._is_remembered, without_owner)  # others are found by their name
        unbound = [port for port in found if not port.host_id and self._journal.leases.get(port.id) is None]
        self._unbound_looked = not any(map(self._is_remembered, unbound))
        self._attempts.run("see all containers connected", partial(self._refuse_silent_agent, found))
        return found

    def _refuse_silent_agent(self, ports: Iterable[Port]) -> None:
        """Raises for ports that stay down. We cannot repair that: it is logged once, and again when all is well."""
        endpoints = {each.port_id: each.endpoint_id for each in self._journal.endpoints.all() if each.state == "ready"}
        mine = [port for port in ports if port.id in endpoints]
        text = left_down([port for port in mine if self._ages.of("endpoint", endpoints[port.id]) >= LATE])
        if text:
            raise BindingFailed(text)

    def _is_remembered(self, port: Port) -> bool:
        """Whether the port's profile says that a container of this host has it."""
        memory = memory_of(port)
        return memory is not None and memory.host == self._host

    def _is_one(self, port: Port, view: EngineView | None) -> bool:
        what = f"judge port {port.id} in Neutron"
        return self._attempts.result(what, partial(self._is_orphan, port, view), otherwise=False)

    def _spare_mark(self, port: Port) -> PoolMark | None:
        """The mark of a port of this host that was made for a port pool, and that no container has."""
        own = self._own.project.port(port)
        mark = idle_spare(own) if own is not None else None
        return mark if mark is not None and mark.host == self._host else None

    def _unbound_in_use(self) -> list[Port]:
        """Ports of containers in virtual machines: they have our owner, and no host.

        The answer holds those of all machines in the cloud, so Neutron is asked only after the start, until the journal
        knows all ports of this machine; those are released by their leases.
        """
        if self._machines_looked:
            return []
        found = [
            port for port in self._own.ports(name=UNBOUND_PORT_NAME, device_owner=DEVICE_OWNER) if not port.host_id
        ]
        mine = [port for port in found if made_on(port) == self._host]
        self._machines_looked = all(self._journal.leases.get(port.id) is not None for port in mine)
        return [*mine]

    def _is_orphan(self, port: Port, view: EngineView | None) -> bool:
        project = self._own.project
        unknown = release_of_unknown(port, project, self._host, named=False)
        if unknown is None:
            return False
        if self._is_unlabelled(port):
            return not self._has_interface(port)
        if (spare := self._spare_mark(port)) is not None:
            network = self._journal.networks.get(spare.network)
            return (network is None or network.state != "ready") and not self._has_interface(port)
        if not port.host_id and not self._is_remembered(port):
            own = project.port(port)
            return own is not None and made_on(own) == self._host
        return view is not None and _endpoint_of(port, unknown) not in {"", *view.endpoint_ids}


def _endpoint_of(port: Port, unknown: Unknown) -> str:
    """The id of the endpoint that a bound port of ours is for; "" if that is not an endpoint of Docker's."""
    endpoint = unknown.claim or port.device_id
    return endpoint if is_docker_id(endpoint) else ""
