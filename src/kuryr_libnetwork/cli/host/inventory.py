# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of this host's PFs and VFs: the kernel's view, the journal's, and whether the service would
use them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from kuryr_libnetwork.cli.host.probes import Probes
from kuryr_libnetwork.cli.service_client import AdminClient
from kuryr_libnetwork.errors import DeviceError, EngineUnavailable, KuryrError
from kuryr_libnetwork.host.journal_view import JournalView
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.sriov import Netdevs, PciFunctions, VfControl
from kuryr_libnetwork.model.settings import DevicePolicy, Settings
from kuryr_libnetwork.model.sriov import (
    DeviceLease,
    DeviceRequest,
    PhysicalFunction,
    VfSettings,
    VirtualFunction,
    unchanged,
)
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.device_spec import networks_of
from kuryr_libnetwork.rules.devices import SWITCHDEV, FoundPf, judge
from kuryr_libnetwork.rules.pci import canonical_pci

UNITS = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Host:
    """All that the commands touch. ``look`` reads the journal, ``journal`` opens it for writing (while no service
    runs).

    ``ask`` calls the running service on Docker's socket, with path and body of the call. ``admin``: its admin socket.
    ``engine``: Docker's Engine API.
    """

    pci: PciFunctions
    control: VfControl
    netdevs: Netdevs
    settings: Settings
    look: Callable[[], JournalView]
    service_runs: Callable[[], bool]
    journal: Callable[[], AbstractContextManager[Journal]]
    ask: Callable[[str, Mapping[str, str]], object]
    probes: Probes
    admin: AdminClient
    engine: Engine | None = None
    units: Path = UNITS
    program: str = "/usr/local/bin/kuryr"
    config_words: tuple[str, ...] = ()
    root: Path = Path("/")

    def at(self, path: Path) -> Path:
        """A file of this machine; tests use a folder as the root."""
        return self.root / path.relative_to("/")

    def containers(self) -> dict[str, str]:
        """Container names by endpoint id; empty if Docker does not answer, so that a list still shows the rest."""
        try:
            return self.engine.view().containers if self.engine else {}
        except EngineUnavailable:
            return {}

    def leases(self) -> dict[str, DeviceLease]:
        return {lease.pci_address: lease for lease in self.look().devices}


class PfRow(Value, frozen=True):
    name: str
    pci_address: str
    driver: str
    device: str
    numa_node: int
    num_vfs: int
    total_vfs: int
    physical_networks: tuple[str, ...]
    note: str


class VfRow(Value, frozen=True):
    """``state``: that of the lease, else ``free`` or ``unusable``."""

    pci_address: str
    pf: str
    index: int
    driver: str
    netdev: str
    state: str
    note: str
    port: str
    endpoint: str
    container: str
    wanted: VfSettings | None
    found: VfSettings | None


def gather(host: Host) -> list[FoundPf]:
    """Every PF with its VFs; ``in_use`` is about VFs only."""
    return [gather_pf(host, pf) for pf in host.pci.physical_functions()]


def gather_pf(host: Host, pf: PhysicalFunction) -> FoundPf:
    vfs = tuple(host.pci.virtual_functions(pf.pci_address))
    uses = host.netdevs.uses(name for vf in vfs for name in vf.netdevs)
    in_use = {
        vf.pci_address: "; ".join(uses[name].reason for name in vf.netdevs if name in uses and uses[name].reason)
        for vf in vfs
    }
    return FoundPf(
        pf=pf,
        vfs=vfs,
        default_route=host.netdevs.carries_default_route(pf.netdevs),
        in_use={address: reason for address, reason in in_use.items() if reason},
    )


def find_pf(host: Host, text: str) -> PhysicalFunction:
    """The PF with this name or PCI address; raises :class:`~kuryr_libnetwork.errors.DeviceError` if there is none."""
    address = canonical_pci(text)
    known = host.pci.physical_functions()
    for pf in known:
        if pf.pci_address == address or text in pf.netdevs:
            return pf
    names = ", ".join("/".join((*pf.netdevs, pf.pci_address)) for pf in known) or "none"
    raise DeviceError(f"there is no PF {text} on this host; there are: {names}")


def find_vf(host: Host, text: str) -> VirtualFunction:
    vf = host.pci.virtual_function(canonical_pci(text) or text)
    if vf is None:
        raise DeviceError(f"there is no VF {text} on this host; kuryr vf list shows them")
    return vf


