# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Docker network with a port pool: containers start and end without waiting for Neutron."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import LinkError, NeutronConflict, NeutronUnavailable, NoFreeAddress
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import SpareRecord
from kuryr_libnetwork.model.settings import PortPoolSettings
from tests.conversation.faults.sriov_trials import SriovRig
from tests.conversation.faults.trials import V4, V6, is_labelled
from tests.fakes.neutron.wire import TENANT
from tests.world.dockerside import Container, DockerNetwork, PluginError
from tests.world.plugin import HOST
from tests.world.rig import DirectDocker, Rig

POOL = "kuryr.port_pool"
COOLING = 130.0


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture(params=[27, 29])
def docker(rig: Rig, request: pytest.FixtureRequest) -> DirectDocker:
    docker = DirectDocker(rig, request.param)
    rig.neutron.extensions()
    return docker


def pooled(rig: Rig, docker: DirectDocker, size: str = "2", **more: Any) -> DockerNetwork:
    """A network whose pool is full: its first container was an ordinary one."""
    network = docker.network_create(V4, options={POOL: size}, **more)
    docker.rm(docker.run(network))
    rig.fill()
    rig.neutron.calls.clear()
    return network


def spares(rig: Rig, state: str = "") -> list[SpareRecord]:
    return [spare for spare in rig.journal.spares.all() if state in ("", spare.state)]


def calls(rig: Rig) -> list[str]:
    """Neutron calls since the last question."""
    names = [name for name, *_ in rig.neutron.calls if name != "extensions"]
    rig.neutron.calls.clear()
    return names


def port_of(rig: Rig, box: Container) -> Port:
    ips = {box.ip, box.ip6} - {""}
    (port,) = [each for each in rig.neutron.user_ports() if ips <= {ip.ip_address for ip in each.fixed_ips}]
    return port


def away(rig: Rig) -> None:
    def hook(method: str, arguments: tuple[Any, ...]) -> None:
        raise NeutronUnavailable("Neutron is away")

    rig.neutron.hook = hook


def back(rig: Rig) -> None:
    rig.neutron.hook = lambda method, arguments: None


def cool(rig: Rig, seconds: float = COOLING) -> None:
    rig.now += seconds
    rig.fill()


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


def restarted(rig: Rig, *, lose_journal: bool = False) -> None:
    """A new process whose background has looked, but whose filler has not been at work yet."""
    rig.revive(lose_journal=lose_journal)


# -- what is not as it was made ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"security_groups": []},
        {"admin_state_up": False},
        {"allowed_address_pairs": [{"ip_address": "10.1.0.200"}]},
        {"device_id": "somebody", "device_owner": "compute:nova"},
        {"device_id": "somebody"},
        {"binding:host_id": "h2"},
        {"name": "mine"},
    ],
)
def test_a_port_that_was_changed_in_neutron_is_given_to_nobody(
    rig: Rig, docker: DirectDocker, change: dict[str, Any]
) -> None:
    """A container would have a port without groups, or one that a virtual machine has."""
    network = pooled(rig, docker)
    spoiled = min(spares(rig), key=lambda spare: spare.since).port_id
    rig.neutron.update_port(spoiled, change)
    rig.services.reconciler.round()
    rig.fill()
    assert spoiled not in {spare.port_id for spare in spares(rig)}
    boxes = [docker.run(network) for _ in range(3)]
    assert spoiled not in {port_of(rig, box).id for box in boxes}
    assert spoiled not in {row.port_id for row in rig.ovs.owned()}
    taken = "device_id" in change or "binding:host_id" in change
    assert bool(rig.neutron.find_ports(id=spoiled)) is taken  # somebody else's by now: left alone


