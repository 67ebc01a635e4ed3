# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever Keystone answers, or who answers in its place: the service has a token and an endpoint, or one line of its
own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from kuryr_libnetwork.errors import NeutronError, NeutronUnavailable
from kuryr_libnetwork.neutron.client import NeutronClient
from tests.adapters.neutron_client import connect
from tests.fakes.keystone import PASSWORD, FakeKeystone, credentials
from tests.fakes.loopback import Answer, Request, json_answer
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront
from tests.fakes.spoiled import JUNK, WAYS, Spoil, spoiled

DATE = "2099-01-01T00:00:00.000000Z"


class SpoiledKeystone(FakeKeystone):
    """``spoils``: by the number of the request."""

    def __init__(self, catalog: dict[tuple[str, str], str]) -> None:
        super().__init__(catalog)
        self.spoils: dict[int, Spoil] = {}
        self.asked = 0

    def answer(self, request: Request) -> Answer:
        answer = super().answer(request)
        spoil = self.spoils.get(self.asked)
        self.asked += 1
        return answer if spoil is None else spoiled(answer, spoil)


@pytest.fixture(scope="module")
def front() -> Iterator[NeutronFront]:
    with NeutronFront(FakeNeutron()) as front:
        yield front


@pytest.fixture(scope="module")
def spoiling(front: NeutronFront) -> Iterator[SpoiledKeystone]:
    with SpoiledKeystone({("one", "public"): front.url}) as keystone:
        yield keystone


@pytest.fixture
def keystone(front: NeutronFront) -> Iterator[FakeKeystone]:
    with FakeKeystone({("one", "public"): front.url}) as keystone:
        yield keystone


def ask_everything(client: NeutronClient) -> list[str]:
    """What could not be obtained, in our own words."""
    told = []
    for ask in (client.project_id, client.find_networks, client.account, lambda: client.delete_port("p1")):
        try:
            ask()
        except NeutronError as error:
            told.append(str(error))
    return told


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    spoils=st.dictionaries(
        st.integers(0, 3),
        st.builds(Spoil, st.integers(0, WAYS - 1), st.integers(0, 60), st.integers(0, len(JUNK) - 1)),
        min_size=1,
        max_size=2,
    ),
    path=st.sampled_from(["", "/v3"]),
)
def test_any_answer_is_a_login_or_one_of_our_errors(
    spoiling: SpoiledKeystone, spoils: dict[int, Spoil], path: str
) -> None:
    """A Keystone that answers nonsense would end a thread of the service, or a command, with a traceback."""
    spoiling.spoils, spoiling.asked = spoils, 0
    for line in ask_everything(connect(credentials(spoiling.url + path))):
        assert "\n" not in line
        assert len(line) <= 1000
        assert PASSWORD not in line
        assert "token-" not in line


