# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker told us to remove, and we could not.

Docker forgets an endpoint or a network whatever we answer, and never asks again (docs/notes/docker-plugin.md, "What
Docker forgets"). Normally the journal records that too; this memory serves when it cannot, as on a full disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kuryr_libnetwork.rules.leftovers import Suspect


class UnfinishedRemovals:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: set[Suspect] = set()

    @contextmanager
    def kept(self, kind: str, key: str) -> Iterator[None]:
        """Remember the object until its removal in the body has succeeded."""
        with ExitStack() as failed:
            failed.callback(self._keep, (kind, key))
            yield
            failed.pop_all()
        with self._lock:
            self._kept.discard((kind, key))

    def _keep(self, suspect: Suspect) -> None:
        with self._lock:
            self._kept.add(suspect)

    def all(self) -> set[Suspect]:
        with self._lock:
            return set(self._kept)
