# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The indexes of one table of the journal (:mod:`~kuryr_libnetwork.model.indexes`), in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from kuryr_libnetwork.model.indexes import Index

R = TypeVar("R")


class Indexes(Generic[R]):
    """An index is built when it is first used, and updated by each change from then on. The caller holds the lock."""

    def __init__(self) -> None:
        self._found: dict[Index[R], dict[str, dict[str, R]]] = {}

    def find(self, index: Index[R], value: str, records: Mapping[str, R]) -> list[R]:
        """The records with this value. ``records``: all of the table, by key."""
        if index not in self._found:
            self._found[index] = {}
            for key, record in records.items():
                self._add(index, key, record)
        return list(self._found[index].get(value, {}).values())

    def change(self, key: str, before: R | None, after: R | None) -> None:
        for index in self._found:
            if before is not None:
                self._remove(index, key, before)
            if after is not None:
                self._add(index, key, after)

    def forget(self) -> None:
        self._found.clear()

    def _add(self, index: Index[R], key: str, record: R) -> None:
        for value in index.keys(record):
            self._found[index].setdefault(value, {})[key] = record

    def _remove(self, index: Index[R], key: str, record: R) -> None:
        for value in index.keys(record):
            same = self._found[index].get(value, {})
            same.pop(key, None)
            if not same:
                self._found[index].pop(value, None)
