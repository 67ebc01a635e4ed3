# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the packets of a tunnelled network fit into those of the interface that carries the tunnels."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.model.neutron import Agent
from kuryr_libnetwork.rules.tunnels import Tunnels, too_large, tunnels_of


def agent(**configurations: Any) -> Agent:
    return Agent(id="a", agent_type="Open vSwitch agent", host="h", alive=True, configurations=configurations)


def test_where_ovn_ends_its_tunnels() -> None:
    """The wrong interface would be judged, or none."""
    found = tunnels_of(None, {"ovn-encap-ip": "10.0.0.1,10.1.0.1", "ovn-encap-type": "geneve, vxlan"})
    assert (found.address, found.kinds, found.overhead) == ("10.0.0.1", ("geneve", "vxlan"), 58)


def test_where_the_agent_of_ml2_ovs_does() -> None:
    """A host with ML2/OVS would not be checked."""
    found = tunnels_of(agent(tunneling_ip="10.0.0.1", tunnel_types=["vxlan"]), {})
    assert (found.address, found.kinds, found.overhead) == ("10.0.0.1", ("vxlan",), 50)


@pytest.mark.parametrize(
    "told", [{}, {"tunneling_ip": None}, {"tunneling_ip": "10.0.0.1"}, {"tunneling_ip": 5, "tunnel_types": ["gre"]}]
)
def test_nothing_is_known(told: dict[str, Any]) -> None:
    """The doctor would fail on an agent that says less, or something else."""
    assert tunnels_of(agent(**told), {}) == Tunnels()
    assert tunnels_of(None, {}) == Tunnels()


def test_headers() -> None:
    """A network would be called well whose largest packets are lost."""
    assert Tunnels(address="10.0.0.1", kinds=("gre",)).overhead == 42
    assert Tunnels(address="fd00::1", kinds=("geneve",)).overhead == 78
    assert Tunnels(address="10.0.0.1", kinds=("new",)).overhead == 0
    geneve = Tunnels(address="10.0.0.1", kinds=("geneve",))
    assert too_large([1442, 1400], geneve, 1500) == []
    assert too_large([1443, 1442, 9000, 1443], geneve, 1500) == [1443, 9000]
