# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who is who in the lab, in files of options and at the lab's own doors."""

from __future__ import annotations

import configparser
import dataclasses

import pytest

from lab.errors import LabError
from lab.people import EVERYBODY, KURYR, KURYR_ADMIN, Person, logged_in, named, with_login

CONF = f"[DEFAULT]\nhost = h1\n\n[neutron]\n{KURYR.options()}vif_plugging_is_fatal = true\n"


def read(text: str) -> configparser.ConfigParser:
    file = configparser.ConfigParser(interpolation=None)
    file.read_string(text)
    return file


def test_another_user_in_a_file_changes_nothing_else() -> None:
    """A test's own options would be lost with the switch, or the service log in with the password of another."""
    changed = with_login(CONF, KURYR_ADMIN)
    assert dict(read(changed)["neutron"]) == {**KURYR_ADMIN.login(), "vif_plugging_is_fatal": "true", "host": "h1"}
    assert with_login(changed, KURYR) == CONF


def test_who_a_service_is_stands_in_its_file() -> None:
    """A test would leave the service of a lab as somebody else than it was."""
    assert logged_in(CONF) == KURYR
    assert logged_in(with_login(CONF, KURYR_ADMIN)) == KURYR_ADMIN
    with pytest.raises(LabError, match="no user 'nobody', only admin, "):
        logged_in(with_login(CONF, Person("nobody", "nowhere", ())))


def test_names_are_clear() -> None:
    """Two people of one name would be one user with the roles of both."""
    assert [named(person.name) for person in EVERYBODY] == list(EVERYBODY)


def test_a_person_is_the_same_for_the_openstack_command_and_a_service() -> None:
    """The shell of a lab would not be who it says."""
    for person in EVERYBODY:
        shell, login = person.environment(), person.login()
        assert {key: shell[f"OS_{key.upper()}"] for key in login} == login
    assert dataclasses.replace(KURYR, name="other").password != KURYR.password
