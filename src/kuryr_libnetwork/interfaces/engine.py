# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's Engine API."""

from __future__ import annotations

from typing import Protocol

from kuryr_libnetwork.model.engine import EngineView


class Engine(Protocol):
    """Docker's Engine API. Only the background asks it: a plugin call that asks Docker deadlocks."""

    def view(self) -> EngineView: ...
