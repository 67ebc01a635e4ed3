# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The interface that has an IP address, as the kernel lists both."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.host.link_dump import link_with


@pytest.mark.parametrize(("address", "name"), [("127.0.0.1", "lo"), ("192.0.2.77", None), ("2001:db8::77", None)])
def test_an_interface_is_found_by_its_address(address: str, name: str | None) -> None:
    """The doctor would judge the MTU of another interface."""
    found = link_with(address, "find it")
    assert (found.name if found else None) == name
