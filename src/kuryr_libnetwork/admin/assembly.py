# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Puts the admin socket together: pages, metrics, and the sockets where they are served."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from kuryr_libnetwork.activity import Activity
from kuryr_libnetwork.admin import web
from kuryr_libnetwork.admin.commands import commands
from kuryr_libnetwork.admin.metrics import Metrics, Sources
from kuryr_libnetwork.admin.pages import Pages, Slow
from kuryr_libnetwork.admin.server import AdminServer, Place, tcp_socket
from kuryr_libnetwork.errors import AddressInUse, ConfigError
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.model.overview import RoundRow
from kuryr_libnetwork.model.settings import AdminSettings
from kuryr_libnetwork.services.overview import Overview

LOG = logging.getLogger(__name__)
Application = Callable[..., Pages]


def admin_server(
    chosen: AdminSettings,
    overview: Overview,
    activity: Activity,
    sources: Sources,
    metrics: Metrics,
    health: Health,
    look_now: Callable[[], RoundRow],
    drain: Callable[[str], int],
    listen: Callable[[Path, Pages], Place],
) -> AdminServer:
    """``listen``: binds a unix socket for pages. ``look_now``: has the background look for leftovers."""
    slow = Slow()
    metrics.read(sources, health, slow)

    def pages(*, local_only: bool = False) -> Pages:
        return Pages(
            sources.wellbeing,
            lists(overview),
            at_once={"activity": activity.report},
            slow=slow,
            metrics=metrics.show,
            commands={} if local_only else commands(look_now, drain),
            local_only=local_only,
            files=web.files(),
        )

    return AdminServer(_places(chosen, pages, listen), health)


def lists(overview: Overview) -> dict[str, Callable[[], object]]:
    return {
        "networks": overview.networks,
        "endpoints": overview.endpoints,
        "ports": overview.ports,
        "port-pools": overview.port_pools,
        "devices": overview.devices,
        "suspects": overview.suspects,
        "rounds": overview.rounds,
        "wiring": overview.wiring,
    }


def _places(chosen: AdminSettings, pages: Application, listen: Callable[[Path, Pages], Place]) -> list[Place]:
    """Containers do not need these sockets, so one that cannot be opened is only logged."""
    found = []
    try:
        if chosen.socket is not None:
            found.append(listen(chosen.socket, pages()))
        if chosen.listen is not None:
            host, port = chosen.listen
            found.append(Place(tcp_socket(host, port), f"tcp:{host}:{port}", pages(local_only=True)))
    except (AddressInUse, ConfigError) as error:
        LOG.warning("%s; containers are served, operators are not answered there", error)
    return found
