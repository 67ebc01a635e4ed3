# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Connects the services with each other and with what implements the protocols: the adapters, or the tests' fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.host import Sandboxes
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.settings import PortPoolSettings, ServiceSettings
from kuryr_libnetwork.services.background.agent_watch import AgentWatch
from kuryr_libnetwork.services.background.dockers_word import DockersWord
from kuryr_libnetwork.services.background.findings import Findings
from kuryr_libnetwork.services.background.host_survey import HostSurvey
from kuryr_libnetwork.services.background.network_refresh import NetworkRefresher
from kuryr_libnetwork.services.background.onlooker import Onlooker
from kuryr_libnetwork.services.background.quota_watch import QuotaWatch
from kuryr_libnetwork.services.background.reconciler import Reconciler
from kuryr_libnetwork.services.background.recovery import Recovery
from kuryr_libnetwork.services.background.vf_watch import VfWatch
from kuryr_libnetwork.services.endpoints.agent_wait import PlugWaiter
from kuryr_libnetwork.services.endpoints.announcer import Announcer
from kuryr_libnetwork.services.endpoints.labels import Labels
from kuryr_libnetwork.services.endpoints.lifecycle import Endpoints
from kuryr_libnetwork.services.endpoints.release import Releaser
from kuryr_libnetwork.services.endpoints.sandbox_routes import SandboxRoutes
from kuryr_libnetwork.services.ipam_driver import IpamDriver
from kuryr_libnetwork.services.network_driver import NetworkDriver
from kuryr_libnetwork.services.networks.lifecycle import Networks
from kuryr_libnetwork.services.networks.pool_requests import PoolRequests
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.networks.subnets import SubnetKeeper
from kuryr_libnetwork.services.networks.teardown import Teardown
from kuryr_libnetwork.services.operator import Operator
from kuryr_libnetwork.services.overview import Overview
from kuryr_libnetwork.services.ports.adoption import Adoption
from kuryr_libnetwork.services.ports.assembly import filler
from kuryr_libnetwork.services.ports.binder import Binder
from kuryr_libnetwork.services.ports.claims import Claims
from kuryr_libnetwork.services.ports.creation import NewPorts
from kuryr_libnetwork.services.ports.exposed_ports import ExposedPorts
from kuryr_libnetwork.services.ports.lifecycle import Ports
from kuryr_libnetwork.services.ports.pool_filler import PoolFiller
from kuryr_libnetwork.services.ports.port_options import PortOptions
from kuryr_libnetwork.services.ports.spare_removal import SpareRemoval
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.beside import Beside, SideBySide
from kuryr_libnetwork.services.state.dates import Ages, Dates, latest_date
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.lookup import Lookup
from kuryr_libnetwork.services.state.network_users import NetworkUsers
from kuryr_libnetwork.services.state.own_things import OwnThings
from kuryr_libnetwork.services.state.unfinished_removals import UnfinishedRemovals
from kuryr_libnetwork.services.whom import Whom

RECONCILER = "reconciler"
"""The name of the background's thread."""


class Services(NamedTuple):
    network_driver: NetworkDriver
    ipam_driver: IpamDriver
    reconciler: Reconciler
    announcer: Announcer
    routes: SandboxRoutes
    labels: Labels
    pool_filler: PoolFiller
    drain: Callable[[str], int]
    resize: Callable[[PortPoolSettings], None]
    operator: Operator
    overview: Overview
    whom: Whom
    findings: Findings
    onlooker: Onlooker


def assemble(
    *,
    neutron: Neutron,
    journal: Journal,
    drivers: Drivers,
    sandboxes: Sandboxes,
    engine: Engine | None,
    settings: ServiceSettings,
    now: Callable[[], float],
    clock: Callable[[], float],
    health: Health | None = None,
    second_engine: Engine | None = None,
    pfs: Callable[[], Mapping[str, str]] = dict,
    chance: Callable[[], float] = lambda: 0.0,
    beside: Beside | None = None,
) -> Services:
    """``now``: seconds since the epoch; ``clock``: monotonic seconds. ``health``: where the background's threads
    report beats and unforeseen errors. ``second_engine``: another client of the same Docker, for the page.
    ``pfs``: names of PFs' network devices by PCI address, for the page as well. ``chance``: a random number from 0 to
    1, by which the background of each host comes at a time of its own.
    """
    health, beside = health or Health(clock), beside or SideBySide()
    parts = _Parts(neutron, journal, drivers, sandboxes, engine, settings, now, clock, health, chance, beside)
    driver = NetworkDriver(parts.networks, parts.endpoints, parts.locks, parts.unfinished)
    operator = Operator(journal, drivers, parts.locks)
    onlooker = Onlooker(neutron, second_engine, journal, parts.findings, health, settings.host, pfs)
    overview = Overview(
        journal,
        parts.findings,
        parts.spares,
        settings.reconcile_grace,
        parts.reconciler.trouble,
        settings.host,
        onlooker.asked,
    )
    return Services(
        driver,
        parts.ipam,
        parts.reconciler,
        parts.announcer,
        parts.routes,
        parts.labels,
        parts.pool_filler,
        parts.spares.empty,
        parts.spares.resize,
        operator,
        overview,
        Whom(journal, parts.findings.container),
        parts.findings,
        onlooker,
    )


