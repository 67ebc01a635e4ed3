# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which interfaces ovs-vswitchd has connected to their bridges.

The database accepts an interface whether or not ovs-vswitchd is running. ovs-vswitchd gives the interface a number
(``ofport``) as soon as packets can pass, or writes what prevents it (``error``), and tries again when the interface
changes. The replica of the database shows both, so whoever plugs an interface waits without querying the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from kuryr_libnetwork.host.ovs_schema import DEAD_VLAN
from kuryr_libnetwork.model.links import SwitchView

INTERFACE, PORT = "Interface", "Port"
DELETED = "delete"


class _Told(NamedTuple):
    row: str
    number: int
    error: str
    port_id: str = ""
    installed: bool = False


NOTHING = _Told("", 0, "")
INSTALLED = "ovn-installed"
"""The key of ``external_ids`` that ovn-controller sets to ``true`` once a port's flows are in place, and removes when
the port is deleted or bound elsewhere."""


class PortNumbers:
    """Written by the thread that keeps the replica, and read by others. Outlives connections, as those who wait do."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: dict[str, _Told] = {}
        self._dead: dict[str, str] = {}
        self._connection = 0

    def begin(self) -> Callable[..., None]:
        """Forget what earlier connections told. Returns what the new one calls for each row: ``Idl.notify`` of ovs."""
        with self._changed:
            self._told.clear()
            self._dead.clear()
            self._connection += 1
            mine = self._connection

        def notify(event: str, row: Any, updates: Any = None) -> None:  # noqa: ARG001
            self._note(mine, event, row)

        return notify

    def _note(self, connection: int, event: str, row: Any) -> None:
        """A row is new, has changed, or is gone. If a row replaces another one, both events come, in any order."""
        table = row._table.name  # it has no public name
        if table == PORT and isinstance(row.name, str):
            self._note_vlan(connection, event, row)
        if table != INTERFACE or not isinstance(row.name, str):
            return
        key = str(row.uuid)
        with self._changed:
            if connection != self._connection:
                return
            if event != DELETED:
                self._told[row.name] = _Told(
                    key,
                    number_of(row),
                    error_of(row),
                    row.external_ids.get("iface-id", ""),
                    row.external_ids.get(INSTALLED) == "true",
                )
            elif self._told.get(row.name, NOTHING).row == key:
                del self._told[row.name]
            self._changed.notify_all()

    def _note_vlan(self, connection: int, event: str, row: Any) -> None:
        key = str(row.uuid)
        with self._changed:
            if connection == self._connection:
                if event != DELETED and row.tag == [DEAD_VLAN]:
                    self._dead[row.name] = key
                elif event != DELETED or self._dead.get(row.name) == key:
                    self._dead.pop(row.name, None)

    def wait(self, name: str, seconds: float) -> bool:
        """Whether the interface is connected; waits for it at most this time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._told.get(name, NOTHING).number > 0, timeout=seconds)

    def seen(self, name: str) -> SwitchView | None:
        with self._changed:
            told, dead = self._told.get(name), name in self._dead
        if told is None:
            return None
        return SwitchView(port_id=told.port_id, connected=told.number > 0, installed=told.installed, dead=dead)

    def error(self, name: str) -> str:
        """The error that ovs-vswitchd reports for the interface, or ""."""
        with self._changed:
            return self._told.get(name, NOTHING).error


def number_of(row: Any) -> int:
    """The ``ofport``. 0: none yet; -1: the interface cannot be connected."""
    return next((value for value in row.ofport if isinstance(value, int)), 0)


def error_of(row: Any) -> str:
    return next((value for value in row.error if isinstance(value, str)), "")
