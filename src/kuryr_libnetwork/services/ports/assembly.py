# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Puts together what fills the port pools."""

from __future__ import annotations

from collections.abc import Callable

from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.settings import ServiceSettings
from kuryr_libnetwork.services.ports.creation import NewPorts
from kuryr_libnetwork.services.ports.pool_filler import THREAD, PoolFiller
from kuryr_libnetwork.services.ports.spare_removal import SpareRemoval
from kuryr_libnetwork.services.ports.spare_review import SpareReview
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings


def filler(
    *,
    neutron: Neutron,
    journal: Journal,
    own: OwnThings,
    intents: Intents,
    new_ports: NewPorts,
    spares: Spares,
    removal: SpareRemoval,
    drivers: Drivers,
    locks: KeyedLocks,
    health: Health,
    settings: ServiceSettings,
    clock: Callable[[], float],
) -> PoolFiller:
    attempts = Attempts(health, THREAD, clock)
    return PoolFiller(
        neutron=neutron,
        journal=journal,
        new_ports=new_ports,
        spares=spares,
        removal=removal,
        review=SpareReview(
            neutron=neutron,
            journal=journal,
            own=own,
            intents=intents,
            spares=spares,
            removal=removal,
            drivers=drivers,
            locks=locks,
            attempts=attempts,
            host=settings.host,
        ),
        drivers=drivers,
        locks=locks,
        attempts=attempts,
        clock=clock,
    )
