# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``./dev bench --sriov``: what it reads out of the service's log."""

from __future__ import annotations

import pytest

from bench.sriov import story

LOG = """\
2026-11-26 17:00:01.500 9 DEBUG kuryr_libnetwork.host.netlink look at device old: 900.0 ms netlink /x/netlink.py:49
2026-11-26 17:00:03.000 9 INFO kuryr_libnetwork.docker.boundary IpamDriver.RequestAddress e3228706 ok (1000.0 ms, 1 Neutron calls)
2026-11-26 17:00:04.000 9 DEBUG kuryr_libnetwork.host.netlink configure device pf0v0: 300.0 ms netlink /x/netlink.py:49
2026-11-26 17:00:04.500 9 DEBUG kuryr_libnetwork.host.sysfs write '0000:01:10.2' to /sys/bus/pci/drivers/igbvf/bind: 200.0 ms do /x
2026-11-26 17:00:06.000 9 DEBUG kuryr_libnetwork.host.netlink wait for the carrier of kv0: 1500.0 ms netlink /x/netlink.py:49
2026-11-26 17:00:07.000 9 INFO kuryr_libnetwork.docker.boundary NetworkDriver.CreateEndpoint af11 2471 ok (3900.0 ms, 1 Neutron calls)
2026-11-26 17:00:07.050 9 DEBUG kuryr_libnetwork.docker.boundary NetworkDriver.CreateEndpoint <- b'{}' -> b'{}'
2026-11-26 17:00:07.100 9 INFO kuryr_libnetwork.docker.boundary NetworkDriver.Join af11 2471 ok (50.0 ms, 0 Neutron calls)
2026-11-26 17:00:07.300 9 INFO kuryr_libnetwork.docker.boundary NetworkDriver.EndpointOperInfo af11 2471 ok (1.0 ms, 0 Neutron calls)
"""  # noqa: E501  - lines of a log


def test_the_parts_add_up() -> None:
    """The table would say that Neutron or the kernel took what we took ourselves."""
    found = story(LOG)
    assert found.neutron_calls() == 2
    parts = found.parts(0.7)
    assert parts == {
        "RequestAddress to Join": pytest.approx(5.1),
        "Neutron": pytest.approx(0.7),
        "kernel": pytest.approx(0.5),
        "carrier": pytest.approx(1.5),
        "our own": pytest.approx(4.95 - 0.7 - 0.5 - 1.5),
        "Docker, between the calls": pytest.approx(5.1 - 4.95),
    }
    assert sum(parts.values()) == pytest.approx(2 * parts["RequestAddress to Join"])
