# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The composition root: puts adapters, rules and services together into a running service; only ``cli`` imports it."""

from __future__ import annotations

from kuryr_libnetwork.app.adapters import driver_names
from kuryr_libnetwork.app.assembly import build
from kuryr_libnetwork.app.running import App

__all__ = ["App", "build", "driver_names"]
