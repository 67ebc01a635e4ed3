# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How the host's own IP is kept off the interfaces that stay on the host while a container is at the other end.

A Linux bridge and Open vSwitch's kernel datapath take frames from such an interface before the host's IP stack sees
them. The user-space datapath gets only a copy: the host's IP stack gets the frame, too. Linux answers for all of the
host's addresses on every interface, so a container could reach the host past all security groups, and give it addresses
and routes by a router advertisement. The same holds for a VF while it waits for its container.

``disable_ipv6`` drops all of IPv6. IPv4 has no such switch. ``rp_filter`` drops a datagram if the route back to its
sender uses another interface (2 is enough for an interface without an address, and harmless if an agent gives a bridge
one), and ARP answers only for addresses of that interface. What remains are broadcasts without a sender address
(0.0.0.0, as from a DHCP client), which cannot be answered.
"""

from __future__ import annotations

import msgspec

from kuryr_libnetwork.model.links import HostIp

NO_ADDRESS = 1
"""``IN6_ADDR_GEN_MODE_NONE``: without it the interface would get an address as soon as it is up."""
SILENT = HostIp(rp_filter=2, arp_ignore=1, addr_gen_mode=NO_ADDRESS, disable_ipv6=1, accept_ra=0)
ROUTED = HostIp(accept_ra=0)
"""For an interface that the host routes to: the host is the container's router, but must not use the container as one.
"""


def to_change(found: HostIp, wanted: HostIp) -> dict[str, int]:
    """The settings that differ, except those of an IP version that the interface does not have."""
    pairs = ((name, getattr(found, name), getattr(wanted, name)) for name in HostIp.__struct_fields__)
    return {name: value for name, before, value in pairs if None not in (before, value) and before != value}


def is_silent(found: HostIp) -> bool:
    """Whether the host's IP is off. Settings that have no effect while it is off are not compared."""
    return not to_change(msgspec.structs.replace(found, addr_gen_mode=None, accept_ra=None), SILENT)
