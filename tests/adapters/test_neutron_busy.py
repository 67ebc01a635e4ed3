# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A cloud that limits the rate of requests (429) is asked again when it says so, within the time that the call has."""

from __future__ import annotations

import json
from functools import partial

import pytest

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.errors import TooManyRequests
from kuryr_libnetwork.neutron.pauses import BUSY_TRIES, LONGEST, TRIES
from kuryr_libnetwork.neutron.session import build_adapter
from tests.adapters.neutron_client import configured
from tests.fakes.keystone import FakeKeystone, credentials
from tests.fakes.loopback import Answer, Request
from tests.fakes.neutron_http import NeutronFront

TIMEOUT = 20.0
DATE = ("Date", "Sun, 29 Nov 2026 06:00:00 GMT")


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(front: NeutronFront, pauses: list[float]) -> NeutronClient:
    """Pauses are recorded, and take no time."""
    conf = configured({"auth_type": "none", "endpoint": front.url})
    return NeutronClient(partial(build_adapter, conf, timeout=TIMEOUT), TIMEOUT, sleep=pauses.append)


def busy(*headers: tuple[str, str], status: int = 429) -> Answer:
    return Answer(status, b'{"error": {"message": "Too many requests"}}', headers)


def test_a_change_is_repeated_when_it_may_be(front: NeutronFront, client: NeutronClient, pauses: list[float]) -> None:
    """A container would not start because of others, although Neutron said when it would take the request."""
    front.answers += [busy(("Retry-After", "2")), busy(("Retry-After", "3"))]
    assert client.create_network({"name": "n"}).name == "n"
    assert [request.method for request in front.requests] == ["POST"] * 3
    assert len(pauses) == 2
    assert pauses[0] >= 2
    assert pauses[1] >= 3


def test_two_callers_do_not_come_back_together(front: NeutronFront, client: NeutronClient, pauses: list[float]) -> None:
    """All hosts that were told the same time would be refused together again."""
    for _ in range(4):
        front.answers.append(busy(("Retry-After", "1")))
        client.find_networks()
    assert len(set(pauses)) == 4


def test_without_a_time_the_pauses_grow(front: NeutronFront, client: NeutronClient, pauses: list[float]) -> None:
    """A rate-limited cloud would be flooded with requests, or a frozen one block Docker for ever."""
    front.answers += [busy()] * 50
    with pytest.raises(TooManyRequests):
        client.delete_subnetpool("p")
    assert len(front.requests) == BUSY_TRIES
    assert max(pauses) > 8 * min(pauses)


@pytest.mark.parametrize("told", ["3600", "9" * 20, "9" * 400, "Sun, 29 Nov 2026 07:00:00 GMT"])
def test_a_time_beyond_the_calls_own_is_not_waited_for(
    front: NeutronFront, client: NeutronClient, pauses: list[float], told: str
) -> None:
    """Docker would hang for an hour, or Neutron be asked earlier than it said."""
    front.answers.append(busy(DATE, ("Retry-After", told)))
    with pytest.raises(TooManyRequests, match=r"no more requests.*GET /v2\.0/ports") as caught:
        client.find_ports()
    assert isinstance(caught.value, NeutronUnavailable)
    assert "refused" not in str(caught.value)
    assert (len(front.requests), pauses) == (1, [])
    assert caught.value.pause == LONGEST


@pytest.mark.parametrize("told", ["", "soon", "-5", "1.5", "nan", "Sun, 99 Nov 2026", "Sun, 29 Nov 2026 05:00:00 GMT"])
def test_a_time_that_cannot_be_read_is_none(front: NeutronFront, client: NeutronClient, told: str) -> None:
    """An invalid header would end in a traceback, or prevent another attempt."""
    front.answers.append(busy(DATE, ("Retry-After", told)))
    assert client.find_networks() == []
    assert len(front.requests) == 2


def test_a_date_is_read_by_the_servers_own_clock(
    front: NeutronFront, client: NeutronClient, pauses: list[float]
) -> None:
    """If the two clocks differ by minutes, the pause would last minutes, or be left out."""
    front.answers.append(busy(DATE, ("Retry-After", "Sun, 29 Nov 2026 06:00:05 GMT")))
    client.find_networks()
    assert 5 <= pauses[0] < TIMEOUT


@pytest.mark.parametrize("status", [429, 503])
def test_who_makes_no_container_wait_learns_how_long_to_wait(
    front: NeutronFront, client: NeutronClient, status: int
) -> None:
    """The port pools of all hosts would go on knocking at a Neutron that has said when it will be back."""
    front.answers.append(busy(("Retry-After", "300"), status=status))
    with pytest.raises(NeutronUnavailable) as caught:
        client.create_port({"network_id": "n"})
    assert (caught.value.pause, len(front.requests)) == (300, 1)


def test_a_question_is_not_repeated_before_neutron_is_back(
    front: NeutronFront, client: NeutronClient, pauses: list[float]
) -> None:
    """It would be asked at once, three times, although it has said when."""
    front.answers += [busy(("Retry-After", "2"), status=503)] * TRIES
    with pytest.raises(NeutronUnavailable):
        client.find_ports()
    assert (len(pauses), min(pauses) >= 2) == (TRIES - 1, True)


class LimitedKeystone(FakeKeystone):
    limited = 2
    limit = busy(("Retry-After", "1"))

    def answer(self, request: Request) -> Answer:
        if request.method == "POST" and self.limited:
            self.limited -= 1
            return self.limit
        return super().answer(request)


def test_keystone_may_have_a_limit_too(front: NeutronFront, pauses: list[float]) -> None:
    """A start of many hosts at once would leave some without a login."""
    with LimitedKeystone({("one", "public"): front.url}) as keystone:
        conf = configured(credentials(keystone.url))
        client = NeutronClient(partial(build_adapter, conf, timeout=TIMEOUT), TIMEOUT, sleep=pauses.append)
        assert client.create_network({"name": "n"}).name == "n"
    assert [pause >= 1 for pause in pauses] == [True, True]
    assert len(front.requests) == 1


def test_keystone_may_say_when_it_will_be_back(front: NeutronFront, pauses: list[float]) -> None:
    """The port pools of all hosts would log in again and again meanwhile."""
    with LimitedKeystone({("one", "public"): front.url}) as keystone:
        keystone.limit = busy(("Retry-After", "300"), status=503)
        conf = configured(credentials(keystone.url))
        client = NeutronClient(partial(build_adapter, conf, timeout=TIMEOUT), TIMEOUT, sleep=pauses.append)
        with pytest.raises(NeutronUnavailable) as caught:
            client.create_network({"name": "n"})
    assert (caught.value.pause, front.requests) == (300, [])


@pytest.mark.parametrize("status", [500, 429])
def test_what_neutron_cannot_do_is_not_told_as_refused(front: NeutronFront, client: NeutronClient, status: int) -> None:
    """The user would look for a fault in what he asked for."""
    error = {"NeutronError": {"type": "HTTPInternalServerError", "message": "its words", "detail": ""}}
    front.answers += [Answer(status, json.dumps(error).encode(), (("Retry-After", "99"),))]
    with pytest.raises(Exception, match="its words") as caught:
        client.delete_port("p")
    assert "refused" not in str(caught.value)
