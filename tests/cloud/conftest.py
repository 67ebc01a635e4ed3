# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The real lab: Neutron with OVN or its own agents, Open vSwitch, two Docker Engines and kuryr-server on two hosts.

``./dev test`` starts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import lab as laboratory
from lab import http
from lab.api import Host, Lab
from lab.backend import Backend
from lab.paths import CLOUD_ADDRESS, KEYSTONE_PORT, NEUTRON_PORT
from lab.people import KURYR_ADMIN, KURYR_BY_ROLE, Person
from tests.cloud.relay import relay
from tests.cloud.user import User, somebody

HANG = 400
"""Seconds after which a test is ended that names no time of its own. On a busy machine a slow one takes three times as
long as otherwise, and what it leaves behind if it is cut off fails all that follow."""


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(HANG))


@pytest.fixture(scope="session")
def lab() -> Lab:
    """If there are several labs, each of pytest's workers (gw0, gw1 …) has its own."""
    names = os.environ.get("KURYR_LAB", "test").split(",")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return laboratory.connect(names[int(worker.removeprefix("gw"))])


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest, lab: Lab) -> Backend:
    """What carries out the networks; a test of what OVN alone does is not run on another one."""
    mark = request.node.get_closest_marker("ovn")
    if mark is not None and not lab.backend.is_ovn:
        pytest.skip(f"with ML2/OVN only: {mark.args[0]}")
    return lab.backend


@pytest.fixture(scope="session")
def neutron_url(lab: Lab) -> Iterator[str]:
    """Neutron's API for a client in this process, which is outside of the lab's namespaces."""
    with relay(http.inside(lab.paths.netns, (CLOUD_ADDRESS, NEUTRON_PORT))) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def keystone_url(lab: Lab) -> Iterator[str]:
    """Keystone for a client in this process."""
    with relay(http.inside(lab.paths.netns, (CLOUD_ADDRESS, KEYSTONE_PORT))) as port:
        yield f"http://127.0.0.1:{port}/v3"


@pytest.fixture(scope="session")
def chassis_host() -> str:
    return "h1"


@pytest.fixture
def h1(lab: Lab) -> Host:
    return lab.host("h1")


@pytest.fixture
def h2(lab: Lab) -> Host:
    return lab.host("h2")


@pytest.fixture(params=["h1", "h2"])
def host(request: pytest.FixtureRequest, lab: Lab) -> Host:
    """Each host in turn: their Docker Engines are different ones."""
    name: str = request.param
    return lab.host(name)


@contextmanager
def services_as(lab: Lab, person: Person) -> Iterator[None]:
    """Run the services of all hosts as this user; restores the former users afterwards."""
    before = {host: host.person for host in lab.hosts.values()}
    for host in before:
        host.log_in_as(person)
    yield
    for host, was in before.items():
        host.log_in_as(was)


PLUGGING_TIMEOUT = 6


@contextmanager
def waiting_for_ports(host: Host) -> Iterator[Host]:
    """A host on which containers wait for their port to be ACTIVE, for so many seconds."""
    file = host.paths.kuryr_conf
    text = file.read_text()
    options = f"vif_plugging_is_fatal = true\nvif_plugging_timeout = {PLUGGING_TIMEOUT}\n"
    file.write_text(text.replace("[neutron]\n", f"[neutron]\n{options}"))
    host.kuryr.restart()
    try:
        yield host
    finally:
        host.agent.start()
        file.write_text(text)
        host.kuryr.restart()


@pytest.fixture
def service_admin(lab: Lab) -> Iterator[None]:
    """The hosts' services have the roles service and admin, for the few things that take an administrator."""
    with services_as(lab, KURYR_ADMIN):
        yield


@pytest.fixture(params=KURYR_BY_ROLE)
def role(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    """With the role service the hosts' services have this one: member, then admin."""
    with services_as(lab, KURYR_BY_ROLE[request.param]):
        yield request.param


@pytest.fixture
def user(lab: Lab) -> Iterator[User]:
    with somebody(lab) as user:
        yield user
