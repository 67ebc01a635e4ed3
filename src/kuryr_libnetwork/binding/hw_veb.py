# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``hw_veb``: the NIC's own switch forwards for a VF, whose network device moves into the container.

The order that gave the right MAC in every run (docs/notes/sriov.md, "MAC addresses"): while the VF is down or has no
driver, set VLAN, MAC, trust, spoof check, rates and link state at the PF; then check that the VF's own MAC agrees, and
rebind it if its driver did not follow. Everything that will change is read first; :meth:`VfBinding.give_back` restores
it, whatever the namespace and name of the VF's device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import DeviceError, LinkError, LinkNotFound
from kuryr_libnetwork.interfaces.sriov import Netdevs, PciFunctions, VfControl
from kuryr_libnetwork.model.links import NO_MAC
from kuryr_libnetwork.model.observed import Repaired, ignore
from kuryr_libnetwork.model.settings import Rebind, Unsupported
from kuryr_libnetwork.model.sriov import (
    MACVTAP,
    REFUSES_FOR_GOOD,
    DeviceLease,
    NetdevState,
    VfSettings,
    VirtualFunction,
    in_user_space,
    unchanged,
)
from kuryr_libnetwork.rules.host_ip import SILENT
from kuryr_libnetwork.rules.link_attributes import plain
from kuryr_libnetwork.rules.vf_settings import FACTORY, TOGETHER, random_mac, restored, single_step

LOG = logging.getLogger(__name__)
BIND_TIMEOUT = 10.0
"""Seconds that a driver may take to create a VF's network device."""
RENAMES = 3
"""How often to try again because a device was renamed between reading its name and using it."""


