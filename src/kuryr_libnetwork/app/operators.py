# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the admin socket asks, and where it is served."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from kuryr_libnetwork.admin.metrics import Sources
from kuryr_libnetwork.admin.pages import Pages
from kuryr_libnetwork.admin.server import Place
from kuryr_libnetwork.app.running import App
from kuryr_libnetwork.contacts import Contacts
from kuryr_libnetwork.docker.listeners import unix_listener
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.host.journal import JOURNAL_FILE, journal_size
from kuryr_libnetwork.host.vf_statistics import KernelVfStatistics
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.sriov import PciFunctions
from kuryr_libnetwork.model.overview import VfReport
from kuryr_libnetwork.model.settings import PluginSettings
from kuryr_libnetwork.services.assembly import Services
from kuryr_libnetwork.services.vf_traffic import TrafficOfVfs

SRIOV = "sriov"
"""The port driver of VFs, which is imported only where it is enabled."""


def sources(
    plugin: PluginSettings,
    app: App,
    server: PluginServer,
    services: Services,
    contacts: Contacts,
    vfs: Callable[[], VfReport],
) -> Sources:
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
        vfs=vfs,
    )


def vf_report(drivers: Drivers, pci: PciFunctions, journal: Journal, services: Services) -> Callable[[], VfReport]:
    """What Prometheus is told about VFs: nothing where no port driver has any."""
    if all(driver.name != SRIOV for driver in drivers.all()):
        return VfReport
    return TrafficOfVfs(pci, KernelVfStatistics(), journal, services.findings).report


def listen(path: Path, pages: Pages) -> Place:
    listener = unix_listener(path, "[admin] socket")
    return Place(listener.socket, listener.name, pages, listener.remove)
