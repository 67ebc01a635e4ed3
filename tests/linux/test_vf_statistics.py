# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel understands the question for the counters of VFs."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.errors import LinkNotFound
from kuryr_libnetwork.host.vf_statistics import KernelVfStatistics


def test_a_device_without_vfs_has_no_counters() -> None:
    """Each scrape would end in an error."""
    assert KernelVfStatistics().read("lo") == {}


def test_a_device_that_is_not_there_is_named() -> None:
    """Nobody could tell which PF has gone."""
    with pytest.raises(LinkNotFound, match="cannot read the counters of the VFs of nothere: No such device"):
        KernelVfStatistics().read("nothere")
