# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What makes the adapters to Neutron and to this host, and the sockets where Docker calls."""

from __future__ import annotations

import logging
import os
import time
from functools import partial

from oslo_config import cfg

from kuryr_libnetwork.docker.listeners import Listener, handed_over, tcp_listener, unix_listener
from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.host.scripts import BindingScripts
from kuryr_libnetwork.host.sysfs import SysfsPci
from kuryr_libnetwork.host.vf_control import KernelVfControl
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.observed import Observe, Repaired
from kuryr_libnetwork.model.settings import PluginSettings, Settings
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.session import build_adapter
from kuryr_libnetwork.port_driver.machine import Machine
from kuryr_libnetwork.port_driver.parts import DriverParts, SriovParts, VethParts
from kuryr_libnetwork.port_driver.qos import QosRules
from kuryr_libnetwork.port_driver.registry import DriverNames

LOG = logging.getLogger(__name__)


def neutron_client(settings: Settings, conf: cfg.ConfigOpts, observe: Observe) -> NeutronClient:
    adapter = partial(
        build_adapter,
        conf,
        region_name=settings.neutron.region_name,
        endpoint_type=settings.neutron.endpoint_type,
        timeout=settings.neutron.timeout,
    )
    return NeutronClient(adapter, settings.neutron.timeout, observe=observe)


def driver_names(settings: Settings) -> DriverNames:
    plugin, binding = settings.plugin, settings.binding
    return DriverNames(
        plugin.enabled_port_drivers, plugin.default_port_driver, binding.enabled_drivers, binding.default_driver
    )


def driver_parts(
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


def pf_names() -> dict[str, str]:
    return {pf.pci_address: pf.netdevs[0] for pf in SysfsPci().physical_functions() if pf.netdevs}


def listeners(plugin: PluginSettings) -> list[Listener]:
    """systemd's sockets, or else our own one, and TCP if it is configured."""
    found = handed_over(os.environ) or [unix_listener(plugin.socket_path)]
    tcp = plugin.tcp
    if tcp is not None:
        encrypted, certified = tcp.certificate is not None, tcp.client_ca is not None
        found.append(tcp_listener(tcp.host, tcp.port, encrypted=encrypted, certified=certified, users=tcp.users))
    return found
