# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The tables and columns of Open vSwitch's database that are replicated (ovs-vswitchd.conf.db(5))."""

from __future__ import annotations

from typing import Any

DEAD_VLAN = 4095
"""Source: Neutron, ``neutron/agent/common/ovs_lib.py`` (``_set_port_dead``); bugs 1734320 and 1930414."""
_REF: dict[str, Any] = {"min": 0, "max": "unlimited"}
_VLAN: dict[str, Any] = {"type": "integer", "minInteger": 0, "maxInteger": DEAD_VLAN}
SCHEMA: dict[str, Any] = {
    "name": "Open_vSwitch",
    "version": "7.0.0",
    "tables": {
        "Open_vSwitch": {
            "isRoot": True,
            "columns": {
                "bridges": {"type": {"key": {"type": "uuid", "refTable": "Bridge"}, **_REF}},
                "external_ids": {"type": {"key": "string", "value": "string", **_REF}},
            },
        },
        "Bridge": {
            "columns": {
                "name": {"type": "string", "mutable": False},
                "ports": {"type": {"key": {"type": "uuid", "refTable": "Port"}, **_REF}},
            },
        },
        "Port": {
            "columns": {
                "name": {"type": "string", "mutable": False},
                "interfaces": {"type": {"key": {"type": "uuid", "refTable": "Interface"}, **_REF}},
                "tag": {"type": {"key": _VLAN, "min": 0, "max": 1}},
                "trunks": {"type": {"key": _VLAN, **_REF}},
                "vlan_mode": {"type": {"key": "string", "min": 0, "max": 1}},
            },
        },
        "Interface": {
            "columns": {
                "name": {"type": "string", "mutable": False},
                "external_ids": {"type": {"key": "string", "value": "string", **_REF}},
                "ofport": {"type": {"key": "integer", "min": 0, "max": 1}},
                "error": {"type": {"key": "string", "min": 0, "max": 1}},
            },
        },
    },
}