def test_a_port_that_was_deleted_in_neutron_is_given_to_nobody(rig: Rig, docker: DirectDocker) -> None:
    """A container would start without a network."""
    network = pooled(rig, docker)
    gone = min(spares(rig), key=lambda spare: spare.since).port_id
    rig.neutron.delete_port(gone)
    rig.ovs.without_flows.add(gone)  # ovn-controller sees it at once
    box = docker.run(network)
    assert port_of(rig, box).id != gone
    rig.services.reconciler.round()
    rig.fill()
    assert gone not in {spare.port_id for spare in spares(rig)} | {row.port_id for row in rig.ovs.owned()}


def test_a_released_port_that_was_changed_is_deleted(rig: Rig, docker: DirectDocker) -> None:
    """The next container would get what an administrator gave the one before it."""
    network = pooled(rig, docker)
    box = docker.run(network)
    port = port_of(rig, box)
    rig.neutron.update_port(port.id, {"allowed_address_pairs": [{"ip_address": "10.1.0.200"}]})
    docker.rm(box)
    cool(rig)
    assert rig.neutron.find_ports(id=port.id) == []
    assert len(spares(rig, "ready")) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": "machine", "device_owner": "compute:nova"},
        {"device_id": "machine", "name": "mine"},
        {"binding:host_id": "h2"},
    ],
)
@pytest.mark.parametrize(("size", "seconds"), [("2", COOLING), ("auto", 3601.0)], ids=["wanted", "not-wanted"])
def test_a_released_port_that_somebody_takes_over_is_left_to_him(
    rig: Rig, docker: DirectDocker, change: dict[str, Any], size: str, seconds: float
) -> None:
    """His port would be given another device and name, or be deleted."""
    network = pooled(rig, docker, size)
    box = docker.run(network)
    port = port_of(rig, box)
    docker.rm(box)
    rig.neutron.update_port(port.id, change)
    before = rig.neutron.find_ports(id=port.id)
    cool(rig, seconds)
    assert rig.neutron.find_ports(id=port.id) == before
    assert port.id not in {spare.port_id for spare in spares(rig)} | {row.port_id for row in rig.ovs.owned()}


def test_whoever_takes_a_released_port_over_in_the_last_moment_keeps_it(rig: Rig, docker: DirectDocker) -> None:
    """Between the look and the change his device would be overwritten."""
    network = pooled(rig, docker)
    box = docker.run(network)
    port = port_of(rig, box)
    docker.rm(box)
    taken: list[str] = []

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "after neutron.find_ports" and not taken:
            taken.append(name)
            rig.neutron.update_port(port.id, {"device_id": "machine", "device_owner": "compute:nova"})

    rig.outside.hook = hook
    cool(rig)
    rig.outside.hook = None
    cool(rig, 10)
    assert taken
    assert rig.neutron.find_ports(id=port.id)[0].device_id == "machine"
    assert port.id not in {spare.port_id for spare in spares(rig)}


def test_ports_that_cool_one_after_the_other_are_looked_at_together(rig: Rig, docker: DirectDocker) -> None:
    """Each container that goes would cost two calls more."""
    network = pooled(rig, docker, "8")
    boxes = [docker.run(network) for _ in range(8)]
    for box in boxes:
        docker.rm(box)
        rig.now += 1
    rig.now += COOLING - 9
    calls(rig)
    for _ in range(20):
        rig.now += 1
        rig.services.pool_filler.work()
    made = calls(rig)
    assert made.count("find_ports") <= 3
    assert made.count("update_port") >= 2
    assert spares(rig, "cooling") == []


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


# -- Neutron is away, or full --------------------------------------------------------------------------------------


def test_containers_start_and_end_while_neutron_is_away(rig: Rig, docker: DirectDocker) -> None:
    """An outage of Neutron would be one of every host."""
    network = pooled(rig, docker)
    away(rig)
    boxes = [docker.run(network) for _ in range(2)]
    with pytest.raises(PluginError):
        docker.run(network)
    docker.rm(boxes[0])
    restarted(rig)
    rig.fill()
    rig.now += COOLING
    rig.fill()
    back(rig)
    cool(rig)
    rig.services.reconciler.round()
    cool(rig)
    assert len(spares(rig, "ready")) >= 2
    assert is_labelled(port_of(rig, boxes[1]), boxes[1].endpoint_id)


