# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the packets of a tunnelled network fit into those of the interface that carries the tunnels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kuryr_libnetwork.model.neutron import Agent
from kuryr_libnetwork.model.value import Value

# docs/notes/neutron.md, "Tunnels"
OVERHEAD = {"geneve": 38, "vxlan": 30, "gre": 22}
"""Bytes besides the outer IP header; of Geneve with OVN's option."""
IP_HEADER, IP6_HEADER = 20, 40


class Tunnels(Value, frozen=True):
    """``address``: of this host, where its tunnels end; "" if it is not known. ``kinds``: the encapsulations."""

    address: str = ""
    kinds: tuple[str, ...] = ()

    @property
    def overhead(self) -> int:
        """Bytes that the most expensive kind adds to a packet; 0 if no kind is known."""
        header = IP6_HEADER if ":" in self.address else IP_HEADER
        return max((OVERHEAD[kind] + header for kind in self.kinds if kind in OVERHEAD), default=0)


def tunnels_of(agent: Agent | None, ovs: Mapping[str, str]) -> Tunnels:
    """From what OVN's controller is told in Open vSwitch's database, or Neutron's agent says of itself."""
    address, kinds = ovs.get("ovn-encap-ip", ""), ovs.get("ovn-encap-type", "")
    if address:
        # Both may be lists; all addresses of a host are on networks that carry the same packets, or should be.
        return Tunnels(address=address.split(",")[0].strip(), kinds=tuple(kind.strip() for kind in kinds.split(",")))
    told = agent.configurations if agent is not None else {}
    own, types = told.get("tunneling_ip"), told.get("tunnel_types")
    if not isinstance(own, str) or not isinstance(types, list):
        return Tunnels()
    return Tunnels(address=own, kinds=tuple(str(kind) for kind in types))


def too_large(mtus: Iterable[int], tunnels: Tunnels, carried: int) -> list[int]:
    """The MTUs of networks whose packets do not fit into an interface's MTU, ``carried``."""
    return sorted({mtu for mtu in mtus if mtu + tunnels.overhead > carried})