class _Parts:
    """One instance of each service, created on first use."""

    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        drivers: Drivers,
        sandboxes: Sandboxes,
        engine: Engine | None,
        settings: ServiceSettings,
        now: Callable[[], float],
        clock: Callable[[], float],
        health: Health,
        chance: Callable[[], float],
        beside: Beside,
    ) -> None:
        self._chance = chance
        self._beside = beside
        self._neutron = neutron
        self._journal = journal
        self._drivers = drivers
        self._engine = engine
        self._settings = settings
        self._health = health
        self._clock = clock
        self._dates = Dates(now, latest_date(journal))
        self._ages = Ages(clock)
        self.findings = Findings(clock)
        self.locks = KeyedLocks(settings.lock_timeout)
        self.unfinished = UnfinishedRemovals()
        self.announcer = Announcer(journal, drivers, health, clock)
        self.routes = SandboxRoutes(journal, sandboxes, self.locks, health, clock)
        self._attempts = Attempts(health, RECONCILER, clock)
        self.labels = Labels(neutron, journal, self.locks, self._attempts, health, clock)
        self._own = OwnThings(neutron)
        self._claims = Claims(neutron, journal, self._own, self.locks, settings.host, now, clock)
        self._intents = Intents(neutron, journal, self._own, settings.host, self._attempts, self._dates, self._ages)
        self._network_users = NetworkUsers(neutron, self._own)
        self._lookup = Lookup(neutron, journal, self._own, self._network_users, settings.host, self._dates)
        self._port_options = PortOptions(neutron, self._own)
        exposing = settings.process_external_connectivity
        self._exposed_ports = ExposedPorts(neutron, journal, self._own, self._attempts, enabled=exposing)
        self._adoption = Adoption(neutron, journal, self._own, self._claims, self._exposed_ports, settings.host)
        self.spares = Spares(journal, drivers, settings.port_pool, self._dates, self._ages, clock)
        self._removal = SpareRemoval(
            neutron=neutron,
            journal=journal,
            own=self._own,
            drivers=drivers,
            spares=self.spares,
            locks=self.locks,
            ages=self._ages,
            beside=beside,
            host=settings.host,
        )
        self._new_ports = NewPorts(neutron, journal, self._intents, drivers, settings.host, self._dates)
        self._pools = PoolKeeper(
            neutron, journal, self._own, settings.subnetpool_name_prefix, self.locks, self._dates, self._ages, beside
        )

    @cached_property
    def pool_filler(self) -> PoolFiller:
        return filler(
            neutron=self._neutron,
            journal=self._journal,
            own=self._own,
            intents=self._intents,
            new_ports=self._new_ports,
            spares=self.spares,
            removal=self._removal,
            drivers=self._drivers,
            locks=self.locks,
            health=self._health,
            settings=self._settings,
            clock=self._clock,
        )

    @cached_property
    def _ports(self) -> Ports:
        return Ports(
            neutron=self._neutron,
            journal=self._journal,
            own=self._own,
            intents=self._intents,
            new_ports=self._new_ports,
            spares=self.spares,
            removal=self._removal,
            drivers=self._drivers,
            adoption=self._adoption,
            exposed_ports=self._exposed_ports,
            locks=self.locks,
            host=self._settings.host,
            dates=self._dates,
        )

    @cached_property
    def _releaser(self) -> Releaser:
        return Releaser(
            journal=self._journal,
            settings=self._settings,
            own=self._own,
            lookup=self._lookup,
            ports=self._ports,
            spares=self.spares,
            intents=self._intents,
            drivers=self._drivers,
            exposed_ports=self._exposed_ports,
            locks=self.locks,
            unfinished=self.unfinished,
            dates=self._dates,
            ages=self._ages,
            clock=self._clock,
        )

    @cached_property
    def networks(self) -> Networks:
        settings = self._settings
        return Networks(
            neutron=self._neutron,
            journal=self._journal,
            drivers=self._drivers,
            own=self._own,
            intents=self._intents,
            lookup=self._lookup,
            pools=self._pools,
            subnets=SubnetKeeper(self._neutron, self._journal, self._own, settings, self._intents, self._network_users),
            network_users=self._network_users,
            port_options=self._port_options,
            releaser=self._releaser,
            new_ports=self._new_ports,
            removal=self._removal,
            default_pool=lambda: self.spares.settings.default,
            teardown=Teardown(
                self._neutron, self._journal, self._own, self._pools, self._network_users, self.locks, settings.host
            ),
            beside=self._beside,
            dates=self._dates,
        )

    @cached_property
    def endpoints(self) -> Endpoints:
        settings = self._settings
        return Endpoints(
            journal=self._journal,
            settings=settings,
            lookup=self._lookup,
            ports=self._ports,
            binder=Binder(self._neutron, self._journal, self._own, self._adoption, self.spares, settings.host),
            spares=self.spares,
            drivers=self._drivers,
            exposed_ports=self._exposed_ports,
            port_options=self._port_options,
            releaser=self._releaser,
            labels=self.labels,
            plugged=PlugWaiter(
                self._neutron,
                host=settings.host,
                fatal=settings.vif_plugging_is_fatal,
                timeout=settings.vif_plugging_timeout,
                agent_timeout=settings.agent_alive_timeout,
            ),
            announcer=self.announcer,
            routes=self.routes,
            locks=self.locks,
            dates=self._dates,
            ages=self._ages,
        )

    @cached_property
    def ipam(self) -> IpamDriver:
        return IpamDriver(
            neutron=self._neutron,
            journal=self._journal,
            requests=PoolRequests(
                neutron=self._neutron,
                journal=self._journal,
                own=self._own,
                settings=self._settings,
                locks=self.locks,
                intents=self._intents,
                pools=self._pools,
                dates=self._dates,
                ages=self._ages,
            ),
            lookup=self._lookup,
            ports=self._ports,
            pools=self._pools,
            releaser=self._releaser,
        )

    @cached_property
    def _host_survey(self) -> HostSurvey:
        return HostSurvey(
            neutron=self._neutron,
            journal=self._journal,
            own=self._own,
            drivers=self._drivers,
            releaser=self._releaser,
            locks=self.locks,
            attempts=self._attempts,
            intents=self._intents,
            ages=self._ages,
            host=self._settings.host,
        )

    @cached_property
    def _recovery(self) -> Recovery:
        return Recovery(
            journal=self._journal,
            own=self._own,
            lookup=self._lookup,
            intents=self._intents,
            pools=self._pools,
            claims=self._claims,
            locks=self.locks,
            attempts=self._attempts,
            host=self._settings.host,
            grace=self._settings.reconcile_grace,
            clock=self._clock,
            chance=self._chance,
        )

    def _network_ids(self) -> list[str]:
        return [each.neutron_id for each in self._journal.networks.all() if each.neutron_id]

    @cached_property
    def reconciler(self) -> Reconciler:
        host, neutron = self._settings.host, self._neutron
        watch = VfWatch(neutron, self._drivers, self.locks, self._attempts, self.findings, host)
        agents = AgentWatch(neutron, self.findings, host)
        quota = QuotaWatch(neutron, self.findings, self._network_ids, self._clock)
        return Reconciler(
            journal=self._journal,
            engine=self._engine,
            lookup=self._lookup,
            dockers_word=DockersWord(neutron, self._journal, self._own, self._port_options, self.locks, self._dates),
            intents=self._intents,
            networks=self.networks,
            pools=self._pools,
            releaser=self._releaser,
            host_survey=self._host_survey,
            recovery=self._recovery,
            refresher=NetworkRefresher(neutron, self._journal, self.locks, self._attempts),
            uses={
                "label ports of containers": self.labels.repeat,
                "take off the claims of ports that are bound": self._claims.sweep,
                "look after the ports of this host": watch.round,
                "look whether the agents of this host are alive": agents.round,
                "look after the port pools": self.pool_filler.look,
                "look how much of the quota is left": quota.round,
            },
            findings=self.findings,
            exposed_ports=self._exposed_ports,
            locks=self.locks,
            unfinished=self.unfinished,
            attempts=self._attempts,
            grace=self._settings.reconcile_grace,
            clock=self._clock,
            chance=self._chance,
        )
