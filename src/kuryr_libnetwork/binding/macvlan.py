# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``macvlan``: a MAC of the container's own on the machine's interface; containers reach each other (mode bridge)."""

from __future__ import annotations

from kuryr_libnetwork.binding.child import ChildBinding


class MacvlanBinding(ChildBinding):
    name = "macvlan"
