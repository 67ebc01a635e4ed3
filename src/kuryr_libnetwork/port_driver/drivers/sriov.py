# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port driver ``sriov``: ports of vnic_type direct, macvtap and direct-physical.

A device is leased before its port is bound, for the binding names it (``binding:profile``). The lease stands in the journal
from then until the device is verified to be as it was; one that cannot be verified is quarantined and shown, never given
out again. A device is known by its PCI address, whatever it is called and wherever it is.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.binding.hostdev_physical import PfBinding
from kuryr_libnetwork.binding.hw_veb import RebindPolicy, UnsupportedPolicy, VfBinding
from kuryr_libnetwork.binding.macvtap import MacvtapBinding
from kuryr_libnetwork.errors import DeviceError, HostError, NoFreeDevice
from kuryr_libnetwork.interfaces import Table
from kuryr_libnetwork.interfaces_sriov import Netdevs, PciFunctions, VfControl
from kuryr_libnetwork.model import BindingRequest, PlugRecord, Port, QosRule, Value, Whereabouts
from kuryr_libnetwork.rules import names, vf_settings
from kuryr_libnetwork.rules.devices import DevicePolicy, FoundPf, choose, choose_pf, judge
from kuryr_libnetwork.rules.pci import required_pci
from kuryr_libnetwork.sriov import DeviceLease, DeviceRequest, PhysicalFunction, VirtualFunction

LOG = logging.getLogger(__name__)
DIRECT, MACVTAP, PHYSICAL = "direct", "macvtap", "direct-physical"
_BINDINGS = {DIRECT: VfBinding.name, MACVTAP: MacvtapBinding.name, PHYSICAL: PfBinding.name}


class SriovSettings(Value, frozen=True):
    """``carrier_timeout`` in seconds; ``allow_trust``: physical networks on which a port may be trusted."""

    policy: DevicePolicy
    rebind: RebindPolicy = "if-needed"
    unsupported: UnsupportedPolicy = "error"
    carrier_timeout: float = 5.0
    allow_trust: frozenset[str] = frozenset()


