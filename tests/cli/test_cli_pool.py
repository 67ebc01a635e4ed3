# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr pool``: what operators see of port pools, and how they empty them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronConflict
from tests.cli.test_cli_service import Service
from tests.world.rig import DirectDocker, Rig

POOL = "kuryr.port_pool"


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("s"))
    network = service.docker.network_create("10.7.0.0/24", options={POOL: "2"})
    service.docker.run(network)
    service.rig.fill()
    yield service
    service.bell.set()
    service.server.stop()


def shown_network(service: Service, network: str) -> dict[str, Any]:
    code, out, err = service.bench.run("network", "show", network[:12], "-f", "json")
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(out)
    return told


def test_a_pool_is_listed(service: Service) -> None:
    """Nobody would know which ports, groups and addresses are kept for containers that do not run."""
    rows = service.bench.listed("pool", "list")
    known = {spare.port_id: spare for spare in service.rig.journal.spares.all()}
    assert {row["Port"] for row in rows} == set(known)
    assert {row["State"] for row in rows} == {"ready"}
    assert all(row["Security groups"] == [service.rig.neutron.store.default_group] for row in rows)
    assert all(row["Addresses"] == [known[row["Port"]].port.fixed_ips[0].ip_address] for row in rows)


def test_a_pool_is_drained(service: Service) -> None:
    """A security group, or the last addresses, could not be had as long as a pool holds them."""
    (network,) = {spare.docker_network_id for spare in service.rig.journal.spares.all()}
    assert "no Docker network of this host with a port pool" in service.bench.refused("pool", "drain", "zz")
    code, out, _ = service.bench.run("pool", "drain", network[:12])
    assert (code, out) == (0, "2 ports are being deleted; none are made for two minutes\n")
    service.rig.fill()
    assert service.bench.listed("pool", "list") == []
    service.rig.now += 121
    service.rig.fill()
    assert len(service.bench.listed("pool", "list")) == 2
    assert "2 ports" in service.bench.run("pool", "drain")[1]


def test_a_network_shows_its_pool(service: Service) -> None:
    """Whoever asks why containers wait would have to count ports, and not see that none are being made."""
    (network,) = {spare.docker_network_id for spare in service.rig.journal.spares.all()}
    told = shown_network(service, network)
    assert (told["port_pool"], told["spares_wanted"], told["spares_ready"], told["spares_paused"]) == ("2", 2, 2, 0)
    service.bench.run("pool", "drain", network[:12])
    told = shown_network(service, network)
    assert (told["spares_ready"], told["spares_paused"]) == (0, 120)
    assert "0 of 2 ports are ready, and none are made for 120 s" in service.bench.run("status")[1]


def test_metrics_and_counts_of_pools(service: Service) -> None:
    """Nobody would see that a pool is empty, or never filled."""
    counts = service.rig.services.overview.counts()
    assert (counts.spares, counts.spares_wanted) == ({"ready": 2}, 2)


def test_pools_of_dead_hosts(service: Service) -> None:
    """The ports of a host that was scrapped would stay for ever, or those of a living one be deleted."""
    neutron = service.rig.neutron
    for host in ("h2", "h3"):
        neutron.store.alive_hosts.add(host)
        neutron.seed_agent(host, "OVN Controller agent", binary="ovn-controller")
        other = Rig(neutron, host=host)
        there = DirectDocker(other)
        there.run(there.network_create(f"10.{host[1]}.0.0/24", options={POOL: "1"}))
        other.fill()
    assert service.bench.listed("pool", "orphans") == []
    next(each for each in neutron.store.all("agents") if each["host"] == "h2")["alive"] = False
    rows = service.bench.listed("pool", "orphans")
    assert [(row["Host"], row["Deleted"]) for row in rows] == [("h2", "no")]
    assert service.bench.listed("pool", "orphans", "--delete")[0]["Deleted"] == "yes"
    assert service.bench.listed("pool", "orphans") == []
    assert [row["Host"] for row in service.bench.listed("pool", "orphans", "--host", "h3")] == ["h3"]
    here = service.bench.make_host(()).settings.plugin.host
    assert "whose pools the service looks after" in service.bench.refused("pool", "orphans", "--host", here)
    assert {port.host_id for port in neutron.find_ports(name="kuryr-spare-port")} == {"h1", "h3"}


def test_a_port_of_a_dead_host_that_cannot_be_deleted(service: Service) -> None:
    """It would keep all others from being deleted, and nobody be told which have been."""
    neutron = service.rig.neutron
    neutron.store.alive_hosts.add("h2")
    other = Rig(neutron, host="h2")
    there = DirectDocker(other)
    there.run(there.network_create("10.2.0.0/24", options={POOL: "2"}))
    other.fill()
    neutron.fail_next("delete_port", NeutronConflict("in use"))
    rows = service.bench.listed("pool", "orphans", "--host", "h2", "--delete")
    assert [row["Deleted"] for row in rows] == ["no: in use", "yes"]
    assert len(service.bench.listed("pool", "orphans", "--host", "h2")) == 1


def test_where_agents_are_not_shown_the_host_has_to_be_named(service: Service) -> None:
    """Without the role admin every host would look dead."""
    service.rig.neutron.store.tables["agents"].clear()
    assert "name a host that is gone with --host" in service.bench.refused("pool", "orphans")