def test_spares_make_way_for_a_container_when_the_subnet_is_full(rig: Rig, docker: DirectDocker) -> None:
    """The pool of one network would take the last addresses from the containers of another."""
    tenant = rig.neutron.seed_network(name="tenant")
    subnet = rig.neutron.seed_subnet(tenant.id, V4)
    says = {"neutron.net.uuid": tenant.id}
    one = docker.network_create(V4, options={POOL: "2", **says})
    other = docker.network_create(V4, options=says)
    docker.rm(docker.run(one))
    rig.fill()
    while True:  # everybody else's ports
        try:
            rig.neutron.create_port({"network_id": tenant.id, "fixed_ips": [{"subnet_id": subnet.id}]})
        except NoFreeAddress:
            break
    idle = len(spares(rig))
    docker.beside = lambda: None
    calls(rig)
    boxes = [docker.run(other)]
    assert calls(rig) == ["create_port", "delete_port", "create_port"]
    boxes += [docker.run(other) for _ in range(idle - 1)]
    assert spares(rig) == []
    with pytest.raises(PluginError, match="No more IP addresses"):
        docker.run(other)
    rig.fill()
    assert spares(rig) == []  # nothing is made for two minutes
    docker.rm(boxes[0])
    cool(rig)
    assert len(spares(rig)) == 1


def test_spares_make_way_for_a_container_when_the_quota_is_full(rig: Rig, docker: DirectDocker) -> None:
    """The pool of one network would keep the containers of all others from starting."""
    pooled(rig, docker)
    other = docker.network_create("10.2.0.0/24")
    error = NeutronConflict("Quota exceeded for resources: ['port'].")
    error.kind = "OverQuota"
    rig.neutron.fail_next("create_port", error)
    before = len(spares(rig))
    docker.beside = lambda: None
    calls(rig)
    docker.run(other)
    assert calls(rig) == ["create_port", "delete_port", "create_port"]
    assert len(spares(rig)) == before - 1
    rig.fill()
    assert len(spares(rig)) == before - 1  # the pool waits for two minutes
    cool(rig)
    assert len(spares(rig)) in (before - 1, before)
    assert len(spares(rig)) >= 2


# -- restarts ------------------------------------------------------------------------------------------------------


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


def test_a_restart_does_not_make_a_pool_larger(rig: Rig, docker: DirectDocker) -> None:
    """An upgrade would have each host make as many ports as it has containers, and use up the quota."""
    network = docker.network_create(V4, options={POOL: "auto"})
    for _ in range(6):
        docker.run(network)
        rig.fill()
        rig.now += 600
    ready = len(spares(rig, "ready"))
    assert [spare.state for spare in spares(rig)].count("used") == 5
    restarted(rig)
    rig.fill()
    assert len(spares(rig, "ready")) == ready == rig.port_pool.min_auto


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


def test_after_a_lost_journal_one_port_that_cannot_be_used_does_not_stop_the_pool(
    rig: Rig, docker: DirectDocker
) -> None:
    """The pool would never be filled again, because of a port that somebody has given a kind without a driver."""
    pooled(rig, docker)
    spoiled = spares(rig)[0].port_id
    rig.neutron.store.get("ports", spoiled)["binding:vnic_type"] = "direct"
    restarted(rig, lose_journal=True)
    for _ in range(2):
        rig.services.reconciler.round()
        rig.fill()
    cool(rig)
    assert len(spares(rig, "ready")) >= 2
    assert spoiled not in {spare.port_id for spare in spares(rig)}


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


