# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who the service is for Keystone: one contract for the fake and for the client with a login."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kuryr_libnetwork.calls import count_calls
from kuryr_libnetwork.errors import NeutronError, NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.neutron.client import NeutronClient
from tests.adapters.neutron_client import connect, without_keystone
from tests.fakes.keystone import PASSWORD, FakeKeystone, credentials
from tests.fakes.loopback import Answer, Request
from tests.fakes.neutron import FakeNeutron, Role
from tests.fakes.neutron_http import NeutronFront

ROLES: dict[Role, frozenset[str]] = {
    "service": frozenset({"service", "member", "reader"}),
    "admin": frozenset({"service", "admin", "manager", "member", "reader"}),
    "admin-only": frozenset({"admin", "manager", "member", "reader"}),
}


@pytest.fixture
def keystone(front: NeutronFront) -> Iterator[FakeKeystone]:
    with FakeKeystone({("one", "public"): front.url}) as keystone:
        front.tokens = keystone.tokens
        yield keystone


def log_in(keystone: FakeKeystone, timeout: float = 20, password: str = PASSWORD) -> NeutronClient:
    return connect(credentials(keystone.url, password), timeout)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("side", ["fake", "client"])
def test_the_roles_and_the_project_of_the_token(
    side: str, role: Role, front: NeutronFront, keystone: FakeKeystone
) -> None:
    """Missing roles would be noticed only by the first container, or existing ones be reported as missing."""
    keystone.roles = tuple(ROLES[role])
    neutron: Neutron = FakeNeutron(role=role) if side == "fake" else log_in(keystone)
    with count_calls() as counter:
        account = neutron.account()
    assert account is not None
    assert (account.user, account.project, account.roles) == ("kuryr", "service", ROLES[role])
    assert not account.application_credential
    assert (counter.neutron, front.requests) == (0, [])


def test_one_login_tells_everything(keystone: FakeKeystone) -> None:
    """Each question would cost a login."""
    client = log_in(keystone)
    client.extensions()
    client.project_id()
    client.account()
    assert sum(request.method == "POST" for request in keystone.requests) == 1


def test_a_new_token_may_say_otherwise(keystone: FakeKeystone) -> None:
    """A role that was given meanwhile would be missing until the service is started again."""
    client = log_in(keystone)
    client.account()
    keystone.roles = ("Service", "MEMBER")
    keystone.revoke()
    client.extensions()
    account = client.account()
    assert account is not None
    assert account.roles == {"service", "member"}


@pytest.mark.parametrize(
    "options", [{"auth_type": "none"}, {"auth_type": "http_basic", "username": "kuryr", "password": "secret"}]
)
def test_there_are_no_roles_without_keystone(front: NeutronFront, options: dict[str, str]) -> None:
    """On a cloud without Keystone all roles would be reported as missing."""
    assert connect({**options, "endpoint": front.url}).account() is None
    assert without_keystone(front.url).account() is None


def test_names_outside_the_default_domain_are_told_as_ids(keystone: FakeKeystone) -> None:
    """The command that gives a role would give it to a namesake in another domain."""
    domain = {"id": "d2", "name": "Users"}
    keystone.token = {"user": {"id": "u", "name": "kuryr", "domain": domain}}
    account = log_in(keystone).account()
    assert account is not None
    assert (account.user, account.project) == ("u", "service")
    keystone.token = {"project": {"id": "p", "name": "service", "domain": domain}}
    account = log_in(keystone).account()
    assert account is not None
    assert (account.user, account.project) == ("kuryr", "p")


def test_an_application_credential_is_told(keystone: FakeKeystone) -> None:
    """The operator would give a role that changes nothing."""
    keystone.token = {"application_credential": {"id": "c", "name": "kuryr", "restricted": True}}
    account = log_in(keystone).account()
    assert account is not None
    assert account.application_credential


def test_credentials_for_no_project(keystone: FakeKeystone) -> None:
    """Roles would be named as if they were in some project."""
    keystone.token = {"project": None}
    with pytest.raises(NeutronError):
        log_in(keystone).account()


def test_a_refused_login_is_told_as_one(keystone: FakeKeystone) -> None:
    """A wrong password would look like a cloud that is away."""
    with pytest.raises(NeutronForbidden, match="Keystone refused"):
        log_in(keystone, password="wrong").account()
    keystone.down = True
    with pytest.raises(NeutronUnavailable):
        log_in(keystone).account()


@pytest.mark.parametrize(
    "token",
    [
        {"roles": "admin"},
        {"roles": [{"id": "r"}]},
        {"roles": [{"id": "r", "name": 5}]},
        {"roles": {"name": "admin"}},
        {"user": "kuryr"},
        {"project": {"id": "p", "name": 5, "domain": {"id": "default", "name": "Default"}}},
    ],
)
def test_a_token_that_cannot_be_read(keystone: FakeKeystone, token: dict[str, Any]) -> None:
    """A Keystone that answers nonsense would end a command, or a thread of the service, with a traceback."""
    keystone.token = token
    with pytest.raises(NeutronUnavailable):
        log_in(keystone).account()


class Stuck(FakeKeystone):
    """Holds back the answer to a login until it is told to send it."""

    def __init__(self) -> None:
        super().__init__({})
        self.free = threading.Event()

    def answer(self, request: Request) -> Answer:
        self.free.wait(20)
        return super().answer(request)


def test_nobody_waits_for_a_keystone_that_hangs() -> None:
    """The start of the service, or a command, would hang with it."""
    with Stuck() as keystone:
        try:
            with pytest.raises(NeutronUnavailable):
                log_in(keystone, timeout=0.2).account()
        finally:
            keystone.free.set()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("side", ["fake", "client"])
def test_only_an_administrator_sees_where_a_network_is(side: str, role: Role) -> None:
    """VFs would be found here on clouds that never show the service a network's physical network."""
    fake = FakeNeutron(role=role)
    made = fake.seed_network(**{"provider:physical_network": "physnet2"})
    with NeutronFront(fake) as front:
        neutron: Neutron = fake if side == "fake" else without_keystone(front.url)
        (found,) = neutron.find_networks(**{"provider:physical_network": "physnet2"})
    assert found.id == made.id
    assert found.physical_network == ("physnet2" if "admin" in ROLES[role] else None)
