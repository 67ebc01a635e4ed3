# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which VF (or PF) a container gets.

The operator configures which functions belong to which physical network (``physical_device_mappings``, ``device_spec``)
and which are not for us (``exclude_devices``). Without such configuration, as in the SR-IOV guide, every VF may be used
whose PF does not carry a default route, because the operator reaches the machine through that PF. A VF is free if it
has no lease, is not in quarantine, is named by no other port of this host, and its network device is in our namespace,
down, without addresses and without a master. A refusal counts the reasons, and says who holds the VFs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from kuryr_libnetwork.errors import Conflict, NoFreeDevice
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.model.settings import DevicePolicy
from kuryr_libnetwork.model.sriov import (
    Candidate,
    DeviceLease,
    DeviceRequest,
    PhysicalFunction,
    VirtualFunction,
    in_user_space,
)
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.device_spec import allowed_by, networks_of
from kuryr_libnetwork.text import shown

PHYSICAL = "direct-physical"

SWITCHDEV = (
    "in switchdev mode (hardware offload of Open vSwitch), which is not supported: devlink dev eswitch set … mode "
    "legacy"
)
UNSEEN = (
    "Neutron does not say which physical network its network is on, and [sriov] maps devices to physical networks: the "
    "network is on none, or the service's user lacks the role admin"
)


class FoundPf(Value, frozen=True):
    """A PF with its VFs, as they are now. ``in_use``: by PCI address, why a network device must not be touched."""

    pf: PhysicalFunction
    vfs: tuple[VirtualFunction, ...]
    default_route: bool = False
    in_use: dict[str, str] = {}


def physical_network(own: str, claimed: str, vnic_type: str, policy: DevicePolicy) -> str:
    """The physical network on which a port's device has to be; "" if it is unknown and no device is mapped to any.

    ``own``: the network's, as Neutron shows it (by default only to the role admin). ``claimed``: the port profile's.
    1. What Neutron shows; the profile must not contradict it. 2. "", if the operator has mapped no devices. 3. The
    profile's, which only the role service can write, if the operator has devices there. 4. The only one on which
    Neutron's agent on this host has devices, because it binds nothing else (except whole PFs, which it does not check).
    5. Refused: a device on another physical network would carry somebody else's VLAN.
    """
    if own:
        if claimed not in ("", own):
            raise Conflict(
                f"binding:profile says physical_network {shown(claimed)}, but the port's network is on {own}; correct "
                "the profile"
            )
        return own
    if not policy.speaks:
        return ""
    if claimed:
        if claimed in policy.networks:
            return claimed
        raise NoFreeDevice(f"binding:profile says physical_network {shown(claimed)}, on which this host has no device")
    if policy.agents_own and len(policy.networks) == 1 and vnic_type != PHYSICAL:
        return min(policy.networks)
    raise NoFreeDevice(
        "Neutron does not show on which physical network the port's network is, so no device is known to be on it: "
        "allow get_network:provider:physical_network to the service's role and create the Docker network again, or "
        "name it in the port's binding:profile (physical_network)"
    )


def wrong_kind(request: DeviceRequest, vf: VirtualFunction | None, pf: PhysicalFunction | None) -> str:
    """Why the named function is of the wrong kind for the request; "" if it is not.

    ``vf``, ``pf``: what exists at that address.
    """
    slot, whole = request.pci_slot, request.vnic_type == PHYSICAL
    if vf is not None and whole:
        return f"{slot} is a VF of PF {vf.pf_address}; a port of vnic_type {PHYSICAL} gets a whole PF (kuryr pf list)"
    if pf is not None and not whole:
        return f"{slot} is a PF; a port of vnic_type {request.vnic_type} gets one of its VFs (kuryr vf list)"
    if vf is None and pf is None:
        return f"there is no {'PF' if whole else 'VF'} {slot} on this host (kuryr {'pf' if whole else 'vf'} list)"
    return ""


def judge(
    request: DeviceRequest,
    found: Sequence[FoundPf],
    leases: Mapping[str, DeviceLease],
    named_by: Mapping[str, str],
    policy: DevicePolicy,
) -> list[Candidate]:
    """Every VF that the request may mean, with the reasons against it.

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
    named_by: Mapping[str, str],
    policy: DevicePolicy,
) -> FoundPf:
    """The PF for ``direct-physical``: only if the operator allows it, and never one that is in use.

    Whoever has a PF controls all its VFs.
    """
    if not policy.allow_direct_physical:
        raise NoFreeDevice("vnic_type direct-physical: not allowed on this host ([sriov] allow_direct_physical)")
    reasons = []
    for each in found:
        if not _pf_asked_for(request, each, policy):
            continue
        reason = _pf_reason(request, each, leases, named_by, policy)
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
    """The id of the port that has the VF, by a lease of ours or by the port's profile."""
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
        reasons.append("its PF is given to a container")
    if each.default_route and not policy.speaks:
        reasons.append("its PF carries a default route, and [sriov] physical_device_mappings does not name it")
    reasons.extend(forbidden(vf, each.pf, policy))
    networks = networks_of(each.pf, policy.mappings, policy.specs, vf)
    if policy.speaks and request.physical_network not in networks:
        told = f"its PF {'/'.join(each.pf.netdevs)} is not mapped to {request.physical_network}"
        reasons.append(told if request.physical_network else UNSEEN)
    if each.pf.representors:
        reasons.append(f"its PF is {SWITCHDEV}")
    elif not each.pf.netdevs:
        reasons.append("its PF's network device is in another namespace, or has no driver")
    reasons.extend(_device_reasons(request, each, vf, policy) if lease is None else ())
    return reasons


