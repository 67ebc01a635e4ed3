# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Two hosts on one wire, each with its own cards, Docker, agent and service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.api import Lab
from tests.sriov import document
from tests.sriov.guide import Card, Guide
from tests.sriov.reader import Reader

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def far(lab: Lab) -> Iterator[Guide]:
    """The same on the other machine."""
    machine = lab.machine("s2")
    machine.wait_for_agent(300)
    reader = Reader(machine)
    reader.write_settings(document.SERVICE, machine.kuryr_conf)
    machine.kuryr.restart()
    card = Card(machine)
    before = card.picture()
    guide = Guide(lab, machine)
    yield guide
    guide.tidy()
    assert card.picture() == before


def test_from_host_to_host(guide: Guide, far: Guide) -> None:
    """Containers of one network on two hosts would not see each other, or those of another network would."""
    networks = [guide.network(150), guide.network(151)]
    nets = [guide.docker_network(network, "-o", "kuryr.vnic_type=direct") for network in networks]
    far_nets = [far.docker_network(network, "-o", "kuryr.vnic_type=direct") for network in networks]
    one, other = (guide.run(net) for net in nets)
    far_one, far_other = (far.run(net) for net in far_nets)
    assert guide.port_of(one, nets[0])["binding:host_id"] == "s1"
    assert far.port_of(far_one, far_nets[0])["binding:host_id"] == "s2"
    assert guide.reaches(one, far.address(far_one, far_nets[0]))
    assert far.reaches(far_other, guide.address(other, nets[1]))
    intruder = networks[0]["cidr"].replace(".0/24", ".200/24")
    far.machine.docker("exec", "--privileged", far_other, "ip", "address", "add", intruder, "dev", "eth0")
    assert not far.reaches(far_other, guide.address(one, nets[0]), 5)