# -- rows --------------------------------------------------------------------------------------------------------


def pf_rows(host: Host) -> list[PfRow]:
    leases = host.leases()
    return [_pf_row(each, host.settings.sriov, leases) for each in gather(host)]


def _pf_row(each: FoundPf, policy: DevicePolicy, leases: Mapping[str, DeviceLease]) -> PfRow:
    pf = each.pf
    return PfRow(
        name="/".join(pf.netdevs),
        pci_address=pf.pci_address,
        driver=pf.driver,
        device=f"{pf.vendor_id}:{pf.device_id}",
        numa_node=pf.numa_node,
        num_vfs=pf.num_vfs,
        total_vfs=pf.total_vfs,
        physical_networks=tuple(sorted(_networks_of_pf(each, policy))),
        note=_pf_note(each, policy, leases),
    )


def _networks_of_pf(each: FoundPf, policy: DevicePolicy) -> set[str]:
    mapped = {name for name, devices in policy.mappings.items() if set(devices) & set(each.pf.netdevs)}
    return mapped.union(*(networks_of(each.pf, policy.mappings, policy.specs, vf) for vf in each.vfs))


def _pf_note(each: FoundPf, policy: DevicePolicy, leases: Mapping[str, DeviceLease]) -> str:
    lease = leases.get(each.pf.pci_address)
    if lease is not None:
        return f"{lease.state} as a whole to port {lease.port_id}"
    if each.pf.representors:
        return f"{SWITCHDEV}: its VFs are not given out"
    if each.pf.netdev_elsewhere:
        return "its network device is in another namespace"
    if not each.pf.netdevs:
        return "has no network driver"
    if each.default_route and not policy.speaks:
        return "carries a default route: its VFs are not given out"
    if policy.speaks and not _networks_of_pf(each, policy):
        return "not mapped: its VFs are not given out"
    return "" if each.vfs else "has no VFs: kuryr vf create"


def vf_rows(host: Host, pf_address: str = "") -> list[VfRow]:
    leases = host.leases()
    containers = host.containers() if leases else {}
    pfs = [each for each in gather(host) if pf_address in ("", each.pf.pci_address)]
    return [_vf_row(host, each, vf, leases, containers) for each in pfs for vf in each.vfs]


def _vf_row(
    host: Host, each: FoundPf, vf: VirtualFunction, leases: Mapping[str, DeviceLease], containers: Mapping[str, str]
) -> VfRow:
    lease, found = leases.get(vf.pci_address), _found_settings(host, each.pf, vf)
    note = _lease_note(lease, found) if lease else _obstacle(each, vf, leases, host.settings.sriov)
    return VfRow(
        pci_address=vf.pci_address,
        pf="/".join(each.pf.netdevs) or each.pf.pci_address,
        index=vf.index,
        driver=vf.driver,
        netdev="/".join(vf.netdevs) or ("(elsewhere)" if vf.netdev_elsewhere else ""),
        state=lease.state if lease else "unusable" if note else "free",
        note=note,
        port=lease.port_id if lease else "",
        endpoint=lease.endpoint_id if lease else "",
        container=containers.get(lease.endpoint_id, "") if lease else "",
        wanted=lease.wanted if lease else None,
        found=found,
    )


def _found_settings(host: Host, pf: PhysicalFunction, vf: VirtualFunction) -> VfSettings | None:
    """``None`` if the PF cannot be asked, so that a list still shows the rest."""
    try:
        return host.control.read(pf.netdevs[0], vf.index) if pf.netdevs else None
    except KuryrError:
        return None


def _lease_note(lease: DeviceLease, found: VfSettings | None) -> str:
    if lease.state == "leased" and lease.wanted and found and not unchanged(found, lease.wanted):
        return "the NIC's settings are not the wanted ones"
    return lease.reason


def _obstacle(each: FoundPf, vf: VirtualFunction, leases: Mapping[str, DeviceLease], policy: DevicePolicy) -> str:
    """Why the service would not give an unleased VF to a container."""
    networks = networks_of(each.pf, policy.mappings, policy.specs, vf)
    if policy.speaks and not networks:
        return "its PF is not mapped to a physical network"
    request = DeviceRequest(vnic_type="direct", physical_network=min(networks, default=""), pci_slot=vf.pci_address)
    return "; ".join(judge(request, [each], leases, {}, policy)[0].reasons)
