# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The composition root: puts adapters, rules and services together into a running service; only ``cli`` imports it."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace
from oslo_config import cfg

from kuryr_libnetwork.activity import Activity
from kuryr_libnetwork.admin.assembly import admin_server
from kuryr_libnetwork.admin.metrics import Metrics, Sources
from kuryr_libnetwork.admin.pages import Pages
from kuryr_libnetwork.admin.server import AdminServer, Place
from kuryr_libnetwork.bell import Bell
from kuryr_libnetwork.contacts import Contacts
from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.docker.engine import DockerEngine
from kuryr_libnetwork.docker.listeners import Listener, handed_over, tcp_listener, unix_listener
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.host.journal import JOURNAL_FILE, SqliteJournal, journal_size
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.host.sandboxes import KernelSandboxes
from kuryr_libnetwork.host.scripts import BindingScripts
from kuryr_libnetwork.host.sysfs import SysfsPci
from kuryr_libnetwork.host.vf_control import KernelVfControl
from kuryr_libnetwork.host.vf_statistics import KernelVfStatistics
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.liveness import Pulse
from kuryr_libnetwork.model.observed import Observe, Question, Repaired
from kuryr_libnetwork.model.overview import RoundRow, Wellbeing
from kuryr_libnetwork.model.settings import PluginSettings, ServiceSettings, Settings
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.session import build_adapter
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.port_driver.parts import DriverParts, SriovParts, VethParts
from kuryr_libnetwork.port_driver.qos import QosRules
from kuryr_libnetwork.port_driver.registry import DriverNames, build_registry
from kuryr_libnetwork.protocol.routes import Constants, Routes, build_routes
from kuryr_libnetwork.reload import Reload, tls_of
from kuryr_libnetwork.rules.roles import reads_physical_networks
from kuryr_libnetwork.rules.wellbeing import Facts, judge
from kuryr_libnetwork.services.assembly import RECONCILER, Services, assemble
from kuryr_libnetwork.services.background.agent_warning import warn_of_host
from kuryr_libnetwork.services.background.onlooker import THREAD as ONLOOKER
from kuryr_libnetwork.services.background.role_warning import warn_of_roles
from kuryr_libnetwork.services.endpoints.announcer import THREAD as ANNOUNCER
from kuryr_libnetwork.services.endpoints.labels import THREAD as LABELS
from kuryr_libnetwork.services.endpoints.sandbox_routes import THREAD as ROUTES
from kuryr_libnetwork.services.ports.pool_filler import THREAD as PORT_POOLS
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.vf_traffic import TrafficOfVfs

LOG = logging.getLogger(__name__)
# Seconds after which something counts as hanging, each several times what it takes in the worst case.
TURN_LIMIT = 30.0
DISK_LIMIT = 60.0
CALLS_LIMIT = 300.0
BEAT_LIMIT = 900.0
SRIOV = "sriov"
"""The port driver of VFs, which is imported only where it is enabled."""
LEAST_SILENCE, SILENT_ROUNDS = 300.0, 3
"""Neutron counts as silent after so many seconds, or rounds of the background if these take longer, without an answer;
each round asks it.
"""


class Worker(Protocol):
    """What a thread of its own does until it is stopped."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


def _workers(services: Services) -> dict[str, Worker]:
    """What goes on beside the background's rounds, by the names of the threads."""
    return {
        ANNOUNCER: services.announcer,
        ROUTES: services.routes,
        LABELS: services.labels,
        PORT_POOLS: services.pool_filler,
        ONLOOKER: services.onlooker,
    }


