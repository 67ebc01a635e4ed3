# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the services rely on in a journal, tested on the one on disk and on the fake."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from kuryr_libnetwork.host.journal import SqliteJournal
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.indexes import LEASES_BY_ADDRESS, WAITING_LEASES_BY_NETWORK, Index, address_key
from kuryr_libnetwork.model.neutron import FixedIp, HostRoute, Port
from kuryr_libnetwork.model.records import (
    Change,
    EndpointRecord,
    IntentRecord,
    LeaseRecord,
    NetworkRecord,
    PlugRecord,
    PoolRecord,
    SpareRecord,
    SubnetRecord,
)
from kuryr_libnetwork.model.sriov import DeviceLease, NetdevState, VfSettings
from tests.fakes.host import FakeJournal


class Broken(Exception):
    """Raised by a test inside a transaction."""


POOL = PoolRecord(pool_id="p1", cidr="10.0.0.0/24", ip_version=4, made=True, reserved=("10.0.0.2",))
SUBNET = SubnetRecord(
    subnet_id="s1",
    pool_id="p1",
    cidr="10.0.0.0/24",
    ip_version=4,
    made=True,
    gateway_ip="10.0.0.1",
    host_routes=(HostRoute(destination="10.9.0.0/16", nexthop="10.0.0.9"),),
)
NETWORK = NetworkRecord(
    docker_id="n" * 64, neutron_id="net", made=False, mtu=1442, subnets=(SUBNET,), options={"neutron.net.name": "ü"}
)
ORIGINAL = Port(id="port", network_id="net", name="x", host_id="", tags=("a",))
LEASE = LeaseRecord(
    port_id="port",
    docker_network_id="n" * 64,
    neutron_network_id="net",
    mac_address="fa:16:3e:00:00:01",
    vnic_type="normal",
    held=(FixedIp(subnet_id="s1", ip_address="10.0.0.5"),),
    original=ORIGINAL,
    claim="e" * 64,
    changes=(Change(name="admin_state_up", before=False, ours=True),),
)
PLUG = PlugRecord(
    driver="veth", binding="veth", port_id="port", vif_type="ovs", host_ifname="tap", container_ifname="t_c"
)
ENDPOINT = EndpointRecord(endpoint_id="e1", docker_network_id="n" * 64, port_id="port", state="ready", plug=PLUG)
SPARE = SpareRecord(
    port_id="spare",
    docker_network_id="n" * 64,
    state="ready",
    port=Port(id="spare", network_id="net"),
    plug=PLUG,
    since=2.5,
)
INTENT = IntentRecord(token="t1", resource="ports", created_at=1.5)
DEVICE = DeviceLease(
    pci_address="0000:01:10.0",
    pf_address="0000:01:00.0",
    index=0,
    port_id="port",
    vnic_type="direct",
    state="leased",
    generation="g1",
    original_netdev=NetdevState(name="eth5", mac="02:00:00:00:00:01", mtu=1500, up=False),
    original_settings=VfSettings(mac="", vlan=0, spoofchk=True),
)


