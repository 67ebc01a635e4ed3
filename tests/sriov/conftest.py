# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A lab with an SR-IOV machine: real VFs of an emulated card, real dockerd, agent and service in it.

``./dev test sriov`` starts it; it is not part of ``./dev test``, for it builds a machine image the first time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import lab as laboratory
from lab.api import Lab
from lab.sriov_api import Machine
from tests.sriov.guide import Card, Guide

VFS = 4


@pytest.fixture(scope="session")
def lab() -> Lab:
    return laboratory.connect(os.environ.get("KURYR_LAB", "test"))


@pytest.fixture(scope="session")
def machine(lab: Lab) -> Machine:
    """Step 1 of the guide, VFs; step 3, the agent, is on its way since the machine was started."""
    machine = lab.machine("s1")
    for pf in machine.pfs:
        if machine.read(f"/sys/class/net/{pf}/device/sriov_numvfs").strip() != str(VFS):
            machine.set_vfs(pf, VFS)
    machine.wait_for_agent(300)
    return machine


@pytest.fixture(scope="session")
def configured(machine: Machine) -> Machine:
    """Step 4 of the guide, word for word: the four driver names, and the service restarted."""
    text = machine.read(machine.kuryr_conf)
    if "drivers.sriov" not in text:
        text = text.replace(
            "[DEFAULT]\n",
            "[DEFAULT]\n"
            "enabled_port_drivers = kuryr_libnetwork.port_driver.drivers.veth, kuryr_libnetwork.port_driver.drivers.sriov\n",
        )
        text += "\n[binding]\nenabled_drivers = kuryr.lib.binding.drivers.veth, kuryr.lib.binding.drivers.hw_veb\n"
        machine.write(machine.kuryr_conf, text)
        machine.kuryr.restart()
    return machine


@pytest.fixture
def guide(lab: Lab, configured: Machine) -> Iterator[Guide]:
    """Somebody who follows the guide; afterwards every VF must be as it was before."""
    card = Card(configured)
    before = card.picture()
    guide = Guide(lab, configured)
    yield guide
    guide.tidy()
    assert card.picture() == before


@pytest.fixture
def physical(lab: Lab, guide: Guide) -> dict[str, Any]:
    """A VLAN network on the machine's physical network, with a subnet."""
    return guide.network(150)
