# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Docker network with a port pool: containers start and end without waiting for Neutron."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conversation.faults.sriov_trials import SriovRig
from tests.conversation.faults.trials import V4, V6, is_labelled
from tests.fakes.neutron.wire import TENANT
from tests.world.dockerside import PluginError
from tests.world.plugin import HOST
from tests.world.pools import COOLING, POOL, away, back, calls, cool, docker, pooled, port_of, restarted, rig, spares
from tests.world.rig import DirectDocker, Rig

__all__ = ["docker", "rig"]


def test_nothing_is_made_before_the_first_container(rig: Rig, docker: DirectDocker) -> None:
    """Networks that are only created would cost ports of the quota."""
    docker.network_create(V4, options={POOL: "2"})
    rig.fill()
    assert spares(rig) == []


@pytest.mark.parametrize("more", [{}, {"subnet_v6": V6}])
def test_a_container_starts_and_ends_without_a_call(rig: Rig, docker: DirectDocker, more: dict[str, Any]) -> None:
    """A user of a pool would wait for Neutron all the same."""
    network = pooled(rig, docker, **more)
    assert len(spares(rig, "ready")) == 2
    docker.beside = lambda: None
    first = min(spares(rig), key=lambda spare: spare.since)
    box = docker.run(network)
    assert calls(rig) == []
    port = port_of(rig, box)
    assert port.id == first.port_id
    assert (port.host_id, port.device_owner, port.vif_type, port.mac_address) == (HOST, "compute:kuryr", "ovs", box.mac)
    rig.services.labels.work()
    assert calls(rig) == ["update_port"]
    assert is_labelled(port_of(rig, box), box.endpoint_id)
    rig.fill()
    assert (len(spares(rig, "ready")), calls(rig)) == (2, ["create_port"])
    docker.rm(box)
    assert (calls(rig), [spare.port_id for spare in spares(rig, "cooling")]) == ([], [port.id])


def test_a_released_port_cools_and_is_used_again(rig: Rig, docker: DirectDocker) -> None:
    """A container would get packets that are meant for the one before it; or each would cost a port to make."""
    network = pooled(rig, docker)
    box = docker.run(network)
    before = port_of(rig, box)
    docker.rm(box)
    calls(rig)
    cool(rig, COOLING - 2)
    assert [spare.port_id for spare in spares(rig, "cooling")] == [before.id]
    assert before.id not in {row.port_id for row in rig.ovs.owned()}
    calls(rig)
    cool(rig, 2)
    assert calls(rig) == ["find_ports", "update_port"]
    after = rig.neutron.find_ports(id=before.id)[0]
    assert (after.name, after.mac_address, after.fixed_ips) == (
        "kuryr-spare-port",
        before.mac_address,
        before.fixed_ips,
    )
    assert before.id in {spare.port_id for spare in spares(rig, "ready")}
    boxes = [docker.run(network) for _ in range(3)]
    assert port_of(rig, boxes[2]).id == before.id  # the others have been ready for longer


def test_network_rm_leaves_nothing(rig: Rig, docker: DirectDocker) -> None:
    """The Neutron network could not be deleted, and the pool's ports would stay for ever."""
    network = pooled(rig, docker)
    docker.rm(docker.run(network))
    assert {spare.state for spare in spares(rig)} == {"ready", "cooling"}
    docker.network_rm(network)
    assert rig.neutron.find_networks() == []
    rig.nothing_left()
    assert spares(rig) == []


@pytest.mark.parametrize("wish", [{"options": {"neutron.security_groups": "none"}}, {"expose": [(6, 80)]}])
def test_a_container_with_wishes_of_its_own_costs_what_it_costs_without_a_pool(
    rig: Rig, docker: DirectDocker, wish: dict[str, Any]
) -> None:
    """Its port would carry its wishes to the next container."""
    network = pooled(rig, docker)
    box = docker.run(network, **wish)
    assert [name for name in calls(rig) if "security_group" not in name] == ["update_port"]
    port = port_of(rig, box)
    assert port.id in {row.port_id for row in rig.ovs.owned()}
    docker.rm(box)
    assert "delete_port" in calls(rig)
    assert port.id not in {spare.port_id for spare in spares(rig)} | {row.port_id for row in rig.ovs.owned()}


def test_a_mac_of_the_users_own(rig: Rig, docker: DirectDocker) -> None:
    """The container would have an interface with another MAC than its port."""
    network = pooled(rig, docker)
    mac = "02:42:ac:11:00:02"
    box = docker.run(network, mac=mac)
    assert port_of(rig, box).mac_address == mac
    row = next(row for row in rig.ovs.owned() if row.port_id == port_of(rig, box).id)
    assert row.mac == mac


