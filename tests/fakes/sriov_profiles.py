# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the driver families of SR-IOV cards do differently, as data."""

from __future__ import annotations

from typing import Literal

from kuryr_libnetwork.model.value import Value


class Profile(Value, frozen=True):
    """``follows``: when the effective MAC becomes the administrative one: at once, or when the VF is bound again.

    ``mac_tries``: how many attempts it takes to set the VF's MAC. ``guards_mac``: without trust a VF refuses every MAC
    but the administrative one. ``learns_mac``: the PF shows the MAC that a VF without an administrative MAC reported.
    ``zero_mac``: the administrative MAC can be cleared.
    """

    pf_driver: str
    vf_driver: str
    vendor_id: str
    pf_device: str
    vf_device: str
    total_vfs: int
    follows: Literal["at-once", "rebind"]
    mac_tries: int = 1
    guards_mac: bool = True
    learns_mac: bool = False
    zero_mac: bool = True
    link_state: bool = True
    min_rate: bool = True
    max_rate: bool = True
    trust: bool = True
    spoofchk: bool = True


IGB = Profile(
    pf_driver="igb",
    vf_driver="igbvf",
    vendor_id="8086",
    pf_device="10c9",
    vf_device="10ca",
    total_vfs=7,
    follows="rebind",
    learns_mac=True,
    link_state=False,
    min_rate=False,
)
IXGBE = Profile(
    pf_driver="ixgbe",
    vf_driver="ixgbevf",
    vendor_id="8086",
    pf_device="10fb",
    vf_device="10ed",
    total_vfs=63,
    follows="rebind",
    min_rate=False,
)
I40E = Profile(
    pf_driver="i40e",
    vf_driver="iavf",
    vendor_id="8086",
    pf_device="1572",
    vf_device="154c",
    total_vfs=64,
    follows="at-once",
    mac_tries=10,
    min_rate=False,
)
ICE = Profile(
    pf_driver="ice",
    vf_driver="iavf",
    vendor_id="8086",
    pf_device="1592",
    vf_device="1889",
    total_vfs=128,
    follows="at-once",
    mac_tries=5,
)
MLX5 = Profile(
    pf_driver="mlx5_core",
    vf_driver="mlx5_core",
    vendor_id="15b3",
    pf_device="1017",
    vf_device="1018",
    total_vfs=8,
    follows="rebind",
    guards_mac=False,
    zero_mac=False,
)
BARE = Profile(
    pf_driver="liquidio",
    vf_driver="liquidio_vf",
    vendor_id="177d",
    pf_device="9702",
    vf_device="9712",
    total_vfs=16,
    follows="at-once",
    link_state=False,
    min_rate=False,
    max_rate=False,
    trust=False,
    spoofchk=False,
)
"""A driver that supports only MAC and VLAN."""

PROFILES = {"igb": IGB, "ixgbe": IXGBE, "i40e": I40E, "ice": ICE, "mlx5": MLX5, "bare": BARE}
