# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Puts one service together."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from oslo_config import cfg

from kuryr_libnetwork.activity import Activity
from kuryr_libnetwork.admin.assembly import admin_server
from kuryr_libnetwork.admin.metrics import Metrics
from kuryr_libnetwork.app import adapters, operators
from kuryr_libnetwork.app.running import App
from kuryr_libnetwork.contacts import Contacts
from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.docker.engine import DockerEngine
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.host.journal import JOURNAL_FILE, SqliteJournal
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.host.sandboxes import KernelSandboxes
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.liveness import Pulse
from kuryr_libnetwork.model.observed import Observe, Question
from kuryr_libnetwork.model.settings import PluginSettings, ServiceSettings, Settings
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.port_driver.registry import build_registry
from kuryr_libnetwork.protocol.routes import Constants, Routes, build_routes
from kuryr_libnetwork.reload import Reload, tls_of
from kuryr_libnetwork.rules.roles import reads_physical_networks
from kuryr_libnetwork.services.assembly import Services, assemble
from kuryr_libnetwork.services.background.agent_warning import warn_of_host
from kuryr_libnetwork.services.background.role_warning import warn_of_roles

# Seconds after which something counts as hanging, each several times what it takes in the worst case.
TURN_LIMIT = 30.0
DISK_LIMIT = 60.0


def build(settings: Settings, conf: cfg.ConfigOpts) -> App:
    """Put everything together; raises :class:`~kuryr_libnetwork.errors.ConfigError` if it cannot start."""
    plugin = settings.plugin
    contacts, metrics, activity, health = Contacts(), Metrics(), Activity(), Health()

    def observe(question: Question) -> None:
        contacts.note(question)
        metrics.note_question(question)
        activity.note_question(question)

    neutron = adapters.neutron_client(settings, conf, observe)
    journal = SqliteJournal(plugin.state_path / JOURNAL_FILE)
    links = KernelLinks()
    ovs = OvsDatabase(settings.ovs.ovsdb_connection, settings.ovs.ovsdb_timeout, observe)
    parts = adapters.driver_parts(settings, neutron, journal, links, ovs, metrics.note_repair)
    drivers = build_registry(adapters.driver_names(settings), parts)
    health.watch_all_threads()
    services = _services(settings, neutron, journal, drivers, health, observe)
    boundary = Boundary(_routes(plugin, services), metrics.note_call, services.whom, activity)
    tls = tls_of(plugin)
    server = PluginServer(boundary, adapters.listeners(plugin), threads=plugin.worker_threads, tls=tls)
    activity.waiting = lambda: server.waiting
    warm_ups, pulses = _warm_ups(settings, neutron, links, ovs, drivers), _pulses(journal, server)
    reload = Reload(settings, server, drivers, services.resize)
    app = App(server, services, plugin.reconcile_interval, warm_ups, health, pulses, contacts, plugin.host, reload)
    vfs = operators.vf_report(drivers, parts.sriov.pci, journal, services)
    sources = operators.sources(plugin, app, server, services, contacts, vfs)
    look_now, drain, listen = app.look_now, services.drain, operators.listen
    app.answer_operators(
        admin_server(settings.admin, services.overview, activity, sources, metrics, health, look_now, drain, listen)
    )
    return app


def _pulses(journal: Journal, server: PluginServer) -> tuple[Pulse, ...]:
    return (
        Pulse("the journal", partial(_write_nothing, journal), DISK_LIMIT),
        Pulse("the thread of Docker's socket", server.wait_for_turn, TURN_LIMIT),
    )


def _write_nothing(journal: Journal) -> None:
    with journal.transaction():
        """Ends once the lock is free: a thread that waits for the disk holds it."""


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


def _reach(neutron: Neutron, host: str, *, physical_networks: bool) -> None:
    neutron.extensions()
    warn_of_roles(neutron, physical_networks=physical_networks)  # known from the login
    warn_of_host(neutron, host)


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
        pfs=adapters.pf_names,
        chance=random.random,
    )
