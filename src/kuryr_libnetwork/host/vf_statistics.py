# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a PF counts for its VFs, by one question to the kernel for each PF (include/uapi/linux: rtnetlink.h, if_link.h).

The kernel's list of VFs has a length of 16 bits, which with statistics is enough for some 170 VFs. If a PF has more,
the list is cut, and what is beyond the cut is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.dumps import attributes_of, each_attribute
from kuryr_libnetwork.host.netlink import told_as
from kuryr_libnetwork.model.sriov import VfCounters

IFLA_IFNAME, IFLA_VFINFO_LIST, IFLA_EXT_MASK = 3, 22, 29
IFLA_VF_INFO, IFLA_VF_MAC, IFLA_VF_STATS = 1, 1, 8
RTEXT_FILTER_VF = 1
RX_PACKETS, TX_PACKETS, RX_BYTES, TX_BYTES, RX_DROPPED, TX_DROPPED = 0, 1, 2, 3, 7, 8
_NUMBER = struct.Struct("=Q")
_VF = struct.Struct("=I32s")  # struct ifla_vf_mac


class KernelVfStatistics:
    """Implements :class:`~kuryr_libnetwork.interfaces.sriov.VfStatistics`."""

    def read(self, pf_netdev: str) -> dict[int, VfCounters]:
        body = bytes(dumps.SIZES[dumps.RTM_GETLINK])
        for kind, value in (
            (IFLA_EXT_MASK, struct.pack("=I", RTEXT_FILTER_VF)),
            (IFLA_IFNAME, pf_netdev.encode() + b"\0"),
        ):
            body += dumps.attribute(kind, value)
        with told_as(f"read the counters of the VFs of {pf_netdev}"):
            entry = dumps.one(dumps.RTM_GETLINK, body)
            return dict(counters(entry.attributes.get(IFLA_VFINFO_LIST, b"")))


def counters(listed: bytes) -> Iterator[tuple[int, VfCounters]]:
    """The counters in a list of VFs; a VF that is cut off, or has none, is left out."""
    for kind, content in each_attribute(listed):
        if kind != IFLA_VF_INFO:
            continue
        info = attributes_of(content)
        counted = attributes_of(info.get(IFLA_VF_STATS, b""))
        numbers = {place: _NUMBER.unpack(value)[0] for place, value in counted.items() if len(value) == _NUMBER.size}
        if len(info.get(IFLA_VF_MAC, b"")) != _VF.size or TX_BYTES not in numbers:
            continue
        yield (
            _VF.unpack(info[IFLA_VF_MAC])[0],
            VfCounters(
                rx_bytes=numbers.get(RX_BYTES, 0),
                tx_bytes=numbers.get(TX_BYTES, 0),
                rx_packets=numbers.get(RX_PACKETS, 0),
                tx_packets=numbers.get(TX_PACKETS, 0),
                rx_dropped=numbers.get(RX_DROPPED, 0),
                tx_dropped=numbers.get(TX_DROPPED, 0),
            ),
        )
