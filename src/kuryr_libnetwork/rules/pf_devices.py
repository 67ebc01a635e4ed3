# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which of the network devices of a PF is its own.

In switchdev mode the PF has a representor of each VF beside its own device (the uplink), and their names say nothing:
the alphabetically first is ``eth10`` of ``eth2``, ``eth9`` and ``eth10``. The kernel tells them apart by
``phys_port_name``: ``p0`` for the uplink, ``pf0vf3`` (in old drivers ``3``) for the representor of a VF, ``pf0sf3`` for
that of a sub-function. Where one function has several ports, as old cards of Mellanox do, they are numbered by
``dev_port``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kuryr_libnetwork.model.value import Value

_REPRESENTOR = re.compile(r"(c[0-9]+)?pf[0-9]+([vs]f[0-9]+|hpf)?|[0-9]+")
_UPLINK = re.compile(r"p[0-9]+(s[0-9]+)?")


class PortOfPf(Value, frozen=True):
    """A network device of a PF, as sysfs tells of it; ``phys_port_name`` is "" where the driver has none."""

    name: str
    phys_port_name: str = ""
    dev_port: int = 0


def own_devices(ports: Iterable[PortOfPf]) -> tuple[str, ...]:
    """Names of the PF's own devices, its first port before others."""
    own = [port for port in ports if not is_representor(port)]
    return tuple(port.name for port in sorted(own, key=_order))


def representors(ports: Iterable[PortOfPf]) -> tuple[str, ...]:
    """Where there are any, the PF is in switchdev mode."""
    return tuple(sorted(port.name for port in ports if is_representor(port)))


def is_representor(port: PortOfPf) -> bool:
    return _REPRESENTOR.fullmatch(port.phys_port_name) is not None


def _order(port: PortOfPf) -> tuple[bool, int, int, str]:
    return not _UPLINK.fullmatch(port.phys_port_name), port.dev_port, len(port.name), port.name
