# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The host's clock is set, hours back or years forward: nothing is removed too early, and nothing is kept too long.

A host without a battery starts in 1970 or with the date of its image, and is set by NTP some time after its containers
have started.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.errors import NeutronRefused, NeutronUnavailable
from kuryr_libnetwork.services.state.dates import Dates
from tests.conversation.faults.test_background import forgotten_addresses, poison, work
from tests.world.dockerside import PluginError
from tests.world.rig import GRACE, DirectDocker, Rig

CIDR = "10.1.0.0/24"
HOUR = 3600.0
STEPS = {"not": 0.0, "back": -7 * HOUR, "forward": 10 * 365 * 24 * HOUR}

pytestmark = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)


@pytest.fixture
def rig() -> Rig:
    return Rig(role="admin")


@pytest.fixture
def docker(rig: Rig) -> DirectDocker:
    return DirectDocker(rig)


def ages(rig: Rig, step: float, there: Callable[[], object]) -> None:
    """Assert that it exists for the grace time after the clock was set, and is gone after that."""
    rig.services.reconciler.round()
    rig.wall += step
    for _ in range(3):
        rig.services.reconciler.round()
        rig.now += GRACE / 4
        assert there(), "removed too early"
    rig.now += GRACE
    rig.services.reconciler.round()
    assert not there(), "kept for the clock"


def test_a_creation_whose_answer_was_lost(rig: Rig, docker: DirectDocker, step: float) -> None:
    """It would be removed while Neutron still works on it, or stay until the clock is back where it was."""
    network = docker.network_create(CIDR)
    rig.neutron.fail_next("create_port", NeutronUnavailable("no answer"), after=True)
    with pytest.raises(PluginError):
        docker.run(network)
    ages(rig, step, rig.neutron.user_ports)
    assert rig.journal.intents.all() == []


def test_an_address_that_nobody_uses(rig: Rig, docker: DirectDocker, step: float) -> None:
    """A container that is just being started would lose its port."""
    forgotten_addresses(docker, docker.network_create(CIDR), 1)
    ages(rig, step, rig.journal.leases.all)


def test_a_network_that_was_half_made_when_the_service_died(rig: Rig, docker: DirectDocker, step: float) -> None:
    """Its name would stay taken for the grace time, although Docker has forgotten the network."""
    network = docker.network_create(CIDR)
    (record,) = rig.journal.networks.all()
    rig.journal.networks.put(msgspec.structs.replace(record, state="creating"))
    rig.wall += step
    rig.revive()
    rig.services.reconciler.finish_interrupted()
    assert rig.journal.networks.all() == []
    assert network.pools[0].pool_id in {pool.pool_id for pool in rig.journal.pools.all()}


def release(docker: DirectDocker, pool: str, ip: str) -> None:
    docker.client.call("IpamDriver.ReleaseAddress", {"PoolID": pool, "Address": ip})


def test_a_late_release_while_a_container_starts(rig: Rig, docker: DirectDocker, step: float) -> None:
    """Engines before 28 move the interface some time after Join: the container would lose its port, or the port would
    stay for hours after the container.
    """
    network = docker.network_create(CIDR)
    box = docker.run(network)
    docker.rm(box)
    rig.links.come_back(docker.run(network, ip=box.ip).interface["SrcName"])  # is in no container yet
    rig.wall += step
    release(docker, network.pools[0].pool_id, box.ip)
    assert len(rig.ovs.owned()) == 1
    rig.now += GRACE + 1
    release(docker, network.pools[0].pool_id, box.ip)
    assert rig.ovs.owned() == []


def test_the_newest_of_two_ports(rig: Rig, docker: DirectDocker, step: float) -> None:
    """A container would get its IPv6 address from a port that an earlier start left behind."""
    network = docker.network_create(CIDR, subnet_v6="fd00:1::/64")
    docker.client.call(
        "IpamDriver.RequestAddress", {"PoolID": network.pools[0].pool_id, "Address": "", "Options": None}
    )
    rig.wall += step
    box = docker.run(network)
    (port,) = [port for port in rig.neutron.user_ports() if port.device_id == box.endpoint_id]
    assert {ip.ip_address for ip in port.fixed_ips} == {box.ip, box.ip6}


def test_the_newest_of_two_pools(rig: Rig, docker: DirectDocker, step: float) -> None:
    """A network would use the pool of a creation that failed, while Docker requests addresses from the other one."""
    wanted = {"AddressSpace": "", "Pool": CIDR, "SubPool": "", "Options": None, "V6": False}
    docker.client.call("IpamDriver.RequestPool", wanted)
    rig.now += 20
    rig.wall += step
    network = docker.network_create(CIDR)
    assert docker.run(network).ip
    (record,) = rig.journal.networks.all()
    assert record.pools == (network.pools[0].pool_id,)


def test_the_newest_after_a_start(rig: Rig, docker: DirectDocker, step: float) -> None:
    """The same, with a service that knows the older one from its journal only."""
    wanted = {"AddressSpace": "", "Pool": CIDR, "SubPool": "", "Options": None, "V6": False}
    docker.client.call("IpamDriver.RequestPool", wanted)
    rig.wall += step
    rig.now += 20
    rig.revive()
    rig.now += 20
    network = docker.network_create(CIDR)
    (record,) = rig.journal.networks.all()
    assert record.pools == (network.pools[0].pool_id,)


def test_what_failed_is_tried_again(rig: Rig, docker: DirectDocker, step: float) -> None:
    """A port that Neutron refused to delete would not be tried for hours, or again and again."""
    forgotten_addresses(docker, docker.network_create(CIDR), 1)
    (lease,) = rig.journal.leases.all()
    asked: list[str] = []
    refuse = poison(lease.port_id, NeutronRefused("no"))

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "neutron.delete_port":
            asked.append(name)
        refuse(name, arguments)

    rig.outside.hook = hook
    work(rig, 4)
    before = len(asked)
    assert before > 1
    rig.wall += step
    work(rig, 24)
    assert 3 <= len(asked) - before <= 6


def test_dates_tell_the_order(step: float) -> None:
    """Of two records the older one would be taken for the newer."""
    wall = 1000.0
    dates = Dates(lambda: wall, 1500.0)
    told = [dates(), dates()]
    wall += step
    told += [dates(), dates()]
    assert told == sorted(set(told))
    assert told[0] > 1500
