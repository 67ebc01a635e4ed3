# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Hosts of the simulation: the whole service on fake interfaces, Open vSwitch and journal.

One host gets its containers by the calls that Docker makes; the others are copies of it, with ids of their own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from bench.cloud.clock import Clock
from bench.cloud.neutron import Cloud
from kuryr_libnetwork.model.links import Link, OvsInterface
from kuryr_libnetwork.model.settings import ServiceSettings
from kuryr_libnetwork.port_driver.registry import DriverRegistry
from kuryr_libnetwork.services.assembly import Services, assemble
from tests.fakes.neutron import PROJECT, FakeNeutron
from tests.fakes.neutron.wire import Resource
from tests.world.dockerside import DockerNetwork, PluginError, Pool
from tests.world.rig import DirectDocker, Rig

TEMPLATE = "template-host"
KINDS = ("networks", "subnets", "subnetpools", "ports")
TABLES = ("pools", "networks", "leases", "endpoints", "intents", "devices")
_IDS = re.compile(
    rb"(?!" + PROJECT.encode() + rb")(?:"
    rb"(?:(?<=t_c)|(?<![0-9a-f-]))[0-9a-f]{3}(?=[0-9a-f]{5}-[0-9a-f]{2})"  # a UUID, or an interface named by one
    rb"|(?<![0-9a-f])[0-9a-f]{3}(?=[0-9a-f]{29}(?![0-9a-f]))"  # one half of a Docker id
    rb"|(?<![0-9a-f])[0-9a-f]{3}(?=[0-9a-f]{61}(?![0-9a-f]))"  # the whole
    rb"|(?<=[0-9a-f]{32})(?<![0-9a-f]{33})[0-9a-f]{3}(?=[0-9a-f]{29}(?![0-9a-f]))"  # its second half
    rb"|(?<=kuryr\.net\.existing:)[0-9a-f]{3})"
)
"""The three digits of each id that are replaced by the host's number."""
BUSY = "is held by another call"
LOCK_TRIES, LOCK_PAUSE = 100, 0.1
GRACE, LOCK_TIMEOUT = 120, 0.02
"""Seconds; the latter of real time: an actor that holds a lock waits for another actor's turn."""


