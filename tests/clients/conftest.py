# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The lab of tests/cloud, used by clients that nobody here wrote. Whatever they leave behind is a failure.

``./dev test`` starts it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.api import Host, Lab

# pytest finds fixtures by their names here.
from tests.cloud.conftest import backend, h1, h2, host, lab, user
from tests.cloud.user import User

__all__ = ["backend", "h1", "h2", "host", "lab", "user"]


HANG = 1200
"""Seconds after which a test is ended. The first one of a client downloads and installs it, up to 145 packages."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.timeout(HANG))


@pytest.fixture(autouse=True)
def _tidied(lab: Lab, user: User) -> Iterator[None]:
    """A client that fails in the middle leaves no containers and networks to the next test."""
    yield
    for each in lab.hosts.values():
        _remove(each, ("rm", "-f"), ("ps", "-aq"))
        _remove(each, ("network", "rm"), ("network", "ls", "-q", "-f", "driver=kuryr"))


def _remove(where: Host, command: tuple[str, ...], found_by: tuple[str, ...]) -> None:
    found = where.docker(*found_by).stdout.split()
    if found:
        where.docker(*command, *found)
