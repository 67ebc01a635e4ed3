# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``vlan``: the container's frames leave in a VLAN of the machine's interface."""

from __future__ import annotations

from kuryr_libnetwork.binding.child import ChildBinding


class VlanBinding(ChildBinding):
    name = "vlan"
