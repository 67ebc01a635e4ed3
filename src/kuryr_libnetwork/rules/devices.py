# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which VF (or PF) a container gets.

The operator says which functions belong to which physical network (``physical_device_mappings``, ``device_spec``) and which
are not for us (``exclude_devices``). Without a word from him, as in the SR-IOV guide, every VF may be used whose PF does
not carry a default route: that PF is how the operator reaches the machine. Of what may be used, a VF is free when nothing
speaks against it: no lease, no quarantine, no other port of this host that names it, a network device that is here, down,
without addresses and without a master. A refusal counts what speaks against the others, and says who holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from kuryr_libnetwork.errors import NoFreeDevice
from kuryr_libnetwork.model import EndpointRecord, Value
from kuryr_libnetwork.rules.pci import DeviceSpec, allowed_by, networks_of
from kuryr_libnetwork.sriov import (
    Candidate,
    DeviceLease,
    DeviceRequest,
    PhysicalFunction,
    VirtualFunction,
    in_user_space,
)

UNSEEN = (
    "Neutron does not say which physical network its network is on, and [sriov] maps devices to physical networks: the network is on "
    "none, or the service's user lacks the role admin"
)


class DevicePolicy(Value, frozen=True):
    """What the operator allows (``[sriov]`` in kuryr.conf)."""

    mappings: dict[str, tuple[str, ...]] = {}
    exclusions: dict[str, frozenset[str]] = {}
    specs: tuple[DeviceSpec, ...] = ()
    allow_vfio: bool = False
    allow_direct_physical: bool = False
    selection: Literal["spread", "pack"] = "spread"

    @property
    def speaks(self) -> bool:
        """Whether the operator said anything about which device belongs where."""
        return bool(self.mappings or self.specs)


class FoundPf(Value, frozen=True):
    """A PF with its VFs, as they are now. ``in_use``: per PCI address, why its network device must not be touched."""

    pf: PhysicalFunction
    vfs: tuple[VirtualFunction, ...]
    default_route: bool = False
    in_use: dict[str, str] = {}


def judge(
    request: DeviceRequest,
    found: Sequence[FoundPf],
    leases: Mapping[str, DeviceLease],
    named_by: Mapping[str, str],
    policy: DevicePolicy,
) -> list[Candidate]:
    """Every VF that the request is about, with what speaks against it.

    ``named_by``: PCI address -> Neutron port of this host whose profile names it.
    """
    judged = []
    for each in found:
        for vf in each.vfs:
            if _asked_for(request, each, vf, policy):
                held = _holder(vf, leases, named_by)
                reasons = tuple(_reasons(request, each, vf, leases, policy))
                judged.append(Candidate(vf=vf, pf=each.pf, held_by=held, reasons=reasons))
    return judged


def choose(request: DeviceRequest, candidates: Sequence[Candidate], policy: DevicePolicy) -> Candidate:
    """The VF to take; raises :class:`~kuryr_libnetwork.errors.NoFreeDevice`.

    1. Those on the wanted NUMA node come first. 2. ``spread``: from the PF with the most free VFs; ``pack``: with the
    fewest. 3. The PF with the lowest address. 4. The lowest index.
    """
    free = [each for each in candidates if not each.held_by and not each.reasons]
    if not free:
        raise NoFreeDevice(_refusal(request, candidates, blind=policy.speaks and not request.physical_network))
    room = Counter(each.pf.pci_address for each in free)
    direction = -1 if policy.selection == "spread" else 1

    def order(each: Candidate) -> tuple[bool, int, str, int]:
        elsewhere = request.numa_node is not None and each.vf.numa_node != request.numa_node
        return elsewhere, direction * room[each.pf.pci_address], each.pf.pci_address, each.vf.index

    return min(free, key=order)


def choose_pf(
    request: DeviceRequest,
    found: Sequence[FoundPf],
    leases: Mapping[str, DeviceLease],
    policy: DevicePolicy,
) -> FoundPf:
    """The PF for ``direct-physical``. Only where the operator allows it, and never one that anybody uses."""
    if not policy.allow_direct_physical:
        raise NoFreeDevice("vnic_type direct-physical: not allowed on this host ([sriov] allow_direct_physical)")
    reasons = []
    for each in found:
        if not _pf_asked_for(request, each, policy):
            continue
        reason = _pf_reason(each, leases)
        if not reason:
            return each
        reasons.append(f"{each.pf.pci_address} {reason}")
    none = (
        "none is mapped or none exists" if request.physical_network or request.pf_name or request.pci_slot else UNSEEN
    )
    raise NoFreeDevice(f"no free PF{_where(request)}: {'; '.join(reasons) or none}")


def _asked_for(request: DeviceRequest, each: FoundPf, vf: VirtualFunction, policy: DevicePolicy) -> bool:
    if request.pci_slot:
        return vf.pci_address == request.pci_slot
    if request.pf_name and request.pf_name not in each.pf.netdevs:
        return False
    if not policy.speaks:
        return not each.default_route
    return request.physical_network in networks_of(each.pf, policy.mappings, policy.specs, vf)


