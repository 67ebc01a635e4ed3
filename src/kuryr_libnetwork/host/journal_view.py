# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Reads the journal from another process while the service runs, without writing anything.

The service uses a write-ahead log (WAL), so a reader neither waits for it nor makes it wait. The lock file, which
prevents a second service, is only probed here, to learn whether one runs.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from kuryr_libnetwork.errors import JournalError, UnsafePath
from kuryr_libnetwork.host.files import Folder
from kuryr_libnetwork.host.journal import BESIDE
from kuryr_libnetwork.host.journal_rows import RowReader, read_any_text
from kuryr_libnetwork.model.records import EndpointRecord, NetworkRecord
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.model.value import Value

R = TypeVar("R", bound=Value)


class JournalView(Value, frozen=True):
    """What the operators' commands need from the journal."""

    devices: tuple[DeviceLease, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    networks: tuple[NetworkRecord, ...] = ()


def look(path: Path) -> JournalView:
    """The journal's content; empty if there is no journal yet."""
    if not _is_there(path):
        return JournalView()
    with _reading(path) as connection:
        return JournalView(
            devices=_records(connection, "devices", RowReader(path, "devices", "pci_address", DeviceLease)),
            endpoints=_records(connection, "endpoints", RowReader(path, "endpoints", "endpoint_id", EndpointRecord)),
            networks=_records(connection, "networks", RowReader(path, "networks", "docker_id", NetworkRecord)),
        )


def service_runs(path: Path) -> bool:
    """Whether a service holds the journal."""
    try:
        with Folder(path.parent, make=False) as folder:
            lock = folder.open(f"{path.name}.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    except (OSError, UnsafePath) as error:
        raise _unseen(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _is_there(path: Path) -> bool:
    """Whether the file exists; also checks that SQLite, which opens files by path, meets no link."""
    try:
        with Folder(path.parent, make=False) as folder:
            for end in ("", *BESIDE):
                folder.check(path.name + end)
            return folder.exists(path.name)
    except FileNotFoundError:
        return False
    except (OSError, UnsafePath) as error:
        raise _unseen(path, error) from error


def _unseen(path: Path, error: Exception) -> JournalError:
    return JournalError(f"the journal {path} cannot be looked at: {getattr(error, 'strerror', None) or error}")


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    # After a clean stop there is no log beside the file, and in a read-only folder none could be created.
    still = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro{still}", uri=True, timeout=5)) as connection:
            read_any_text(connection)
            yield connection
    except sqlite3.Error as error:
        raise _unseen(path, error) from error


def _records(connection: sqlite3.Connection, table: str, reader: RowReader[R]) -> tuple[R, ...]:
    """The records of a table; none if the journal was written by a release without that table."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone():
        return ()
    rows = connection.execute(f"SELECT key, record FROM {table} ORDER BY rowid")  # noqa: S608 - a name of our own
    return tuple(reader.read(row) for row in rows)
