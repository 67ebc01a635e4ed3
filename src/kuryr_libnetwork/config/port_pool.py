# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``[port_pool]`` of kuryr.conf: how many ports are kept ready for containers."""

from __future__ import annotations

from oslo_config import cfg

from kuryr_libnetwork.config.reader import Reader
from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model.records import PoolSize
from kuryr_libnetwork.model.settings import PortPoolSettings
from kuryr_libnetwork.rules.options import AUTO, LARGEST_POOL, pool_size

SECTION = "port_pool"


def options() -> list[cfg.Opt]:
    """``[port_pool]``, new in 19."""
    return [
        cfg.StrOpt(
            "default",
            default="0",
            mutable=True,
            help="How many ports are kept ready for the containers of a new Docker network that does not say so itself "
            f"(-o kuryr.port_pool): a number, or {AUTO} for as many as the latest bursts of starts took; 0: none. New "
            "in 19.",
        ),
        cfg.IntOpt(
            "min_auto",
            mutable=True,
            min=1,
            max=LARGEST_POOL,
            default=2,
            help=f"The least that {AUTO} keeps ready, for an hour after the last start on the network. New in 19.",
        ),
        cfg.IntOpt(
            "max_per_network",
            mutable=True,
            min=1,
            max=LARGEST_POOL,
            default=20,
            help="Most ports that no container has, for one Docker network on this host: those that are ready, those "
            "being made, and those that containers have released and that are not used again yet. New in 19.",
        ),
        cfg.IntOpt(
            "max_per_host",
            mutable=True,
            min=0,
            max=10 * LARGEST_POOL,
            default=100,
            help="The same for all Docker networks of this host together. They count against the project's quota. 0: "
            "none, whatever the networks say. New in 19.",
        ),
        cfg.IntOpt(
            "cooling",
            mutable=True,
            min=1,
            max=86400,
            default=130,
            help="Seconds after which a released port may be used by another container. Connections to the former one "
            "are forgotten by then (conntrack's longest time-out without an answer is 120 s). New in 19.",
        ),
    ]


def settings(reader: Reader) -> PortPoolSettings:
    return PortPoolSettings(
        default=_default(reader),
        min_auto=reader.get("min_auto", SECTION),
        max_per_network=reader.get("max_per_network", SECTION),
        max_per_host=reader.get("max_per_host", SECTION),
        cooling=reader.get("cooling", SECTION),
    )


def _default(reader: Reader) -> PoolSize:
    try:
        return pool_size("default", reader.get("default", SECTION))
    except InvalidOption:
        reader.refuse("default", SECTION, f"must be a number of ports from 0 to {LARGEST_POOL}, or {AUTO}")
