# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The journal on disk: one SQLite file and a lock file, in a folder of the service's own where nobody else may write.

What a call has written survives ``kill -9`` and power loss once the call returns (WAL, ``synchronous=FULL``). All of it
can be recovered from Neutron, the kernel and Open vSwitch, so a damaged file may simply be deleted.
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from kuryr_libnetwork.errors import JournalError, UnsafePath
from kuryr_libnetwork.host.files import FILE_MODE, Folder
from kuryr_libnetwork.host.journal_index import Indexes
from kuryr_libnetwork.host.journal_rows import REBUILD, RowReader, read_any_text
from kuryr_libnetwork.model.indexes import Index
from kuryr_libnetwork.model.records import (
    EndpointRecord,
    IntentRecord,
    LeaseRecord,
    NetworkRecord,
    PoolRecord,
    SpareRecord,
)
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.undo import Undo

JOURNAL_FILE = "kuryr.db"
"""The file's name in ``state_path``."""

VERSION = 3
"""The format. 1: the first. 2: with ``devices``. 3: with ``spares``."""
TABLES = ("pools", "networks", "leases", "endpoints", "intents", "devices", "spares")
BESIDE = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite itself creates beside the one that it is told to open."""
RESERVE = 1024 * 1024
"""Bytes of disk space reserved for changing and dropping known records: containers can be removed on a full disk."""
CHECKPOINT_PAGES = 200
"""The file grows by less than the reserve between two checkpoints (pages of 4096 bytes)."""
WAL_LIMIT = RESERVE

LOOKERS = 5.0
"""Seconds within which processes that only look at the lock release it."""

R = TypeVar("R", bound=Value)

_DAMAGED = f"is damaged: {REBUILD}"
_REASONS = {
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_READONLY: "cannot be written: no permission, or a read-only file system",
    sqlite3.SQLITE_PERM: "cannot be written: no permission",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the owner and the mode of its folder",
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_LOCKED: "is locked by another program",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}

_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
"""SQLite reports a full disk as an I/O error if the shared-memory file cannot grow."""


def journal_size(path: Path) -> int:
    """Total size of the journal's files in bytes; a missing file counts as 0."""
    found = 0
    for name in (path, *(Path(f"{path}{end}") for end in BESIDE)):
        with suppress(FileNotFoundError):
            found += name.stat().st_size
    return found


