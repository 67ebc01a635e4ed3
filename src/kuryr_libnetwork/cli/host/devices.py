# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr pf …`` and ``kuryr vf …``."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.cli.application import Action, Table, cells
from kuryr_libnetwork.cli.host import boot_unit
from kuryr_libnetwork.cli.host.inventory import PfRow, VfRow, find_pf, find_vf, gather_pf, pf_rows, vf_rows
from kuryr_libnetwork.errors import Conflict, DeviceError
from kuryr_libnetwork.model.sriov import USER_SPACE_DRIVERS, VF_DRIVERS, DeviceLease, PhysicalFunction, VirtualFunction
from kuryr_libnetwork.protocol.routes import RELEASE_DEVICE
from kuryr_libnetwork.rules.devices import FoundPf, release_refusal
from kuryr_libnetwork.rules.pci import canonical_pci

PF_COLUMNS = ("Name", "PCI address", "Driver", "Device", "NUMA", "VFs", "VFs possible", "Physical networks", "Note")
VF_COLUMNS = (
    "PCI address",
    "PF",
    "Index",
    "Driver",
    "Network device",
    "State",
    "Note",
    "Port",
    "Endpoint",
    "Container",
    "Wanted",
    "Found",
)
BIND_TIMEOUT = 30.0
PF_STAYS_UP = frozenset({"bnxt_en"})
"""Drivers that create VFs only while the PF is up."""


class PfList(Table):
    """List the PFs of this host, with their VFs and the physical networks that they are mapped to."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:  # noqa: ARG002
        return PF_COLUMNS, [cells(row) for row in pf_rows(self.host)]


class VfList(Table):
    """List the VFs: free, leased, quarantined or unusable and why; the settings wanted for them and found at
    the NIC.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--pf", default="", help="Only those of this PF (name or PCI address).")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Any]]:
        address = find_pf(self.host, parsed_args.pf).pci_address if parsed_args.pf else ""
        return VF_COLUMNS, [cells(row) for row in vf_rows(self.host, address)]


assert len(PF_COLUMNS) == len(PfRow.__struct_fields__)
assert len(VF_COLUMNS) == len(VfRow.__struct_fields__)


# -- create ------------------------------------------------------------------------------------------------------


