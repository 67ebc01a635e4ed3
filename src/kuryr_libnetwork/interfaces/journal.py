# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The journal on disk."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

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

T = TypeVar("T")


class Table(Protocol[T]):
    """One kind of record of the journal. ``put`` and ``drop`` are on disk when they return."""

    def get(self, key: str) -> T | None: ...
    def all(self) -> list[T]: ...

    def find(self, index: Index[T], value: str) -> list[T]:
        """All records that the index has under the value, in any order; costs no more where there are many others."""
        ...

    def put(self, record: T) -> None: ...
    def drop(self, key: str) -> None: ...


class Journal(Protocol):
    """The journal on disk. Its purpose: ARCHITECTURE.md, "What is never lost"."""

    @property
    def pools(self) -> Table[PoolRecord]: ...
    @property
    def networks(self) -> Table[NetworkRecord]: ...
    @property
    def leases(self) -> Table[LeaseRecord]: ...
    @property
    def endpoints(self) -> Table[EndpointRecord]: ...
    @property
    def intents(self) -> Table[IntentRecord]: ...
    @property
    def devices(self) -> Table[DeviceLease]: ...
    @property
    def spares(self) -> Table[SpareRecord]: ...

    def transaction(self) -> AbstractContextManager[None]:
        """All puts and drops inside, by this thread, happen together or not at all."""
        ...