class SimulatedHost(Rig):
    """``interval``: seconds between two rounds of the background. ``starting``: networks whose containers are not all
    up yet. ``failed``: calls of Docker.
    """

    def __init__(
        self, clock: Clock, neutron: FakeNeutron, name: str, interval: float, chance: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._chance = chance
        self._stop = _Stop(clock)
        self.restarted = False
        self.starting = 0
        self._labelling = self._to_label = False
        self.failed = 0
        super().__init__(neutron, name)

    def _assemble(self) -> Services:
        return assemble(
            neutron=self.neutron,
            journal=self.journal,
            drivers=DriverRegistry([self.default_driver()]),
            sandboxes=self.sandboxes,
            engine=self.engine,
            settings=ServiceSettings(host=self.host, lock_timeout=LOCK_TIMEOUT, reconcile_grace=GRACE),
            now=self._clock.read,
            clock=self._clock.read,
            health=self.health,
            chance=self._chance,
            beside=self.beside,
        )

    def start(self) -> None:
        """Start the service's process; its background runs until the host stops."""
        self._stop.set()
        self._stop = stop = _Stop(self._clock)
        self.revive()
        self._clock.start(partial(self.services.reconciler.run, stop, self._interval))

    def stop(self) -> None:
        self._stop.set()

    def lose_journal(self) -> None:
        for table in TABLES:
            getattr(self.journal, table).rows.clear()

    def restart_containers(self) -> None:
        """What Docker does after a boot, with containers that are to run always: it ends what is left of each, and
        starts it; containers of one network one after the other.
        """
        self.links.forget_all()
        docker = DirectDocker(self)
        docker.beside = lambda: self._clock.start(self._label)
        endpoints = self.journal.endpoints.all()
        for record in self.journal.networks.all():
            pools = [
                Pool(each.pool_id, each.cidr, each.gateway_ip or "", v6=each.ip_version == 6) for each in record.subnets
            ]
            network = DockerNetwork(record.docker_id, pools)
            old = [each for each in endpoints if each.docker_network_id == record.docker_id]
            self.starting += 1
            self._clock.start(partial(self._restart_all, docker, network, old))
        self.restarted = True

    def _label(self) -> None:
        """What the thread of the labels does; there is one."""
        self._to_label = True
        while self._to_label and not self._labelling:
            self._labelling, self._to_label = True, False
            self.services.labels.work()
            self._labelling = False

    def _restart_all(self, docker: DirectDocker, network: DockerNetwork, old: list[Any]) -> None:
        pool = network.pools[0]
        for each in old:
            self.engine.endpoints.discard(each.endpoint_id)
            names = {"NetworkID": network.network_id, "EndpointID": each.endpoint_id}
            address = {"PoolID": pool.pool_id, "Address": each.address.partition("/")[0]}
            self._tried(partial(docker.client.call, "NetworkDriver.DeleteEndpoint", names))
            self._tried(partial(docker.client.call, "IpamDriver.ReleaseAddress", address))
            self._tried(partial(docker.run, network))
        self.starting -= 1

    def _tried(self, call: Callable[[], object]) -> None:
        """A lock that the background of the host holds is waited for in simulated time."""
        for _ in range(LOCK_TRIES):
            try:
                call()
            except PluginError as error:
                if BUSY not in error.message:
                    break
                self._clock.wait(LOCK_PAUSE)
            else:
                return
        self.failed += 1


class _Stop:
    """What :meth:`~kuryr_libnetwork.services.background.reconciler.Reconciler.run` waits for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set = threading.Event()

    def set(self) -> None:
        self._set.set()

    def is_set(self) -> bool:
        return self._set.is_set()

    def wait(self, timeout: float) -> bool:
        self._clock.wait(timeout)
        return self.is_set()


class _Text:
    """What belongs to a host, as JSON."""

    def __init__(self, text: bytes) -> None:
        self._parts = _IDS.split(text)

    def of(self, name: str, number: int) -> bytes:
        return (b"%03x" % number).join(self._parts).replace(TEMPLATE.encode(), name.encode())


class Template:
    """A host with ``networks`` Docker networks of its own, and ``containers`` in all."""

    def __init__(self, networks: int, containers: int) -> None:
        neutron = FakeNeutron(hosts=[TEMPLATE])
        rig = Rig(neutron, TEMPLATE)
        docker = DirectDocker(rig)
        made = [docker.network_create(f"10.{number}.0.0/24") for number in range(networks)]
        for number in range(containers):
            docker.run(made[number % networks])
        for port in neutron.user_ports():
            neutron.change_port(port.id, status="ACTIVE")
        tables = {what: neutron.store.tables[what] for what in KINDS}
        self._cloud = _Text(msgspec.json.encode(tables))
        journal = {name: [*getattr(rig.journal, name).rows.items()] for name in TABLES}
        self._journal = _Text(
            msgspec.json.encode({name: [(key, row.decode()) for key, row in rows] for name, rows in journal.items()})
        )
        links = rig.links
        self._links = _Text(msgspec.json.encode((links._links, links._peers, links._away, links._last_index)))
        self._ovs = _Text(msgspec.json.encode(rig.ovs._rows))
        self._docker = _Text(msgspec.json.encode((sorted(rig.engine.networks), sorted(rig.engine.endpoints))))

    def copy(
        self, clock: Clock, cloud: Cloud, name: str, number: int, interval: float, chance: Callable[[], float]
    ) -> SimulatedHost:
        """A host like it; its resources are added to the cloud."""

        def own(text: _Text) -> bytes:
            return text.of(name, number)

        tables: dict[str, dict[str, Resource]] = msgspec.json.decode(own(self._cloud))
        for what, rows in tables.items():
            for key, row in rows.items():
                if "security_groups" in row:
                    row["security_groups"] = [cloud.store.default_group for _ in row["security_groups"]]
                cloud.store.tables[what][key] = row
        host = SimulatedHost(clock, cloud, name, interval, chance)
        for table, records in msgspec.json.decode(own(self._journal)).items():
            getattr(host.journal, table).rows.update({key: row.encode() for key, row in records})
        kinds = tuple[dict[str, Link], dict[int, int], set[int], int]
        links = host.links
        links._links, links._peers, links._away, links._last_index = msgspec.json.decode(own(self._links), type=kinds)
        host.ovs._rows = msgspec.json.decode(own(self._ovs), type=dict[str, OvsInterface])
        networks, endpoints = msgspec.json.decode(own(self._docker))
        host.engine.networks, host.engine.endpoints = set(networks), set(endpoints)
        return host
