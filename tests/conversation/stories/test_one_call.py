# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A container starts with one call of Neutron; what else Neutron is to be told follows beside it, and is never lost."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, NeutronUnavailable
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.patience import Patience, _patience
from tests.conversation.faults.trials import V4, V6, is_labelled
from tests.world.dockerside import Container, PluginError
from tests.world.plugin import HOST
from tests.world.rig import DirectDocker, Rig

SG, MAC = "neutron.security_groups", "02:42:ac:11:00:02"


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture(params=[27, 29])
def docker(rig: Rig, request: pytest.FixtureRequest) -> DirectDocker:
    docker = DirectDocker(rig, request.param)
    docker.beside = lambda: None  # what is waited for and what is not shall be told apart
    rig.neutron.extensions()
    return docker


def calls_of_start(rig: Rig, docker: DirectDocker, **options: Any) -> tuple[list[str], list[str], Container]:
    """What a container waits for, and what is done beside it."""
    subnet_v6 = options.pop("subnet_v6", None)
    network = docker.network_create(V4, subnet_v6=subnet_v6, options=options.pop("says", None))
    rig.neutron.calls.clear()
    box = docker.run(network, **options)
    waited = [name for name, *_ in rig.neutron.calls if name != "extensions"]
    rig.neutron.calls.clear()
    rig.services.labels.work()
    return waited, [name for name, *_ in rig.neutron.calls], box


def port_of(rig: Rig, box: Container) -> Port:
    ips = {box.ip, box.ip6} - {""}
    (port,) = [each for each in rig.neutron.user_ports() if ips <= {ip.ip_address for ip in each.fixed_ips}]
    return port


@pytest.mark.parametrize("more", [{}, {"subnet_v6": V6}, {"says": {SG: "none"}}, {"mac": ""}])
def test_one_call_is_waited_for_and_one_is_not(rig: Rig, docker: DirectDocker, more: dict[str, Any]) -> None:
    """Every container of every user would start later by a call of Neutron."""
    waited, beside, box = calls_of_start(rig, docker, **more)
    assert (waited, beside) == (["create_port"], ["update_port"])
    port = port_of(rig, box)
    assert (port.host_id, port.device_owner, port.vif_type) == (HOST, "compute:kuryr", "ovs")
    assert is_labelled(port, box.endpoint_id)
    rig.neutron.calls.clear()
    docker.rm(box)
    assert [name for name, *_ in rig.neutron.calls] == ["delete_port"]


@pytest.mark.parametrize("more", [{}, {"subnet_v6": V6}])
def test_an_address_of_the_users_own(rig: Rig, docker: DirectDocker, more: dict[str, Any]) -> None:
    """Whoever says --ip would wait longer than whoever does not."""
    waited, beside, box = calls_of_start(rig, docker, ip="10.1.0.77", **more)
    assert (waited, beside) == (["create_port"], ["update_port"])
    assert box.ip == "10.1.0.77"


def test_an_address_that_a_port_of_the_users_has(rig: Rig, docker: DirectDocker) -> None:
    """Neutron refuses a second port with it: the container would not start, or with a port that is not the user's."""
    network = docker.network_create(V4)
    subnet = rig.neutron.find_subnets()[0]
    fixed = [{"subnet_id": subnet.id, "ip_address": "10.1.0.77"}]
    mine = rig.neutron.seed_port(subnet.network_id, name="mine", fixed_ips=fixed)
    rig.neutron.calls.clear()
    box = docker.run(network, ip="10.1.0.77")
    waited = [name for name, *_ in rig.neutron.calls if name != "extensions"]
    assert waited == ["create_port", "find_ports", "add_tags", "find_subnetpools", "update_port"]
    assert (port_of(rig, box).id, port_of(rig, box).device_id) == (mine.id, box.endpoint_id)
    with pytest.raises(PluginError, match="in use"):
        docker.run(network, ip="10.1.0.77")