class App:
    """One running service. ``reload``: takes over a configuration that was read again, as far as that is possible;
    answers why some of it is not taken over.
    """

    def __init__(
        self,
        server: PluginServer,
        services: Services,
        interval: float,
        warm_ups: Mapping[str, Callable[[], object]],
        health: Health,
        pulses: Sequence[Pulse] = (),
        contacts: Contacts | None = None,
        host: str = "",
        reload: Callable[[Settings], list[str]] = lambda _: [],
    ) -> None:
        self._server = server
        self._services = services
        self._interval = interval
        self._cold = dict(warm_ups)
        self._end = Bell()
        self._health = health
        self._pulses = pulses
        self._looking = threading.Lock()
        self._contacts = contacts or Contacts()
        self._host = host
        self.reload = reload
        self._admin: AdminServer | None = None
        self._first = Attempts(health, RECONCILER, time.monotonic)
        self._background = health.thread(RECONCILER, self._run_background)
        self._workers = _workers(services)
        self._threads = [health.thread(name, worker.run) for name, worker in self._workers.items()]

    def serve(self) -> None:
        """Answer Docker until :meth:`stop`. The background starts once calls are accepted, so none waits for it."""
        self._background.start()
        for thread in self._threads:
            thread.start()
        self._server.serve()

    def stop(self) -> None:
        """Finish the calls under way, within 9 s."""
        self._end.set()
        if self._admin is not None:
            self._admin.stop()
        for worker in self._workers.values():
            worker.stop()
        self._server.stop()
        LOG.info("stopped")

    def hangs(self) -> list[str]:
        """A text for each part that hangs; does not wait."""
        with self._looking:
            found = [text for text in (pulse.hangs() for pulse in self._pulses) if text]
        stuck = self._server.stuck()
        if stuck > CALLS_LIMIT:
            found.append(f"no call of Docker has been started for {stuck:.0f} s, though some wait")
        silent = self._health.silent(BEAT_LIMIT)
        return found + [f"the thread {name} has not moved for {seconds:.0f} s" for name, seconds in silent.items()]

    def answer_operators(self, admin: AdminServer) -> None:
        """Serve this admin socket once Docker's calls are accepted."""
        self._admin = admin

    def wellbeing(self) -> Wellbeing:
        """The state of the service; does not wait."""
        silence = max(LEAST_SILENCE, SILENT_ROUNDS * self._interval) if self._interval else 0.0
        return judge(
            Facts(
                host=self._host,
                hangs=tuple(self.hangs()),
                serving=self._server.ready.is_set(),
                journal=next((pulse.trouble for pulse in self._pulses if pulse.trouble), ""),
                contacts=self._contacts.report(),
                agents=self._services.findings.agents(),
                silence=silence,
            )
        )

    def look_now(self) -> RoundRow:
        """Request a look for leftovers before the next one is due; returns the rounds so far, without waiting."""
        rounds = self._services.overview.rounds()
        self._services.reconciler.ask()
        self._end.ring()
        return rounds

    def status(self) -> str:
        """The state of the service in one line; does not wait."""
        found = self.wellbeing()
        return "ready" if found.ready else f"not ready: {'; '.join(found.reasons)}"

    def _run_background(self) -> None:
        self._server.ready.wait()
        if self._admin is not None:
            self._admin.start()
        self._warm_up()
        self._services.reconciler.run(self._end, self._interval, self._warm_up)

    def _warm_up(self) -> None:
        """Do the warm-ups that have not succeeded yet, so that no call waits for them; each round retries the rest."""
        for what, warm_up in list(self._cold.items()):
            if self._first.is_due(what) and self._first.run(what, warm_up):
                del self._cold[what]


def _write_nothing(journal: Journal) -> None:
    with journal.transaction():
        """Ends once the lock is free: a thread that waits for the disk holds it."""


