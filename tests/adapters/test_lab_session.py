# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The lab's own calls, against a Keystone and a Neutron in this process."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest

from lab.http import Connect, Refused
from lab.openstack import Session
from lab.people import KURYR, Person
from tests.fakes.keystone import PASSWORD, FakeKeystone
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront


@dataclasses.dataclass(frozen=True)
class Somebody(Person):
    """With the password that the fake knows."""

    @property
    def password(self) -> str:
        return PASSWORD


@pytest.fixture
def neutron() -> Iterator[NeutronFront]:
    with NeutronFront(FakeNeutron()) as front:
        yield front


@pytest.fixture
def keystone(neutron: NeutronFront) -> Iterator[FakeKeystone]:
    with FakeKeystone({}) as keystone:
        neutron.tokens = keystone.tokens
        yield keystone


@pytest.fixture
def session(keystone: FakeKeystone, neutron: NeutronFront) -> Session:
    person = Somebody(KURYR.name, KURYR.project, KURYR.roles)
    return Session(person, keystone=door(keystone.url), neutron=door(neutron.url))


def door(url: str) -> Connect:
    there = urlsplit(url)
    return partial(socket.create_connection, (there.hostname or "", there.port or 0))


def logins(keystone: FakeKeystone) -> int:
    return sum(request.method == "POST" for request in keystone.requests)


def test_one_login_for_many_calls(session: Session, keystone: FakeKeystone) -> None:
    """Every look of a test at Neutron would cost a login."""
    made = session.neutron("POST", "/v2.0/networks", {"network": {"name": "one"}})["network"]
    assert session.neutron("GET", "/v2.0/networks")["networks"][0]["id"] == made["id"]
    assert session.neutron("DELETE", f"/v2.0/networks/{made['id']}") is None
    assert session.project_id == "p"
    assert logins(keystone) == 1


def test_a_token_that_has_ended_is_followed_by_another(session: Session, keystone: FakeKeystone) -> None:
    """A long run of the cloud tests would fail once the token has expired."""
    session.neutron("GET", "/v2.0/networks")
    keystone.revoke()
    assert session.neutron("GET", "/v2.0/networks") == {"networks": []}
    assert logins(keystone) == 2


def test_a_fresh_token_that_is_refused_is_no_reason_to_log_in_again(
    session: Session, keystone: FakeKeystone, neutron: NeutronFront
) -> None:
    """A Neutron that does not trust this Keystone would be asked twice each time."""
    neutron.tokens = set()
    with pytest.raises(Refused, match="networks: 401") as caught:
        session.neutron("GET", "/v2.0/networks")
    assert (caught.value.status, logins(keystone)) == (401, 1)
    assert not session.answers("/v2.0/networks")


def test_a_wrong_password_is_said(keystone: FakeKeystone) -> None:
    """A user that the lab's Keystone does not have would look like a Neutron that refuses."""
    with pytest.raises(Refused, match="POST /v3/auth/tokens: 401"):
        Session(KURYR, keystone=door(keystone.url)).keystone("GET", "/v3/roles")
