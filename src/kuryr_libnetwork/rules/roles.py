# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the roles of the service's user allow, by Neutron's default policies.

Three roles matter here (``service`` since Neutron 24, 2024.1):

* ``member`` creates and marks networks, subnets, subnetpools and security groups in the user's own project.
* ``service`` binds ports of any project to a host, and writes their ``binding:profile``. It can do none of the above.
* ``admin`` can do all of this in any project, except write ``binding:profile``. Only ``admin`` sees agents, and the
  physical network of a network.

So the service needs ``service`` and ``member``, and no more. A token also lists implied roles (``admin`` implies
``manager``, which implies ``member``, which implies ``reader``), and Neutron ignores case in their names. A cloud may
have policies of its own, which no token shows: the findings here are about the default ones.
"""

from __future__ import annotations

import shlex
from typing import Literal

from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.model.value import Value

ADMIN, MEMBER, SERVICE = "admin", "member", "service"
IMPLIED = frozenset({"manager", "reader"})
"""Roles that others imply, and that the service has no use for."""

Level = Literal["error", "notice", "advice"]
Subject = Literal["containers", "networks", "profile", "physical networks", "least privilege"]


class Account(Value, frozen=True):
    """Who the service is, as its token says.

    ``user``, ``project``: name or id, as the openstack command takes them. ``roles``: in lower case, with implied ones.
    ``application_credential``: whether the login uses one; it keeps the roles that it was created with.
    """

    user: str
    project: str
    roles: frozenset[str]
    application_credential: bool = False

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    def __str__(self) -> str:
        told = ", ".join(sorted(self.roles - IMPLIED) or sorted(self.roles)) or "no role"
        return f"{told} (user {self.user}, project {self.project})"


class RoleFinding(Value, frozen=True):
    """``level``: ``error``: something fails that every host needs; ``notice``: something that some hosts need;
    ``advice``: nothing fails.

    ``text``: one line; ``command``: what an administrator of the cloud has to run.
    """

    subject: Subject
    level: Level
    text: str
    command: str

    @property
    def line(self) -> str:
        return f"{self.text}: {self.command}"


def reads_physical_networks(settings: Settings) -> bool:
    """Whether the service needs to see a network's physical network, to know which devices belong to it."""
    sriov = settings.sriov
    enabled = {name.rpartition(".")[2] for name in settings.plugin.enabled_port_drivers}
    return "sriov" in enabled and bool(sriov.mappings or sriov.specs or sriov.allow_trust)


def judge_roles(account: Account, *, physical_networks: bool = False) -> list[RoleFinding]:
    """What is wrong with the roles, the worst first; empty if they are exactly right.

    ``physical_networks``: whether the service has to see them (:func:`reads_physical_networks`).
    """
    binds, makes = SERVICE in account.roles or account.is_admin, MEMBER in account.roles or account.is_admin
    found = []
    if not binds:
        text = f"no container can start: to bind a port to a host takes the role {SERVICE} (before Neutron 24 {ADMIN})"
        found.append(_finding("containers", "error", text, _give(account, SERVICE)))
    if not makes:
        text = (
            f"no Docker network can be made or removed: that takes the role {MEMBER} in the project {account.project}"
        )
        found.append(_finding("networks", "error", text, _give(account, MEMBER)))
    if account.is_admin and SERVICE not in account.roles:
        text = (
            f"without the role {SERVICE} Neutron (24 and later) refuses binding:profile: containers get no VF and no "
            "PF, and what adopted ports were before is kept in the journal alone"
        )
        found.append(_finding("profile", "notice", text, _give(account, SERVICE)))
    if physical_networks and not account.is_admin:
        text = (
            f"[sriov] names physical networks, and Neutron shows only the role {ADMIN} which one a network is on: no "
            "VF is found for a container whose port does not name its physical network"
        )
        found.append(_finding("physical networks", "notice", text, _give(account, ADMIN)))
    if account.is_admin and SERVICE in account.roles and not physical_networks:
        text = (
            f"the roles {SERVICE} and {MEMBER} are enough, unless Docker's users need what takes {ADMIN} "
            "(docs/configuration.md, "
            '"The service\'s user")'
        )
        found.append(_finding("least privilege", "advice", text, _take(account, ADMIN)))
    return found


def _finding(subject: Subject, level: Level, text: str, command: str) -> RoleFinding:
    return RoleFinding(subject=subject, level=level, text=text, command=command)


def _give(account: Account, role: str) -> str:
    return _renewed(account, f"openstack role add {_whose(account)} {role}")


def _take(account: Account, role: str) -> str:
    kept = f"openstack role add {_whose(account)} {MEMBER}"  # the role removed may have implied it
    return _renewed(account, f"{kept} && openstack role remove {_whose(account)} {role}")


def _renewed(account: Account, command: str) -> str:
    more = "; then create a new application credential, because one keeps the roles that it was created with"
    return command + more * account.application_credential


def _whose(account: Account) -> str:
    return f"--project {shlex.quote(account.project)} --user {shlex.quote(account.user)}"
