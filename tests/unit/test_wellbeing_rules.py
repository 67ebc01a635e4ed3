# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the service lives, and whether it can connect containers now."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.model.neutron import Agent
from kuryr_libnetwork.model.observed import DOCKER, NEUTRON, OVS
from kuryr_libnetwork.model.overview import Contact
from kuryr_libnetwork.rules.wellbeing import Facts, judge

WELL = Facts(host="h1", contacts={NEUTRON: Contact(answered=3.0)}, silence=300.0)


def agent(kind: str, *, alive: bool) -> Agent:
    return Agent(id="0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60", agent_type=kind, host="h1", alive=alive)


def test_all_is_well() -> None:
    """A healthy host would wake its operator."""
    found = judge(WELL)
    assert (found.live, found.ready, found.reasons) == (True, True, ())
    assert judge(replace(WELL, agents=(agent("OVN Controller agent", alive=True),))).ready


def test_what_hangs_is_neither_live_nor_ready() -> None:
    """A service that answers nobody would be called well."""
    found = judge(replace(WELL, hangs=("the journal has not answered for 90 s",)))
    assert (found.live, found.ready, found.reasons) == (False, False, ("the journal has not answered for 90 s",))


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        (Contact(), "Neutron has not answered yet"),
        (Contact(failed=2.0, error="no route"), "Neutron has not answered since the start: no route"),
        (Contact(answered=40.0, failed=2.0, error="no route"), "Neutron has not answered for 40 s: no route"),
        (Contact(answered=301.0), "Neutron has not answered for 301 s"),
    ],
)
def test_neutron_away(contact: Contact, reason: str) -> None:
    """Containers cannot start, and nobody would be told why."""
    found = judge(replace(WELL, contacts={NEUTRON: contact}))
    assert (found.live, found.ready, found.reasons) == (True, False, (reason,))


def test_a_failure_that_is_over_is_none() -> None:
    """One lost answer would make a host sick for ever; Docker that is away keeps no container from starting."""
    lost = Contact(failed=1.0, error="not there")
    contacts = {NEUTRON: Contact(answered=1.0, failed=2.0, error="x"), OVS: Contact(answered=500.0), DOCKER: lost}
    assert judge(replace(WELL, contacts=contacts)).ready
    assert judge(replace(WELL, contacts={NEUTRON: Contact(answered=9999.0)}, silence=0.0)).ready


def test_open_vswitch_away() -> None:
    """As above."""
    contacts = {**WELL.contacts, OVS: Contact(answered=9.0, failed=1.0, error="no socket")}
    assert judge(replace(WELL, contacts=contacts)).reasons == ("Open vSwitch has not answered for 9 s: no socket",)


def test_journal_and_socket() -> None:
    """No container could be started, or Docker would hang, on a host that is called ready."""
    found = judge(replace(WELL, serving=False, journal="the journal cannot be written: the disk is full"))
    assert found.reasons == ("Docker's calls are not taken", "the journal cannot be written: the disk is full")


def test_agents() -> None:
    """Neutron binds no port to a host without a living agent; one that binds nothing says nothing."""
    assert "Neutron knows no agent on host 'h1'" in judge(replace(WELL, agents=())).reasons[0]
    dead = (agent("OVN Controller agent", alive=False), agent("OVN Metadata agent", alive=False))
    assert judge(replace(WELL, agents=dead)).reasons == (
        "OVN Controller agent of host 'h1' is not alive, says Neutron",
    )
    assert judge(replace(WELL, agents=(agent("DHCP agent", alive=False),))).ready
