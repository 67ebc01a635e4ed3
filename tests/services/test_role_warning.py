# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service says at its start of the roles of its user."""

from __future__ import annotations

import logging

import pytest

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.rules.roles import Account
from kuryr_libnetwork.services.background.role_warning import warn_of_roles
from tests.fakes.neutron import FakeNeutron, Role


def warned(
    caplog: pytest.LogCaptureFixture, neutron: FakeNeutron, *, physical_networks: bool = False
) -> list[tuple[int, str]]:
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    warn_of_roles(neutron, physical_networks=physical_networks)
    assert neutron.calls == []
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize("role", ["service", "admin"])
def test_nothing_where_all_is_well(caplog: pytest.LogCaptureFixture, role: Role) -> None:
    """Operators would get used to warnings."""
    assert warned(caplog, FakeNeutron(role=role)) == []


def test_nothing_where_there_are_no_roles(caplog: pytest.LogCaptureFixture) -> None:
    """A cloud without Keystone would be warned of what it does not have."""
    neutron = FakeNeutron()
    neutron.told_account = None
    assert warned(caplog, neutron) == []


def test_one_line_where_something_cannot_work(caplog: pytest.LogCaptureFixture) -> None:
    """The first Docker user would find out, by a policy's name."""
    ((level, text),) = warned(caplog, FakeNeutron(role="admin-only"))
    assert level == logging.WARNING
    assert text.startswith("roles of the service's user: without the role service Neutron (24 and later) refuses")
    assert text.endswith("openstack role add --project service --user kuryr service")
    neutron = FakeNeutron()
    neutron.told_account = Account(user="kuryr", project="service", roles=frozenset({"reader"}))
    ((_, text),) = warned(caplog, neutron)
    assert "no container can start" in text
    assert "no Docker network can be made" in text
    ((_, text),) = warned(caplog, FakeNeutron(), physical_networks=True)
    assert "no VF is found" in text


def test_whoever_cannot_log_in_is_told_by_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """A Keystone that is away would look like one where all is well."""
    neutron = FakeNeutron()
    neutron.fail_next("account", NeutronUnavailable("no connection"))
    with pytest.raises(NeutronUnavailable):
        warned(caplog, neutron)
