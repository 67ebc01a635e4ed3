# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What carries out Neutron's networks in a lab: OVN, or Neutron's own agent for Open vSwitch."""

from dataclasses import dataclass

from lab.errors import LabError


@dataclass(frozen=True)
class Backend:
    """``agent``: the program of each host, and what Neutron calls it. ``firewall``: that agent's ``firewall_driver``.

    The others are values of neutron.conf; ``tunnel``: the type of networks that nobody asks to be on a physical one.
    """

    name: str
    agent: str
    agent_type: str
    mechanism: str
    router: str
    tunnel: str
    firewall: str = ""

    @property
    def is_ovn(self) -> bool:
        return not self.firewall


OVN = Backend("ovn", "ovn-controller", "OVN Controller agent", "ovn", "ovn-router", "geneve")
_OVS_AGENT = "neutron-openvswitch-agent", "Open vSwitch agent", "openvswitch", "router", "vxlan"
BACKENDS = {
    each.name: each
    for each in (
        OVN,
        Backend("ovs", *_OVS_AGENT, firewall="openvswitch"),
        Backend("ovs-hybrid", *_OVS_AGENT, firewall="iptables_hybrid"),
    )
}
DESCRIPTION = (
    "ovn; ovs: ML2/OVS with its openvswitch firewall; ovs-hybrid: with the one of iptables and a bridge per port"
)


def named(name: str) -> Backend:
    try:
        return BACKENDS[name]
    except KeyError:
        msg = f"there is no backend {name!r}; there are {', '.join(BACKENDS)}"
        raise LabError(msg) from None
