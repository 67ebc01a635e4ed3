# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The services joined to each other, over whatever implements the protocols: the real adapters, or the tests' fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kuryr_libnetwork.interfaces import Drivers, Engine, Journal, Neutron
from kuryr_libnetwork.services.directory import Directory
from kuryr_libnetwork.services.endpoints import Endpoints
from kuryr_libnetwork.services.forgotten import Forgotten
from kuryr_libnetwork.services.intents import Intents
from kuryr_libnetwork.services.ipam_driver import IpamDriver
from kuryr_libnetwork.services.ledger import PortLedger
from kuryr_libnetwork.services.locks import KeyedLocks
from kuryr_libnetwork.services.network_driver import NetworkDriver
from kuryr_libnetwork.services.networks import Networks
from kuryr_libnetwork.services.plugging import PlugWaiter
from kuryr_libnetwork.services.pools import PoolKeeper
from kuryr_libnetwork.services.reconciler import Reconciler
from kuryr_libnetwork.services.release import Releaser
from kuryr_libnetwork.services.settings import ServiceSettings
from kuryr_libnetwork.services.survey import Survey
from kuryr_libnetwork.services.teardown import Teardown


class Services(NamedTuple):
    network_driver: NetworkDriver
    ipam_driver: IpamDriver
    reconciler: Reconciler


def assemble(
    *,
    neutron: Neutron,
    journal: Journal,
    drivers: Drivers,
    engine: Engine | None,
    settings: ServiceSettings,
    now: Callable[[], float],
) -> Services:
    """``now``: seconds since the epoch."""
    locks = KeyedLocks(settings.lock_timeout)
    intents = Intents(neutron, journal, settings.host, now)
    directory = Directory(neutron, journal, now)
    forgotten = Forgotten()
    ledger = PortLedger(
        neutron=neutron,
        journal=journal,
        intents=intents,
        drivers=drivers,
        locks=locks,
        host=settings.host,
        now=now,
    )
    pools = PoolKeeper(neutron, journal, settings.subnetpool_name_prefix, locks, now)
    releaser = Releaser(
        journal=journal,
        settings=settings,
        directory=directory,
        ledger=ledger,
        intents=intents,
        drivers=drivers,
        locks=locks,
        forgotten=forgotten,
        now=now,
    )
    networks = Networks(
        neutron=neutron,
        journal=journal,
        settings=settings,
        intents=intents,
        directory=directory,
        pools=pools,
        releaser=releaser,
        teardown=Teardown(neutron, journal, pools),
        now=now,
    )
    plugged = PlugWaiter(neutron, fatal=settings.vif_plugging_is_fatal, timeout=settings.vif_plugging_timeout)
    endpoints = Endpoints(
        journal=journal,
        settings=settings,
        directory=directory,
        ledger=ledger,
        drivers=drivers,
        releaser=releaser,
        plugged=plugged,
        locks=locks,
        now=now,
    )
    ipam = IpamDriver(
        neutron=neutron,
        journal=journal,
        settings=settings,
        locks=locks,
        intents=intents,
        directory=directory,
        ledger=ledger,
        pools=pools,
        releaser=releaser,
        now=now,
    )
    reconciler = Reconciler(
        neutron=neutron,
        journal=journal,
        engine=engine,
        directory=directory,
        intents=intents,
        networks=networks,
        pools=pools,
        releaser=releaser,
        survey=Survey(
            neutron=neutron,
            journal=journal,
            drivers=drivers,
            releaser=releaser,
            locks=locks,
            host=settings.host,
        ),
        locks=locks,
        forgotten=forgotten,
        grace=settings.reconcile_grace,
        now=now,
    )
    return Services(NetworkDriver(networks, endpoints, locks, forgotten), ipam, reconciler)
