# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A row of the journal becomes a record, or one error that says where it stands and what to do about it.

SQLite keeps to no type: a column of text may hold numbers, bytes, nothing, or text in no encoding. Another program, an
older or newer release, or a disk may have written any of it.
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
    """Text that is not UTF-8 is read, to be refused with its place, as SQLite itself does not tell it."""
    connection.text_factory = lambda data: data.decode(errors="surrogateescape")


class RowReader(Generic[R]):
    """For one table: ``key`` is the field of the record that is the row's key, too."""

    def __init__(self, path: Path, table: str, key: str, kind: type[R]) -> None:
        self._path = path
        self._table = table
        self._key = key
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, row: Sequence[object]) -> R:
        """``row``: key and record."""
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