def test_another_hosts_pool_is_not_touched(rig: Rig, docker: DirectDocker) -> None:
    """Two hosts on one Neutron network would take or delete each other's ports."""
    network = pooled(rig, docker)
    other = Rig(rig.neutron, host="h2")
    rig.neutron.store.alive_hosts.add("h2")
    there = DirectDocker(other)
    neutron_id = rig.journal.networks.all()[0].neutron_id
    theirs = there.network_create(V4, options={POOL: "2", "neutron.net.uuid": neutron_id})
    there.rm(there.run(theirs))
    other.fill()
    mine, yours = ({spare.port_id for spare in spares(each)} for each in (rig, other))
    for each in (rig, other):
        restarted(each, lose_journal=True)
    for _ in range(3):
        for each in (rig, other):
            each.services.reconciler.round()
            each.fill()
    for each, before in ((rig, mine), (other, yours)):
        assert {spare.port_id for spare in spares(each)} >= before
        assert {spare.port.host_id for spare in spares(each)} == {each.host}
    docker.network_rm(network)
    assert {port.id for port in rig.neutron.user_ports()} == {spare.port_id for spare in spares(other)}


def test_a_network_that_is_removed_right_after_a_lost_journal_leaves_nothing(rig: Rig, docker: DirectDocker) -> None:
    """The Neutron network could not be deleted, for ports of the pool that nobody has looked for yet."""
    network = pooled(rig, docker)
    restarted(rig, lose_journal=True)
    docker.network_rm(network)
    assert rig.neutron.user_ports() == []
    assert rig.neutron.find_networks() == []
    assert rig.ovs.owned() == []


# -- sizes, options ------------------------------------------------------------------------------------------------


def test_the_operators_default(rig: Rig, docker: DirectDocker) -> None:
    """Every user would have to name the option, or could not refuse it."""
    rig.port_pool = PortPoolSettings(default="auto")
    rig.revive()
    network = docker.network_create(V4)
    without = docker.network_create("10.2.0.0/24", options={POOL: "0"})
    assert [each.port_pool for each in rig.journal.networks.all()] == ["auto", 0]
    docker.run(network)
    docker.run(without)
    rig.fill()
    assert {spare.docker_network_id for spare in spares(rig)} == {network.network_id}


def test_auto_is_as_large_as_the_last_burst_and_empty_after_an_idle_hour(rig: Rig, docker: DirectDocker) -> None:
    """Twenty containers at once would wait as without a pool; or ports be kept for nobody."""
    network = docker.network_create(V4, options={POOL: "auto"})
    boxes = [docker.run(network) for _ in range(8)]
    rig.fill()
    assert len(spares(rig, "ready")) == 8
    for box in boxes:
        docker.rm(box)
    calls(rig)
    docker.beside = lambda: None
    boxes = [docker.run(network) for _ in range(8)]
    assert calls(rig) == []
    for box in boxes:
        docker.rm(box)
    rig.now += 3601
    for _ in range(3):
        rig.fill()
    assert spares(rig) == []


def test_the_pool_is_remembered_in_neutron(rig: Rig, docker: DirectDocker) -> None:
    """After a lost journal the network would have no pool any more."""
    pooled(rig, docker, "3")
    restarted(rig, lose_journal=True)
    rig.services.reconciler.round()
    assert [each.port_pool for each in rig.journal.networks.all()] == [3]


def test_limits_are_those_of_all_pools_together(rig: Rig, docker: DirectDocker) -> None:
    """Many networks would use up the quota with ports that nobody uses."""
    rig.port_pool = PortPoolSettings(max_per_network=4, max_per_host=6)
    rig.revive()
    for number in (1, 2, 3):
        docker.run(docker.network_create(f"10.{number}.0.0/24", options={POOL: "50"}))
    rig.fill()
    assert len(spares(rig)) == 6


def test_cooling_ports_leave_room_in_all_pools(rig: Rig, docker: DirectDocker) -> None:
    """On a host whose containers come and go, released ports would fill the limit, and none be ready for anybody."""
    rig.port_pool = PortPoolSettings(max_per_network=4, max_per_host=6)
    rig.revive()
    networks = [docker.network_create(f"10.{number}.0.0/24", options={POOL: "2"}) for number in (1, 2)]
    for network in networks:
        docker.rm(docker.run(network))
    rig.fill()
    docker.beside = lambda: None
    boxes = [docker.run(network) for network in networks for _ in range(2)]
    assert spares(rig, "ready") == []
    for box in boxes:
        docker.rm(box)
    rig.fill()
    assert (len(spares(rig, "ready")), len(spares(rig, "cooling"))) == (4, 2)


