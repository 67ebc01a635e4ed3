# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a Docker user reads of Neutron's refusals."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.errors import (
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
    NeutronUnavailable,
    NoFreeAddress,
)
from kuryr_libnetwork.neutron.errors import from_answer
from kuryr_libnetwork.rules import refusals
from tests.unit.values import RECORD


def told(kind: str, status: int = 409, message: str = "Thing 5f0c could not be done.") -> NeutronError | None:
    return refusals.explained(from_answer("POST /v2.0/ports", status, kind, message), "Docker network 0123")


@pytest.mark.parametrize("kind", sorted(refusals.MEANINGS))
def test_what_is_known_comes_before_neutrons_own_words(kind: str) -> None:
    """A Docker user would read an id of Neutron's, and not what to do."""
    found = told(kind)
    assert found is not None
    head, _, raw = str(found).partition(" (Neutron refused POST /v2.0/ports: Thing 5f0c could not be done)")
    assert head == f"Docker network 0123: {refusals.MEANINGS[kind]}"
    assert raw == ""
    assert refusals.explained(found, "again") is None


@pytest.mark.parametrize("kind", sorted(refusals.MEANINGS))
def test_each_says_what_can_be_done(kind: str) -> None:
    """The user would know what is wrong, and be none the wiser."""
    _, semicolon, advice = refusals.MEANINGS[kind].partition("; ")
    assert semicolon
    assert advice.strip(" .")


@pytest.mark.parametrize(("words", "meaning"), list(refusals.WORDS.items()))
def test_what_only_the_message_tells(words: str, meaning: str) -> None:
    """Neutron has one type, InvalidInput, for many things."""
    found = told("InvalidInput", 400, f"Invalid input for operation: it {words} x.")
    assert str(found).startswith(f"Docker network 0123: {meaning} (Neutron refused")


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (404, "NewNotFound", "is no longer in Neutron"),
        (403, "NewForbidden", "roles of the service's user"),
        (409, "NewConflict", "conflicts with what is in Neutron"),
        (400, "NewInvalid", "its own message says why"),
    ],
)
def test_a_type_of_a_later_release(status: int, kind: str, words: str) -> None:
    """A user would read Neutron's words alone as soon as Neutron has a new error."""
    assert words in str(told(kind, status))


@pytest.mark.parametrize(("status", "kind"), [(500, "HTTPInternalServerError"), (503, "Later"), (409, "")])
def test_what_is_no_refusal_stays_as_it_is(status: int, kind: str) -> None:
    """A stumble of Neutron's, or an error that is explained already, would be told as the user's fault."""
    assert told(kind, status) is None


def test_the_class_of_an_error_stays() -> None:
    """The service decides by it what is undone, and what is tried again."""
    for kind, status, expected in (
        ("OverQuota", 409, NeutronConflict),
        ("IpAddressGenerationFailureAllSubnets", 409, NoFreeAddress),
        ("PolicyNotAuthorized", 403, NeutronForbidden),
        ("NetworkNotFound", 404, NeutronNotFound),
        ("InvalidIpForSubnet", 400, NeutronRefused),
        ("NoNetworkAvailable", 503, NeutronUnavailable),
        ("MechanismDriverError", 500, NeutronError),
    ):
        assert type(told(kind, status)) is expected


def test_a_docker_network_and_what_it_is_in_neutron() -> None:
    """The user would not know which of his networks is meant, or the operator which of Neutron's."""
    assert refusals.network_subject("0123456789abcdef", None) == "Docker network 0123456789ab"
    shown = refusals.network_subject(RECORD.docker_id, RECORD)
    assert shown.startswith(f"Docker network {RECORD.docker_id[:12]} (Neutron network {RECORD.neutron_id}, ")
    assert RECORD.subnets[0].cidr in shown