def build(settings: Settings, conf: cfg.ConfigOpts) -> App:
    """Put everything together; raises :class:`~kuryr_libnetwork.errors.ConfigError` if it cannot start."""
    plugin = settings.plugin
    adapter = partial(
        build_adapter,
        conf,
        region_name=settings.neutron.region_name,
        endpoint_type=settings.neutron.endpoint_type,
        timeout=settings.neutron.timeout,
    )
    contacts, metrics, activity = Contacts(), Metrics(), Activity()

    def observe(question: Question) -> None:
        contacts.note(question)
        metrics.note_question(question)
        activity.note_question(question)

    neutron = NeutronClient(adapter, settings.neutron.timeout, observe=observe)
    journal = SqliteJournal(plugin.state_path / JOURNAL_FILE)
    links = KernelLinks()
    ovs = OvsDatabase(settings.ovs.ovsdb_connection, settings.ovs.ovsdb_timeout, observe)
    parts = _parts(settings, neutron, journal, links, ovs, metrics.note_repair)
    drivers = build_registry(driver_names(settings), parts)
    health = Health()
    health.watch_all_threads()
    services = _services(settings, neutron, journal, drivers, health, observe)
    boundary = Boundary(_routes(plugin, services), metrics.note_call, services.whom, activity)
    tls = tls_of(plugin)
    server = PluginServer(boundary, _listeners(plugin), threads=plugin.worker_threads, tls=tls)
    warm_ups = _warm_ups(settings, neutron, links, ovs, drivers)
    pulses = (
        Pulse("the journal", partial(_write_nothing, journal), DISK_LIMIT),
        Pulse("the thread of Docker's socket", server.wait_for_turn, TURN_LIMIT),
    )
    activity.waiting = lambda: server.waiting
    app = App(
        server,
        services,
        plugin.reconcile_interval,
        warm_ups,
        health,
        pulses,
        contacts,
        plugin.host,
        Reload(settings, server, drivers),
    )
    sources = _sources(plugin, app, server, services, contacts)
    if any(driver.name == SRIOV for driver in drivers.all()):
        traffic = TrafficOfVfs(parts.sriov.pci, KernelVfStatistics(), journal, services.findings)
        sources = replace(sources, vfs=traffic.report)
    app.answer_operators(
        admin_server(
            settings.admin, services.overview, activity, sources, metrics, health, app.look_now, services.drain, _listen
        )
    )
    return app


def _routes(plugin: PluginSettings, services: Services) -> Routes:
    constants = Constants(
        scope=plugin.capability_scope,
        local_default_address_space=plugin.local_default_address_space,
        global_default_address_space=plugin.global_default_address_space,
    )
    return build_routes(services.network_driver, services.ipam_driver, services.operator, constants)


def _warm_ups(
    settings: Settings, neutron: Neutron, links: KernelLinks, ovs: OvsDatabase, drivers: Drivers
) -> dict[str, Callable[[], object]]:
    """What the first container would otherwise wait for: slow imports, connections, Neutron's list of extensions."""
    physical_networks = reads_physical_networks(settings)
    found: dict[str, Callable[[], object]] = {
        "reach Neutron": partial(_reach, neutron, settings.plugin.host, physical_networks=physical_networks),
        "look at the interfaces of this host": partial(links.get, "lo"),
    }
    if any(driver.name == VethDriver.name for driver in drivers.all()):
        found["reach Open vSwitch"] = ovs.owned  # a virtual machine has none
    return found


def _sources(plugin: PluginSettings, app: App, server: PluginServer, services: Services, contacts: Contacts) -> Sources:
    return Sources(
        version=version("kuryr-libnetwork"),
        host=plugin.host,
        interval=plugin.reconcile_interval,
        wellbeing=app.wellbeing,
        contacts=contacts.report,
        rounds=services.overview.rounds,
        waiting=lambda: server.waiting,
        counts=services.overview.counts,
        journal_size=partial(journal_size, plugin.state_path / JOURNAL_FILE),
    )


def _listen(path: Path, pages: Pages) -> Place:
    listener = unix_listener(path, "[admin] socket")
    return Place(listener.socket, listener.name, pages, listener.remove)


def _reach(neutron: Neutron, host: str, *, physical_networks: bool) -> None:
    neutron.extensions()
    warn_of_roles(neutron, physical_networks=physical_networks)  # known from the login
    warn_of_host(neutron, host)


