# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How the host's end of a container's interface is attached, depending on the port's ``binding:vif_type``.

Upstream ran a script ``<bindir>/<vif_type>`` for each type, and installed ``ovs``, ``bridge`` and ``tap``. The service
does these three itself, even if scripts of an old installation exist. It runs a script for types that it does not know,
and for those that the operator lists in ``[binding] script_vif_types``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from kuryr_libnetwork.errors import UnsupportedVif
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import Attachment
from kuryr_libnetwork.text import shown

OVS_AGENT = "openvswitch"
"""The mechanism driver of ML2/OVS, as ``vif_details.bound_drivers`` names it."""
OVN = "ovn"
"""That of ML2/OVN."""
TRUNK_BRIDGE = "tbr-"
"""The prefix of the name that Neutron's agent gives a trunk's bridge."""
BUILT_IN = ("ovs", "bridge", "tap")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""Valid script names: they come from Neutron, and must not lead out of ``bindir``."""
UNUSABLE = {
    "vhostuser": "a socket for a virtual machine or a DPDK program, and no interface that a container can get",
    "hw_veb": "a Virtual Function, which takes vnic_type direct or macvtap and the port driver sriov",
    "hostdev_physical": "a whole PCI device, which takes vnic_type direct-physical and the port driver sriov",
}


def attachment_of(port: Port, preferred: Collection[str], *, has_script: bool) -> Attachment:
    """``preferred``: vif types for which the operator prefers his script; ``has_script``: there is one for this type.

    1. Listed by the operator: his script, and nothing else. 2. ``ovs``: the bridge of Open vSwitch, with a Linux bridge
    in between if the agent's firewall uses iptables. 3. ``bridge``: the network's bridge. 4. ``tap``: nothing, the host
    routes. 5. Any other: the script, if there is one. 6. Refused, with the reason.
    """
    vif_type = port.vif_type
    if vif_type in preferred:
        if not has_script:
            raise UnsupportedVif(
                f"port {port.id} has binding:vif_type {vif_type}, which is listed in [binding] script_vif_types, but "
                f"there is no executable of that name in bindir"
            )
        return "script"
    if vif_type == "ovs":
        return "hybrid" if port.vif_details.get("ovs_hybrid_plug") else "ovs"
    if vif_type == "bridge":
        return "bridge"
    if vif_type == "tap":
        return "none"
    if has_script:
        return "script"
    raise UnsupportedVif(f"port {port.id} has binding:vif_type {vif_type}: {_reason(vif_type)}")


def starts_isolated(port: Port, bridge: str) -> bool:
    """Whether the interface must be isolated until Neutron's agent sets its VLAN in Open vSwitch.

    ML2/OVN separates networks by flows, so nobody would end the isolation. Neutron tells which driver bound a port
    since release 20, the first whose agent ends an isolation. In a trunk's bridge the agent sets the VLAN on the patch
    port, not on the parent's interface (os-vif bug 2069543).
    """
    return OVS_AGENT in bound_drivers(port) and not bridge.startswith(TRUNK_BRIDGE)


def bound_drivers(port: Port) -> list[Any]:
    """The ML2 mechanism drivers that bound the port; empty if Neutron does not tell."""
    told = port.vif_details.get("bound_drivers")
    return list(told.values()) if isinstance(told, dict) else []


def bridge_of(port: Port, default: str) -> str:
    """The bridge of Open vSwitch that Neutron names, or ``default``."""
    told = port.vif_details.get("bridge_name") or default
    if not isinstance(told, str):
        raise UnsupportedVif(
            f"port {port.id}: vif_details.bridge_name is '{shown(told)}'; it must be the name of a bridge"
        )
    return told


def bind_arguments(port: Port, ifname: str, endpoint_id: str) -> tuple[str, ...]:
    """Upstream's order (docs/notes/upstream.md, "Binding scripts")."""
    return (
        "bind",
        port.id,
        ifname,
        endpoint_id,
        port.mac_address,
        port.network_id,
        port.project_id or "",
        details_argument(port.vif_details),
    )


def unbind_arguments(port: Port, ifname: str, endpoint_id: str) -> tuple[str, ...]:
    """The order differs from that of ``bind``."""
    details = details_argument(port.vif_details)
    return ("unbind", port.id, ifname, endpoint_id, port.mac_address, details, port.network_id)


def details_argument(details: dict[str, Any]) -> str:
    """Upstream's format, which its scripts grep: a Python dict in double quotes, or the word ``None``."""
    return f'"{details!r}"' if details else "None"


def _reason(vif_type: str) -> str:
    if vif_type in UNUSABLE:
        return UNUSABLE[vif_type]
    return f"known are {', '.join(BUILT_IN)}; for others an executable {vif_type} has to be in bindir"
