# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Applies a port's attributes to its VF while a container has it, because Neutron's agent does not see it there.

See docs/notes/sriov.md, "What Neutron's agent cannot see".
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence

import msgspec

from kuryr_libnetwork.binding.hw_veb import VfBinding
from kuryr_libnetwork.errors import DeviceError, LinkError, LinkNotFound, UnsupportedVif
from kuryr_libnetwork.model.neutron import Port, QosRule
from kuryr_libnetwork.model.observed import ignore
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import DeviceLease, VfSettings, in_user_space
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.port_driver.stock import DeviceStock
from kuryr_libnetwork.rules import vf_settings

LOG = logging.getLogger(__name__)


class VfEnforcer:
    """Implements what :class:`~kuryr_libnetwork.interfaces.drivers.Enforcer` adds to a port driver."""

    def __init__(self, parts: SriovParts, stock: DeviceStock, binding: VfBinding) -> None:
        self._leases = parts.leases
        self._netdevs = parts.netdevs
        self._qos = parts.qos
        self._settings = parts.settings
        self._repaired = parts.repaired
        self._stock = stock
        self._vf = binding
        self._observed: Mapping[str, Port] = {}
        self._rules: Mapping[str, Sequence[QosRule]] = {}

    def permit(self, settings: SriovSettings) -> None:
        self._settings = settings

    def first_settings(self, lease: DeviceLease, port: Port, mtu: int) -> VfSettings:
        """The settings that the port wants when it is bound; one Neutron call if it has a QoS policy.

        A wish that cannot be met is an error, or a warning if the operator chose so.
        """
        refused = "; ".join(self._refusals(lease, port, mtu))
        if refused and self._settings.unsupported == "error":
            raise UnsupportedVif(refused)
        if refused:
            LOG.warning("VF %s does not get everything that its port asks for: %s", lease.pci_address, refused)
        return self._wanted(lease, port, self._qos.of([port]).get(port.id, ()))

    def _refusals(self, lease: DeviceLease, port: Port, mtu: int = 0) -> list[str]:
        pf = self._netdevs.state(self._vf.pf_netdev(lease))
        return vf_settings.refusals(port, lease, self._settings.allow_trust, mtu, pf) if pf else []

    def _wanted(self, lease: DeviceLease, port: Port, qos: Sequence[QosRule]) -> VfSettings:
        allowed = vf_settings.is_trust_allowed(lease, self._settings.allow_trust)
        return vf_settings.wanted_settings(port, qos, trust_allowed=allowed)

    def wait_for_carrier(self, plug: PlugRecord) -> None:
        """A missing carrier is only logged: the link may be down on purpose, or the cable not connected yet.

        Not part of :meth:`plug`: Docker creates the endpoints of a network one by one, but joins them in parallel.
        """
        lease = self._leases.get(plug.pci_address)
        if lease is None or lease.port_id != plug.port_id or in_user_space(lease.driver):
            return
        if lease.wanted is not None and lease.wanted.link_state == "disable":
            return
        with contextlib.suppress(LinkNotFound):
            if not self._netdevs.wait_carrier(lease.temporary_name, self._settings.carrier_timeout):
                LOG.warning("%s of port %s has no carrier yet", lease.pci_address, lease.port_id)

    def note_ports(self, ports: Sequence[Port]) -> None:
        self._stock.note_ports(ports)
        leased = {lease.port_id for lease in self._leases.all()}
        mine = [port for port in ports if port.id in leased]
        self._rules = self._qos.of(mine)
        self._observed = {port.id: port for port in mine}

    def reapply(self, port_id: str) -> None:
        """A port that is no longer bound has no VLAN; its VF keeps its settings until it is given back."""
        lease, port = self._stock.lease_of(port_id), self._observed.get(port_id)
        if lease is None or lease.state != "leased" or lease.wanted is None or port is None:
            return
        if port.vif_type != VfBinding.name:
            raise DeviceError(f"it is now {port.vif_type} in Neutron; VF {lease.pci_address} is left as it is")
        wanted = self._wanted(lease, port, self._rules.get(port_id, ()))
        wanted = msgspec.structs.replace(wanted, mac=lease.wanted.mac)
        repaired = self._repaired
        if wanted != lease.wanted:
            repaired = ignore  # what the port's owner has changed is none
            LOG.info("port %s changed in Neutron; VF %s is set up anew", port_id, lease.pci_address)
            lease = msgspec.structs.replace(lease, wanted=wanted)
            self._leases.put(lease)
        refused = self._refusals(lease, port) if self._settings.unsupported == "error" else []
        try:
            self._vf.enforce(lease, wanted, repaired)
        except LinkError as error:
            raise LinkError("; ".join([str(error), *refused])) from error
        if refused:
            raise UnsupportedVif("; ".join(refused))

    def announce(self, plug: PlugRecord, sandbox: str, addresses: Sequence[str]) -> bool:
        lease = self._leases.get(plug.pci_address)
        if lease is None or lease.port_id != plug.port_id or in_user_space(lease.driver):
            return True
        mac = lease.wanted.mac if lease.wanted else lease.original_netdev.mac if lease.original_netdev else ""
        return self._netdevs.announce(sandbox, mac, addresses)
