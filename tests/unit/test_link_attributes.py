# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import msgspec
import pytest

from kuryr_libnetwork.model.sriov import LinkAttributes, NetdevState
from kuryr_libnetwork.rules.link_attributes import CHANGEABLE, MULTICAST, plain, to_change

FRESH = LinkAttributes(flags=MULTICAST, tx_queue_length=1000, group=0, broadcast="ff:ff:ff:ff:ff:ff", link_mode=0)
STATE = NetdevState(name="eth5", mac="02:00:00:00:00:01", mtu=1500, up=False, attributes=FRESH)


def test_a_container_gets_the_flags_of_a_new_device_and_no_names() -> None:
    """What an operator set for speed stays; what he watched a VF with, or calls it, is none of the container's
    business.
    """
    found = msgspec.structs.replace(FRESH, flags=0x1100, tx_queue_length=500, alias="uplink", altnames=("enp1s0",))
    assert plain(found) == msgspec.structs.replace(FRESH, tx_queue_length=500)


def test_only_what_differs_is_set_by_rtnetlinks_names() -> None:
    """An attribute that the driver refuses would fail each container, although it is as it should be."""
    wanted = msgspec.structs.replace(FRESH, tx_queue_length=500, alias="lab", group=3)
    assert to_change(FRESH, FRESH) == {}
    assert to_change(FRESH, wanted) == {"txqlen": 500, "ifalias": "lab", "group": 3}


def test_what_a_kernel_does_not_know_is_left_out() -> None:
    """No VF could be given back on a kernel that is older, or newer, than the one that it was taken with."""
    new = msgspec.structs.replace(FRESH, gro_max_size=65536)
    assert (to_change(FRESH, new), to_change(new, FRESH)) == ({}, {})


def test_whether_a_device_is_up_is_no_attribute() -> None:
    """A device would be set down, or up before it has its MAC, together with its flags."""
    assert CHANGEABLE & 1 == 0


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({}, True),
        ({"attributes": msgspec.structs.replace(FRESH, altnames=("enp1s0",))}, True),
        ({"attributes": msgspec.structs.replace(FRESH, flags=0x1100)}, False),
        ({"attributes": msgspec.structs.replace(FRESH, xdp=True)}, False),
        ({"mtu": 1450}, False),
    ],
)
def test_a_device_is_as_it_was_but_for_names_that_udev_gives(change: dict[str, object], again: bool) -> None:
    """A VF would be quarantined because udev was quick, or be given out promiscuous."""
    assert STATE.is_again(msgspec.structs.replace(STATE, **change)) is again


def test_a_device_of_an_earlier_journal_is_compared_by_what_that_knows() -> None:
    """Every VF that is in use over the upgrade would be quarantined."""
    earlier = msgspec.structs.replace(STATE, attributes=None)
    assert earlier.is_again(STATE)
    assert not earlier.is_again(None)
