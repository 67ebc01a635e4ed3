# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools

import pytest

from kuryr_libnetwork.rules.pf_devices import PortOfPf, own_devices, representors


def ports(**names: str) -> list[PortOfPf]:
    return [PortOfPf(name=name, phys_port_name=port_name) for name, port_name in names.items()]


@pytest.mark.parametrize(
    "found",
    [
        ports(eth2="p0", eth8="pf0vf0", eth9="pf0vf1", eth10="pf0vf2"),
        ports(eth2="p0", eth10="0", eth9="1"),
        ports(eth2="", eth10="c1pf0vf0"),
        ports(eth2="p0", eth1="pf0sf88"),
        ports(eth2="p1", eth1="pf1hpf", eth0="pf1"),
    ],
    ids=["mlx5 and ice", "old mlx5", "a SmartNIC's host", "sub-functions", "on a SmartNIC"],
)
def test_the_uplink_is_the_pfs_own_device(found: list[PortOfPf]) -> None:
    """MAC, VLAN and trust of a VF would be set at the representor of another VF, which is alphabetically first."""
    for order in itertools.permutations(found):
        assert own_devices(order) == ("eth2",)
        assert representors(order) == tuple(sorted(port.name for port in found if port.name != "eth2"))


def test_ports_of_one_function_are_in_the_order_of_their_numbers() -> None:
    """The second port's VF settings would be taken for the first one's as soon as somebody renames a device."""
    first, second = PortOfPf(name="wan", dev_port=0), PortOfPf(name="lan", dev_port=1)
    assert own_devices([second, first]) == ("wan", "lan")
    assert representors([second, first]) == ()


def test_devices_that_say_nothing_are_in_the_order_of_their_numbers() -> None:
    """``eth10`` would come before ``eth9``."""
    assert own_devices(ports(eth10="", eth9="")) == ("eth9", "eth10")


def test_without_devices_there_is_nothing() -> None:
    assert (own_devices([]), representors([])) == ((), ())