EXPIRIES: list[Any] = ["soon", "", 5, [], "2099-99-99T00:00:00Z", None]
CATALOGS: list[Any] = ["x", 5, {}, [5], ["x"], [[]], [{"type": "network"}]]
ENDPOINTS: list[Any] = ["x", 5, [5], ["x"]]
URLS: list[Any] = [5, [], {}, None, "", "x", "http://[::1", "http://x:y/", "file:///etc/passwd", "http://\0/"]
PROJECTS: list[Any] = ["x", 5, [], {}, {"id": 5}, {"id": []}, {"id": "../x"}, {"id": ""}, {"id": "a\0"}]
TOKENS: list[dict[str, Any]] = [
    *({"expires_at": wrong} for wrong in EXPIRIES),
    *({"catalog": wrong} for wrong in CATALOGS),
    *({"catalog": [{"type": "network", "endpoints": wrong}]} for wrong in ENDPOINTS),
    *({"catalog": [{"type": "network", "endpoints": [{"interface": "public", "url": wrong}]}]} for wrong in URLS),
    *({"project": wrong} for wrong in PROJECTS),
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: json.dumps(token)[:60])
def test_a_token_that_cannot_be_used(keystone: FakeKeystone, token: dict[str, Any]) -> None:
    """The service would take things of others for its own, or end in a traceback."""
    keystone.token = token
    client = connect(credentials(f"{keystone.url}/v3"))
    told = ask_everything(client)
    assert told
    assert all("\n" not in line for line in told)
    keystone.token = {}
    ask_everything(client)  # the first failing call discards the token
    assert client.find_networks() == []
    assert client.project_id() == "p"


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"token": null}',
            b'{"token": []}',
            b'{"token": "x"}',
            b"<html>",
            b"\xff",
            b"\0",
        ),
        *(b"[" * 100_000, b'{"token":' * 100_000, b"1e999", b"9" * 5000),
    ],
    ids=lambda body: repr(body[:16]),
)
def test_a_login_that_cannot_be_read_names_keystone(keystone: FakeKeystone, body: bytes) -> None:
    """The operator would look for the fault at Neutron, or for the option that names Keystone."""
    version = json_answer(
        200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{keystone.url}/v3/"}]}}
    )
    for status in (200, 201):
        client = connect(credentials(f"{keystone.url}/v3"))
        keystone.answers += [version, Answer(status, body, (("X-Subject-Token", "t"),))]
        with pytest.raises(
            NeutronUnavailable, match=rf"^Keystone {keystone.url}/v3 \(\[neutron\] auth_url\): "
        ) as caught:
            client.find_networks()
        assert "\n" not in str(caught.value)
        assert client.find_networks() == []


LINKS: list[Any] = [None, "x", 5, {}, [], [5], [{}], [{"rel": "self"}], [{"rel": "self", "href": 5}]]
LISTS: list[Any] = [None, "x", 5, [], {}, {"values": None}, {"values": 5}, {"values": ["x"]}]
PARTS: list[Any] = [None, 5, "", "x", []]
VERSION: dict[str, Any] = {"id": "v3.14", "status": "stable", "links": []}
VERSIONS: list[Any] = [
    *({"versions": wrong} for wrong in LISTS),
    *({"versions": {"values": [VERSION | {name: wrong}]}} for name in ("id", "status") for wrong in PARTS),
    *({"versions": {"values": [VERSION | {"links": wrong}]}} for wrong in LINKS),
]


@pytest.mark.parametrize("versions", VERSIONS, ids=lambda versions: json.dumps(versions)[:70])
def test_a_list_of_versions_that_is_none(keystone: FakeKeystone, versions: object) -> None:
    """An ``auth_url`` without a version would end in a traceback, or in an error of Neutron's."""
    keystone.answers.append(json_answer(300, versions))
    client = connect(credentials(keystone.url))
    for line in ask_everything(client):
        assert "\n" not in line
        assert line.startswith((f"Keystone {keystone.url} ([neutron] auth_url): ", "Neutron refused DELETE"))
    assert client.find_networks() == []


def test_a_renewed_login_that_cannot_be_read(front: NeutronFront, keystone: FakeKeystone) -> None:
    """Sooner or later every thread of the service would have ended."""
    client = connect(credentials(f"{keystone.url}/v3"))
    assert client.find_networks() == []
    front.tokens = keystone.tokens
    try:
        keystone.revoke()
        keystone.answers.append(Answer(201, b"{}", (("X-Subject-Token", "t"),)))
        with pytest.raises(NeutronUnavailable, match=rf"^Keystone {keystone.url}/v3 \(\[neutron\] auth_url\): "):
            client.find_networks()
        assert client.find_networks() == []
    finally:
        front.tokens = None


def test_a_debug_log_survives_what_keystone_says(keystone: FakeKeystone, caplog: pytest.LogCaptureFixture) -> None:
    """A service with debug = true would stop where others continue."""
    caplog.set_level(logging.DEBUG)
    keystone.answers += [Answer(200, body) for body in (b"[]", b"\xff", b'"x"', b"{", b'{"token": 5}')]
    client = connect(credentials(f"{keystone.url}/v3"))
    while keystone.answers:
        ask_everything(client)
    assert client.find_networks() == []
