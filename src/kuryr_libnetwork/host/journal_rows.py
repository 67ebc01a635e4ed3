# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Turns a row of the journal into a record, or into an error that says where the row is and what to do about it.

SQLite does not enforce types: a text column may hold numbers, bytes, nothing, or text in no valid encoding. Another
program, an older or newer release, or a failing disk may have written it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from kuryr_libnetwork.errors import JournalError
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.text import shown

R = TypeVar("R", bound=Value)
REBUILD = "stop the service and delete the file, it is rebuilt from Neutron"


def read_any_text(connection: sqlite3.Connection) -> None:
    """Have text that is not UTF-8 read as well, so that it is refused with its place, which SQLite would not name."""
    connection.text_factory = lambda data: data.decode(errors="surrogateescape")


class RowReader(Generic[R]):
    """Reads one table. ``key``: the record's field that is the row's key as well."""

    def __init__(self, path: Path, table: str, key: str, kind: type[R]) -> None:
        self._path = path
        self._table = table
        self._key = key
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, row: Sequence[object]) -> R:
        """``row``: key and record. Raises :class:`~kuryr_libnetwork.errors.JournalError`."""
        key, text = row
        if not isinstance(text, str):
            raise self._unreadable(key, f"it is {_KINDS.get(type(text), 'a number')}, not text")
        try:
            record = self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._unreadable(key, shown(error, 200)) from error
        own = getattr(record, self._key)
        if own != key:
            raise self._unreadable(key, f"it is that of {shown(own)}")
        return record

    def _unreadable(self, key: object, why: str) -> JournalError:
        where = f"table {self._table}, key {shown(key)}"
        return JournalError(f"the journal {self._path} holds a record that cannot be read ({where}: {why}): {REBUILD}")


_KINDS = {bytes: "bytes", type(None): "nothing"}