def test_an_address_that_a_spare_has_may_be_chosen(rig: Rig, docker: DirectDocker) -> None:
    """A user could not have an address because nobody has it."""
    network = pooled(rig, docker)
    ready = spares(rig, "ready")[-1]
    box = docker.run(network, ip=ready.port.fixed_ips[0].ip_address)
    assert port_of(rig, box).id == ready.port_id
    assert "create_port" not in calls(rig)
    docker.rm(box)
    again = docker.run(network, ip=box.ip)  # it is still cooling: a new port with that address
    assert port_of(rig, again).id != ready.port_id
    assert again.ip == box.ip


def test_a_restart_goes_on_with_what_is_ready(rig: Rig, docker: DirectDocker) -> None:
    """Each restart of the service would cost the ports of all pools, or hand out what nobody has looked at."""
    network = pooled(rig, docker)
    before = {spare.port_id for spare in spares(rig, "ready")}
    restarted(rig)
    assert {spare.port_id for spare in spares(rig, "ready")} == before
    rig.fill()
    calls(rig)
    box = docker.run(network)
    assert port_of(rig, box).id in before
    assert "create_port" not in calls(rig)


def test_after_a_boot_the_interfaces_are_made_anew(rig: Rig, docker: DirectDocker) -> None:
    """Open vSwitch remembers interfaces, and that they worked, over a boot that has removed them."""
    network = pooled(rig, docker)
    rig.links.forget_all()
    restarted(rig)
    first = docker.run(network)  # before the filler has looked: not from the pool
    assert port_of(rig, first).id not in {spare.port_id for spare in spares(rig)}
    rig.fill()
    assert {f"tap{spare.port_id}"[:14] for spare in spares(rig, "ready")} <= set(rig.links.names())
    assert len(spares(rig, "ready")) == 2


def test_after_a_lost_journal_what_is_unused_is_used_again(rig: Rig, docker: DirectDocker) -> None:
    """Each lost journal would leave the ports of all pools behind, for ever."""
    network = pooled(rig, docker)
    box = docker.run(network)
    rig.fill()
    before = {spare.port_id for spare in spares(rig, "ready")}
    restarted(rig, lose_journal=True)
    for _ in range(2):  # first the network is found, then its ports
        rig.services.reconciler.round()
        rig.fill()
    assert {spare.port_id for spare in spares(rig, "cooling")} == before  # Docker may just have been told an address
    cool(rig)
    assert {spare.port_id for spare in spares(rig, "ready")} & before
    assert len(spares(rig)) in (2, 3)
    second = docker.run(network)
    assert port_of(rig, second).id != port_of(rig, box).id
    for each in (box, second):
        docker.rm(each)
    docker.network_rm(network)
    rig.settle()
    assert rig.neutron.user_ports() == []


def test_after_a_lost_journal_the_ports_of_a_network_that_is_gone_go_as_well(rig: Rig, docker: DirectDocker) -> None:
    """They would be of no pool, and stay for ever."""
    docker.network_create("10.9.0.0/24")
    network = docker.network_create(V4, options={POOL: "2"})
    docker.rm(docker.run(network))
    rig.fill()
    away(rig)
    docker.network_rm(network)
    back(rig)
    restarted(rig, lose_journal=True)
    rig.settle()
    rig.fill()
    rig.settle()
    assert rig.neutron.user_ports() == []
    assert [row.port_id for row in rig.ovs.owned()] == []


def test_a_network_that_is_removed_right_after_a_lost_journal_leaves_nothing(rig: Rig, docker: DirectDocker) -> None:
    """The Neutron network could not be deleted, for ports of the pool that nobody has looked for yet."""
    network = pooled(rig, docker)
    restarted(rig, lose_journal=True)
    docker.network_rm(network)
    assert rig.neutron.user_ports() == []
    assert rig.neutron.find_networks() == []
    assert rig.ovs.owned() == []


def test_the_pool_is_remembered_in_neutron(rig: Rig, docker: DirectDocker) -> None:
    """After a lost journal the network would have no pool any more."""
    pooled(rig, docker, "3")
    restarted(rig, lose_journal=True)
    rig.services.reconciler.round()
    assert [each.port_pool for each in rig.journal.networks.all()] == [3]


def test_options_of_the_network_are_those_of_its_spares(rig: Rig, docker: DirectDocker) -> None:
    """A container from the pool would have other groups than one that was started before."""
    rig.neutron.create_security_group({"name": "web"})
    network = docker.network_create(V4, options={POOL: "1", "neutron.security_groups": "web"})
    boxes = [docker.run(network)]
    rig.fill()
    boxes.append(docker.run(network))
    one, two = (port_of(rig, box) for box in boxes)
    assert one.security_groups == two.security_groups


