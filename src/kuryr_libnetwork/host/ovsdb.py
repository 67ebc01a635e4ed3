# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's configuration database; the only module that uses ovsdbapp (imported at first use).

Only the columns in :mod:`~.ovs_schema` are replicated, so that the statistics that Open vSwitch writes every few
seconds do not reach us. What a transaction reads and changes is in :mod:`~.ovs_view`.
"""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from kuryr_libnetwork.contacts import asking
from kuryr_libnetwork.errors import BridgeNotFound, Conflict, OvsdbError, OvsdbUnavailable, SwitchSilent
from kuryr_libnetwork.health import described
from kuryr_libnetwork.host.ovs_job import Job
from kuryr_libnetwork.host.ovs_ports import PortNumbers
from kuryr_libnetwork.host.ovs_schema import SCHEMA
from kuryr_libnetwork.host.ovs_view import View
from kuryr_libnetwork.model.links import OvsInterface, SwitchView
from kuryr_libnetwork.model.observed import OVS, Observe, ignore
from kuryr_libnetwork.patience import waiting_for

PARTY = "Open vSwitch's database"
SWITCH = "ovs-vswitchd"
BACKOFF = (100, 1000)
"""Milliseconds between attempts to connect, first and at most; by default they grow to 8 s, longer than a call waits.
"""
AGAIN = 2.0
"""Seconds for a question soon after one that got no answer: Docker may send several calls, each of which would wait."""
SILENCE = 30.0
"""Seconds after which a silent database gets the full time-out again: it may only have been slow."""
LEAST = 0.1
"""Seconds for a question whose time was used up by connecting."""
A = TypeVar("A")


class OvsDatabase:
    """Implements :class:`~kuryr_libnetwork.interfaces.host.Ovs`. ``connection``: ``unix:<path>`` or
    ``tcp:<ip>:<port>``.

    Connected at first use, and kept; when Open vSwitch restarts, ovsdbapp connects again. Every method raises
    ``OvsdbUnavailable`` after ``timeout`` seconds; soon after such a time-out, already after :data:`AGAIN`. ``observe``
    is called for each transaction.
    """

    def __init__(self, connection: str, timeout: float, observe: Observe = ignore) -> None:
        self._observe = observe
        self._address = connection
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection: Any = None
        self._numbers = PortNumbers()
        self._silent_until = 0.0

    def plug(self, interface: OvsInterface) -> None:
        def action(view: View) -> None:
            view.plug(interface)

        try:
            self._run(action)
        except (BridgeNotFound, Conflict):
            self._run(View.synchronise)
            self._run(action)

    def wait_connected(self, name: str) -> None:
        """Wait without querying the database: the replica gets what ovs-vswitchd writes there."""
        with waiting_for(SWITCH, self._timeout, SwitchSilent) as seconds:
            if self._numbers.wait(name, seconds):
                return
            reason = self._numbers.error(name)
            raise SwitchSilent(
                f"ovs-vswitchd has not connected interface {name} to its bridge within {self._timeout:g} s"
                + (
                    f": {reason}"
                    if reason
                    else ", though Open vSwitch's database has it; look whether ovs-vswitchd is at work"
                )
            )

    def unconnected(self) -> list[str]:
        return self._run(View.unconnected)

    def seen(self, name: str) -> SwitchView | None:
        return self._numbers.seen(name)

    def unplug(self, port_id: str) -> list[str]:
        return self._run(lambda view: view.unplug(port_id))

    def owned(self) -> list[OvsInterface]:
        """Our interfaces; none if Open vSwitch does not run at all, as on a host with VFs only."""
        if self._connection is None and self._is_absent():
            return []
        return self._run(View.owned)

    def bridges(self) -> list[str]:
        """The bridges' names; unlike :meth:`owned` this raises ``OvsdbUnavailable`` if Open vSwitch does not run."""
        return self._run(View.bridges)

    def settings(self) -> dict[str, str]:
        """``external_ids`` of Open vSwitch itself, such as ``ovn-encap-ip``; raises as :meth:`bridges` does."""
        return self._run(View.settings)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                _end(self._connection, self._timeout)
                self._connection = None

    def _run(self, action: Callable[[View], A]) -> A:
        with waiting_for(PARTY, self._timeout, OvsdbUnavailable) as seconds:
            if not seconds:
                raise OvsdbUnavailable(
                    f"{PARTY} at {self._address} is not asked: it has just left another question without an answer"
                )
            if self._is_silent():
                seconds = min(seconds, AGAIN)
            with asking(self._observe, OVS, "transact", "database") as question:
                question.answered = True  # a refusal is an answer
                try:
                    return self._transact(action, seconds)
                except OvsdbUnavailable:
                    question.answered = False
                    self._note_silence(seconds)
                    raise

    def _note_silence(self, seconds: float) -> None:
        if seconds > AGAIN:
            self._silent_until = time.monotonic() + SILENCE

    def _is_silent(self) -> bool:
        return time.monotonic() < self._silent_until

    def _transact(self, action: Callable[[View], A], seconds: float) -> A:
        """One transaction; ovsdbapp repeats it if another client's transaction interfered."""
        began = time.monotonic()
        connection = self._connected(seconds)
        seconds = max(seconds - (time.monotonic() - began), LEAST)
        from ovsdbapp.backend.ovs_idl import transaction
        from ovsdbapp.exceptions import TimeoutException

        job = Job(connection.idl, lambda tables, txn: action(View(tables, txn)))
        work = transaction.Transaction(job, connection, seconds, check_error=True, log_errors=False)
        work.add(job)
        try:
            work.commit()
        except TimeoutException as error:
            job.give_up()
            self._discard(connection)
            raise self._unavailable(seconds) from error
        except RuntimeError as error:
            if "timed out" in str(error):
                raise self._unavailable(seconds) from error
            raise OvsdbError(f"Open vSwitch's database refused a change: {error}") from error
        except _strange() as error:
            self._discard(connection)
            raise self._misunderstood(error) from error
        self._silent_until = 0.0
        return job.result[-1]

    def _discard(self, connection: Any) -> None:
        """Drop a connection: after an answer that the library cannot parse it stays in the middle of a transaction, and
        accepts no others.
        """
        with self._lock:
            if self._connection is connection:
                self._connection = None
        _end(connection, 0)

    def _connected(self, seconds: float) -> Any:
        began = time.monotonic()
        if not self._lock.acquire(timeout=seconds):
            raise self._unavailable(seconds)
        try:
            if self._connection is None:  # another thread may just have tried without success
                left = max(seconds - (time.monotonic() - began), LEAST)
                self._connection = self._connect(min(left, AGAIN) if self._is_silent() else left)
            return self._connection
        finally:
            self._lock.release()

    def _connect(self, seconds: float) -> Any:
        from ovs.db.idl import SchemaHelper
        from ovsdbapp.backend.ovs_idl import connection
        from ovsdbapp.exceptions import TimeoutException

        if self._is_forbidden():  # else ovsdbapp would try until the time-out
            raise OvsdbUnavailable(
                f"no permission to connect to Open vSwitch's database at {self._address}; where it is not root's, "
                "the service needs CAP_DAC_OVERRIDE"
            )
        helper = SchemaHelper(schema_json=SCHEMA)
        helper.register_all()
        idl = connection.OvsdbIdl(self._address, helper)
        idl.notify = self._numbers.begin()
        idl._session.reconnect.set_backoff(*BACKOFF)  # ovsdbapp has no public way to set it
        made = connection.Connection(idl, seconds)
        try:
            made.start()
        except TimeoutException as error:
            idl.close()
            self._note_silence(seconds)  # before the next one in the queue goes on
            raise self._unavailable(seconds) from error
        except _strange() as error:
            idl.close()
            raise self._misunderstood(error) from error
        return made

    def _is_absent(self) -> bool:
        try:
            return bool(self._socket) and not Path(self._socket).exists()
        except PermissionError:
            return False

    def _is_forbidden(self) -> bool:
        try:
            return bool(self._socket) and Path(self._socket).exists() and not os.access(self._socket, os.R_OK | os.W_OK)
        except PermissionError:  # a folder on the way
            return True

    @property
    def _socket(self) -> str:
        """The path of a Unix socket, or ``""``."""
        scheme, _, path = self._address.partition(":")
        return path if scheme == "unix" else ""

    def _unavailable(self, seconds: float) -> OvsdbUnavailable:
        return OvsdbUnavailable(
            f"no answer from Open vSwitch's database at {self._address} within {math.ceil(seconds * 10) / 10:g} s; "
            "is ovsdb-server running, and is [ovs] ovsdb_connection right?"
        )

    def _misunderstood(self, error: Exception) -> OvsdbError:
        return OvsdbError(
            f"Open vSwitch's database at {self._address} answered what cannot be understood ({described(error)}); "
            "is [ovs] ovsdb_connection right?"
        )


def _strange() -> tuple[type[Exception], ...]:
    """The exceptions that ovs and ovsdbapp raise for malformed rows or answers."""
    from ovs.db.error import Error

    return (Error, AssertionError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)


def _end(connection: Any, timeout: float) -> None:
    """Have the connection's thread end; its own ``stop`` waits for space in a queue that may never be emptied."""
    connection.is_running = False
    with suppress(queue.Full):  # then it is awake
        connection.txns.put(None, block=False)
    connection.thread.join(timeout)
