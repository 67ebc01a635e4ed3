# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Translates a Neutron port into what the NIC must enforce for its VF, and into the port's ``binding:profile``.

Neutron's SR-IOV agent does not see a VF inside a container (docs/notes/sriov.md, "What Neutron's agent cannot see"), so
this service does what the agent would: it derives spoof check, trust, link state and rates from the port, as the agent
and Nova derive them, sets them, and sets them again when the port changes. VLAN and MAC were never the agent's work;
Nova and libvirt do that for virtual machines.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import UnsupportedVif
from kuryr_libnetwork.model.links import NO_MAC
from kuryr_libnetwork.model.neutron import Port, QosRule
from kuryr_libnetwork.model.sriov import (
    DeviceLease,
    LinkState,
    NetdevState,
    PhysicalFunction,
    VfSettings,
    VirtualFunction,
)
from kuryr_libnetwork.rules.device_profile import says_trusted
from kuryr_libnetwork.text import shown

MAX_VLAN = 4094
OURS = ("pci_vendor_info", "pci_slot", "physical_network", "pf_mac_address", "vf_num", "device_mac_address")
"""The keys that a binding writes into the profile and an unbinding removes; Nova's list (nova/network/neutron.py)."""
FACTORY = VfSettings(mac="", trust=False, link_state="auto", min_tx_rate=0, max_tx_rate=0)
"""A VF that nobody has set up yet. Whether spoof checking is on at first differs from driver to driver: left as
it is.
"""
SUPPORTED = ("normal", "direct", "macvtap", "direct-physical")
_REFUSED = {
    "virtio-forwarder": "it needs a vhost-user relay in Open vSwitch",
    "vdpa": "it needs a vDPA device and a virtual machine",
    "remote-managed": "the port belongs to a SmartNIC's own controller",
    "smart-nic": "it is for bare-metal machines",
    "baremetal": "it is for bare-metal machines",
    "accelerator-direct": "it needs Cyborg",
    "accelerator-direct-physical": "it needs Cyborg",
}
_NUMBER = re.compile(r"[0-9]{1,4}")


def check_vnic_type(vnic_type: str, profile: Mapping[str, Any]) -> None:
    """Refuse by name what this service does not do, with the reason."""
    if vnic_type not in SUPPORTED:
        reason = _REFUSED.get(vnic_type, "it is not known")
        raise UnsupportedVif(f"vnic_type {vnic_type} is not supported: {reason}; supported: {', '.join(SUPPORTED)}")
    capabilities = profile.get("capabilities")
    if isinstance(capabilities, list) and "switchdev" in capabilities:
        raise UnsupportedVif(
            "the port's profile asks for switchdev (hardware offload of Open vSwitch), which is not supported"
        )


def vlan_of(port: Port) -> int:
    """The VLAN of the binding: a string in ``vif_details``, "0" on flat networks.

    It is there whenever Neutron has bound a VF or PF; without it nobody knows which network the device would be on.
    """
    told = port.vif_details.get("vlan")
    text = str(told) if isinstance(told, str | int) else ""
    if not _NUMBER.fullmatch(text) or int(text) > MAX_VLAN:
        raise UnsupportedVif(f"port {port.id}: vif_details.vlan is '{shown(told)}'; it must be 0 to {MAX_VLAN}")
    return int(text)


def wanted_settings(port: Port, qos: Sequence[QosRule], *, trust_allowed: bool) -> VfSettings:
    """What the PF's driver is to enforce for the port. Without a QoS rule there is no rate limit."""
    rates = {rule.type: to_mbps(rule.max_kbps or rule.min_kbps or 0) for rule in qos if rule.direction == "egress"}
    return VfSettings(
        mac=port.mac_address.lower(),
        vlan=vlan_of(port),
        qos=0,
        spoofchk=port.port_security_enabled,
        trust=wants_trust(port) and trust_allowed,
        link_state=link_state(port),
        min_tx_rate=rates.get("minimum_bandwidth", 0),
        max_tx_rate=rates.get("bandwidth_limit", 0),
    )


def wants_trust(port: Port) -> bool:
    """The port's field ``trusted`` (extension port-trusted-vif), which only an admin writes and sees, else the
    profile's key.

    Neutron itself writes the key for who may not see the field.
    """
    return says_trusted(port.profile) if port.trusted is None else port.trusted


