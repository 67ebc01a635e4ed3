# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The whole service over fakes, behind a real unix socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.docker.listeners import unix_listener
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.errors import EngineUnavailable
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.drivers import PortDriver
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from kuryr_libnetwork.model.settings import PortPoolSettings, ServiceSettings
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.port_driver.registry import DriverRegistry
from kuryr_libnetwork.protocol.routes import Constants, build_routes
from kuryr_libnetwork.services.assembly import Services, assemble
from kuryr_libnetwork.services.state.beside import Beside
from tests.fakes.host import FakeJournal, FakeLinks, FakeOvs, FakeSandboxes, FakeScripts
from tests.fakes.neutron import FakeNeutron
from tests.world.beside import InTurn
from tests.world.dockerside import Docker

HOST = "h1"


class FakeEngine:
    """Docker's Engine API; answers what a test sets."""

    def __init__(self) -> None:
        self.networks: set[str] = set()
        self.endpoints: set[str] = set()
        self.macs: dict[str, str] = {}
        self.words: dict[str, NetworkWord] = {}
        self.engine_id = "engine-1"
        self.error: EngineUnavailable | None = None

    def view(self) -> EngineView:
        if self.error is not None:
            raise self.error
        return EngineView(
            network_ids=frozenset(self.networks),
            endpoint_ids=frozenset(self.endpoints),
            engine_id=self.engine_id,
            macs={endpoint: self.macs[endpoint] for endpoint in self.endpoints if endpoint in self.macs},
            words={docker_id: word for docker_id, word in self.words.items() if docker_id in self.networks},
        )


class Plugin:
    """One host with its service; ``restart`` replaces the service, with or without its journal."""

    def __init__(self, folder: Path, neutron: FakeNeutron | None = None, host: str = HOST) -> None:
        self.host = host
        self.socket = folder / f"{host}.sock"
        self.neutron = neutron or FakeNeutron(hosts=[host])
        self.links = FakeLinks()
        self.ovs = FakeOvs()
        self.scripts = FakeScripts()
        self.journal = FakeJournal()
        self.sandboxes = FakeSandboxes()
        self.engine = FakeEngine()
        self.now = 1000.0
        self.wall = 0.0
        self.lock_timeout = 10.0
        self.process_external_connectivity = True
        self.vif_plugging_timeout: float | None = None
        self.agent_alive_timeout = 0.0
        self.port_pool = PortPoolSettings()
        self.beside: Beside = InTurn()
        self.health = Health(lambda: self.now)
        self.services: Services = self._assemble()
        self._server: PluginServer | None = None
        self._thread: threading.Thread | None = None

    def docker(self, version: int = 28) -> Docker:
        docker = Docker(self.socket, version)
        docker.sandboxes = self.sandboxes
        docker.beside = lambda: self.services.labels.work()
        return docker

    def extra_drivers(self) -> list[PortDriver]:
        """Additional port drivers, besides the one for ordinary ports; for tests with devices."""
        return []

    def default_driver(self) -> PortDriver:
        """The driver for ordinary ports."""
        return VethDriver(self.links, self.ovs, self.scripts)

    def seen_neutron(self) -> Neutron:
        """What the service talks to: the fake cloud, or something in front of it."""
        return self.neutron

    def _assemble(self) -> Services:
        engine: Engine = self.engine
        timeout = self.vif_plugging_timeout
        return assemble(
            neutron=self.seen_neutron(),
            journal=self.journal,
            drivers=DriverRegistry([self.default_driver(), *self.extra_drivers()]),
            sandboxes=self.sandboxes,
            engine=engine,
            settings=ServiceSettings(
                host=self.host,
                process_external_connectivity=self.process_external_connectivity,
                vif_plugging_is_fatal=timeout is not None,
                vif_plugging_timeout=timeout or 0.0,
                agent_alive_timeout=self.agent_alive_timeout,
                lock_timeout=self.lock_timeout,
                reconcile_grace=120,
                port_pool=self.port_pool,
            ),
            now=lambda: self.now + self.wall,
            clock=lambda: self.now,
            health=self.health,
            second_engine=engine,
            beside=self.beside,
        )

    def start(self) -> None:
        self.services = self._assemble()
        boundary = Boundary(
            build_routes(self.services.network_driver, self.services.ipam_driver, self.services.operator, Constants()),
            whom=self.services.whom,
        )
        self._server = PluginServer(boundary, [unix_listener(self.socket)], threads=32, stop_timeout=2)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()
        assert self._server.ready.wait(10)

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.stop()
        self._thread.join(10)

    def restart(self, *, lose_journal: bool = False) -> None:
        self.stop()
        if lose_journal:
            self.journal = FakeJournal()
        self.start()

    def nothing_left(self) -> None:
        """Assert that neither the host, nor the journal, nor Neutron holds anything of ours."""
        assert self.links.names() == []
        assert self.ovs.owned() == []
        for table in (self.journal.endpoints, self.journal.leases, self.journal.intents, self.journal.devices):
            assert table.all() == []
        assert self.journal.networks.all() == []
        assert self.journal.pools.all() == []


@contextmanager
def running(folder: Path, neutron: FakeNeutron | None = None, host: str = HOST) -> Iterator[Plugin]:
    plugin = Plugin(folder, neutron, host)
    plugin.start()
    try:
        yield plugin
    finally:
        plugin.stop()