class VfBinding:
    """``save`` writes the lease; it is called with the originals before anything is changed."""

    name = "hw_veb"

    def __init__(
        self,
        pci: PciFunctions,
        control: VfControl,
        netdevs: Netdevs,
        rebind: Rebind,
        unsupported: Unsupported,
    ) -> None:
        self._pci = pci
        self._control = control
        self._netdevs = netdevs
        self._rebind = rebind
        self._unsupported = unsupported

    # -- taking ----------------------------------------------------------------------------------------------------

    def prepare(self, lease: DeviceLease, wanted: VfSettings, save: Callable[[DeviceLease], None]) -> DeviceLease:
        """Save the VF's state in its lease, then set it up as the port wants; answers the lease as saved."""
        vf = self._function(lease)
        pf_netdev = self.pf_netdev(lease)
        self._set_pf_up(pf_netdev)
        state = self._netdevs.state(vf.netdevs[0]) if vf.netdevs else None
        lease = msgspec.structs.replace(
            lease,
            original_netdev=lease.original_netdev or state,
            original_settings=lease.original_settings or self._control.read(pf_netdev, lease.index),
            wanted=wanted,
        )
        save(lease)
        if self._rebind == "always" and vf.netdevs:
            self._pci.unbind(lease.pci_address)
            self._apply(pf_netdev, lease.index, wanted)
            self._pci.bind(lease.pci_address, vf.driver, BIND_TIMEOUT)
        else:
            if vf.netdevs:
                self._netdevs.configure(vf.netdevs[0])
            self._apply(pf_netdev, lease.index, wanted)
        return lease

    def _set_pf_up(self, pf_netdev: str) -> None:
        """A VF has no carrier while its PF is down. The PF is not set down again: other VFs may use it by then."""
        state = self._netdevs.state(pf_netdev)
        if state is not None and not state.up:
            LOG.info("PF %s is down; setting it up for its VFs, without an IP of the host", pf_netdev)
            self._netdevs.set_up(pf_netdev)

    def _apply(self, pf_netdev: str, index: int, wanted: VfSettings) -> None:
        """MAC and VLAN must succeed. Other refusals of the NIC are errors, or warnings if the operator chose so."""
        try:
            self._control.apply(pf_netdev, index, wanted)
        except LinkError as error:
            if self._unsupported == "error":
                raise
            LOG.warning("VF %d of %s gets only its MAC and VLAN: %s", index, pf_netdev, error)
            self._control.apply(pf_netdev, index, VfSettings(mac=wanted.mac, vlan=wanted.vlan, qos=wanted.qos))

    def hand_over(self, lease: DeviceLease, mtu: int, new_name: str = "") -> None:
        """Give the VF's device its name (default: the temporary one), MAC and MTU, and set it up: errors show here.

        It is then on the container's network while still on the host, so the host gets no IP on it.
        """
        wanted = lease.wanted
        if wanted is None:
            raise DeviceError(f"VF {lease.pci_address} was not prepared")
        new_name = new_name or lease.temporary_name
        try:
            self._give(lease, new_name, wanted.mac, mtu, patient=self._is_patient(lease))
        except LinkError as error:
            if self._rebind == "never":
                raise
            LOG.info("VF %s does not take the port's MAC (%s); rebinding it", lease.pci_address, error)
            self._rebind_now(lease)
            self._give(lease, new_name, wanted.mac, mtu)

    def _give(self, lease: DeviceLease, new_name: str, mac: str, mtu: int, *, patient: bool = True) -> None:
        known = lease.original_netdev.attributes if lease.original_netdev else None
        attributes = plain(known) if known else None
        self._configure(
            lease, new_name=new_name, mac=mac, mtu=mtu, host_ip=SILENT, attributes=attributes, up=True, patient=patient
        )

    def _configure(self, lease: DeviceLease, **values: Any) -> None:
        """Tries again if the device was renamed: udev renames a new device at any moment."""
        for left in reversed(range(RENAMES)):
            try:
                return self._netdevs.configure(self._own_netdev(lease), **values)
            except LinkNotFound:
                if not left:
                    raise
        raise AssertionError

    # -- in use ----------------------------------------------------------------------------------------------------

    def enforce(self, lease: DeviceLease, wanted: VfSettings, repaired: Repaired = ignore) -> None:
        """Set at the PF what is not as wanted, each by itself: what the NIC cannot do keeps nothing else from being
        done.

        Never the MAC: a new one cuts off a container that runs, and the PF of a trusted VF shows what the container
        chose (docs/notes/sriov.md, "MAC addresses"). ``repaired`` is told of what was not as wanted.
        """
        pf_netdev, refused = self.pf_netdev(lease), []
        found = self._control.read(pf_netdev, lease.index)
        for names in TOGETHER:
            step = single_step(found, wanted, names)
            if step is None:
                continue
            try:
                found = self._control.apply(pf_netdev, lease.index, step)
                repaired("vf")
            except LinkError as error:
                refused.append(str(error))
        if refused:
            raise LinkError("; ".join(refused))

    # -- giving back -----------------------------------------------------------------------------------------------

    def recognised(self, lease: DeviceLease, mac: str) -> DeviceLease | None:
        """The rebuilt lease, if the VF is set up for the port's MAC. Its original state is taken to be a new VF's."""
        vf = self._pci.virtual_function(lease.pci_address)
        pf = self._pci.physical_function(vf.pf_address) if vf else None
        if vf is None or pf is None or not pf.netdevs:
            return None
        if self._control.read(pf.netdevs[0], vf.index).mac.lower() != mac.lower():
            return None
        return msgspec.structs.replace(
            lease, pf_address=pf.pci_address, index=vf.index, driver=vf.driver, original_settings=FACTORY
        )

    def give_back(self, lease: DeviceLease, sandboxes: Sequence[str]) -> str:
        """Restore everything; answers what is still wrong ("": the VF is as it was). Repeating it is harmless."""
        vf = self._pci.virtual_function(lease.pci_address)
        if vf is None:
            LOG.warning("VF %s no longer exists; there is nothing to restore", lease.pci_address)
            return ""
        try:
            if lease.rebuilt:
                return self._reset(lease, vf)
            if lease.used and lease.vnic_type == "direct" and self._rebind != "never" and lease.original_netdev:
                self._make_anew(lease, vf)
            else:
                self._fetch(lease, vf, sandboxes)
            return self._restore(lease)
        except (LinkError, DeviceError) as error:
            return str(error)

    def _reset(self, lease: DeviceLease, vf: VirtualFunction) -> str:
        """The original state is unknown: reset the VF to what its driver makes. A new device gets the kernel's name and
        a MAC of its own.
        """
        wrong = self._restore_settings(self.pf_netdev(lease), lease, restored(FACTORY))
        driver = vf.driver or lease.driver
        if driver and not in_user_space(driver):
            self._rebind_now(lease)
        return wrong

    def _make_anew(self, lease: DeviceLease, vf: VirtualFunction) -> None:
        """Replace the device that a container had: nothing else undoes all that ethtool can set.

        The settings at the PF are restored in between, for drivers that take a MAC only when they are bound.
        """
        if vf.driver:
            self._pci.unbind(lease.pci_address)
        try:
            if lease.original_settings is not None:
                self._restore_settings(self.pf_netdev(lease), lease, restored(lease.original_settings))
        finally:
            self._pci.bind(lease.pci_address, vf.driver or lease.driver, BIND_TIMEOUT)

    def _fetch(self, lease: DeviceLease, vf: VirtualFunction, sandboxes: Sequence[str]) -> None:
        """Fetch the device from a container's namespace; if it is not found, a rebind creates a new one here."""
        if vf.netdevs:
            return
        if vf.netdev_elsewhere and self._netdevs.fetch_from_sandbox(lease.pci_address, sandboxes, lease.temporary_name):
            return
        if lease.original_netdev is not None:
            LOG.info("VF %s is in no known container; rebinding it", lease.pci_address)
            self._rebind_now(lease)

    def _restore(self, lease: DeviceLease) -> str:
        pf_netdev = self.pf_netdev(lease)
        state = lease.original_netdev
        if state is not None:
            self._step_aside(lease)
        wrong = ""
        if lease.original_settings is not None:
            wrong = self._restore_settings(pf_netdev, lease, restored(lease.original_settings))
        if state is not None:
            self._restore_netdev(lease, state)
            if lease.original_settings is not None:  # some VFs have reported their MAC to the PF by now
                wrong = self._restore_settings(pf_netdev, lease, restored(lease.original_settings))
            found = self._netdevs.state(state.name)
            if not state.is_again(found):
                wrong = f"its device is {found}, not {state}"
        return wrong

    def _restore_settings(self, pf_netdev: str, lease: DeviceLease, settings: VfSettings) -> str:
        """On cards that cannot clear an administrative MAC it is set to the VF's own, which is unique, too."""
        try:
            found = self._control.apply(pf_netdev, lease.index, settings)
        except LinkError:
            if settings.mac != NO_MAC:
                raise
            own = lease.original_netdev.mac if lease.original_netdev else random_mac()
            settings = msgspec.structs.replace(settings, mac=own)
            found = self._control.apply(pf_netdev, lease.index, settings)
        return "" if unchanged(found, settings) else "its settings at the PF are not what they were"

    def _restore_netdev(self, lease: DeviceLease, state: NetdevState) -> None:
        try:
            self._put(lease, state, patient=self._is_patient(lease))
        except LinkError:
            if self._rebind == "never":
                raise
            self._rebind_now(lease)
            self._step_aside(lease)
            self._put(lease, state)

    def _step_aside(self, lease: DeviceLease) -> None:
        """Take the device off the name that the kernel chose at the bind: another VF may be waiting for it as its own,
        and this one for that of the other. The temporary name of a macvtap is that of the device on the VF.
        """
        self._configure(lease, new_name="" if lease.vnic_type == MACVTAP else lease.temporary_name)

    def _put(self, lease: DeviceLease, state: NetdevState, *, patient: bool = True) -> None:
        self._configure(
            lease,
            new_name=state.name,
            mac=state.mac,
            mtu=state.mtu,
            host_ip=state.host_ip,
            attributes=state.attributes,
            up=state.up,
            patient=patient,
        )

    # -- helpers ---------------------------------------------------------------------------------------------------

    def pf_netdev(self, lease: DeviceLease) -> str:
        pf = self._pci.physical_function(lease.pf_address)
        if pf is None or not pf.netdevs:
            raise DeviceError(f"PF {lease.pf_address} of VF {lease.pci_address} has no network device on this host")
        return pf.netdevs[0]

    def _function(self, lease: DeviceLease) -> VirtualFunction:
        vf = self._pci.virtual_function(lease.pci_address)
        if vf is None:
            raise DeviceError(f"VF {lease.pci_address} does not exist (any more)")
        return vf

    def _own_netdev(self, lease: DeviceLease) -> str:
        vf = self._function(lease)
        if len(vf.netdevs) != 1:
            raise DeviceError(f"VF {lease.pci_address} has {len(vf.netdevs)} network devices on this host, not one")
        return vf.netdevs[0]

    def _is_patient(self, lease: DeviceLease) -> bool:
        """Whether to try a refused MAC again for a while, rather than rebind at once."""
        return self._rebind == "never" or lease.driver not in REFUSES_FOR_GOOD

    def _rebind_now(self, lease: DeviceLease) -> str:
        """Without a driver, after a bind that failed, the VF gets the one that it had when it was leased."""
        driver = self._function(lease).driver
        if driver:
            self._pci.unbind(lease.pci_address)
        return self._pci.bind(lease.pci_address, driver or lease.driver, BIND_TIMEOUT)