def driver_names(settings: Settings) -> DriverNames:
    plugin, binding = settings.plugin, settings.binding
    return DriverNames(
        plugin.enabled_port_drivers, plugin.default_port_driver, binding.enabled_drivers, binding.default_driver
    )


def _parts(
    settings: Settings,
    neutron: Neutron,
    journal: SqliteJournal,
    links: KernelLinks,
    ovs: OvsDatabase,
    repaired: Repaired,
) -> DriverParts:
    host = settings.plugin.host
    sriov = SriovParts(
        leases=journal.devices,
        pci=SysfsPci(),
        control=KernelVfControl(),
        netdevs=KernelNetdevs(),
        qos=QosRules(neutron),
        neighbours=lambda: neutron.find_ports(**{"binding:host_id": host}),
        settings=settings.sriov,
        now=time.time,
        repaired=repaired,
    )
    return DriverParts(
        neutron=neutron,
        host=host,
        veth=VethParts(links, ovs, _scripts(settings), frozenset(settings.binding.script_vif_types)),
        sriov=sriov,
        machine=Machine(links, neutron, settings.binding.link_iface),
        repaired=repaired,
    )


def _scripts(settings: Settings) -> BindingScripts:
    scripts = BindingScripts(settings.plugin.bindir)
    unused = scripts.unused(settings.binding.script_vif_types)
    if unused:
        LOG.info(
            "%s has %s, which are not run: the service does their work itself; if they are your own, name them in "
            "[binding] script_vif_types",
            settings.plugin.bindir,
            ", ".join(unused),
        )
    return scripts


def _services(
    settings: Settings, neutron: Neutron, journal: Journal, drivers: Drivers, health: Health, observe: Observe
) -> Services:
    plugin = settings.plugin
    engine: Engine | None = DockerEngine(plugin.docker_socket, observe) if plugin.docker_socket else None
    second: Engine | None = DockerEngine(plugin.docker_socket) if plugin.docker_socket else None
    chosen = ServiceSettings(
        host=plugin.host,
        subnetpool_name_prefix=plugin.subnetpool_name_prefix,
        default_subnetpool_v4=settings.neutron.default_subnetpool_v4,
        default_subnetpool_v6=settings.neutron.default_subnetpool_v6,
        enable_dhcp=settings.neutron.enable_dhcp,
        veth_dst_prefix=settings.binding.veth_dst_prefix,
        process_external_connectivity=plugin.process_external_connectivity,
        vif_plugging_is_fatal=settings.neutron.vif_plugging_is_fatal,
        vif_plugging_timeout=settings.neutron.vif_plugging_timeout,
        agent_alive_timeout=settings.neutron.agent_alive_timeout,
        reconcile_grace=plugin.reconcile_grace,
        port_pool=settings.port_pool,
    )
    return assemble(
        neutron=neutron,
        journal=journal,
        drivers=drivers,
        sandboxes=KernelSandboxes(),
        engine=engine,
        settings=chosen,
        now=time.time,
        clock=time.monotonic,
        health=health,
        second_engine=second,
        pfs=_pf_names,
        chance=random.random,
    )


def _pf_names() -> dict[str, str]:
    return {pf.pci_address: pf.netdevs[0] for pf in SysfsPci().physical_functions() if pf.netdevs}


def _listeners(plugin: PluginSettings) -> list[Listener]:
    """systemd's sockets, or else our own one, and TCP if it is configured."""
    listeners = handed_over(os.environ) or [unix_listener(plugin.socket_path)]
    tcp = plugin.tcp
    if tcp is not None:
        encrypted, certified = tcp.certificate is not None, tcp.client_ca is not None
        listeners.append(tcp_listener(tcp.host, tcp.port, encrypted=encrypted, certified=certified, users=tcp.users))
    return listeners
