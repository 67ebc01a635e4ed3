# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port driver ``sriov``: ports of vnic_type direct, macvtap and direct-physical.

A device is leased before its port is bound, because the binding names it (``binding:profile``). The lease stays in the
journal until the device is verified to be as it was; a device that cannot be verified is quarantined, and not given out
again. Devices are identified by their PCI address, whatever their name and namespace. :mod:`..enforcement` applies what
the port says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.binding.hostdev_physical import PfBinding
from kuryr_libnetwork.binding.hw_veb import VfBinding
from kuryr_libnetwork.binding.macvtap import MacvtapBinding
from kuryr_libnetwork.errors import DeviceError
from kuryr_libnetwork.model.links import BindingRequest, BoundBy
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord, Whereabouts
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import DIRECT, MACVTAP, DeviceLease, in_user_space
from kuryr_libnetwork.port_driver.enforcement import VfEnforcer
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.port_driver.stock import DeviceStock
from kuryr_libnetwork.rules import names, vf_settings
from kuryr_libnetwork.rules.device_profile import named_slot
from kuryr_libnetwork.rules.devices import PHYSICAL, forbidden
from kuryr_libnetwork.undo import Undo

LOG = logging.getLogger(__name__)
_BINDINGS = {DIRECT: VfBinding.name, MACVTAP: MacvtapBinding.name, PHYSICAL: PfBinding.name}
_VNIC_TYPES = {binding: vnic_type for vnic_type, binding in _BINDINGS.items()}


