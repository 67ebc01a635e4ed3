# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Neutron's contract tests run against without a cloud: the fake itself, and the client in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.interfaces.neutron import Neutron
from tests.adapters.neutron_client import without_keystone
from tests.fakes.neutron import FakeNeutron, Role
from tests.fakes.neutron_http import NeutronFront


class _Side:
    """``role``: of the service's user."""

    role: Role = "service"

    @pytest.fixture
    def host(self) -> str:
        """One that can bind ports."""
        return "h1"


class OnFake(_Side):
    @pytest.fixture
    def neutron(self) -> Neutron:
        return FakeNeutron(role=self.role)


class OnClient(_Side):
    @pytest.fixture
    def neutron(self) -> Iterator[Neutron]:
        with NeutronFront(FakeNeutron(role=self.role)) as front:
            yield without_keystone(front.url)
