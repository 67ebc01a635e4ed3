# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The PFs and VFs of this host: which one a port gets, and what its ``binding:profile`` then says."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kuryr_libnetwork.errors import InvalidOption, NoFreeDevice
from kuryr_libnetwork.model.links import BindingRequest
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.settings import DevicePolicy
from kuryr_libnetwork.model.sriov import DeviceLease, DeviceRequest, DeviceUse, PhysicalFunction, VirtualFunction
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.rules import names, vf_settings
from kuryr_libnetwork.rules.device_profile import device_profile, named_slot
from kuryr_libnetwork.rules.device_spec import may_be_trusted
from kuryr_libnetwork.rules.devices import PHYSICAL, FoundPf, choose, choose_pf, judge, physical_network, wrong_kind

VANISHED = DeviceUse(reason="its network device has just disappeared")
Functions = tuple[PhysicalFunction, tuple[VirtualFunction, ...]]
"""A PF, and those of its VFs that may be chosen."""


class DeviceStock:
    """Makes one choice at a time: a device is leased in the journal before the next one is chosen.

    Asks Neutron for this host's ports only if a choice comes before the background's first :meth:`note_ports`.
    """

    def __init__(self, parts: SriovParts) -> None:
        self._leases = parts.leases
        self._pci = parts.pci
        self._netdevs = parts.netdevs
        self._policy: DevicePolicy = parts.settings
        self._neighbours = parts.neighbours
        self._now = parts.now
        self._choosing = threading.RLock()
        self._named_by: Mapping[str, str] | None = None
        self._ended: set[str] = set()

    def permit(self, policy: DevicePolicy) -> None:
        """The operator has changed which devices may be chosen."""
        with self._choosing:
            self._policy = policy

    def note_ports(self, ports: Sequence[Port]) -> None:
        """Learn which devices the ports of this host name in their profiles: a VM on this host may have one.

        A port whose lease has ended is ignored: it may still be listed, as it is released after its device.
        """
        with self._choosing:
            self._ended &= {port.id for port in ports}
            named = ((named_slot(port.profile), port.id) for port in ports if port.id not in self._ended)
            self._named_by = {slot: port_id for slot, port_id in named if slot}

    def ended(self, port_id: str) -> None:
        """Make the port's device available at once, not only after the background's next round."""
        with self._choosing:
            self._ended.add(port_id)
            self._named_by = {slot: port for slot, port in (self._named_by or {}).items() if port != port_id}

    def lease_of(self, port_id: str) -> DeviceLease | None:
        return next(
            (each for each in self._leases.all() if each.port_id == port_id and each.state != "quarantined"), None
        )

    def take(self, request: BindingRequest) -> DeviceLease:
        """The port's lease, or a new one; it is in the journal when this returns."""
        told = device_profile(request.profile)
        if told.pci_slot and request.pci_slot not in ("", told.pci_slot):
            allowed = f"the port's binding:profile names {told.pci_slot}; leave it out"
            raise InvalidOption("kuryr.pci_slot", request.pci_slot, allowed)
        network = physical_network(request.physical_network, told.physical_network, request.vnic_type, self._policy)
        wanted = DeviceRequest(
            vnic_type=request.vnic_type,
            physical_network=network,
            pci_slot=told.pci_slot or request.pci_slot,
            pf_name=request.pf_name,
            numa_node=request.numa_node,
        )
        with self._choosing:
            held = self.lease_of(request.port_id)
            if held is None:
                held = self._choose(request.port_id, wanted)
                self._leases.put(held)
                self._ended.discard(request.port_id)
        return held

    def free(self) -> dict[str, int]:
        """VFs that a container could get now, by physical network. A look, which keeps nobody from choosing."""
        leases = {lease.pci_address: lease for lease in self._leases.all()}
        wanted = [
            DeviceRequest(vnic_type="direct", physical_network=network)
            for network in sorted(self._policy.networks) or [""]
        ]
        found = self._inventory(wanted[0], set(leases))
        named = dict(self._named_by or {})
        return {
            each.physical_network: sum(
                not vf.held_by and not vf.reasons for vf in judge(each, found, leases, named, self._policy)
            )
            for each in wanted
        }

    def _choose(self, port_id: str, wanted: DeviceRequest) -> DeviceLease:
        if slot := wanted.pci_slot:
            wrong = wrong_kind(wanted, self._pci.virtual_function(slot), self._pci.physical_function(slot))
            if wrong:
                raise NoFreeDevice(wrong)
        leases = {lease.pci_address: lease for lease in self._leases.all()}
        found = self._inventory(wanted, set(leases))
        if self._named_by is None:
            self.note_ports(self._neighbours())
        named = {slot: port for slot, port in (self._named_by or {}).items() if port != port_id}
        if wanted.vnic_type == PHYSICAL:
            pf = choose_pf(wanted, found, leases, named, self._policy).pf
            return self._new_lease(port_id, wanted, pf, pf, 0)
        chosen = choose(wanted, judge(wanted, found, leases, named, self._policy), self._policy)
        return self._new_lease(port_id, wanted, chosen.vf, chosen.pf, chosen.vf.index)

    def _new_lease(
        self,
        port_id: str,
        wanted: DeviceRequest,
        device: PhysicalFunction | VirtualFunction,
        pf: PhysicalFunction,
        index: int,
    ) -> DeviceLease:
        return DeviceLease(
            pci_address=device.pci_address,
            pf_address=pf.pci_address,
            index=index,
            port_id=port_id,
            vnic_type=wanted.vnic_type,
            state="taking",
            generation=secrets.token_hex(4),
            driver=device.driver,
            physical_network=wanted.physical_network,
            may_be_trusted=may_be_trusted(self._policy.specs, device, pf),
            temporary_name=names.device_name(port_id),
            created_at=self._now(),
        )

    def _inventory(self, wanted: DeviceRequest, leased: set[str]) -> list[FoundPf]:
        """All functions of this host; if a device is named, only that one and its PF."""
        pairs = self._named(wanted.pci_slot) if wanted.pci_slot and wanted.vnic_type != PHYSICAL else self._all()
        names = [name for pf, vfs in pairs for listed in (pf.netdevs, *(vf.netdevs for vf in vfs)) for name in listed]
        uses = self._netdevs.uses(names)
        return [_found(pf, vfs, uses, leased) for pf, vfs in pairs]

    def _all(self) -> list[Functions]:
        return [(pf, tuple(self._pci.virtual_functions(pf.pci_address))) for pf in self._pci.physical_functions()]

    def _named(self, address: str) -> list[Functions]:
        vf = self._pci.virtual_function(address)
        pf = self._pci.physical_function(vf.pf_address) if vf else None
        return [(pf, (vf,))] if vf and pf else []

    def profile(self, request: BindingRequest, lease: DeviceLease) -> dict[str, Any]:
        """The keys of ``binding:profile`` that name the device, except those that the user has already set."""
        pf = self._pci.physical_function(lease.pf_address)
        if pf is None or not pf.netdevs:
            raise NoFreeDevice(f"PF {lease.pf_address} has no network device on this host")
        state = self._netdevs.state(pf.netdevs[0])
        mac = state.mac if state else ""
        if lease.vnic_type == PHYSICAL:
            return vf_settings.pf_profile({}, pf, lease.physical_network, mac)
        vf = self._pci.virtual_function(lease.pci_address)
        if vf is None:
            raise NoFreeDevice(f"VF {lease.pci_address} no longer exists")
        profile = vf_settings.vf_profile({}, vf, lease.physical_network, mac)
        if named_slot(request.profile):
            return {key: profile[key] for key in ("pci_vendor_info", "physical_network") if key in profile}
        return profile


def _found(
    pf: PhysicalFunction, vfs: tuple[VirtualFunction, ...], uses: Mapping[str, DeviceUse], leased: set[str]
) -> FoundPf:
    devices: list[PhysicalFunction | VirtualFunction] = [pf, *vfs]
    in_use = {
        device.pci_address: next(filter(None, (uses.get(name, VANISHED).reason for name in device.netdevs)), "")
        for device in devices
        if device.pci_address not in leased
    }
    if (
        in_use.get(pf.pci_address) == "is up"
    ):  # a PF must be up for its VFs; that does not mean that it is in use itself
        in_use[pf.pci_address] = ""
    default_route = any(uses.get(name, VANISHED).default_route for name in pf.netdevs)
    return FoundPf(pf=pf, vfs=vfs, default_route=default_route, in_use=in_use)
