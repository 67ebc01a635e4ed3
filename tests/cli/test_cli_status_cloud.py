# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ``kuryr-status upgrade check`` finds in the cloud and asks of Docker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.host.journal_view import JournalView
from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import Network
from kuryr_libnetwork.model.records import NetworkRecord
from kuryr_libnetwork.rules.identity import pool_tags
from kuryr_libnetwork.rules.roles import Account
from tests.cli.old_installation import GOOD, Installation
from tests.fakes.neutron import PROJECT, TENANT, FakeNeutron, Role

ROLES = "Roles of the service's user"
NETWORKS = "Docker networks recorded on networks of other projects"
DOCKER, OTHER = "d0" * 32, "e1" * 32
GIVE = "openstack role add --project service --user kuryr"


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OS_") or name == "CAPABILITY_SCOPE":
            monkeypatch.delenv(name)


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


# -- the roles of the service's user -----------------------------------------------------------------------------


def with_roles(host: Installation, *roles: str) -> None:
    host.cloud.told_account = Account(user="kuryr", project="service", roles=frozenset(roles))


def test_the_least_roles_are_a_success(host: Installation) -> None:
    """Operators would be told to give more rights than the service needs."""
    assert host.check(0)[ROLES] == (0, "")


def test_more_than_the_least_is_said_and_no_fault(host: Installation) -> None:
    """An upgrade would be stopped by what works, or the service keep the whole cloud for nothing."""
    host.cloud = FakeNeutron(role="admin")
    code, details = host.check(0)[ROLES]
    assert code == 0
    assert details.startswith(
        "admin, member, service (user kuryr, project service)\nthe roles service and member are enough"
    )


def test_an_administrator_alone(host: Installation) -> None:
    """Upstream's user has this role: VFs would be refused after the upgrade, and nobody have said so."""
    host.cloud = FakeNeutron(role="admin-only")
    name, details = host.one(1)
    assert name == ROLES
    assert "refuses binding:profile" in details
    assert details.endswith(f"{GIVE} service")


@pytest.mark.parametrize(
    ("roles", "lacks"), [(["service"], "member"), (["member", "reader"], "service"), (["reader"], "")]
)
def test_roles_with_which_no_host_works(host: Installation, roles: list[str], lacks: str) -> None:
    """The upgrade would be made, and the first Docker user find that nothing works."""
    with_roles(host, *roles)
    name, details = host.one(2)
    assert name == ROLES
    assert f"{GIVE} {lacks}" in details


def test_devices_of_physical_networks(host: Installation) -> None:
    """No VF would be found after the upgrade."""
    host.configure(
        f"{GOOD}[sriov]\nphysical_device_mappings = physnet2:eth3\n[DEFAULT]\nenabled_port_drivers = veth,sriov\n"
        "[binding]\nenabled_drivers = veth,hw_veb\n"
    )
    name, details = host.one(1)
    assert name == ROLES
    assert details.endswith(f"{GIVE} admin")


def test_a_cloud_without_keystone(host: Installation) -> None:
    """It would be called one whose user may do nothing."""
    host.cloud.told_account = None
    assert host.check(0)[ROLES] == (0, "")


def test_keystone_does_not_answer(host: Installation) -> None:
    """What was not looked at would be taken for good, or Neutron be waited for as well."""
    host.cloud.fail_next("account", NeutronUnavailable("no connection for Keystone"))
    host.engine.words = {DOCKER: NetworkWord(options={"neutron.net.name": "tenant"})}
    found = host.check(1)
    assert found[ROLES] == found[NETWORKS] == (1, "not looked at: no connection for Keystone")
    assert host.cloud.calls == []


def test_keystone_lets_nobody_in(host: Installation) -> None:
    """A wrong password would look like a cloud that is away for a moment."""
    host.cloud.fail_next("account", NeutronForbidden("Keystone refused: unauthorized"))
    found = host.check(2)
    assert found[ROLES] == (2, "Keystone refused: unauthorized")
    assert found[NETWORKS] == (1, "not looked at: Keystone refused: unauthorized")


def test_nothing_is_asked_without_a_configuration(host: Installation) -> None:
    """The check would log in with half a configuration."""
    host.configure("[neutron]\n")
    found = host.check(2)
    assert found[ROLES] == found[NETWORKS] == (1, "not looked at: kuryr.conf cannot be read")


# -- Docker networks on networks of other projects ---------------------------------------------------------------


def tenants_network(host: Installation, name: str = "tenant") -> Network:
    """One that upstream's service has marked."""
    return host.cloud.seed_network(name=name, tags=["kuryr.net.existing.d0d0d0d0d0d0"])