def _holder(vf: VirtualFunction, leases: Mapping[str, DeviceLease], named_by: Mapping[str, str]) -> str:
    """The port that has the VF: by a lease of ours, or by its profile."""
    lease = leases.get(vf.pci_address)
    if lease is not None and lease.state != "quarantined":
        return lease.port_id
    return named_by.get(vf.pci_address, "")


def _reasons(
    request: DeviceRequest,
    each: FoundPf,
    vf: VirtualFunction,
    leases: Mapping[str, DeviceLease],
    policy: DevicePolicy,
) -> list[str]:
    lease, reasons = leases.get(vf.pci_address), []
    if lease is not None and lease.state == "quarantined":
        reasons.append(f"quarantined ({lease.reason})")
    if each.pf.pci_address in leases:
        reasons.append("its PF is given away")
    if each.default_route:
        reasons.append("its PF carries a default route")
    if any(vf.pci_address in policy.exclusions.get(name, ()) for name in each.pf.netdevs):
        reasons.append("excluded by exclude_devices")
    if policy.specs and allowed_by(policy.specs, vf, each.pf) is None:
        reasons.append("not in device_spec")
    networks = networks_of(each.pf, policy.mappings, policy.specs, vf)
    if policy.speaks and request.physical_network not in networks:
        told = f"its PF {'/'.join(each.pf.netdevs)} is not mapped to {request.physical_network}"
        reasons.append(told if request.physical_network else UNSEEN)
    if not each.pf.netdevs:
        reasons.append("its PF's network device is in another namespace, or has no driver")
    reasons.extend(_device_reasons(request, each, vf, policy) if lease is None else ())
    return reasons


def _device_reasons(request: DeviceRequest, each: FoundPf, vf: VirtualFunction, policy: DevicePolicy) -> list[str]:
    if in_user_space(vf.driver):
        reason = _user_space_reason(request, policy)
        return [f"bound to {vf.driver}{reason}"] if reason else []
    if vf.netdev_elsewhere:
        return ["its network device is in another namespace"]
    if not vf.netdevs:
        return ["has no network driver (kuryr vf repair)"]
    if len(vf.netdevs) > 1:
        return [f"has several network devices ({', '.join(vf.netdevs)})"]
    reason = each.in_use.get(vf.pci_address, "")
    return [reason] if reason else []


def _user_space_reason(request: DeviceRequest, policy: DevicePolicy) -> str:
    """It comes without a network device: only for who names it, or his container would have no network."""
    if not policy.allow_vfio:
        return " ([sriov] allow_vfio)"
    if request.vnic_type != "direct":
        return f", of no use for {request.vnic_type}"
    return "" if request.pci_slot else ", given out only to who names it (kuryr.pci_slot)"


def _pf_asked_for(request: DeviceRequest, each: FoundPf, policy: DevicePolicy) -> bool:
    if request.pci_slot:
        return each.pf.pci_address == request.pci_slot
    if request.pf_name:
        return request.pf_name in each.pf.netdevs
    mapped = policy.mappings.get(request.physical_network, ())
    return bool(set(mapped) & set(each.pf.netdevs))


def _pf_reason(each: FoundPf, leases: Mapping[str, DeviceLease]) -> str:
    if each.default_route:
        return "carries a default route"
    if each.pf.pci_address in leases:
        return f"is held by port {leases[each.pf.pci_address].port_id}"
    used = [vf.pci_address for vf in each.vfs if vf.pci_address in leases]
    if used:
        return f"has {len(used)} VFs in use"
    if len(each.pf.netdevs) != 1:
        return "has no network device here, or several"
    return each.in_use.get(each.pf.pci_address, "")


def _refusal(request: DeviceRequest, candidates: Sequence[Candidate], *, blind: bool) -> str:
    if not candidates:
        what = f"VF {request.pci_slot}" if request.pci_slot else "VF"
        if blind:
            return f"no {what}{_where(request)}: {UNSEEN}"
        return f"no {what}{_where(request)} on this host: none exists, or its PF is not mapped ([sriov] physical_device_mappings)"
    held = [f"{each.vf.pci_address} by port {each.held_by}" for each in candidates if each.held_by]
    parts = [f"{len(held)} in use ({', '.join(held)})"] if held else []
    others = Counter("; ".join(each.reasons) for each in candidates if each.reasons and not each.held_by)
    parts += [f"{count} {reason}" for reason, count in sorted(others.items())]
    return f"no free VF{_where(request)}: {', '.join(parts)}"


def _where(request: DeviceRequest) -> str:
    on = f" on {request.physical_network}" if request.physical_network else ""
    return on + (f", PF {request.pf_name}" if request.pf_name else "")


def release_refusal(lease: DeviceLease | None, endpoints: Iterable[EndpointRecord]) -> str:
    """Why an operator may not have a device put back; "" when nothing speaks against it."""
    if lease is None:
        return "there is no lease of it"
    holder = next((each for each in endpoints if each.endpoint_id == lease.endpoint_id), None)
    if holder is not None and lease.state != "quarantined":
        return f"endpoint {lease.endpoint_id[:12]} of a container has it: docker rm, or docker network disconnect"
    return ""
