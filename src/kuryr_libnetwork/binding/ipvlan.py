# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The binding ``ipvlan``: addresses of the container's own, but the MAC of the machine's interface (mode L2)."""

from __future__ import annotations

from kuryr_libnetwork.binding.child import ChildBinding


class IpvlanBinding(ChildBinding):
    name = "ipvlan"
    keeps_mac = True