def forbidden(vf: VirtualFunction, pf: PhysicalFunction, policy: DevicePolicy) -> list[str]:
    """Why the operator's configuration does not allow this VF for containers at all."""
    reasons = []
    if is_excluded(vf, pf, policy):
        reasons.append("excluded by exclude_devices")
    if policy.specs and allowed_by(policy.specs, vf, pf) is None:
        reasons.append("not in device_spec")
    return reasons


def is_excluded(vf: VirtualFunction, pf: PhysicalFunction, policy: DevicePolicy) -> bool:
    return any(vf.pci_address in policy.exclusions.get(name, ()) for name in pf.netdevs)


def _device_reasons(request: DeviceRequest, each: FoundPf, vf: VirtualFunction, policy: DevicePolicy) -> list[str]:
    if in_user_space(vf.driver):
        reason = _user_space_reason(request, policy)
        return [f"bound to {vf.driver}{reason}"] if reason else []
    if vf.netdev_elsewhere:
        return ["its network device is in another namespace"]
    if not vf.netdevs:
        return ["has no network driver (kuryr vf repair PCI)"]
    if len(vf.netdevs) > 1:
        return [f"has several network devices ({', '.join(vf.netdevs)})"]
    reason = each.in_use.get(vf.pci_address, "")
    return [reason] if reason else []


def _user_space_reason(request: DeviceRequest, policy: DevicePolicy) -> str:
    """A VF in user space has no network device: a container that does not name it would have no network."""
    if not policy.allow_vfio:
        return " ([sriov] allow_vfio)"
    if request.vnic_type != "direct":
        return f", of no use for {request.vnic_type}"
    return "" if request.pci_slot else ", given out only if named (kuryr.pci_slot)"


def _pf_asked_for(request: DeviceRequest, each: FoundPf, policy: DevicePolicy) -> bool:
    if request.pci_slot:
        return each.pf.pci_address == request.pci_slot
    if request.pf_name:
        return request.pf_name in each.pf.netdevs
    return request.physical_network in networks_of(each.pf, policy.mappings, policy.specs)


def _pf_reason(
    request: DeviceRequest,
    each: FoundPf,
    leases: Mapping[str, DeviceLease],
    named_by: Mapping[str, str],
    policy: DevicePolicy,
) -> str:
    if each.default_route:
        return "carries a default route"
    if each.pf.pci_address in leases:
        return f"is held by port {leases[each.pf.pci_address].port_id}"
    if each.pf.pci_address in named_by:
        return f"is held by port {named_by[each.pf.pci_address]}"
    uses = [(vf.pci_address, _use_of(vf, each, leases, named_by, policy)) for vf in each.vfs]
    used = [f"{address} {use}" for address, use in uses if use]
    if used:
        return f"has VFs in use ({', '.join(used)})"
    if each.pf.representors:
        return f"is {SWITCHDEV}"
    if len(each.pf.netdevs) != 1:
        return "has no network device here, or several"
    if policy.speaks and request.physical_network not in networks_of(each.pf, policy.mappings, policy.specs):
        return f"is not mapped to {request.physical_network}"
    return each.in_use.get(each.pf.pci_address, "")


def _use_of(
    vf: VirtualFunction,
    each: FoundPf,
    leases: Mapping[str, DeviceLease],
    named_by: Mapping[str, str],
    policy: DevicePolicy,
) -> str:
    """Who uses the VF and would lose it with its PF (a container, program, virtual machine, the host); "": nobody.

    A VF without a driver is unused. Not being listed in ``device_spec`` is no sign of use: it is about containers.
    """
    lease = leases.get(vf.pci_address)
    if lease is not None and lease.state == "quarantined":
        return f"is quarantined ({lease.reason})"
    if holder := _holder(vf, leases, named_by):
        return f"is held by port {holder}"
    if in_user_space(vf.driver):
        return f"is bound to {vf.driver}"
    if vf.netdev_elsewhere:
        return "has its network device in another namespace"
    if is_excluded(vf, each.pf, policy):
        return "is set aside by exclude_devices"
    return each.in_use.get(vf.pci_address, "")


def _refusal(request: DeviceRequest, candidates: Sequence[Candidate], *, blind: bool) -> str:
    if not candidates:
        what = f"VF {request.pci_slot}" if request.pci_slot else "VF"
        if blind:
            return f"no {what}{_where(request)}: {UNSEEN}"
        return (
            f"no {what}{_where(request)} on this host: none exists, or its PF is not mapped ([sriov] "
            "physical_device_mappings)"
        )
    held = [f"{each.vf.pci_address} by port {each.held_by}" for each in candidates if each.held_by]
    parts = [f"{len(held)} in use ({', '.join(held)})"] if held else []
    others = Counter("; ".join(each.reasons) for each in candidates if each.reasons and not each.held_by)
    parts += [f"{count} {reason}" for reason, count in sorted(others.items())]
    return f"no free VF{_where(request)}: {', '.join(parts)}"


def _where(request: DeviceRequest) -> str:
    on = f" on {request.physical_network}" if request.physical_network else ""
    return on + (f", PF {request.pf_name}" if request.pf_name else "")


def release_refusal(lease: DeviceLease | None, endpoints: Iterable[EndpointRecord]) -> str:
    """Why an operator may not release a device; "" if he may."""
    if lease is None:
        return "there is no lease of it"
    holder = next((each for each in endpoints if each.endpoint_id == lease.endpoint_id), None)
    if holder is not None and lease.state != "quarantined":
        return f"endpoint {lease.endpoint_id[:12]} of a container has it: docker rm, or docker network disconnect"
    return ""