def test_a_release_that_is_repeated_hits_nobody(rig: Rig, docker: DirectDocker) -> None:
    """Docker releases twice after some failures: the pool's port would be deleted."""
    network = pooled(rig, docker)
    box = docker.run(network)
    port = port_of(rig, box)
    docker.rm(box)
    calls(rig)
    docker.crash(box)
    request = {"PoolID": network.pools[0].pool_id, "Address": box.ip}
    docker.client.call("IpamDriver.ReleaseAddress", request)
    assert (calls(rig), [spare.port_id for spare in spares(rig, "cooling")]) == ([], [port.id])


def test_with_the_agents_of_ml2_ovs_neutrons_word_counts(rig: Rig, docker: DirectDocker) -> None:
    """Nobody else tells that the flows are in place: no port would ever be ready, or be so too early."""
    rig.neutron.store.normal_vif = ("ovs", {"port_filter": True, "bound_drivers": {"0": "openvswitch"}})
    network = docker.network_create(V4, options={POOL: "1"})
    docker.rm(docker.run(network))
    rig.fill()
    (spare,) = spares(rig, "making")
    rig.neutron.store.get("ports", spare.port_id)["status"] = "ACTIVE"
    rig.ovs.agent_acts()
    rig.now += 3
    rig.fill()
    assert [each.port_id for each in spares(rig, "ready")] == [spare.port_id]
    calls(rig)
    docker.beside = lambda: None
    docker.run(network)
    assert calls(rig) == []


def test_a_pool_of_devices_is_refused() -> None:
    """The user would believe that there is one."""
    docker = DirectDocker(SriovRig())
    with pytest.raises(PluginError, match=r"kuryr\.port_pool=2: a pool is for ports that this host binds"):
        docker.network_create(V4, options={POOL: "2", "kuryr.vnic_type": "direct"})


def test_an_ipv6_address_of_the_users_own(rig: Rig, docker: DirectDocker) -> None:
    """The container would not get it, or its port go back to the pool with another address than it was made with."""
    network = pooled(rig, docker, subnet_v6=V6)
    box = docker.run(network, ip6="fd00:1::77")
    port = port_of(rig, box)
    assert port.id in {row.port_id for row in rig.ovs.owned()}
    assert box.ip6 == "fd00:1::77"
    docker.rm(box)
    assert rig.neutron.find_ports(id=port.id) == []
    assert port.id not in {row.port_id for row in rig.ovs.owned()}


def test_a_container_without_ipv6_on_a_dual_stack_network(rig: Rig, docker: DirectDocker) -> None:
    """Docker releases the IPv6 address while the container starts: its port would be taken from it."""
    network = pooled(rig, docker, subnet_v6=V6)
    box = docker.run(network, no_ipv6=True)
    assert box.ip
    rig.fill()
    assert [spare.state for spare in spares(rig)].count("used") == 1
    docker.rm(box)
    assert len(spares(rig, "cooling")) == 1


def test_docker_restarts_a_container(rig: Rig, docker: DirectDocker) -> None:
    """The container would get the port that it has just released, before that has cooled."""
    network = pooled(rig, docker)
    box = docker.run(network)
    before = port_of(rig, box).id
    calls(rig)
    docker.beside = lambda: None
    again = docker.restart(box)
    assert calls(rig) == []
    assert port_of(rig, again).id != before


def test_a_tenants_port_with_the_marks_of_a_spare_is_no_spare(rig: Rig, docker: DirectDocker) -> None:
    """A tenant could have containers put on a port of his, or his own port deleted by the service."""
    network = pooled(rig, docker)
    ours = rig.neutron.find_ports(id=spares(rig)[0].port_id)[0]
    forged = rig.neutron.seed_port(
        ours.network_id,
        name=ours.name,
        device_id=ours.device_id,
        device_owner=ours.device_owner,
        description=ours.description,
        tags=list(ours.tags),
        project_id=TENANT,
        **{"binding:host_id": HOST, "binding:profile": ours.profile},
    )
    restarted(rig, lose_journal=True)
    for _ in range(3):
        rig.services.reconciler.round()
        cool(rig)
    assert forged.id not in {spare.port_id for spare in spares(rig)}
    boxes = [docker.run(network) for _ in range(4)]
    assert forged.id not in {port_of(rig, box).id for box in boxes}
    docker.network_rm(network)
    rig.settle()
    assert [port.id for port in rig.neutron.find_ports(id=forged.id)] == [forged.id]
