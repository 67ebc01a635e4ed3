# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where the host's own IP must not be: on the interfaces that stay with it while a container is at the other end.

What switches frames takes them from such an interface before the host's IP does only where it is the kernel's: a bridge
of Linux, or Open vSwitch's kernel datapath. The user-space datapath gets a copy, and the host's IP gets one, too. Linux
answers for every address of the host on every interface, so a container would reach the host past all security groups,
and by a router advertisement give it addresses and routes. A VF is in the same place while it waits for its container.

``disable_ipv6`` drops all of IPv6. IPv4 has no such switch: a datagram is dropped where the way back to its sender is
another one (``rp_filter``; 2 is enough where the interface has no address, and does no harm where an agent of the cloud
gives a bridge one), and ARP answers for addresses of that interface only. What is left of IPv4 has no sender: a
broadcast from 0.0.0.0, as of a DHCP client, which nobody can answer.
"""

from __future__ import annotations

import msgspec

from kuryr_libnetwork.model.links import HostIp

NO_ADDRESS = 1
"""``IN6_ADDR_GEN_MODE_NONE``: without it the interface had an address from the moment it is up."""
SILENT = HostIp(rp_filter=2, arp_ignore=1, addr_gen_mode=NO_ADDRESS, disable_ipv6=1, accept_ra=0)
ROUTED = HostIp(accept_ra=0)
"""An interface that the host routes to is the container's router. But a container is not the host's."""


def to_change(found: HostIp, wanted: HostIp) -> dict[str, int]:
    """The settings that differ. Of a family that the interface does not have there is nothing to be set."""
    pairs = ((name, getattr(found, name), getattr(wanted, name)) for name in HostIp.__struct_fields__)
    return {name: value for name, before, value in pairs if None not in (before, value) and before != value}


def is_silent(found: HostIp) -> bool:
    """Whether the host is not there. What says no more than that the interface exists is not asked for."""
    return not to_change(msgspec.structs.replace(found, addr_gen_mode=None, accept_ra=None), SILENT)
