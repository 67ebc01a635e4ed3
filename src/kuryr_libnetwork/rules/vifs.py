# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How the host's end of a container's interface is attached, by what Neutron says of the port (``binding:vif_type``).

Upstream ran a script ``<bindir>/<vif_type>`` for each, and installed ``ovs``, ``bridge`` and ``tap`` there itself.
These three are done by the service; should an old installation still have those scripts, nothing of it changes. A
script is run for what the service does not know, and for what the operator names in ``[binding] script_vif_types``.
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
"""How Neutron's agent names the bridge of a trunk."""
BUILT_IN = ("ovs", "bridge", "tap")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""What may be a script's name: it comes from Neutron, and must not lead out of ``bindir``."""
UNUSABLE = {
    "vhostuser": "a socket for a virtual machine or a DPDK program, and no interface that a container can get",
    "hw_veb": "a Virtual Function, which takes vnic_type direct or macvtap and the port driver sriov",
    "hostdev_physical": "a whole PCI device, which takes vnic_type direct-physical and the port driver sriov",
}


def attachment_of(port: Port, preferred: Collection[str], *, has_script: bool) -> Attachment:
    """``preferred``: for which vif types the operator's script counts; ``has_script``: there is one for this type.

    1. Named by the operator: his script, and nothing else. 2. ``ovs``: into the bridge of Open vSwitch, or through a
       bridge
    of Linux where the agent's firewall works with iptables. 3. ``bridge``: into the network's bridge. 4. ``tap``:
    nowhere, the host routes. 5. Anything else: the script, if there is one. 6. Refused, with the reason.
    """
    vif_type = port.vif_type
    if vif_type in preferred:
        if not has_script:
            raise UnsupportedVif(
                f"port {port.id} has binding:vif_type {vif_type}, which is named in [binding] script_vif_types, but "
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
    """Whether the interface gets its VLAN in Open vSwitch from Neutron's agent, and must be cut off from all until
    then.

    ML2/OVN tells networks apart by flows: there nobody would end an isolation. Neutron names who bound the port from
    release 20 on, and of that release is the first agent that ends one. In the bridge of a trunk the agent gives the
    VLAN to the patch port, not to the parent's own interface (os-vif bug 2069543).
    """
    return OVS_AGENT in bound_drivers(port) and not bridge.startswith(TRUNK_BRIDGE)


def bound_drivers(port: Port) -> list[Any]:
    """The mechanism drivers of ML2 that bound the port; none where Neutron does not say so."""
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
    """Upstream's form, which its scripts look into with grep: a Python dict within double quotes, or the word
    ``None``.
    """
    return f'"{details!r}"' if details else "None"


def _reason(vif_type: str) -> str:
    if vif_type in UNUSABLE:
        return UNUSABLE[vif_type]
    return f"known are {', '.join(BUILT_IN)}; for others an executable {vif_type} has to be in bindir"
