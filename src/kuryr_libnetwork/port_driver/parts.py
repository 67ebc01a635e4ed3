# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What port drivers are built from; each gets only the parts that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kuryr_libnetwork.interfaces.host import Links, Ovs, Scripts
from kuryr_libnetwork.interfaces.journal import Table
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.interfaces.sriov import Netdevs, PciFunctions, VfControl
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.observed import Repaired, ignore
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.port_driver.qos import QosRules


class VethParts(NamedTuple):
    """``script_vif_types``: vif types for which the operator's script replaces the built-in attachment."""

    links: Links
    ovs: Ovs
    scripts: Scripts
    script_vif_types: frozenset[str] = frozenset()


class SriovParts(NamedTuple):
    """``neighbours``: lists the ports bound to this host (one Neutron call); ``now``: seconds since the epoch;
    ``repaired`` is told of each setting that is made right again.
    """

    leases: Table[DeviceLease]
    pci: PciFunctions
    control: VfControl
    netdevs: Netdevs
    qos: QosRules
    neighbours: Callable[[], Sequence[Port]]
    settings: SriovSettings
    now: Callable[[], float]
    repaired: Repaired = ignore


class DriverParts(NamedTuple):
    """What a driver's factory may take from.

    ``host``: this host's name in Neutron's bindings; ``bindings``: the enabled binding drivers, the default first.
    """

    neutron: Neutron
    host: str
    veth: VethParts
    sriov: SriovParts
    machine: Machine
    bindings: tuple[str, ...] = ()
    repaired: Repaired = ignore
