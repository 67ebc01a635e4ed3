# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``hostdev_physical``: a whole PF for one container.

On a flat network the PF's device itself moves into the container. On a VLAN network Neutron expects the user of the PF
to tag (docs/notes/sriov.md, "Whole PFs"): the PF stays on the host and is set up, and a VLAN device on it moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from kuryr_libnetwork.errors import DeviceError, LinkError
from kuryr_libnetwork.interfaces.sriov import Netdevs, PciFunctions
from kuryr_libnetwork.model.sriov import DeviceLease, NetdevState
from kuryr_libnetwork.rules import names
from kuryr_libnetwork.rules.host_ip import SILENT
from kuryr_libnetwork.rules.link_attributes import plain


class PfBinding:
    name = "hostdev_physical"

    def __init__(self, pci: PciFunctions, netdevs: Netdevs) -> None:
        self._pci = pci
        self._netdevs = netdevs

    def hand_over(self, lease: DeviceLease, vlan: int, mtu: int, save: Callable[[DeviceLease], None]) -> None:
        name = self._own_netdev(lease)
        state = lease.original_netdev or self._netdevs.state(name)
        save(msgspec.structs.replace(lease, original_netdev=state))
        if vlan:
            self._netdevs.configure(name, mtu=mtu, host_ip=SILENT, up=True)
            self._netdevs.delete(lease.temporary_name)
            self._netdevs.create_vlan(name, lease.temporary_name, vlan, mtu, names.alias(lease.port_id))
        else:
            known = state.attributes if state else None
            self._netdevs.configure(
                name,
                new_name=lease.temporary_name,
                mtu=mtu,
                host_ip=SILENT,
                attributes=plain(known) if known else None,
                up=True,
            )

    def give_back(self, lease: DeviceLease, sandboxes: Sequence[str]) -> str:
        """As for a VF, but a PF is never rebound: a device that is in no known container has to be waited for."""
        state = lease.original_netdev
        if state is None and not lease.rebuilt:
            return ""
        try:
            return self._restore(lease, state, sandboxes)
        except (LinkError, DeviceError) as error:
            return str(error)

    def recognised(self, lease: DeviceLease, mac: str) -> DeviceLease | None:  # noqa: ARG002  - Neutron's rule, not ours
        """The rebuilt lease, if a device has the name that only we use, or the PF's own device is in a container."""
        pf = self._pci.physical_function(lease.pci_address)
        if pf is None or not (pf.netdev_elsewhere or self._netdevs.state(lease.temporary_name)):
            return None
        return msgspec.structs.replace(lease, driver=pf.driver)

    def _restore(self, lease: DeviceLease, state: NetdevState | None, sandboxes: Sequence[str]) -> str:
        pf = self._pci.physical_function(lease.pci_address)
        if pf is None:
            return ""
        if not pf.netdevs and not self._netdevs.fetch_from_sandbox(lease.pci_address, sandboxes, lease.temporary_name):
            return "its device is in another network namespace"
        name = self._own_netdev(lease)
        if name != lease.temporary_name:
            self._netdevs.delete(lease.temporary_name)  # the VLAN device
        if state is None:
            lost = f"its device's name was lost with the journal; rename {name}, then run: kuryr vf release"
            return f"{lost} {lease.pci_address}" if name == lease.temporary_name else ""
        self._netdevs.configure(
            name,
            new_name=state.name,
            mac=state.mac,
            mtu=state.mtu,
            host_ip=state.host_ip,
            attributes=state.attributes,
            up=state.up,
        )
        found = self._netdevs.state(state.name)
        return "" if state.is_again(found) else f"its device is {found}, not {state}"

    def _own_netdev(self, lease: DeviceLease) -> str:
        pf = self._pci.physical_function(lease.pci_address)
        if pf is None or len(pf.netdevs) != 1:
            raise DeviceError(f"PF {lease.pci_address} has no network device on this host, or several")
        return pf.netdevs[0]
