# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import array
import fcntl
import socket
import struct

import msgspec
import pytest

from kuryr_libnetwork.host.links import SIOCETHTOOL, KernelLinks
from kuryr_libnetwork.model.links import VethSpec
from tests.linux.namespace import namespace

ETHTOOL_GTXCSUM = 0x16
SPEC = VethSpec(host_name="tapx", container_name="t_cx", mac="fa:16:3e:00:00:01", mtu=1442, alias="kuryr:p1")


def checksums_are_left_open(name: str) -> bool:
    value = array.array("I", [ETHTOOL_GTXCSUM, 0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", name.encode(), value.buffer_info()[0]))
    return bool(value[1])


@pytest.mark.parametrize("wanted", [True, False])
def test_checksum_offloading_of_the_containers_end(wanted: bool) -> None:
    """TCP would hang on the user-space datapath, or lose its offloading on the kernel's."""
    with namespace() as inside:
        inside.run(KernelLinks().create_veth, msgspec.structs.replace(SPEC, tx_checksum=wanted))
        assert inside.run(checksums_are_left_open, "t_cx") is wanted
        assert inside.run(checksums_are_left_open, "tapx") is True
