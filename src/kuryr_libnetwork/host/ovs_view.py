# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's rows, as one transaction reads and changes them.

``external_ids`` are those of upstream's ``ovs`` script (docs/notes/upstream.md, "Open vSwitch's external_ids"); other
programs' keys in the same row, such as ovn-controller's ``ovn-installed``, are left alone.

A port without a VLAN is a trunk of all VLANs. If Neutron's agent will set its VLAN, the port is inserted isolated, as
that agent isolates ports itself: on the VLAN whose packets it drops, and in a mode that lets nothing else pass. The
agent ends the isolation.
"""

from __future__ import annotations

from typing import Any

from kuryr_libnetwork.errors import BridgeNotFound, Conflict
from kuryr_libnetwork.host.ovs_job import look_again
from kuryr_libnetwork.host.ovs_ports import number_of
from kuryr_libnetwork.host.ovs_schema import DEAD_VLAN
from kuryr_libnetwork.model.links import OvsInterface

OWNER = "kuryr"
CLOSED = "trunk"


class View:
    def __init__(self, tables: Any, txn: Any) -> None:
        self._tables = tables
        self._txn = txn
        look_again(txn)

    def synchronise(self) -> None:
        """Add a round trip: after it the replica has everything that was committed before."""
        self._txn.add_op({"op": "comment", "comment": "kuryr"})

    def bridges(self) -> list[str]:
        return sorted(row.name for row in self._rows("Bridge"))

    def settings(self) -> dict[str, str]:
        return {key: value for row in self._rows("Open_vSwitch") for key, value in row.external_ids.items()}

    def owned(self) -> list[OvsInterface]:
        self.synchronise()
        bridges = {port.uuid: bridge.name for bridge in self._rows("Bridge") for port in bridge.ports}
        return [
            OvsInterface(
                name=row.name,
                bridge=bridges.get(port.uuid, ""),
                port_id=row.external_ids.get("iface-id", ""),
                endpoint_id=row.external_ids.get("vm-uuid", "") or row.external_ids.get("vm-id", ""),
                mac=row.external_ids.get("attached-mac", ""),
                isolated=[port.tag, port.vlan_mode, port.trunks] == [[DEAD_VLAN], [CLOSED], [DEAD_VLAN]],
            )
            for port in self._rows("Port")
            for row in port.interfaces
            if _is_ours(row)
        ]

    def unconnected(self) -> list[str]:
        self.synchronise()
        return sorted(row.name for row in self._rows("Interface") if _is_ours(row) and not number_of(row) > 0)

    def unplug(self, port_id: str, *, but: str = "") -> list[str]:
        """``but``: the name of an interface to keep. Returns the names of removed interfaces."""
        self.synchronise()
        gone = []
        for port in self._rows("Port"):
            names = [
                row.name
                for row in port.interfaces
                if _is_ours(row) and row.external_ids.get("iface-id") == port_id and row.name != but
            ]
            if names:
                self._detach(port)
                port.delete()
                gone += names
        return gone

    def plug(self, wanted: OvsInterface) -> None:
        bridge = next((row for row in self._rows("Bridge") if row.name == wanted.bridge), None)
        if bridge is None:
            raise BridgeNotFound(f"there is no bridge {wanted.bridge} in Open vSwitch for port {wanted.port_id}")
        self._require("Bridge", bridge)
        self.unplug(wanted.port_id, but=wanted.name)
        port = next((row for row in self._rows("Port") if row.name == wanted.name), None)
        row = next((row for row in self._rows("Interface") if row.name == wanted.name), None)
        if port is None and row is None:
            self._insert(bridge, wanted)
            return
        if port is None or row is None or row not in port.interfaces or not _is_ours(row):
            raise Conflict(f"interface {wanted.name} is in Open vSwitch already, and not ours")
        self._require("Port", port)
        if port not in bridge.ports or row.external_ids.get("iface-id") != wanted.port_id:
            self._detach(port)  # its VLAN, and what else others wrote there, were for its former use
            port.delete()
            self._insert(bridge, wanted)
            return
        if wanted.isolated and not port.tag:
            _isolate(port)
        self._mark(row, wanted)

    def _require(self, table: str, row: Any) -> None:
        """Have the transaction repeated if the row is gone by then: changing it would succeed without effect."""
        self._txn.add_op(
            {
                "op": "wait",
                "timeout": 0,
                "table": table,
                "where": [["_uuid", "==", ["uuid", str(row.uuid)]]],
                "columns": ["name"],
                "until": "==",
                "rows": [{"name": row.name}],
            }
        )

    def _insert(self, bridge: Any, wanted: OvsInterface) -> None:
        row = self._txn.insert(self._tables["Interface"])
        row.name = wanted.name
        row.external_ids = _external_ids(wanted)
        port = self._txn.insert(self._tables["Port"])
        port.name = wanted.name
        port.interfaces = [row]
        if wanted.isolated:
            _isolate(port)
        bridge.addvalue("ports", port)

    def _mark(self, row: Any, wanted: OvsInterface) -> None:
        for key, value in _external_ids(wanted).items():
            if row.external_ids.get(key) != value:
                row.setkey("external_ids", key, value)

    def _detach(self, port: Any) -> None:
        for bridge in self._rows("Bridge"):
            if port in bridge.ports:
                bridge.delvalue("ports", port)

    def _rows(self, table: str) -> list[Any]:
        return list(self._tables[table].rows.values())


def _is_ours(row: Any) -> bool:
    return isinstance(row.name, str) and bool(row.external_ids.get("owner") == OWNER)


def _isolate(port: Any) -> None:
    port.tag, port.vlan_mode, port.trunks = DEAD_VLAN, CLOSED, [DEAD_VLAN]


def _external_ids(wanted: OvsInterface) -> dict[str, str]:
    return {
        "attached-mac": wanted.mac,
        "iface-id": wanted.port_id,
        "vm-uuid": wanted.endpoint_id,
        "iface-status": "active",
        "owner": OWNER,
    }
