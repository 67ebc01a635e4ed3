# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Logging in to Keystone and finding Neutron, as operators configure it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from keystoneauth1.adapter import Adapter
from requests.adapters import HTTPAdapter

from kuryr_libnetwork.calls import count_calls
from kuryr_libnetwork.errors import NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.errors import NotConnected
from kuryr_libnetwork.neutron.session import CONNECTIONS, build_adapter
from tests.adapters.neutron_client import configured, connect, without_keystone
from tests.fakes.keystone import PASSWORD, FakeKeystone, credentials
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront


@pytest.fixture
def front() -> Iterator[NeutronFront]:
    fake = FakeNeutron()
    fake.seed_network(name="there")
    with NeutronFront(fake) as front:
        yield front


@pytest.fixture
def keystone(front: NeutronFront) -> Iterator[FakeKeystone]:
    catalog = {
        ("one", "public"): f"{front.url}/",
        ("one", "internal"): f"{front.url}/v2.0",
        ("two", "public"): "http://127.0.0.1:1/",
    }
    with FakeKeystone(catalog) as keystone:
        front.tokens = keystone.tokens
        yield keystone


def log_in(
    keystone: FakeKeystone, password: str = PASSWORD, region: str | None = "one", interface: str = "public"
) -> NeutronClient:
    return connect(credentials(keystone.url, password), region_name=region, endpoint_type=interface)


def names(client: NeutronClient) -> list[str]:
    return [network.name for network in client.find_networks()]


def logins(keystone: FakeKeystone) -> int:
    return sum(request.method == "POST" for request in keystone.requests)


@pytest.mark.parametrize("tail", ["", "/", "/v2.0", "/v2.0/"])
def test_an_endpoint_may_be_written_with_or_without_its_version(front: NeutronFront, tail: str) -> None:
    """An endpoint as devstack or kolla write it would end in 404."""
    assert names(without_keystone(front.url + tail)) == ["there"]
    assert front.requests[-1].path == "/v2.0/networks"


@pytest.mark.parametrize("interface", ["public", "internal"])
def test_a_password_and_the_catalog_lead_to_neutron(
    front: NeutronFront, keystone: FakeKeystone, interface: str
) -> None:
    """The usual kuryr.conf would not work."""
    client = log_in(keystone, interface=interface)
    assert keystone.requests == []
    with count_calls() as counter:
        assert names(client) == names(client) == ["there"]
    assert (logins(keystone), counter.neutron) == (1, 2)
    assert {request.token for request in front.requests} == {"token-1"}


@pytest.mark.parametrize("tail", ["/v3", "/v3/"])
def test_auth_url_may_hold_its_version(keystone: FakeKeystone, tail: str) -> None:
    """An auth_url as older guides write it would not work."""
    assert names(connect(credentials(keystone.url + tail), region_name="one")) == ["there"]


def test_a_refused_token_is_renewed_once(front: NeutronFront, keystone: FakeKeystone) -> None:
    """After an hour, or a restart of Keystone, every container would fail."""
    client = log_in(keystone)
    names(client)
    keystone.revoke()
    assert client.create_network({"name": "new"}).name == "new"
    assert (logins(keystone), len(front.fake.called("create_network"))) == (2, 1)


def test_a_token_that_stays_refused_is_forbidden(front: NeutronFront, keystone: FakeKeystone) -> None:
    """A cloud that refuses all tokens would be asked again and again without end."""
    front.tokens = set()
    with pytest.raises(NeutronForbidden, match="bad token"):
        names(log_in(keystone))
    assert logins(keystone) == 2


