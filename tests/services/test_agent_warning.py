# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service says at its start of the name of its host."""

from __future__ import annotations

import logging

import pytest

from kuryr_libnetwork.services.background.agent_warning import warn_of_host
from tests.fakes.neutron import FakeNeutron, Role


def warned(caplog: pytest.LogCaptureFixture, neutron: FakeNeutron, host: str) -> list[str]:
    caplog.clear()
    warn_of_host(neutron, host)
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_nothing_where_an_agent_is_on_this_host(caplog: pytest.LogCaptureFixture) -> None:
    """Operators would get used to warnings, and a large cloud's agents would be listed at each start."""
    neutron = FakeNeutron(hosts=["h1", "h2"], role="admin")
    assert warned(caplog, neutron, "h1") == []
    assert len(neutron.calls) == 1


@pytest.mark.parametrize("host", ["h1.example.org", "H1"])
def test_a_host_of_another_name(caplog: pytest.LogCaptureFixture, host: str) -> None:
    """The first container would be the first to say so."""
    (line,) = warned(caplog, FakeNeutron(hosts=["h1", "h2"], role="admin"), host)
    assert line.startswith(f"Neutron knows no agent or chassis on host '{host}', so no container gets a port here: set")
    assert "2 hosts are known, such as h1" in line


@pytest.mark.parametrize("role", ["service", "admin"])
def test_nothing_where_no_agent_is_shown(caplog: pytest.LogCaptureFixture, role: Role) -> None:
    """By default Neutron shows agents to administrators alone; a cloud may have none that it calls so."""
    neutron = FakeNeutron(hosts=["h1"] if role == "service" else [], role=role)
    assert warned(caplog, neutron, "h9") == []
    if role == "service":
        assert neutron.calls == []
