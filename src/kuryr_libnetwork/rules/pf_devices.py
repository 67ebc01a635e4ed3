# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which of a PF's network devices is its own.

In switchdev mode the PF has a representor for each VF besides its own device (the uplink). Their names do not tell
which is which: of ``eth2``, ``eth9`` and ``eth10`` the first in alphabetical order is ``eth10``. ``phys_port_name``
does: ``p0`` for the uplink, ``pf0vf3`` (with old drivers ``3``) for a VF's representor, ``pf0sf3`` for a
sub-function's. If one function has several ports, as on old Mellanox cards, ``dev_port`` numbers them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kuryr_libnetwork.model.value import Value

_REPRESENTOR = re.compile(r"(c[0-9]+)?pf[0-9]+([vs]f[0-9]+|hpf)?|[0-9]+")
_UPLINK = re.compile(r"p[0-9]+(s[0-9]+)?")


class PortOfPf(Value, frozen=True):
    """A network device of a PF, as sysfs shows it; ``phys_port_name`` is "" if the driver has none."""

    name: str
    phys_port_name: str = ""
    dev_port: int = 0


def own_devices(ports: Iterable[PortOfPf]) -> tuple[str, ...]:
    """Names of the PF's own devices, the first port's first."""
    own = [port for port in ports if not is_representor(port)]
    return tuple(port.name for port in sorted(own, key=_order))


def representors(ports: Iterable[PortOfPf]) -> tuple[str, ...]:
    """Names of the VFs' representors. If there are any, the PF is in switchdev mode."""
    return tuple(sorted(port.name for port in ports if is_representor(port)))


def is_representor(port: PortOfPf) -> bool:
    return _REPRESENTOR.fullmatch(port.phys_port_name) is not None


def _order(port: PortOfPf) -> tuple[bool, int, int, str]:
    return not _UPLINK.fullmatch(port.phys_port_name), port.dev_port, len(port.name), port.name