def test_on_a_network_of_the_users_the_last_address_tells(rig: Rig, docker: DirectDocker) -> None:
    """Whoever says --ip would wait for a look each time, or whoever makes the ports for a refused one each time."""
    theirs = rig.neutron.seed_network(name="theirs")
    subnet = rig.neutron.seed_subnet(theirs.id, V4)
    for number in (70, 71):
        rig.neutron.seed_port(theirs.id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": f"10.1.0.{number}"}])
    network = docker.network_create(V4, options={"neutron.net.uuid": theirs.id})

    def calls(ip: str) -> list[str]:
        rig.neutron.calls.clear()
        docker.run(network, ip=ip)
        return [name for name, *_ in rig.neutron.calls]

    adopting = ["find_ports", "add_tags", "find_subnetpools", "update_port"]
    assert calls("10.1.0.77") == ["find_ports", "create_port"]
    assert calls("10.1.0.78") == ["create_port"]
    assert calls("10.1.0.70") == ["create_port", *adopting]
    assert calls("10.1.0.71") == adopting


def test_a_full_quota_is_no_reason_against_a_port_that_is_there(rig: Rig, docker: DirectDocker) -> None:
    """A user who may make no more ports could not use those that he has made."""
    network = docker.network_create(V4)
    subnet = rig.neutron.find_subnets()[0]
    rig.neutron.seed_port(subnet.network_id, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.1.0.77"}])
    rig.neutron.fail_next("create_port", NeutronConflict("Quota exceeded for resources: ['port']."))
    assert docker.run(network, ip="10.1.0.77").ip == "10.1.0.77"
    rig.neutron.fail_next("create_port", NeutronConflict("Quota exceeded for resources: ['port']."))
    with pytest.raises(PluginError, match="Quota exceeded"):
        docker.run(network, ip="10.1.0.78")


def test_a_mac_of_the_users_own(rig: Rig, docker: DirectDocker) -> None:
    """Neutron refuses another MAC on a bound port: the container would not start."""
    waited, beside, box = calls_of_start(rig, docker, mac=MAC)
    assert (waited, beside) == (["create_port", "update_port", "update_port"], [])
    port = port_of(rig, box)
    assert (port.mac_address, port.host_id, port.vif_type) == (MAC, HOST, "ovs")
    assert is_labelled(port, box.endpoint_id)


def test_options_of_the_containers_own(rig: Rig, docker: DirectDocker) -> None:
    """The container would run for a moment with the security groups of its network, or with those alone."""
    rig.neutron.create_security_group({"name": "db"})
    waited, beside, box = calls_of_start(rig, docker, options={SG: "db"})
    assert (waited, beside) == (["create_port", "find_security_groups", "update_port"], [])
    port = port_of(rig, box)
    assert [rig.neutron.store.get("security_groups", each)["name"] for each in port.security_groups] == ["db"]
    assert is_labelled(port, box.endpoint_id)


def test_labels_that_neutron_does_not_take_are_written_later(rig: Rig, docker: DirectDocker) -> None:
    """Neutron would show for ever a port of which nobody knows whose it is."""
    network = docker.network_create(V4)
    box = docker.run(network)
    for _ in range(2):
        rig.neutron.fail_next("update_port", NeutronUnavailable("no answer"))
    rig.services.labels.work()
    rig.services.reconciler.round()
    assert not is_labelled(port_of(rig, box), box.endpoint_id)
    rig.services.reconciler.round()
    assert is_labelled(port_of(rig, box), box.endpoint_id)
    rig.neutron.calls.clear()
    rig.services.reconciler.round()
    assert "update_port" not in [name for name, *_ in rig.neutron.calls]


def test_labels_are_written_by_the_next_process(rig: Rig, docker: DirectDocker) -> None:
    """A service that ends between the start of a container and its labels would leave them out for ever."""
    box = docker.run(docker.network_create(V4))
    rig.revive()
    rig.services.reconciler.round()
    assert is_labelled(port_of(rig, box), box.endpoint_id)


def test_labels_come_back_after_a_lost_journal(rig: Rig, docker: DirectDocker) -> None:
    """Without the journal only Docker knows which endpoint has the port."""
    box = docker.run(docker.network_create(V4))
    rig.revive(lose_journal=True)
    rig.settle()
    assert is_labelled(port_of(rig, box), box.endpoint_id)
    assert box.interface["SrcName"].startswith("t_c")
    docker.rm(box)
    rig.settle()
    assert rig.neutron.user_ports() == []


def test_a_port_that_goes_before_its_labels_are_written(rig: Rig, docker: DirectDocker) -> None:
    """The labels of a container that lived for a moment would be tried for ever."""
    network = docker.network_create(V4)
    docker.rm(docker.run(network))
    rig.neutron.calls.clear()
    rig.services.labels.work()
    rig.services.reconciler.round()
    assert "update_port" not in [name for name, *_ in rig.neutron.calls]
    box = docker.run(network)
    rig.neutron.fail_next("update_port", NeutronNotFound("no such port"))
    rig.services.labels.work()
    assert [lease.unlabelled for lease in rig.journal.leases.all()] == [False]
    docker.rm(box)


def test_a_removal_beside_the_labels(rig: Rig, docker: DirectDocker) -> None:
    """docker rm would wait until Neutron has answered what nobody waits for."""
    network = docker.network_create(V4)
    box = docker.run(network)

    def hook(name: str, _: tuple[Any, ...]) -> None:
        if name == "neutron.update_port":
            rig.outside.hook = None
            docker.rm(box)

    rig.outside.hook = hook
    rig.services.labels.work()
    assert rig.neutron.user_ports() == []
    assert rig.journal.leases.all() == []


def test_a_binding_that_fails(rig: Rig, docker: DirectDocker) -> None:
    """The port would stay, or the user would not learn what is wrong with his host."""
    network = docker.network_create(V4)
    rig.neutron.store.alive_hosts.clear()
    before = rig.state()
    with pytest.raises(PluginError, match="Neutron"):
        docker.run(network)
    assert rig.state() == before


def test_the_journal_is_lost_before_the_endpoint(rig: Rig, docker: DirectDocker) -> None:
    """The port of the address that Docker has just been told would be taken for somebody else's."""
    network = docker.network_create(V4)
    docker.client.lose_before = docker.client.calls + 1
    box = docker.run(network)
    rig.services.labels.work()
    assert is_labelled(port_of(rig, box), box.endpoint_id)


def test_labels_wait_once_for_a_neutron_that_does_not_answer(rig: Rig, docker: DirectDocker) -> None:
    """After 20 starts the thread would wait for 20 time-outs, and be taken for one that hangs."""
    network = docker.network_create(V4)
    for _ in range(3):
        docker.run(network)
    asked: list[Patience | None] = []

    def hook(name: str, _: tuple[Any, ...]) -> None:
        if name == "neutron.update_port":
            asked.append(_patience.get())
            raise NeutronUnavailable("no answer")

    rig.outside.hook = hook
    rig.services.labels.work()
    assert len(asked) == 3
    assert asked[0] is not None
    assert all(patience is asked[0] for patience in asked)