def is_trust_allowed(lease: DeviceLease, trusting: Collection[str]) -> bool:
    """Whether the VF may be trusted.

    1. Not where nobody knows on which physical network it is. 2. ``device_spec`` says it of the VF, as for Nova.
    3. ``trusting``: ``allow_trust`` says it of the physical network.
    """
    if not lease.physical_network:
        return False
    return lease.physical_network in trusting if lease.may_be_trusted is None else lease.may_be_trusted


def refusals(port: Port, lease: DeviceLease, trusting: Collection[str], mtu: int, pf: NetdevState) -> list[str]:
    """What a port asks for and cannot have on this host, each with what to do. ``mtu``: its network's, in bytes."""
    found = []
    if wants_trust(port) and not is_trust_allowed(lease, trusting):
        found.append(f"port {port.id} asks for trust, which {_no_trust(lease)}")
    if mtu > pf.mtu:
        found.append(f"the network's MTU {mtu} is above {pf.mtu} of PF {pf.name}: ip link set {pf.name} mtu {mtu}")
    return found


def _no_trust(lease: DeviceLease) -> str:
    network = lease.physical_network
    if lease.may_be_trusted is False and network:
        return f'the entry of [sriov] device_spec for {lease.pci_address} does not give it: it says "trusted": "false"'
    where = f"add {network} to it" if network else "nobody says on which physical network the VF is"
    return f"[sriov] allow_trust does not give it: {where}"


def link_state(port: Port) -> LinkState:
    """As Neutron's agent: disabled has precedence, then the uplink's state if it is to be propagated.

    Where the cloud has no such field the port says nothing, and the NIC's own default is left: many drivers know no
    other, and the agent's ``enable`` would only be refused there.
    """
    if not port.admin_state_up:
        return "disable"
    return "enable" if port.propagate_uplink_status is False else "auto"


def to_mbps(kbps: int) -> int:
    """Rounded as Neutron's agent rounds; what is less than one but more than nothing is one."""
    if 0 < kbps < 1000:
        return 1
    return (kbps + 500) // 1000


def vf_profile(existing: Mapping[str, Any], vf: VirtualFunction, physical_network: str, pf_mac: str) -> dict[str, Any]:
    """The profile of a port on a VF; the user's own keys stay, and so does a physical network that nobody knows
    better.
    """
    return {
        **existing,
        "pci_vendor_info": vf.pci_vendor_info,
        "pci_slot": vf.pci_address,
        **_wire(physical_network),
        "pf_mac_address": pf_mac,
        "vf_num": vf.index,
    }


def pf_profile(existing: Mapping[str, Any], pf: PhysicalFunction, physical_network: str, mac: str) -> dict[str, Any]:
    """The profile of a ``direct-physical`` port: Neutron gives the port the PF's MAC, which must stand here."""
    return {
        **existing,
        "pci_vendor_info": f"{pf.vendor_id}:{pf.device_id}",
        "pci_slot": pf.pci_address,
        **_wire(physical_network),
        "device_mac_address": mac,
    }


def _wire(physical_network: str) -> dict[str, str]:
    return {"physical_network": physical_network} if physical_network else {}


def without_ours(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The profile after unbinding a port whose device this service chose."""
    return {key: value for key, value in profile.items() if key not in OURS}


def restored(original: VfSettings) -> VfSettings:
    """What to set on a VF that comes back: what was there; a VF without an administrative MAC gets none again.

    The port's MAC left on it would make the PF unable to reach the port elsewhere
    (docs/notes/sriov.md, "MAC addresses").
    """
    return msgspec.structs.replace(original, mac=original.mac or NO_MAC)


def random_mac() -> str:
    """Locally administered, as the kernel gives it to a VF without one."""
    return "02:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))


TOGETHER = (("vlan", "qos"), ("trust",), ("spoofchk",), ("min_tx_rate", "max_tx_rate"), ("link_state",))
"""The settings of a VF but its MAC, in the order to set them; the two rates go in one message."""


def single_step(found: VfSettings, wanted: VfSettings, names: Sequence[str]) -> VfSettings | None:
    """What to apply so that these settings, and no others, become the wanted ones; ``None``: they are, as far
    as known.
    """
    values = {name: getattr(wanted, name) for name in names}
    known = {name: value for name, value in values.items() if None not in (value, getattr(found, name))}
    if all(value == getattr(found, name) for name, value in known.items()):
        return None
    return msgspec.structs.replace(VfSettings(mac=found.mac, vlan=found.vlan, qos=found.qos), **values)