def test_what_is_wanted_is_within_the_limit(rig: Rig, docker: DirectDocker) -> None:
    """The metrics, and the alert on them, would miss ports that are never made."""
    rig.port_pool = PortPoolSettings(max_per_network=4, max_per_host=6)
    rig.revive()
    for number in (1, 2, 3):
        docker.run(docker.network_create(f"10.{number}.0.0/24", options={POOL: "4"}))
    rig.fill()
    assert rig.services.overview.counts().spares_wanted == len(spares(rig, "ready")) == 6


def test_an_operator_turns_all_pools_off(rig: Rig, docker: DirectDocker) -> None:
    """Whoever has to free the quota for good, or goes back to an earlier release, could not: pools are the users'."""
    network = pooled(rig, docker)
    box = docker.run(network)
    rig.port_pool = PortPoolSettings(max_per_host=0)
    rig.revive()
    rig.fill()
    docker.rm(box)
    cool(rig, 300)
    docker.rm(docker.run(network))
    cool(rig, 300)
    assert spares(rig) == []
    assert rig.neutron.user_ports() == []


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


def test_a_port_that_never_works_is_replaced(rig: Rig, docker: DirectDocker) -> None:
    """The pool would wait for it for ever."""
    network = docker.network_create(V4, options={POOL: "1"})
    docker.rm(docker.run(network))
    rig.ovs.without_flows = _Everything()
    rig.fill()
    (spare,) = spares(rig, "making")
    rig.now += 61
    rig.fill()
    assert [each.port_id for each in spares(rig)] == []
    rig.ovs.without_flows = set()
    rig.now += 121
    rig.fill()
    (other,) = spares(rig, "ready")
    assert other.port_id != spare.port_id


def test_a_pool_is_filled_soon_after_the_host_is_mended(rig: Rig, docker: DirectDocker) -> None:
    """A bridge that was missing for a while would cost the pool for an hour more."""
    network = docker.network_create(V4, options={POOL: "1"})
    docker.rm(docker.run(network))

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "links.create_veth":
            raise LinkError("refused")

    rig.outside.hook = hook
    for _ in range(60):
        rig.now += 60
        rig.services.pool_filler.work()
    assert len(spares(rig, "making")) == 1
    rig.outside.hook = None
    rig.now += 5
    rig.fill()
    assert len(spares(rig, "ready")) == 1


class _Everything(set[str]):
    def __contains__(self, item: object) -> bool:
        return True


def test_a_pool_of_devices_is_refused() -> None:
    """The user would believe that there is one."""
    docker = DirectDocker(SriovRig())
    with pytest.raises(PluginError, match=r"kuryr\.port_pool=2: a pool is for ports that this host binds"):
        docker.network_create(V4, options={POOL: "2", "kuryr.vnic_type": "direct"})


def test_neutron_is_not_asked_again_and_again_while_it_is_away(rig: Rig, docker: DirectDocker) -> None:
    """A thousand hosts would knock at a Neutron that is just coming back, each several times a second."""
    network = pooled(rig, docker)
    boxes = [docker.run(network) for _ in range(2)]
    for box in boxes:
        docker.rm(box)
    asked: list[str] = []

    def hook(method: str, arguments: tuple[Any, ...]) -> None:
        asked.append(method)
        raise NeutronUnavailable("Neutron is away")

    rig.now += COOLING
    rig.neutron.hook = hook
    for _ in range(200):  # 40 s of a thread that looks five times a second
        rig.services.pool_filler.work()
        rig.now += 0.2
    assert len(asked) <= 4
    back(rig)
    cool(rig, 300)
    assert len(spares(rig, "ready")) >= 2