class VfCreate(Action):
    """Create VFs on a PF, set the PF up, and, with --persist, do the same at every boot.

    The kernel can only replace all VFs of a PF, so this is refused while one of them is in use. The PF is down
    meanwhile: VFs created while it is up may stay without a carrier.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("pf", metavar="PF", help="Name or PCI address.")
        parser.add_argument("--count", type=int, required=True, metavar="N", help="How many; 0 removes them.")
        parser.add_argument("--persist", action="store_true", help="Also write a systemd unit that does it at boot.")
        parser.add_argument("--keep-up", action="store_true", help="Do not take the PF down (it carries addresses).")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        host, count = self.host, parsed_args.count
        pf = find_pf(host, parsed_args.pf)
        if pf.num_vfs == count:
            self.say(f"{pf.netdevs[0] if pf.netdevs else pf.pci_address} has {count} VFs already: nothing changed")
        else:
            self._create(gather_pf(host, pf), count, parsed_args.keep_up or pf.driver in PF_STAYS_UP)
        if parsed_args.persist:
            for line in boot_unit.install(host, pf, count, keep_up=parsed_args.keep_up):
                self.say(line)

    def _create(self, found: FoundPf, count: int, keep_up: bool) -> None:
        host, pf = self.host, found.pf
        used = host.netdevs.in_use(pf.netdevs[0]) if pf.netdevs else ""
        reason = create_refusal(found, count, host.leases(), "" if keep_up else used)
        if reason:
            raise Conflict(f"no VFs made on {pf.pci_address}: {reason}")
        name = pf.netdevs[0]
        if pf.driver in PF_STAYS_UP and not used:
            host.netdevs.configure(name, up=True)
        if not keep_up:
            host.netdevs.configure(name)
            self.say(f"{name} is down")
        try:
            host.pci.set_num_vfs(pf.pci_address, count)
            self.say(f"{name} ({pf.pci_address}) has {count} VFs; it had {pf.num_vfs}")
        finally:
            if not keep_up:
                host.netdevs.configure(name, up=True)
        self._tell_carrier(name)

    def _tell_carrier(self, name: str) -> None:
        limit = self.host.settings.sriov.carrier_timeout
        carrier = self.host.netdevs.wait_carrier(name, limit)
        self.say(
            f"{name} is up" + ("" if carrier else f", but has no carrier after {limit:g} s: is a cable plugged in?")
        )


def create_refusal(found: FoundPf, count: int, leases: Mapping[str, DeviceLease], pf_used: str) -> str:
    """Why the number of VFs must not be changed now; "" if it may be.

    A lease of a VF that does not exist (after a reboot) does not count: the service ends it.
    """
    pf = found.pf
    if not 0 <= count <= pf.total_vfs:
        return f"it can have 0 to {pf.total_vfs} VFs, not {count}"
    if not pf.netdevs:
        return "its network device is in another namespace" if pf.netdev_elsewhere else "it has no network driver"
    busy = [f"{vf.pci_address} {why}" for vf in found.vfs if (why := _busy(found, vf, leases))]
    if busy:
        return f"all VFs would be replaced, and {len(busy)} in use: {'; '.join(busy)}"
    if found.vfs and pf.pci_address in leases:
        return f"it is itself given to port {leases[pf.pci_address].port_id}"
    if pf_used not in ("", "is up"):
        return f"{pf.netdevs[0]} {pf_used}, and would be down meanwhile; --keep-up leaves it up"
    return ""


def _busy(found: FoundPf, vf: VirtualFunction, leases: Mapping[str, DeviceLease]) -> str:
    lease = leases.get(vf.pci_address)
    if lease is not None:
        return f"is {lease.state} (port {lease.port_id})"
    if vf.netdev_elsewhere:
        return "has its network device in another namespace"
    if vf.driver in USER_SPACE_DRIVERS:
        return f"is bound to {vf.driver}"
    return found.in_use.get(vf.pci_address, "")


# -- repair ------------------------------------------------------------------------------------------------------


class VfRepair(Action):
    """Unbind a VF from its driver and bind it again, which resets it and brings back a lost network device."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("pci", metavar="PCI", help="PCI address of the VF.")
        parser.add_argument(
            "--driver", default="", help="Give it to this driver instead of the one it has; vfio-pci: for a program."
        )
        parser.add_argument(
            "--lost", action="store_true", help="Also if its network device is in a namespace that is not ours."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        host = self.host
        vf = find_vf(host, parsed_args.pci)
        siblings = host.pci.virtual_functions(vf.pf_address)
        used = "; ".join(reason for reason in map(host.netdevs.in_use, vf.netdevs) if reason)
        reason = repair_refusal(vf, host.leases().get(vf.pci_address), used, lost=parsed_args.lost)
        if reason:
            raise Conflict(f"VF {vf.pci_address} is not repaired: {reason}")
        driver = parsed_args.driver or repair_driver(vf, siblings, host.pci.physical_function(vf.pf_address))
        host.pci.unbind(vf.pci_address)
        try:
            name = host.pci.bind(vf.pci_address, driver, BIND_TIMEOUT)
        except DeviceError as error:
            if vf.driver in ("", driver):
                raise
            host.pci.bind(vf.pci_address, vf.driver, BIND_TIMEOUT)
            raise DeviceError(f"{error}; it has its driver {vf.driver} again") from error
        has = f"its network device is {name}" if name else "it has no network device: it is for a program"
        self.say(f"VF {vf.pci_address} was bound to driver {driver} again; {has}")


def repair_refusal(vf: VirtualFunction, lease: DeviceLease | None, used: str, *, lost: bool) -> str:
    if lease is not None and lease.state != "quarantined":
        return f"it is {lease.state} (port {lease.port_id}, endpoint {lease.endpoint_id[:12] or 'none yet'})"
    if used:
        return f"{'/'.join(vf.netdevs)} {used}"
    if vf.driver in USER_SPACE_DRIVERS:
        return f"it is bound to {vf.driver}, perhaps for a virtual machine"
    if vf.netdev_elsewhere and lease is None and not lost:
        return "its network device is in another namespace; if no container there needs it, say --lost"
    return ""


def repair_driver(vf: VirtualFunction, siblings: Collection[VirtualFunction], pf: PhysicalFunction | None) -> str:
    """The VF's driver, else that of other VFs of its PF, else the VF driver that belongs to the PF's driver."""
    drivers = sorted({each.driver for each in siblings if each.driver} - USER_SPACE_DRIVERS)
    usual = VF_DRIVERS.get(pf.driver, pf.driver) if pf else ""
    driver = vf.driver or (drivers[0] if len(drivers) == 1 else usual)
    if not driver:
        raise DeviceError(f"VF {vf.pci_address} has no driver; say which by --driver")
    return driver


# -- release -----------------------------------------------------------------------------------------------------


class VfRelease(Action):
    """Give back a VF or PF that no container uses, or retry one in quarantine.

    The service does it at once. While it is stopped, the request is written into its journal, and done at its next
    start.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("pci", metavar="PCI", help="PCI address of the VF or PF.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        host, address = self.host, canonical_pci(parsed_args.pci)
        view = host.look()
        lease = next((each for each in view.devices if each.pci_address == address), None)
        reason = release_refusal(lease, view.endpoints)
        if reason or lease is None:
            raise Conflict(f"{parsed_args.pci} is not released: {reason}")
        if host.service_runs():
            host.ask(RELEASE_DEVICE, {"PciAddress": lease.pci_address})
            self.say(f"{lease.pci_address} is as it was, and free")
            return
        with host.journal() as journal:
            journal.devices.put(msgspec.structs.replace(lease, state="returning", reason=""))
        self.say(f"{lease.pci_address} will be restored and checked when the service starts")
