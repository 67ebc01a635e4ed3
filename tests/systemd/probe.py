# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service does for a VF once it is in a container, tried inside of the unit's sandbox without a card.

``python -m tests.systemd.probe SANDBOX MAC ADDRESS NAME``: announces the address on the interface that has the MAC,
then brings that interface home under another name.
"""

from __future__ import annotations

import sys
from functools import partial

from pyroute2 import IPRoute

from kuryr_libnetwork.host.namespaces import OWN, opened, run_inside
from kuryr_libnetwork.host.netdevs import KernelNetdevs


def main(sandbox: str, mac: str, address: str, name: str) -> None:
    assert KernelNetdevs().announce(sandbox, mac, [address])
    with opened(OWN) as home:
        run_inside(sandbox, partial(_send_home, mac, home, name))


def _send_home(mac: str, home: int, name: str) -> None:
    with IPRoute() as socket:
        index = socket.link_lookup(address=mac)[0]
        socket.link("set", index=index, state="down")
        socket.link("set", index=index, net_ns_fd=home, ifname=name)


if __name__ == "__main__":
    main(*sys.argv[1:])