class SriovDriver:
    """Implements :class:`~kuryr_libnetwork.interfaces.PortDriver`."""

    name = "sriov"
    vnic_types = frozenset(_BINDINGS)
    bindings = frozenset(_BINDINGS.values())

    def __init__(
        self,
        *,
        leases: Table[DeviceLease],
        pci: PciFunctions,
        control: VfControl,
        netdevs: Netdevs,
        settings: SriovSettings,
        now: Callable[[], float],
    ) -> None:
        self._leases = leases
        self._pci = pci
        self._netdevs = netdevs
        self._settings = settings
        self._now = now
        self._vf = VfBinding(pci, control, netdevs, settings.rebind, settings.unsupported)
        self._macvtap = MacvtapBinding(netdevs, self._vf)
        self._pf = PfBinding(pci, netdevs)
        self._put_back: dict[str, Callable[[DeviceLease, Sequence[str]], str]] = {
            DIRECT: self._vf.put_back,
            MACVTAP: self._macvtap.put_back,
            PHYSICAL: self._pf.put_back,
        }
        self._choosing = threading.Lock()
        self._named_by: Mapping[str, str] = {}

    # -- before the binding ----------------------------------------------------------------------------------------

    def observe(self, ports: Sequence[Port]) -> None:
        """Which devices ports of this host name in their profile; told by the background, which lists them."""
        named = {str(port.profile["pci_slot"]).lower(): port.id for port in ports if port.profile.get("pci_slot")}
        self._named_by = named

    def reserve(self, request: BindingRequest) -> dict[str, Any]:
        """Lease a device for the port; answers what its binding has to say besides (``binding:profile``)."""
        vf_settings.check_vnic_type(request.vnic_type, request.profile)
        slot = vf_settings.requested_slot(request.profile) or request.pci_slot
        wanted = DeviceRequest(
            vnic_type=request.vnic_type,
            physical_network=request.physical_network,
            pci_slot=required_pci("pci_slot", slot) if slot else "",
            pf_name=request.pf_name,
            numa_node=request.numa_node,
        )
        with self._choosing:
            held = self._lease_of(request.port_id)
            if held is None:
                held = self._choose(request, wanted)
                self._leases.put(held)
        profile = self._profile(request, held)
        return {} if profile.items() <= request.profile.items() else {"binding:profile": {**request.profile, **profile}}

    def abandon(self, port_id: str) -> None:
        """Give back a device that was leased and never touched, or was touched and is to be put back."""
        lease = self._lease_of(port_id)
        if lease is not None:
            self._give_back(lease, "")

    def _choose(self, request: BindingRequest, wanted: DeviceRequest) -> DeviceLease:
        leases = {lease.pci_address: lease for lease in self._leases.all()}
        found = self._inventory(set(leases))
        policy = self._settings.policy
        named = {slot: port for slot, port in self._named_by.items() if port != request.port_id}
        if request.vnic_type == PHYSICAL:
            pf = choose_pf(wanted, found, leases, policy).pf
            return self._new_lease(request, pf.pci_address, pf.pci_address, 0)
        chosen = choose(wanted, judge(wanted, found, leases, named, policy), policy)
        return self._new_lease(request, chosen.vf.pci_address, chosen.pf.pci_address, chosen.vf.index)

    def _new_lease(self, request: BindingRequest, address: str, pf_address: str, index: int) -> DeviceLease:
        return DeviceLease(
            pci_address=address,
            pf_address=pf_address,
            index=index,
            port_id=request.port_id,
            vnic_type=request.vnic_type,
            state="taking",
            generation=secrets.token_hex(4),
            physical_network=request.physical_network,
            temporary_name=names.device_name(request.port_id),
            created_at=self._now(),
        )

    def _inventory(self, leased: set[str]) -> list[FoundPf]:
        return [self._look(pf, leased) for pf in self._pci.physical_functions()]

    def _look(self, pf: PhysicalFunction, leased: set[str]) -> FoundPf:
        vfs = tuple(self._pci.virtual_functions(pf.pci_address))
        devices: list[PhysicalFunction | VirtualFunction] = [pf, *vfs]
        in_use = {
            device.pci_address: self._use_of(device.netdevs[0])
            for device in devices
            if len(device.netdevs) == 1 and device.pci_address not in leased
        }
        used_pf = in_use.get(pf.pci_address, "")
        if used_pf == "is up":  # as it has to be for its VFs; no sign that anybody uses it himself
            in_use[pf.pci_address] = ""
        return FoundPf(pf=pf, vfs=vfs, default_route=self._netdevs.carries_default_route(pf.netdevs), in_use=in_use)

    def _use_of(self, name: str) -> str:
        try:
            return self._netdevs.in_use(name)
        except HostError as error:
            return str(error)

    def _profile(self, request: BindingRequest, lease: DeviceLease) -> dict[str, Any]:
        """The keys of the profile that name the device; those the user wrote himself need no second writing."""
        pf = self._pci.physical_function(lease.pf_address)
        if pf is None or not pf.netdevs:
            raise NoFreeDevice(f"PF {lease.pf_address} has no network device on this host")
        state = self._netdevs.state(pf.netdevs[0])
        mac = state.mac if state else ""
        if lease.vnic_type == PHYSICAL:
            return vf_settings.pf_profile({}, pf, request.physical_network, mac)
        vf = self._pci.virtual_function(lease.pci_address)
        if vf is None:
            raise NoFreeDevice(f"VF {lease.pci_address} has vanished")
        profile = vf_settings.vf_profile({}, vf, request.physical_network, mac)
        if vf_settings.requested_slot(request.profile):
            return {key: profile[key] for key in ("pci_vendor_info", "physical_network")}
        return profile

    # -- plugging --------------------------------------------------------------------------------------------------

    def plan(self, port: Port, endpoint_id: str) -> PlugRecord:
        lease = self._lease_of(port.id)
        if lease is None:
            raise DeviceError(f"port {port.id} has no device; start the container again")
        self._leases.put(msgspec.structs.replace(lease, endpoint_id=endpoint_id))
        return self._record(port.vif_type, lease)

    def recover(self, port: Port) -> PlugRecord:
        """Without a lease there is nothing of ours: the device named by the profile may be somebody else's by now."""
        lease = self._lease_of(port.id)
        empty = PlugRecord(
            driver=self.name, binding="", port_id=port.id, vif_type=port.vif_type, host_ifname="", container_ifname=""
        )
        return self._record(port.vif_type, lease) if lease else empty

    def _record(self, vif_type: str, lease: DeviceLease) -> PlugRecord:
        return PlugRecord(
            driver=self.name,
            binding=_BINDINGS[lease.vnic_type],
            port_id=lease.port_id,
            vif_type=vif_type,
            host_ifname="",
            container_ifname=lease.temporary_name,
            pci_address=lease.pci_address,
        )

    def plug(self, plug: PlugRecord, port: Port, endpoint_id: str, mtu: int, qos: Sequence[QosRule] = ()) -> None:
        """Undoes its own work before it raises: the lease ends, or stays quarantined."""
        lease = self._leases.get(plug.pci_address)
        if lease is None or lease.port_id != port.id:
            raise DeviceError(f"port {port.id} has no device; start the container again")
        done = False
        try:
            self._hand_over(msgspec.structs.replace(lease, endpoint_id=endpoint_id), port, mtu, qos)
            done = True
        finally:
            if not done:
                self._give_back(self._leases.get(lease.pci_address) or lease, "")

    def _hand_over(self, lease: DeviceLease, port: Port, mtu: int, qos: Sequence[QosRule]) -> None:
        if lease.vnic_type == PHYSICAL:
            self._pf.hand_over(lease, vf_settings.vlan_of(port), mtu, self._leases.put)
        else:
            trust = lease.physical_network in self._settings.allow_trust
            wanted = vf_settings.wanted_settings(port, qos, trust_allowed=trust)
            lease = self._vf.prepare(lease, wanted, self._leases.put)
            (self._vf if lease.vnic_type == DIRECT else self._macvtap).hand_over(lease, mtu)
        lease = self._leases.get(lease.pci_address) or lease
        self._leases.put(msgspec.structs.replace(lease, state="leased"))
        self._wait_for_carrier(lease)

    def _wait_for_carrier(self, lease: DeviceLease) -> None:
        """Bounded, and no reason to fail: the link may be down on purpose, or the cable not plugged yet."""
        if lease.wanted is not None and lease.wanted.link_state == "disable":
            return
        if not self._netdevs.wait_carrier(lease.temporary_name, self._settings.carrier_timeout):
            LOG.warning("%s of port %s has no carrier yet", lease.pci_address, lease.port_id)

    # -- giving back -----------------------------------------------------------------------------------------------

    def unplug(self, plug: PlugRecord, sandbox: str = "") -> None:
        lease = self._leases.get(plug.pci_address)
        if lease is not None and lease.port_id == plug.port_id:
            self._give_back(lease, sandbox)

    def _give_back(self, lease: DeviceLease, sandbox: str) -> None:
        lease = msgspec.structs.replace(lease, state="returning", sandbox_key=sandbox or lease.sandbox_key)
        self._leases.put(lease)
        sandboxes = [lease.sandbox_key] if lease.sandbox_key else []
        touched = lease.original_netdev is not None or lease.original_settings is not None
        wrong = self._put_back[lease.vnic_type](lease, sandboxes) if touched else ""
        if wrong:
            LOG.error("%s is quarantined: %s", lease.pci_address, wrong)
            self._leases.put(msgspec.structs.replace(lease, state="quarantined", reason=wrong))
        else:
            self._leases.drop(lease.pci_address)

    def where(self, plug: PlugRecord) -> Whereabouts:
        """A VF whose device is in another namespace is in a container. A macvtap or VLAN device is ours while it is here."""
        lease = self._leases.get(plug.pci_address)
        if lease is None or lease.port_id != plug.port_id:
            return "gone"
        if self._netdevs.state(lease.temporary_name) is not None:
            return "host"
        device = self._pci.virtual_function(lease.pci_address) or self._pci.physical_function(lease.pci_address)
        if device is None:
            return "gone"
        moved = lease.vnic_type == DIRECT or (lease.vnic_type == PHYSICAL and not device.netdevs)
        return ("container" if device.netdev_elsewhere else "gone") if moved else "container"

    def strays(self) -> list[PlugRecord]:
        """Every lease; of those whose port is gone the background then puts the device back, or tries again."""
        return [self._record("", lease) for lease in self._leases.all()]

    def _lease_of(self, port_id: str) -> DeviceLease | None:
        return next(
            (each for each in self._leases.all() if each.port_id == port_id and each.state != "quarantined"), None
        )
