# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a PF counts for its VFs, read from the kernel's messages."""

from __future__ import annotations

import struct

from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.vf_statistics import counters
from kuryr_libnetwork.model.sriov import VfCounters

STATS = {0: 11, 1: 12, 2: 1100, 3: 1200, 4: 3, 5: 4, 7: 7, 8: 8}
"""Packets and bytes received and sent, broadcast, multicast, and dropped ones, by the kernel's numbers."""


def padded(kind: int, value: bytes) -> bytes:
    told = dumps.attribute(kind, value)
    return told + b"\0" * (-len(told) % 4)


def info(number: int, stats: dict[int, int] | None = STATS) -> bytes:
    told = padded(1, struct.pack("=I32s", number, b"\xfa\x16\x3e"))
    told += padded(2, struct.pack("=III", number, 100, 0))
    if stats is not None:
        told += padded(8 | 0x8000, b"".join(padded(kind, struct.pack("=Q", value)) for kind, value in stats.items()))
    return padded(1 | 0x8000, told)


def test_counters_are_those_of_the_vf() -> None:
    """Bytes would be shown as packets, or one container's as another's."""
    found = dict(counters(info(0) + info(3, dict.fromkeys(STATS, 2**63))))
    assert found[0] == VfCounters(
        rx_packets=11, tx_packets=12, rx_bytes=1100, tx_bytes=1200, rx_dropped=7, tx_dropped=8
    )
    assert found[3].tx_bytes == 2**63


def test_kernels_without_dropped_packets() -> None:
    """All counters would be missing with an older kernel."""
    found = dict(counters(info(0, dict.fromkeys(range(6), 5))))
    assert (found[0].rx_bytes, found[0].tx_dropped) == (5, 0)


def test_vfs_without_counters_are_left_out() -> None:
    """A scrape would fail with a kernel that tells no counters."""
    assert dict(counters(b"")) == {}
    assert dict(counters(info(0, None) + info(1))).keys() == {1}
    assert dict(counters(padded(9, b"x") + padded(1, b""))) == {}


def test_a_list_that_is_cut_off_ends_there() -> None:
    """With more VFs than the kernel's list has room for there would be no counters at all, or wrong ones."""
    whole = info(0) + info(1)
    for length in range(len(info(0)), len(whole)):
        found = dict(counters(whole[:length]))
        assert found.keys() <= {0, 1}
        assert found[0] == dict(counters(whole))[0]
