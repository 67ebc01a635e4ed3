# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A lab with an SR-IOV machine: real VFs of an emulated card, real dockerd, agent and service in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import lab as laboratory
from lab.api import Lab
from lab.sriov.api import Machine
from tests.sriov import document
from tests.sriov.guide import Card, Guide
from tests.sriov.reader import Reader


@pytest.fixture(scope="session")
def lab() -> Lab:
    return laboratory.connect(os.environ.get("KURYR_LAB", "test"))


@pytest.fixture(scope="session")
def reader(lab: Lab) -> Reader:
    return Reader(lab.machine("s1"))


@pytest.fixture(scope="session")
def step1(reader: Reader) -> list[str]:
    """Step 1 of the guide; answers the output of its commands."""
    reader.machine.set_vfs(reader.values["enp3s0f0"], 0)
    return reader.follow(document.CREATE_VFS)


@pytest.fixture(scope="session")
def machine(reader: Reader, step1: list[str]) -> Machine:
    """With VFs, and with Neutron's agent, which has been starting since the machine was started."""
    reader.machine.wait_for_agent(300)
    return reader.machine


@pytest.fixture(scope="session")
def step4(machine: Machine, reader: Reader) -> list[str]:
    """Step 4 of the guide: the four driver names, and the service restarted."""
    reader.write_settings(document.SERVICE, machine.kuryr_conf)
    return reader.follow(document.SERVICE)


@pytest.fixture(scope="session")
def configured(machine: Machine, step4: list[str]) -> Machine:
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
