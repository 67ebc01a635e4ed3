# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The contract of the fake Neutron's policies, run against the real Neutron's default policies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.interfaces.neutron import Neutron
from lab.api import Lab
from lab.people import ADMIN, KURYR, KURYR_ADMIN, TENANT_MEMBER
from tests.adapters.neutron_client import with_keystone
from tests.adapters.test_neutron_contract import tenant
from tests.adapters.test_policy_contract import ROLES, PolicyContract, Theirs
from tests.cloud.tenant import Tenant
from tests.fakes.neutron import Role

__all__ = ["tenant"]

PEOPLE = {"service": KURYR, "admin": KURYR_ADMIN, "admin-only": ADMIN}


class OfTheTenant:
    """Made by a plain member; by the admin in his project what only an admin may make for everybody."""

    def __init__(self, lab: Lab) -> None:
        self._made: list[str] = []
        self.member, self._admin = Tenant(lab, TENANT_MEMBER, self._made), Tenant(lab, ADMIN, self._made)

    def _by(self, shared: bool) -> Tenant:
        return self._admin if shared else self.member

    def _make(self, by: Tenant, kind: str, tags: tuple[str, ...], **attributes: object) -> str:
        return str(by.make(kind, tags=tags, project_id=self.member.project_id, **attributes)["id"])

    def network(self, *tags: str, shared: bool = False) -> str:
        return self._make(self._by(shared), "network", tags, name="theirs", **({"shared": True} if shared else {}))

    def subnet(self, network_id: str, cidr: str, *tags: str) -> str:
        return self._make(self.member, "subnet", tags, network_id=network_id, cidr=cidr, ip_version=4)

    def subnetpool(self, *tags: str, shared: bool = False) -> str:
        more = {"shared": True} if shared else {}
        return self._make(self._by(shared), "subnetpool", tags, name="theirs", prefixes=["10.67.0.0/24"], **more)

    def port(self, network_id: str, *tags: str) -> str:
        return self._make(self.member, "port", tags, network_id=network_id)

    def security_group(self, shared_with: str = "") -> str:
        group = self._make(self.member, "security-group", (), name="theirs")
        if shared_with:
            self.member.share("security_group", group, shared_with)
        return group

    def default_group(self) -> None:
        self.member.find("security-group", name="default")

    def qos_policy(self) -> str:
        wanted = {"policy": {"name": "theirs", "shared": True}}
        policy = str(self._admin.call("POST", "/qos/policies", wanted)["policy"]["id"])
        self._made.insert(0, f"/qos/policies/{policy}")  # it is removed after the ports that use it
        return policy


class TestNeutron(PolicyContract):
    @pytest.fixture(params=ROLES)
    def role(self, request: pytest.FixtureRequest) -> Role:
        found: Role = request.param
        return found

    @pytest.fixture
    def neutron(self, role: Role, keystone_url: str, neutron_url: str) -> Neutron:
        return with_keystone(PEOPLE[role].login(keystone_url), neutron_url)

    @pytest.fixture
    def theirs(self, lab: Lab) -> Iterator[Theirs]:
        made = OfTheTenant(lab)
        yield made
        made.member.tidy()