class SqliteJournal:
    """Implements :class:`~kuryr_libnetwork.interfaces.journal.Journal` in the file ``path``; its folder is created if
    missing.

    Every record is read once here, and one that cannot be read stops the start: without it the service would take what
    the record stands for as nobody's, or fail in each call that needs it. Nobody else writes to the file, so records
    are kept in memory, with indexes. There is one connection behind a lock: writers wait for the same disk anyway.
    """

    def __init__(self, path: Path) -> None:
        self._store = _Store(path)
        self.pools = _Table(self._store, "pools", "pool_id", PoolRecord)
        self.networks = _Table(self._store, "networks", "docker_id", NetworkRecord)
        self.leases = _Table(self._store, "leases", "port_id", LeaseRecord)
        self.endpoints = _Table(self._store, "endpoints", "endpoint_id", EndpointRecord)
        self.intents = _Table(self._store, "intents", "token", IntentRecord)
        self.devices = _Table(self._store, "devices", "pci_address", DeviceLease)
        self.spares = _Table(self._store, "spares", "port_id", SpareRecord)
        with Undo() as undo:
            undo.add("close the journal", self._store.close)
            for table in (self.pools, self.networks, self.leases, self.endpoints, self.intents):
                table.check()
            self.devices.check()
            self.spares.check()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Re-entrant in one thread; if an inner transaction raises, it alone is rolled back. Other threads wait."""
        with self._store.transaction():
            yield

    def close(self) -> None:
        """Release the file for the next service; further use raises ``JournalError``."""
        self._store.close()


class _Table(Generic[R]):
    """Implements :class:`~kuryr_libnetwork.interfaces.journal.Table`; ``all`` is in the order of the first ``put``."""

    def __init__(self, store: _Store, table: str, key: str, kind: type[R]) -> None:
        self._store = store
        self._key = key
        self._reader = RowReader(store.path, table, key, kind)
        self._known: dict[str, R] | None = None
        self._indexes = Indexes[R]()
        store.on_loss.append(self._forget)
        self._all = f"SELECT key, record FROM {table} ORDER BY rowid"  # noqa: S608 - the name is one of TABLES
        self._drop = f"DELETE FROM {table} WHERE key = ?"  # noqa: S608
        self._put = (
            f"INSERT INTO {table} (key, record) VALUES (?, ?) "  # noqa: S608
            "ON CONFLICT (key) DO UPDATE SET record = excluded.record"
        )

    def get(self, key: str) -> R | None:
        with self._store.lock:
            return self._records().get(key)

    def all(self) -> list[R]:
        with self._store.lock:
            return list(self._records().values())

    def find(self, index: Index[R], value: str) -> list[R]:
        with self._store.lock:
            return self._indexes.find(index, value, self._records())

    def _records(self) -> dict[str, R]:
        """All records, by key. The caller holds the lock."""
        if self._known is None:
            rows = self._store.run(self._all)
            self._known = {row[0]: self._reader.read(row) for row in rows}
        return self._known

    def _forget(self) -> None:
        """Drop what is in memory: a write was rolled back, or the file was closed."""
        self._known = None
        self._indexes.forget()

    def check(self) -> None:
        """Raises ``JournalError`` for the first record that cannot be read."""
        self.all()

    def put(self, record: R) -> None:
        key = getattr(record, self._key)
        statement, text = self._put, msgspec.json.encode(record).decode()
        written = self._reader.read((key, text))  # as it will be read from the file; what cannot be read is not written
        with self._store.lock:
            before = self._records().get(key)
            if before is not None:
                self._store.change(statement, key, text)
            else:
                self._store.keep_reserve()
                self._store.run(statement, key, text)
            self._records()[key] = written
            self._indexes.change(key, before, written)

    def drop(self, key: str) -> None:
        with self._store.lock:
            self._store.change(self._drop, key)
            self._indexes.change(key, self._records().pop(key, None), None)


class _Store:
    """The connection, with a lock for our own threads and the lock file for other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reserve_name = f"{path.name}.reserve"
        self._reserved = False
        self.lock = threading.RLock()
        self.on_loss: list[Callable[[], None]] = []
        """Called with the lock held, when the tables' memory may differ from the file."""
        self._depth = 0
        with ExitStack() as undo:
            try:
                self._folder = undo.enter_context(Folder(path.parent))
                undo.callback(os.close, self._hold())
                self._connection = self._open()
                self._prepare()
                self._reserved = self._folder.exists(self._reserve_name)
            except UnsafePath as error:
                raise self.failure(f"is not used: {error}") from error
            except OSError as error:
                raise self.failure(f"cannot be used: {error}") from error
            self._release = undo.pop_all().close

    def failure(self, reason: str) -> JournalError:
        return JournalError(f"the journal {self.path} {reason}")

    def run(self, statement: str, *values: str) -> list[tuple[str, ...]]:
        """Run one statement; outside of a transaction it is on disk when this returns."""
        with self.lock, self._translated():
            return self._connection.execute(statement, values).fetchall()

    def change(self, statement: str, *values: str) -> None:
        """Run a statement that needs little space; on a full disk it gets the space of the reserve.

        Inside a transaction, which SQLite has rolled back by then, the space is made for the next attempt.
        """
        with self.lock:
            try:
                self.run(statement, *values)
            except JournalError as error:
                if not _is_full(error) or not self._make_room() or self._depth:
                    raise
                self.run(statement, *values)

    def keep_reserve(self) -> None:
        """Fill the reserve, which new records must not use; raises ``JournalError`` if the disk has no room for it."""
        with self.lock:
            if self._reserved:
                return
            try:
                _fill(self._folder, self._reserve_name)
            except OSError as error:
                self._folder.remove(self._reserve_name)
                raise self.failure(f"cannot take new records: {error.strerror}") from error
            self._reserved = True

    def _make_room(self) -> bool:
        """Move the write-ahead log into the file, which may grow by the reserve; the log's own space is reused then."""
        self._folder.remove(self._reserve_name)
        self._reserved = False
        try:
            self.run("PRAGMA wal_checkpoint(RESTART)")
        except JournalError as error:
            if not _is_full(error):
                raise
            return False
        return True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.lock, Undo() as undo:
            depth = self._depth
            mark = f"level{depth}"
            begin, commit = (f"SAVEPOINT {mark}", f"RELEASE {mark}") if depth else ("BEGIN IMMEDIATE", "COMMIT")
            self.run(begin)
            undo.add("roll back", lambda: self._undo(mark))
            self._depth = depth + 1
            try:
                yield
                self._commit(commit)
            finally:
                self._depth = depth

    def _commit(self, statement: str) -> None:
        try:
            self.run(statement)
        except JournalError as error:
            if _is_full(error):
                self._make_room()
            raise

    def _undo(self, mark: str) -> None:
        """Roll back; after some errors (disk full, I/O error) SQLite has done so already."""
        self._lose()
        if not self._connection.in_transaction:
            return
        self.run(f"ROLLBACK TO {mark}" if self._depth else "ROLLBACK")
        if self._depth:
            self.run(f"RELEASE {mark}")

    def close(self) -> None:
        with self.lock, self._translated():
            self._lose()
            self._connection.close()
            self._release()

    def _lose(self) -> None:
        for forget in self.on_loss:
            forget()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            strange = f"cannot be used: {error}{f'; {REBUILD}' if code == sqlite3.SQLITE_ERROR else ''}"
            raise self.failure(_REASONS.get(code, strange)) from error

    def _hold(self) -> int:
        """Hold ``<path>.lock`` until the process ends, however it ends."""
        lock = self._folder.open(f"{self.path.name}.lock", os.O_RDWR | os.O_CREAT)
        try:
            _lock(lock)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            os.close(lock)
            raise self.failure(f"is in use by another service (process {holder or 'unknown'})") from error
        with suppress(OSError):  # the process id is only information; on a full disk it is missing
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
        return lock

    def _open(self) -> sqlite3.Connection:
        """Open the file. SQLite opens it by its path, and gives its mode to the files that it creates beside it."""
        for name in (self._reserve_name, *(self.path.name + end for end in BESIDE)):
            self._folder.check(name)
        file = self._folder.open(self.path.name, os.O_RDWR | os.O_CREAT)
        os.fchmod(file, FILE_MODE)
        os.close(file)
        with self._translated():
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        read_any_text(connection)
        return connection

    def _prepare(self) -> None:
        """Prepare the file. An up-to-date one is not written to, so that the service starts on a full disk."""
        try:
            self._open_log()
            self.run("PRAGMA synchronous = FULL")
            self.run(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
            self.run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            version = int(self.run("PRAGMA user_version")[0][0])
            if version > VERSION:
                raise self.failure(f"was written by a newer release (format {version}, this one knows {VERSION})")
            if self.run("PRAGMA quick_check")[0][0] != "ok":
                raise self.failure(_DAMAGED)
            if version == VERSION:
                return
            with self.transaction():
                for table in TABLES:
                    self.run(f"CREATE TABLE IF NOT EXISTS {table} (key TEXT NOT NULL UNIQUE, record TEXT NOT NULL)")
                self.run(f"PRAGMA user_version = {VERSION}")
        except JournalError:
            self._connection.close()
            raise

    def _open_log(self) -> None:
        try:
            self.run("PRAGMA journal_mode = WAL")
            self.run("PRAGMA user_version")
        except JournalError as error:
            if not _is_full(error):
                raise
            self._folder.remove(self._reserve_name)
            self.run("PRAGMA journal_mode = WAL")


def _lock(file: int) -> None:
    """Lock the file exclusively. A process that looks whether a service runs holds it shared for a moment: wait for
    that.

    Raises ``BlockingIOError`` at once if another service holds it.
    """
    end = time.monotonic() + LOOKERS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            if time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - so that two that start together do not stay in step
        else:
            return


def _is_full(error: JournalError) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF in _NO_ROOM


def _fill(folder: Folder, name: str) -> None:
    file = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.posix_fallocate(file, 0, RESERVE)
        os.fsync(file)
    finally:
        os.close(file)