@pytest.fixture(params=["disk", "fake"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "fake":
        yield FakeJournal()
        return
    made = SqliteJournal(tmp_path / "kuryr" / "kuryr.db")
    yield made
    made.close()


def test_every_kind_of_record_comes_back_as_it_was(journal: Journal) -> None:
    """After a restart the service would act on a record that says something else than what was stored."""
    journal.pools.put(POOL)
    journal.networks.put(NETWORK)
    journal.leases.put(LEASE)
    journal.endpoints.put(ENDPOINT)
    journal.intents.put(INTENT)
    journal.devices.put(DEVICE)
    journal.spares.put(SPARE)
    assert journal.pools.get("p1") == POOL
    assert journal.networks.get("n" * 64) == NETWORK
    assert journal.leases.get("port") == LEASE
    assert journal.endpoints.get("e1") == ENDPOINT
    assert journal.intents.get("t1") == INTENT
    assert journal.devices.get("0000:01:10.0") == DEVICE
    assert journal.spares.get("spare") == SPARE
    assert journal.networks.all() == [NETWORK]


def test_a_second_put_replaces_and_keeps_the_order(journal: Journal) -> None:
    """A changed record would be listed twice, or the order of records would change with each update."""
    for key in ("b", "a", "c"):
        journal.pools.put(msgspec.structs.replace(POOL, pool_id=key))
    journal.pools.put(msgspec.structs.replace(POOL, pool_id="b", requests=2))
    assert [(pool.pool_id, pool.requests) for pool in journal.pools.all()] == [("b", 2), ("a", 1), ("c", 1)]


def test_what_is_not_there_is_none_and_can_be_dropped(journal: Journal) -> None:
    """Deleting what is unknown must succeed for Docker, and would fail."""
    assert journal.pools.get("nothing") is None
    journal.pools.drop("nothing")
    journal.pools.put(POOL)
    journal.pools.drop("p1")
    assert journal.pools.all() == []


def test_a_transaction_happens_together_or_not_at_all(journal: Journal) -> None:
    """A failed call would leave an endpoint without its lease."""
    journal.pools.put(POOL)
    with suppress(Broken), journal.transaction():
        journal.endpoints.put(ENDPOINT)
        journal.pools.drop("p1")
        raise Broken
    assert journal.endpoints.all() == []
    assert journal.pools.all() == [POOL]
    with journal.transaction():
        journal.endpoints.put(ENDPOINT)
        journal.leases.put(LEASE)
        assert journal.endpoints.get("e1") == ENDPOINT
    assert journal.leases.all() == [LEASE]


def test_an_inner_transaction_is_part_of_the_outer_one(journal: Journal) -> None:
    """A service that calls another one inside its transaction would commit half of its own work."""
    with suppress(Broken), journal.transaction():
        with journal.transaction():
            journal.endpoints.put(ENDPOINT)
        raise Broken
    assert journal.endpoints.all() == []


def test_an_inner_transaction_that_fails_is_undone_alone(journal: Journal) -> None:
    """An error that the caller deals with would take the caller's own work with it, or leave half of the callee's."""
    with journal.transaction():
        journal.pools.put(POOL)
        with suppress(Broken), journal.transaction():
            journal.endpoints.put(ENDPOINT)
            raise Broken
    assert journal.endpoints.all() == []
    assert journal.pools.all() == [POOL]


def test_another_thread_neither_joins_nor_sees_a_transaction(journal: Journal) -> None:
    """A record of one Docker call would vanish because another call, made at the same time, failed."""
    inside, seen = threading.Event(), []

    def other() -> None:
        inside.wait()
        seen.append(journal.endpoints.get("e1"))
        journal.pools.put(POOL)

    thread = threading.Thread(target=other)
    thread.start()
    with suppress(Broken), journal.transaction():
        journal.endpoints.put(ENDPOINT)
        inside.set()
        raise Broken
    thread.join()
    assert seen == [None]
    assert journal.pools.all() == [POOL]


def test_many_threads_write_at_once(journal: Journal) -> None:
    """Twenty containers started at once would lose records, or fail with a locked database."""

    def work(number: int) -> None:
        for turn in range(10):
            with journal.transaction():
                journal.intents.put(IntentRecord(token=f"{number}-{turn}", resource="ports", created_at=0))
                journal.pools.put(msgspec.structs.replace(POOL, pool_id=f"{number}", requests=turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.intents.all()) == 200
    assert {pool.requests for pool in journal.pools.all()} == {9}


def test_records_are_found_by_what_they_say(journal: Journal) -> None:
    """A call of Docker would not find the port of an address, or one that had it before."""
    other = FixedIp(subnet_id="s2", ip_address="fd00::5")
    journal.leases.put(LEASE)
    journal.leases.put(msgspec.structs.replace(LEASE, port_id="second", held=(other,), endpoint_id="e2"))
    at = address_key("s1", "10.0.0.5")
    assert journal.leases.find(LEASES_BY_ADDRESS, at) == [LEASE]
    assert [each.port_id for each in journal.leases.find(WAITING_LEASES_BY_NETWORK, "n" * 64)] == ["port"]
    moved = msgspec.structs.replace(LEASE, held=(), spare=(other,), endpoint_id="e1")
    journal.leases.put(moved)
    assert journal.leases.find(LEASES_BY_ADDRESS, at) == []
    there = journal.leases.find(LEASES_BY_ADDRESS, address_key("s2", "fd00::5"))
    assert sorted(each.port_id for each in there) == ["port", "second"]
    assert journal.leases.find(WAITING_LEASES_BY_NETWORK, "n" * 64) == []
    journal.leases.drop("second")
    assert journal.leases.find(LEASES_BY_ADDRESS, address_key("s2", "fd00::5")) == [moved]


def test_an_index_knows_nothing_of_what_was_undone(journal: Journal) -> None:
    """What a failed step had written would be found by its address, and nowhere else."""
    journal.leases.put(LEASE)
    at = address_key("s1", "10.0.0.5")
    assert journal.leases.find(LEASES_BY_ADDRESS, at) == [LEASE]
    with suppress(Broken), journal.transaction():
        journal.leases.drop("port")
        assert journal.leases.find(LEASES_BY_ADDRESS, at) == []
        raise Broken
    assert journal.leases.find(LEASES_BY_ADDRESS, at) == [LEASE]


def test_a_look_up_costs_the_same_among_many(tmp_path: Path) -> None:
    """With 3,000 containers each call of Docker would look at all of them."""
    looked: list[str] = []

    def keys(lease: LeaseRecord) -> list[str]:
        looked.append(lease.port_id)
        return [lease.mac_address]

    by_mac = Index[LeaseRecord](keys)
    journal = SqliteJournal(tmp_path / "kuryr.db")
    with journal.transaction():
        for number in range(200):
            journal.leases.put(msgspec.structs.replace(LEASE, port_id=f"p{number}", mac_address=f"mac{number}"))
    assert [each.port_id for each in journal.leases.find(by_mac, "mac77")] == ["p77"]
    looked.clear()
    journal.leases.put(msgspec.structs.replace(LEASE, port_id="p77", mac_address="new"))
    assert [each.port_id for each in journal.leases.find(by_mac, "new")] == ["p77"]
    assert set(looked) == {"p77"}
    journal.close()
