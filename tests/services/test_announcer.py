# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Announcing addresses of new containers, beside the calls of Docker."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.port_driver.drivers.veth import VethDriver
from kuryr_libnetwork.port_driver.registry import DriverRegistry
from kuryr_libnetwork.services.endpoints.after_join import LIMIT, LOOK_AGAIN
from kuryr_libnetwork.services.endpoints.announcer import BETWEEN, TIMES, Announcer
from tests.fakes.host import FakeLinks, FakeOvs, FakeScripts
from tests.world.sriov_host import MAC, SANDBOX, Host


class Desk:
    """A VF that has been handed over, and an announcer whose clock stands still."""

    def __init__(self) -> None:
        self.host = Host()
        self.now = 100.0
        self.health = Health()
        drivers = DriverRegistry([VethDriver(FakeLinks(), FakeOvs(), FakeScripts()), self.host.driver])
        self.announcer = Announcer(self.host.journal, drivers, self.health, lambda: self.now)
        plug = self.host.take()
        self.endpoint = EndpointRecord(
            endpoint_id="e1",
            docker_network_id="n",
            port_id=plug.port_id,
            state="ready",
            plug=plug,
            sandbox_key=SANDBOX,
            address="10.10.0.5/24",
            address_ipv6="fd00::5/64",
        )
        self.host.journal.endpoints.put(self.endpoint)
        self.announcer.joined(self.endpoint)

    def move(self) -> None:
        plug = self.endpoint.plug
        assert plug is not None
        self.host.nic.move(plug.container_ifname, SANDBOX, "eth0")

    def after(self, seconds: float) -> int:
        """How many addresses have been announced so far."""
        self.now += seconds
        self.announcer.work()
        return len(self.host.nic.announced)


def test_each_address_three_times_once_the_device_is_there() -> None:
    """With engines before 28, neighbours would send to the former place of an address until their caches forget it."""
    desk = Desk()
    assert (desk.after(0), desk.after(LOOK_AGAIN)) == (0, 0)
    desk.move()
    assert desk.after(LOOK_AGAIN) == 2
    assert desk.host.nic.announced == [(SANDBOX, MAC, "10.10.0.5"), (SANDBOX, MAC, "fd00::5")]
    assert desk.after(BETWEEN / 2) == 2
    assert [desk.after(BETWEEN) for _ in range(TIMES)] == [4, 6, 6]


def test_a_container_that_never_comes_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """Failed starts would be looked for until the service ends, or a sandbox that is none be passed over in silence."""
    desk = Desk()
    desk.after(LIMIT)
    (record,) = caplog.records
    assert record.getMessage().startswith("neighbours are not told of endpoint e1: cannot enter the network namespace")
    desk.move()
    assert desk.after(LIMIT) == 0
    assert len(caplog.records) == 1


def test_an_endpoint_that_ended_is_not_announced() -> None:
    """The address may have its next owner by then: his traffic would be drawn here."""
    desk = Desk()
    desk.move()
    assert desk.after(0) == 2
    desk.host.journal.endpoints.drop("e1")
    assert desk.after(BETWEEN) == 2


def test_a_failure_ends_it() -> None:
    """One broken namespace would end the announcements of all."""
    desk = Desk()
    desk.move()
    desk.host.nic.netdevs.fail_next("announce", LinkError("not permitted"))
    assert (desk.after(0), desk.after(BETWEEN)) == (0, 0)


@pytest.mark.parametrize("error", [PermissionError(1, "Operation not permitted"), AttributeError("a bug")])
def test_what_nobody_foresaw_ends_one_announcement_and_not_the_thread(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """No address would be announced any more until the service is started again, and nobody would know."""
    desk = Desk()
    other = replace(desk.endpoint, endpoint_id="e2")
    desk.host.journal.endpoints.put(other)
    desk.announcer.joined(other)
    desk.move()
    desk.host.nic.netdevs.fail_next("announce", error)
    assert desk.after(0) == 2
    assert desk.after(BETWEEN) == 4
    assert desk.health.report()["announcer"].unforeseen == 1
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "endpoint e1" in record.getMessage()


def test_it_works_in_its_own_thread_and_ends() -> None:
    """Nothing would be announced, or the service not end."""
    desk = Desk()
    desk.move()
    thread = threading.Thread(target=desk.announcer.run, daemon=True)
    thread.start()
    sent = threading.Event()
    while not sent.wait(0.01):
        if desk.host.nic.announced:
            sent.set()
    desk.announcer.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert desk.health.report()["announcer"].last_beat is not None
