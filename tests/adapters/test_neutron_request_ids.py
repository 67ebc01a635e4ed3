# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One word finds a call of Docker in Neutron's log, too; and what is told of each request."""

from __future__ import annotations

from functools import partial

import pytest

from kuryr_libnetwork.calls import one_request
from kuryr_libnetwork.errors import NeutronNotFound, NeutronUnavailable
from kuryr_libnetwork.model.observed import Question
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.session import build_adapter
from tests.adapters.neutron_client import configured, without_keystone
from tests.fakes.loopback import Answer
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront

PORT = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60"


def test_neutron_is_told_the_id_of_the_call() -> None:
    """Fails if an operator cannot find in Neutron's log what a call of Docker asked of it, or finds it for others'."""
    with NeutronFront(FakeNeutron()) as front:
        neutron = without_keystone(front.url)
        neutron.find_ports(name="a")
        with one_request() as request:
            neutron.find_ports(name="b")
            neutron.find_networks(name="c")
    assert [each.request_id for each in front.requests] == ["", request, request]


def observed(front: NeutronFront, told: list[Question]) -> NeutronClient:
    conf = configured({"auth_type": "none", "endpoint": front.url})
    return NeutronClient(partial(build_adapter, conf, timeout=5), 5, sleep=lambda _: None, observe=told.append)


def test_each_request_is_told(told: list[Question]) -> None:
    """Fails if the metrics miss requests, their repetitions or their failures, or take a refusal for silence."""
    with NeutronFront(FakeNeutron()) as front:
        neutron = observed(front, told)
        front.answers = [Answer(503, b""), Answer(503, b"")]
        neutron.find_ports(name="a")
        with pytest.raises(NeutronNotFound):
            neutron.delete_port(PORT)
    found = [(each.verb, each.resource, each.outcome, each.answered) for each in told]
    lost = ("GET", "ports", "neutron-unavailable", False)
    assert found == [lost, lost, ("GET", "ports", "ok", True), ("DELETE", "ports", "neutron-not-found", True)]
    assert told[0].error


def test_a_neutron_that_is_away_is_told(told: list[Question]) -> None:
    """Fails if a service without Neutron says that it is ready."""
    with NeutronFront(FakeNeutron()) as front:
        neutron = observed(front, told)
    with pytest.raises(NeutronUnavailable):
        neutron.find_ports(name="a")
    assert {(each.outcome, each.answered) for each in told} == {("neutron-unavailable", False)}


@pytest.fixture
def told() -> list[Question]:
    return []
