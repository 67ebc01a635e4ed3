# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a container may have changed on its network device besides name, MAC and MTU, and how it is restored.

A container with NET_ADMIN can set everything that rtnetlink and ethtool offer. What rtnetlink can set is restored here;
for the rest a VF gets a new device (docs/notes/sriov.md, "What a container can change on its device").
"""

from __future__ import annotations

from typing import Any

import msgspec

from kuryr_libnetwork.model.sriov import LinkAttributes

MULTICAST = 0x1000
CHANGEABLE = 0x4 | 0x20 | 0x80 | 0x100 | 0x200 | MULTICAST | 0x2000 | 0x4000 | 0x8000
"""The flags that a user can set, except UP: DEBUG, NOTRAILERS, NOARP, PROMISC, ALLMULTI, MULTICAST, PORTSEL, AUTOMEDIA,
DYNAMIC.
"""
NETLINK = {
    "tx_queue_length": "txqlen",
    "alias": "ifalias",
    "group": "group",
    "broadcast": "broadcast",
    "link_mode": "linkmode",
    "gso_max_size": "gso_max_size",
    "gso_max_segs": "gso_max_segs",
    "gro_max_size": "gro_max_size",
}
"""Our names of the attributes with a single value, and rtnetlink's (``IFLA_…`` in lower case)."""


def plain(found: LinkAttributes) -> LinkAttributes:
    """The attributes that a container gets: the flags of a new device, and none of the host's alternative names."""
    return msgspec.structs.replace(found, flags=MULTICAST, alias="", altnames=())


def to_change(found: LinkAttributes, wanted: LinkAttributes) -> dict[str, Any]:
    """The values to set, by rtnetlink's names. What the kernel does not know is left out."""
    changes: dict[str, Any] = {}
    for ours, theirs in NETLINK.items():
        before, value = getattr(found, ours), getattr(wanted, ours)
        if None not in (before, value) and before != value:
            changes[theirs] = value
    return changes