def test_neutron_is_asked_again_when_it_says_so(rig: Rig, docker: DirectDocker) -> None:
    """A thousand hosts would knock at a Neutron that has said that it is busy, and for how long."""
    network = pooled(rig, docker)
    docker.beside = lambda: None
    docker.run(network)
    rig.neutron.fail_next("create_port", NeutronUnavailable("HTTP 503", 300.0))
    rig.fill()
    calls(rig)
    for _ in range(29):
        rig.now += 10
        rig.services.pool_filler.work()
    assert calls(rig) == []
    cool(rig, 400)
    assert len(spares(rig, "ready")) == 2


def test_no_pause_is_shortened_by_another(rig: Rig, docker: DirectDocker) -> None:
    """After a full quota the hosts would ask again as soon as Neutron has once given no answer."""
    rig.port_pool = PortPoolSettings(max_per_network=2)  # no room for a port that cools
    rig.revive()
    network = pooled(rig, docker)
    docker.beside = lambda: None
    box = docker.run(network)
    error = NeutronConflict("Quota exceeded for resources: ['port'].")
    error.kind = "OverQuota"
    rig.neutron.fail_next("create_port", error)
    rig.fill()
    docker.rm(box)
    away(rig)
    rig.fill()
    back(rig)
    calls(rig)
    for _ in range(10):
        rig.now += 10
        rig.services.pool_filler.work()
    assert set(calls(rig)) == {"delete_port"}


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


def test_many_containers_one_after_the_other(rig: Rig, docker: DirectDocker) -> None:
    """Ports would be made and deleted in turn, or the limits be exceeded."""
    network = pooled(rig, docker, "5")
    made: list[int] = []
    for number in range(200):
        rig.now += 10
        docker.rm(docker.run(network))
        rig.fill()
        idle = [spare for spare in spares(rig) if spare.state != "leaving"]
        assert len(idle) <= rig.port_pool.max_per_network
        if number >= 50:
            made += [1 for name in calls(rig) if name in ("create_port", "delete_port")]
        else:
            calls(rig)
    assert sum(made) <= 4  # each container costs labels, and labels again


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


def test_a_network_gets_another_mtu(rig: Rig, docker: DirectDocker) -> None:
    """Containers from the pool would send packets that are lost on the way."""
    pooled(rig, docker)
    (network,) = rig.neutron.find_networks()
    rig.neutron.store.get("networks", network.id)["mtu"] = 1300
    rig.services.reconciler.round()
    rig.fill()
    ready = [f"tap{spare.port_id}"[:14] for spare in spares(rig, "ready")]
    assert len(ready) == 2
    links = {link.name: link.mtu for link in rig.links.all()}
    assert {links[name] for name in ready} == {1300}


def test_ports_that_do_not_work_any_more_are_replaced(rig: Rig, docker: DirectDocker) -> None:
    """After Open vSwitch's database was lost the pool would stay full, and give no port to anybody."""
    network = pooled(rig, docker)
    for row in rig.ovs.owned():
        rig.ovs.unplug(row.port_id)
    calls(rig)
    docker.rm(docker.run(network))
    assert calls(rig)[0] == "create_port"
    rig.fill()
    for _ in range(4):
        rig.now += 61
        rig.fill()
    assert len(spares(rig, "ready")) == 2
    docker.beside = lambda: None
    calls(rig)
    docker.run(network)
    assert calls(rig) == []


def test_ports_that_work_again_are_used_again(rig: Rig, docker: DirectDocker) -> None:
    """A restart of ovn-controller would cost the ports of all pools."""
    pooled(rig, docker)
    before = {spare.port_id for spare in spares(rig, "ready")}
    rig.ovs.without_flows = set(before)
    rig.fill()
    assert {spare.port_id for spare in spares(rig, "making")} == before
    rig.ovs.without_flows = set()
    rig.fill()
    assert {spare.port_id for spare in spares(rig, "ready")} == before