def test_a_wrong_password_is_told_but_not_shown(keystone: FakeKeystone, caplog: pytest.LogCaptureFixture) -> None:
    """A password would appear in a log, or a wrong one look like a broken cloud."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NeutronForbidden, match=r"Keystone refused what GET /v2\.0/networks needs") as caught:
        names(log_in(keystone, password="hunter two"))
    assert "hunter" not in str(caught.value)
    assert "hunter" not in caplog.text


def test_tokens_and_passwords_are_not_logged(keystone: FakeKeystone, caplog: pytest.LogCaptureFixture) -> None:
    """debug = true would write credentials to the log."""
    caplog.set_level(logging.DEBUG)
    names(log_in(keystone))
    assert "/v2.0/networks" in caplog.text
    assert PASSWORD not in caplog.text
    assert "token-1" not in caplog.text


@pytest.mark.parametrize(("region", "interface"), [("three", "public"), ("two", "internal"), ("one", "admin")])
def test_a_catalog_without_neutron_there(keystone: FakeKeystone, region: str, interface: str) -> None:
    """A wrong region_name or endpoint_type would end in a traceback, or in another region's networks."""
    with pytest.raises(NeutronUnavailable, match=f"{interface} endpoint.*{region}"):
        names(log_in(keystone, region=region, interface=interface))


def test_a_region_is_chosen(keystone: FakeKeystone) -> None:
    """Containers would get their ports in another region."""
    with pytest.raises(NotConnected):
        names(log_in(keystone, region="two"))


def test_wrong_auth_url_is_unavailable(keystone: FakeKeystone) -> None:
    """A 404 of Keystone would read as "no such port"."""
    client = connect(credentials(f"{keystone.url}/nowhere/v3"), region_name="one")
    with pytest.raises(NeutronUnavailable):
        client.delete_port("p")


def test_keystone_may_come_later(keystone: FakeKeystone) -> None:
    """A service started before Keystone would never find it."""
    keystone.down = True
    client = log_in(keystone)
    with pytest.raises(NeutronUnavailable, match="auth_url"):
        names(client)
    keystone.down = False
    assert names(client) == ["there"]


def test_keystone_out_of_reach() -> None:
    """Nobody would see that auth_url is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotConnected, match="Connection refused"):
        connect(credentials(f"http://127.0.0.1:{port}/v3"), region_name="one").delete_port("p")


def test_one_session_serves_many_threads(front: NeutronFront) -> None:
    """Sixty containers at once would log in sixty times, or wait for each other's connection."""
    built: list[Adapter] = []

    def factory() -> Adapter:
        built.append(build_adapter(configured({"auth_type": "none", "endpoint": front.url}), timeout=20))
        return built[-1]

    client = NeutronClient(factory, 20)
    together = threading.Barrier(8)

    def meet(method: str, arguments: tuple[Any, ...]) -> None:
        together.wait(20)

    front.fake.hook = meet
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: names(client), range(8)))
    assert (found, len(built)) == ([["there"]] * 8, 1)


def test_connections_are_kept_for_all_workers(front: NeutronFront) -> None:
    """Under load every call would open a connection of its own."""
    adapter = build_adapter(configured({"auth_type": "none", "endpoint": front.url}), timeout=20)
    transport = adapter.session.session.get_adapter(front.url)
    assert isinstance(transport, HTTPAdapter)
    pool = transport.poolmanager.connection_from_url(front.url)
    assert pool.pool.maxsize == CONNECTIONS


# -- whose the service's own things are ----------------------------------------------------------------------------


def test_the_project_is_that_of_the_credentials(front: NeutronFront, keystone: FakeKeystone) -> None:
    """The service would take things of others for its own, or none at all; and ask for it again and again."""
    client = log_in(keystone)
    with count_calls() as calls:
        assert [client.project_id() for _ in range(3)] == ["p"] * 3
    assert (calls.neutron, logins(keystone)) == (0, 1)
    assert front.requests == []


def test_without_keystone_there_are_no_projects(front: NeutronFront) -> None:
    """A cloud without Keystone could not be used at all."""
    assert without_keystone(front.url).project_id() == ""


def test_credentials_for_no_project_are_refused(keystone: FakeKeystone) -> None:
    """Everything in the cloud would be the service's own."""
    keystone.token = {"project": None}
    client = log_in(keystone)
    with pytest.raises(NeutronForbidden, match=r"are for no project.*set \[neutron\] project_name"):
        client.project_id()
    keystone.token = {}
    assert log_in(keystone).project_id() == "p"


def test_a_keystone_that_is_away_tells_no_project(keystone: FakeKeystone) -> None:
    """The service would go on as if it were in a cloud without projects."""
    client = log_in(keystone)
    keystone.down = True
    with pytest.raises(NeutronUnavailable):
        client.project_id()
    keystone.down = False
    assert client.project_id() == "p"
