# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Trunks with the OVN trunk driver: the ports on a trunk are bound through it, without a host of their own."""

from __future__ import annotations

from typing import Any

from tests.fakes.neutron.store import Store
from tests.fakes.neutron.wire import Fault, Resource, bad_request

SUBPORT_OWNER = "trunk:subport"
VLANS = range(1, 4095)


def create_trunk(store: Store, port_id: str) -> Resource:
    parent = store.get("ports", port_id)
    trunk = store.add("trunks", store.build("trunks", {"port_id": port_id}))
    _show_on_parent(trunk, parent)
    return trunk


def delete_trunk(store: Store, trunk_id: str) -> None:
    trunk = store.get("trunks", trunk_id)
    for each in list(trunk["sub_ports"]):
        remove_subport(store, trunk_id, each["port_id"])
    store.get("ports", trunk["port_id"])["trunk_details"] = None
    store.drop("trunks", trunk_id)


def add_subport(store: Store, trunk_id: str, wanted: dict[str, Any]) -> Resource:
    trunk = store.get("trunks", trunk_id)
    vlan, port = wanted["segmentation_id"], store.get("ports", wanted["port_id"])
    parent = store.get("ports", trunk["port_id"])
    _check(store, trunk, port, vlan)
    trunk["sub_ports"].append({"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": vlan})
    trunk["revision_number"] += 1
    _show_on_parent(trunk, parent)
    profile = {**port["binding:profile"], "parent_name": parent["id"], "tag": vlan}
    bound = {"binding:profile": profile, "binding:vif_type": "ovs", "status": parent["status"]}
    port.update({"device_owner": SUBPORT_OWNER, "revision_number": port["revision_number"] + 1, **bound})
    return trunk


def remove_subport(store: Store, trunk_id: str, port_id: str) -> Resource:
    trunk = store.get("trunks", trunk_id)
    kept = [each for each in trunk["sub_ports"] if each["port_id"] != port_id]
    if len(kept) == len(trunk["sub_ports"]):
        raise Fault(404, "SubPortNotFound", f"SubPort {port_id} on trunk {trunk_id} could not be found.")
    trunk["sub_ports"] = kept
    trunk["revision_number"] += 1
    _show_on_parent(trunk, store.get("ports", trunk["port_id"]))
    port = store.get("ports", port_id)
    profile = {key: value for key, value in port["binding:profile"].items() if key not in ("parent_name", "tag")}
    bound = {"binding:profile": profile, "binding:vif_type": "unbound", "binding:vif_details": {}, "status": "DOWN"}
    port.update({"device_owner": "", "revision_number": port["revision_number"] + 1, **bound})
    return trunk


def refuse_deletion(store: Store, port_id: str) -> None:
    for trunk in store.all("trunks"):
        if port_id in {each["port_id"] for each in trunk["sub_ports"]}:
            raise Fault(409, "PortInUseAsSubPort", f"Port {port_id} is currently a subport for trunk {trunk['id']}.")
        if port_id == trunk["port_id"]:
            text = f"Port {port_id} is currently a parent port for trunk {trunk['id']}."
            raise Fault(409, "PortInUseAsTrunkParent", text)


def _check(store: Store, trunk: Resource, port: Resource, vlan: int) -> None:
    port_id = port["id"]
    if port_id in {each["port_id"] for each in store.all("trunks")}:
        text = f"Port {port_id} is currently in use and is not eligible for use as a parent port."
        raise Fault(409, "ParentPortInUse", text)
    if vlan not in VLANS:
        raise bad_request(f"Invalid input for operation: Segmentation ID '{vlan}' is not in range.", "InvalidInput")
    if port_id in {each["port_id"] for other in store.all("trunks") for each in other["sub_ports"]}:
        raise Fault(409, "TrunkPortInUse", f"Port {port_id} is in use by another trunk.")
    if port["device_id"]:
        text = f"Unable to complete operation on port {port_id} for network {port['network_id']}. Port already has an "
        raise Fault(409, "PortInUse", f"{text}attached device {port['device_id']}.")
    if vlan in {each["segmentation_id"] for each in trunk["sub_ports"]}:
        text = f"segmentation_type vlan and segmentation_id {vlan} already in use on trunk {trunk['id']}."
        raise Fault(409, "DuplicateSubPort", text)


def _show_on_parent(trunk: Resource, parent: Resource) -> None:
    parent["trunk_details"] = {"trunk_id": trunk["id"], "sub_ports": [dict(each) for each in trunk["sub_ports"]]}
