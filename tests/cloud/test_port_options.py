# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Security groups, QoS, port security and DNS domain of containers, with the real Neutron, OVN and Docker."""

from __future__ import annotations

import pytest

from lab.api import Host, Lab
from lab.people import ADMIN, KURYR, TENANT_MEMBER
from lab.process import wait_for
from tests.cloud.test_adoption import Ground, calls
from tests.cloud.test_restarts import lose_journal
from tests.cloud.user import User, unique_cidr


def options(**values: str) -> list[str]:
    return [each for key, value in values.items() for each in ("-o", f"neutron.{key}={value}")]


def own(network: str, **values: str) -> str:
    """What ``docker run --network`` takes: a network, with driver options of the one container."""
    return ",".join([f"name={network}", *(f"driver-opt=neutron.{key}={text}" for key, text in values.items())])


def start(user: User, host: Host, network: str, *arguments: str, **values: str) -> str:
    return user.run(host, own(network, **values), *arguments)


def pings(host: Host, container: str, address: str) -> bool:
    return host.docker("exec", container, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def test_groups_decide_who_reaches_a_container(user: User, h1: Host, lab: Lab) -> None:
    """A container would be open to its neighbours, or closed to everybody, whatever its groups say."""
    group = user.open_group(by=KURYR)
    net = user.network(h1, f"--subnet={unique_cidr()}", *options(security_groups="none"))
    at = lab.neutron_log_position()
    closed = user.run(h1, net)
    assert wait_for(lambda: len(calls(lab, at)) == 2, 30)  # the second one beside its start
    at = lab.neutron_log_position()
    opened = start(user, h1, net, security_groups=group["name"])
    assert len(calls(lab, at)) == 3
    client = start(user, h1, net, security_groups=group["id"])
    user.ping(h1, client, user.address(h1, opened, net))
    assert not pings(h1, client, user.address(h1, closed, net))
    assert user.port_of(h1, closed, net)["security_groups"] == []
    assert user.port_of(h1, opened, net)["security_groups"] == [group["id"]]
    lose_journal(h1)
    later = user.run(h1, net)
    assert user.port_of(h1, later, net)["security_groups"] == []
    for box in (closed, opened, client, later):
        user.rm(h1, box)
    user.network_rm(h1, net)


def test_all_of_a_networks_options_in_the_budget(user: User, h1: Host, lab: Lab) -> None:
    """Each container would cost more calls, or be made otherwise than its network says."""
    group = user.make("security-group", by=KURYR, name="web")
    policy = user.neutron("POST", "/qos/policies", {"policy": {"name": "gold", "shared": True}})["policy"]
    given = options(security_groups=group["id"], qos_policy="gold", dns_domain="example.org")
    net = user.network(h1, f"--subnet={unique_cidr()}", *given)
    at = lab.neutron_log_position()
    box = user.run(h1, net)
    assert wait_for(lambda: len(calls(lab, at)) == 2, 30), calls(lab, at)
    port = user.port_of(h1, box, net)
    assert (port["security_groups"], port["qos_policy_id"]) == ([group["id"]], policy["id"])
    assert (port["dns_domain"], port["port_security_enabled"]) == ("example.org.", True)
    at = lab.neutron_log_position()
    other = start(user, h1, net, port_security="false", qos_policy="none")
    assert len(calls(lab, at)) == 2
    port = user.port_of(h1, other, net)
    assert (port["security_groups"], port["qos_policy_id"], port["port_security_enabled"]) == ([], None, False)
    user.ping(h1, box, user.address(h1, other, net))
    for each in (box, other):
        user.rm(h1, each)
    user.network_rm(h1, net)
    user.neutron("DELETE", f"/qos/policies/{policy['id']}")


@pytest.mark.parametrize("lost", [False, True], ids=["", "journal-lost"])
def test_a_port_made_beforehand_is_changed_and_put_back(user: User, h1: Host, lost: bool) -> None:
    """The user's port would keep the settings of one container."""
    mine, other = (user.make("security-group", by=by, name=by.name) for by in (TENANT_MEMBER, KURYR))
    ground = Ground(user, h1, security_groups=[mine["id"]], dns_domain="example.org.")
    given = {"security_groups": other["id"], "dns_domain": "other.org", "port.uuid": ground.id}
    box = start(user, h1, ground.nets[0], f"--ip={ground.ip}", **given)
    there = ground.port()
    assert (there["security_groups"], there["dns_domain"]) == ([other["id"]], "other.org.")
    if lost:
        lose_journal(h1)
    user.rm(h1, box)
    assert ground.port() == ground.before


def test_a_port_by_its_uuid_needs_its_address(user: User, h1: Host) -> None:
    """The container would get another port than the one that was named for it, or an error that does not help."""
    ground = Ground(user, h1)
    network = own(ground.nets[0], **{"port.uuid": ground.id})
    said = user.refused(h1, "run", "--rm", "--network", network, "busybox", "true")
    assert f"and the port has {ground.ip}; add --ip {ground.ip}" in said
    assert ground.port() == ground.before
    box = start(user, h1, ground.nets[0], f"--ip={ground.ip}", **{"port.uuid": ground.id})
    assert user.port_of(h1, box, ground.nets[0])["id"] == ground.id


@pytest.mark.parametrize("role", ["member", "admin"])
def test_default_on_a_tenants_network(
    user: User, h1: Host, lab: Lab, role: str, request: pytest.FixtureRequest
) -> None:
    """``default`` would be refused where the service sees all groups, or not let the tenant's own ports in."""
    if role == "admin":
        request.getfixturevalue("service_admin")
    elif lab.release.role != role:
        pytest.skip(f"with {lab.release} the role {role} is not enough to use a tenant's network")
    ground = Ground(user, h1)
    projects = {"member": user.acting(KURYR).project_id, "admin": user.member.project_id}
    found = lab.session(ADMIN).neutron("GET", f"/v2.0/security-groups?name=default&project_id={projects[role]}")
    (group,) = found["security_groups"]
    net = user.network(h1, f"--subnet={ground.subnet['cidr']}", *ground.choice, *options(security_groups="default"))
    by_network, by_container = user.run(h1, net), start(user, h1, ground.nets[0], security_groups="default")
    assert user.port_of(h1, by_network, net)["security_groups"] == [group["id"]]
    assert user.port_of(h1, by_container, ground.nets[0])["security_groups"] == [group["id"]]
    user.ping(h1, by_network, user.address(h1, by_container, ground.nets[0]))