@pytest.mark.parametrize("role", ["service", "admin"])
def test_a_docker_network_that_only_tags_of_others_record(host: Installation, role: Role) -> None:
    """Docker would be restarted after the upgrade, and its containers on that network not start any more."""
    host.cloud = FakeNeutron(role=role)
    network = tenants_network(host)
    host.engine.words = {DOCKER: NetworkWord(options={"neutron.net.uuid": network.id})}
    code, details = host.check(1)[NETWORKS]
    assert code == 1
    first, second = details.split("\n")
    assert first == f"Docker network {DOCKER[:12]} is on Neutron network {network.id} of project {TENANT}"
    assert second.startswith("start the service while Docker runs, and before Docker is restarted")


def test_one_chosen_by_its_subnet(host: Installation) -> None:
    """It would be lost like one whose network was chosen."""
    network = tenants_network(host)
    host.cloud.seed_subnet(network.id, "10.1.0.0/24", name="front")
    host.engine.words = {DOCKER: NetworkWord(ipam_options={"neutron.subnet.name": "front"})}
    assert f"is on Neutron network {network.id} of" in host.check(1)[NETWORKS][1]


def test_what_is_recorded_where_it_is_believed(host: Installation) -> None:
    """A host would be held up for networks that need nothing."""
    network = tenants_network(host)
    own = host.cloud.seed_network(name="own", project_id=PROJECT)
    host.cloud.seed_subnetpool(
        "kuryrPool-10.1.0.0/24", "10.1.0.0/24", project_id=PROJECT, tags=pool_tags(DOCKER, network.id)
    )
    host.engine.words = {
        DOCKER: NetworkWord(options={"neutron.net.uuid": network.id}),
        OTHER: NetworkWord(options={"neutron.net.name": own.name}),
        "f2" * 32: NetworkWord(options={"com.example.other": "driver"}),
    }
    assert host.check(0)[NETWORKS] == (0, "")


def test_a_pool_of_a_tenant_records_nothing(host: Installation) -> None:
    """Whoever shares a pool with the service could hide what the service does not know."""
    network = tenants_network(host)
    host.cloud.seed_subnetpool("kuryrPool-10.1.0.0/24", "10.1.0.0/24", shared=True, tags=pool_tags(DOCKER, network.id))
    host.engine.words = {DOCKER: NetworkWord(options={"neutron.net.uuid": network.id})}
    assert host.check(1)[NETWORKS][0] == 1


def test_what_the_journal_has_taken_up(host: Installation) -> None:
    """After the service has done what is needed the check would go on warning."""
    network = tenants_network(host)
    record = NetworkRecord(docker_id=DOCKER, neutron_id=network.id, made=False, mtu=1442, subnets=())
    host.journal = JournalView(networks=(record,))
    host.engine.words = {DOCKER: NetworkWord(options={"neutron.net.uuid": network.id})}
    assert host.check(0)[NETWORKS] == (0, "")
    assert host.cloud.calls == []


def test_a_network_that_upstream_made_in_another_project(host: Installation) -> None:
    """After an upgrade with a new user in a project of his own nothing of upstream's would be believed."""
    network = tenants_network(host, f"kuryr-net-{DOCKER[:8]}")
    host.engine.words = {DOCKER: NetworkWord()}
    details = host.check(1)[NETWORKS][1]
    assert details.startswith(
        f"Docker network {DOCKER[:12]} was made on Neutron network {network.id} of project {TENANT}"
    )
    assert details.endswith("let [neutron] log in to that project")
    assert "start the service" not in details


def test_the_number_of_questions_does_not_grow(host: Installation) -> None:
    """A host with many Docker networks would ask Neutron for minutes."""
    words = {}
    for number in range(40):
        network = tenants_network(host, f"tenant-{number}")
        options = {"neutron.net.uuid": network.id} if number % 2 else {"neutron.net.name": network.name}
        words[f"{number:064x}"] = NetworkWord(options=options)
    host.cloud.seed_subnet(network.id, "10.1.0.0/24", name="front")
    words["a" * 64] = NetworkWord(options={"neutron.subnet.name": "front"})
    words["b" * 64] = NetworkWord()
    host.engine.words = words
    host.check(1)
    assert len(host.cloud.calls) == 4


def test_who_cannot_be_asked(host: Installation) -> None:
    """What was not looked at would be taken for good."""
    host.engine.words = None
    assert host.check(1)[NETWORKS] == (1, "not looked at: Docker at /var/run/docker.sock does not answer")
    host.engine.words = {DOCKER: NetworkWord(options={"neutron.net.name": "tenant"})}
    host.cloud.fail_next("find_networks", NeutronUnavailable("no answer"))
    assert host.check(1)[NETWORKS] == (1, "not looked at: no answer")
    host.configure(f"{GOOD}[DEFAULT]\ndocker_socket =\n")
    assert host.check(1)[NETWORKS][1].startswith("not looked at: docker_socket is empty")
