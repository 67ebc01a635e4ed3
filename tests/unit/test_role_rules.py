# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What each set of roles is enough for, by Neutron's default policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.rules.roles import Account, judge_roles, reads_physical_networks

READER = {"reader"}
MEMBER = {"member", "reader"}
MANAGER = {"manager", "member", "reader"}
ADMIN = {"admin", "manager", "member", "reader"}
SERVICE = {"service"}
GIVE = "openstack role add --project service --user kuryr"


def account(
    *roles: str, user: str = "kuryr", project: str = "service", application_credential: bool = False
) -> Account:
    return Account(user=user, project=project, roles=frozenset(roles), application_credential=application_credential)


def subjects(roles: set[str], *, physical_networks: bool = False) -> list[tuple[str, str]]:
    found = judge_roles(account(*roles), physical_networks=physical_networks)
    return [(each.subject, each.level) for each in found]


@pytest.mark.parametrize("roles", [SERVICE | MEMBER, SERVICE | MANAGER, {"service", "member"}])
def test_service_and_member_are_just_right(roles: set[str]) -> None:
    """Operators would be told to give more rights than the service needs."""
    assert subjects(roles) == []


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (SERVICE, [("networks", "error")]),
        (MEMBER, [("containers", "error")]),
        (MANAGER, [("containers", "error")]),
        (READER, [("containers", "error"), ("networks", "error")]),
        (set[str](), [("containers", "error"), ("networks", "error")]),
        ({"load-balancer_member"}, [("containers", "error"), ("networks", "error")]),
        (ADMIN, [("profile", "notice")]),
        ({"admin"}, [("profile", "notice")]),
        (ADMIN | SERVICE, [("least privilege", "advice")]),
    ],
)
def test_what_other_roles_are_not_enough_for(roles: set[str], expected: list[tuple[str, str]]) -> None:
    """The first Docker user would find out, by a policy's name."""
    assert subjects(roles) == expected


def test_devices_of_physical_networks_take_an_administrator() -> None:
    """Every container with a VF would be refused although the roles were called right, or the right ones be advised
    against.
    """
    assert subjects(SERVICE | MEMBER, physical_networks=True) == [("physical networks", "notice")]
    assert subjects(SERVICE | ADMIN, physical_networks=True) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("[sriov]\nphysical_device_mappings = physnet2:eth3\n", False),
        ("[DEFAULT]\nenabled_port_drivers = veth,sriov\n", False),
        ("[DEFAULT]\nenabled_port_drivers = sriov\n[sriov]\nphysical_device_mappings = physnet2:eth3\n", True),
        ("[DEFAULT]\nenabled_port_drivers = a.b.sriov\n[sriov]\nallow_trust = physnet2\n", True),
        ('[DEFAULT]\nenabled_port_drivers = sriov\n[sriov]\ndevice_spec = {"vendor_id": "8086"}\n', True),
    ],
)
def test_who_has_to_see_physical_networks(tmp_path: Path, lines: str, expected: bool) -> None:
    """Hosts without VFs would be told to give the role admin, or hosts with VFs would not be told."""
    file = tmp_path / "kuryr.conf"
    file.write_text(lines)
    assert reads_physical_networks(config.read(["--config-file", str(file)], login=False).settings) is expected


def test_each_names_the_command_that_mends_it() -> None:
    """The operator would have to find out what to give to whom, and where."""
    (service,) = judge_roles(account(*MEMBER))
    assert service.line == (
        "no container can start: to bind a port to a host takes the role service (before Neutron 24 admin): "
        f"{GIVE} service"
    )
    (member,) = judge_roles(account(*SERVICE))
    assert member.command == f"{GIVE} member"
    (less,) = judge_roles(account(*SERVICE, *ADMIN))
    assert less.command == f"{GIVE} member && openstack role remove --project service --user kuryr admin"
    (more,) = judge_roles(account(*SERVICE, *MEMBER), physical_networks=True)
    assert more.command == f"{GIVE} admin"


def test_names_are_quoted_for_the_shell() -> None:
    """The command of a user with a blank in his name would do something else."""
    (found,) = judge_roles(account("service", user="docker hosts", project="a;b"))
    assert found.command == "openstack role add --project 'a;b' --user 'docker hosts' member"


def test_an_application_credential_has_to_be_made_anew() -> None:
    """The operator would give the role, and nothing would change."""
    (found,) = judge_roles(account("service", application_credential=True))
    assert found.command.startswith(f"{GIVE} member; then create a new application credential")


def test_an_account_in_words() -> None:
    """A list of roles that all come from one would hide that one."""
    assert str(account(*ADMIN, *SERVICE)) == "admin, member, service (user kuryr, project service)"
    assert str(account(*READER)) == "reader (user kuryr, project service)"
    assert str(account()) == "no role (user kuryr, project service)"