class SriovDriver:
    """Implements :class:`~kuryr_libnetwork.interfaces.drivers.PortDriver` and
    :class:`~kuryr_libnetwork.interfaces.drivers.Enforcer`.
    """

    name = "sriov"
    vnic_types = frozenset(_BINDINGS)
    bindings = frozenset(_BINDINGS.values())
    bound_by: BoundBy = "host"

    def __init__(self, parts: SriovParts) -> None:
        settings = parts.settings
        self._leases = parts.leases
        self._pci = parts.pci
        self._netdevs = parts.netdevs
        self._settings = settings
        self._stock = DeviceStock(parts)
        self._vf = VfBinding(parts.pci, parts.control, parts.netdevs, settings.rebind, settings.unsupported)
        self._macvtap = MacvtapBinding(parts.netdevs, self._vf)
        self._pf = PfBinding(parts.pci, parts.netdevs)
        self._enforcer = VfEnforcer(parts, self._stock, self._vf)
        self._give_back_of: dict[str, Callable[[DeviceLease, Sequence[str]], str]] = {
            DIRECT: self._vf.give_back,
            MACVTAP: self._macvtap.give_back,
            PHYSICAL: self._pf.give_back,
        }

    def permit(self, settings: SriovSettings) -> None:
        self._settings = settings
        self._stock.permit(settings)
        self._enforcer.permit(settings)

    # -- before the binding ----------------------------------------------------------------------------------------

    def home_network(self) -> str:
        return ""

    def reserve(self, request: BindingRequest) -> dict[str, Any]:
        """Lease a device for the port; answers the keys that its ``binding:profile`` needs."""
        vf_settings.check_vnic_type(request.vnic_type, request.profile)
        profile = self._stock.profile(request, self._stock.take(request))
        return {} if profile.items() <= request.profile.items() else {"binding:profile": {**request.profile, **profile}}

    def unreserve(self, port_id: str) -> None:
        """Give back the leased device, restored if anything on it was changed."""
        lease = self._stock.lease_of(port_id)
        if lease is not None:
            self._give_back(lease, "")

    # -- plugging --------------------------------------------------------------------------------------------------

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:
        lease = self._stock.lease_of(port.id)
        if lease is None:
            raise DeviceError(f"port {port.id} has no device; start the container again")
        self._leases.put(msgspec.structs.replace(lease, endpoint_id=endpoint_id))
        return _record(port.vif_type, lease)

    def recover(self, port: Port) -> PlugRecord:
        """After the journal was lost: the device that the profile names, if the NIC is still set up for this port."""
        lease = self._stock.lease_of(port.id) or self._rebuilt(port.id, port.profile, port.mac_address, port.vnic_type)
        if lease is None:
            return PlugRecord(
                driver=self.name,
                binding="",
                port_id=port.id,
                vif_type=port.vif_type,
                host_ifname="",
                container_ifname="",
            )
        mac = port.mac_address if lease.rebuilt else ""
        return msgspec.structs.replace(_record(port.vif_type, lease), mac=mac)

    def _rebuilt(self, port_id: str, profile: Mapping[str, Any], mac: str, vnic_type: str) -> DeviceLease | None:
        """The lease that the device must have had, if the NIC proves that it is this port's.

        The proof is a VF's administrative MAC, or a PF's device with a name that only we give.
        """
        slot = named_slot(profile)
        if (
            not slot
            or self._is_forbidden(slot, vnic_type)
            or self._leases.get(slot) is not None
            or vnic_type not in _BINDINGS
        ):
            return None
        binding = self._pf if vnic_type == PHYSICAL else self._vf
        lease = DeviceLease(
            pci_address=slot,
            pf_address=slot,
            index=0,
            port_id=port_id,
            vnic_type=vnic_type,
            state="returning",
            generation="",
            temporary_name=names.device_name(port_id),
            rebuilt=True,
        )
        return binding.recognised(lease, mac)

    def _is_forbidden(self, slot: str, vnic_type: str) -> bool:
        """Whether the operator's configuration excludes the device that a profile names."""
        policy = self._settings
        if vnic_type == PHYSICAL:
            return not policy.allow_direct_physical
        vf = self._pci.virtual_function(slot)
        pf = self._pci.physical_function(vf.pf_address) if vf else None
        return bool(vf and pf and forbidden(vf, pf, policy))

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int) -> None:
        """Undoes its own work before it raises: the lease ends, or the device stays quarantined."""
        lease = self._leases.get(plug.pci_address)
        if lease is None or lease.port_id != port.id:
            raise DeviceError(f"port {port.id} has no device; start the container again")
        with Undo() as undo:
            undo.add(f"take VF or PF {lease.pci_address} back", lambda: self._take_back(lease))
            self._hand_over(msgspec.structs.replace(lease, endpoint_id=endpoint_id), port, mtu)

    def _take_back(self, lease: DeviceLease) -> None:
        self._give_back(self._leases.get(lease.pci_address) or lease, "")

    def _hand_over(self, lease: DeviceLease, port: Port, mtu: int) -> None:
        if lease.vnic_type == PHYSICAL:
            self._pf.hand_over(lease, vf_settings.vlan_of(port), mtu, self._leases.put)
        else:
            wanted = self._enforcer.first_settings(lease, port, mtu)
            lease = self._vf.prepare(lease, wanted, self._leases.put)
            if not in_user_space(lease.driver):
                (self._vf if lease.vnic_type == DIRECT else self._macvtap).hand_over(lease, mtu)
        lease = self._leases.get(lease.pci_address) or lease
        self._leases.put(msgspec.structs.replace(lease, state="leased"))

    # -- while it is in use ----------------------------------------------------------------------------------------

    def wait_for_carrier(self, plug: PlugRecord) -> None:
        self._enforcer.wait_for_carrier(plug)

    def note_ports(self, ports: Sequence[Port]) -> None:
        self._enforcer.note_ports(ports)

    def free_devices(self) -> Mapping[str, int]:
        return self._stock.free()

    def reapply(self, port_id: str) -> None:
        self._enforcer.reapply(port_id)

    def announce(self, plug: PlugRecord, sandbox: str, addresses: Sequence[str]) -> bool:
        return self._enforcer.announce(plug, sandbox, addresses)

    # -- giving back -----------------------------------------------------------------------------------------------

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:
        lease = self._of(plug)
        if lease is not None:
            self._give_back(lease, sandbox)

    def _of(self, plug: PlugRecord) -> DeviceLease | None:
        """The lease that a plug belongs to; ``None`` if it has ended, or the device is leased to another port."""
        lease = self._leases.get(plug.pci_address)
        if lease is None and plug.mac:
            profile = {"pci_slot": plug.pci_address}
            lease = self._rebuilt(plug.port_id, profile, plug.mac, _VNIC_TYPES[plug.binding])
        return lease if lease is not None and lease.port_id == plug.port_id else None

    def _give_back(self, lease: DeviceLease, sandbox: str) -> None:
        used = lease.used or lease.state == "leased"
        lease = msgspec.structs.replace(lease, state="returning", used=used, sandbox_key=sandbox or lease.sandbox_key)
        self._leases.put(lease)
        sandboxes = [lease.sandbox_key] if lease.sandbox_key else []
        touched = lease.rebuilt or lease.original_netdev is not None or lease.original_settings is not None
        wrong = self._give_back_of[lease.vnic_type](lease, sandboxes) if touched else ""
        if wrong:
            LOG.error("%s is quarantined: %s", lease.pci_address, wrong)
            self._leases.put(msgspec.structs.replace(lease, state="quarantined", reason=wrong))
        else:
            self._leases.drop(lease.pci_address)
            self._stock.ended(lease.port_id)

    def where(self, plug: PlugRecord) -> Whereabouts:
        """A VF whose device is in another namespace is in a container. A macvtap or VLAN device on the host is not.

        A VF bound to a user-space driver has no device that could be seen: it counts as used while it is leased.
        """
        lease = self._of(plug)
        if lease is None:
            return "gone"
        if in_user_space(lease.driver):
            return "container" if lease.state == "leased" else "gone"
        if self._netdevs.state(lease.temporary_name) is not None:
            return "host"
        device = self._pci.virtual_function(lease.pci_address) or self._pci.physical_function(lease.pci_address)
        if device is None:
            return "gone"
        moved = lease.vnic_type == DIRECT or (lease.vnic_type == PHYSICAL and not device.netdevs)
        return ("container" if device.netdev_elsewhere else "gone") if moved else "container"

    def repair(self, in_use: Callable[[], list[PlugRecord]]) -> None:
        """Nothing: see :meth:`reapply`."""

    def strays(self) -> list[PlugRecord]:
        """Every lease: the background gives back the devices whose port is gone, again and again until it succeeds."""
        return [_record("", lease) for lease in self._leases.all()]


def _record(vif_type: str, lease: DeviceLease) -> PlugRecord:
    return PlugRecord(
        driver=SriovDriver.name,
        binding=_BINDINGS[lease.vnic_type],
        port_id=lease.port_id,
        vif_type=vif_type,
        host_ifname="",
        container_ifname="" if in_user_space(lease.driver) else lease.temporary_name,
        pci_address=lease.pci_address,
    )
