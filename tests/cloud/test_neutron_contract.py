# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The real Neutron is held to what the fake one promises."""

from __future__ import annotations

import pytest

from kuryr_libnetwork.interfaces import Neutron
from tests.adapters.neutron_client import without_keystone
from tests.adapters.test_neutron_contract import NeutronContract, tenant
from tests.adapters.test_security_groups import SecurityGroupContract

__all__ = ["tenant"]


@pytest.fixture(scope="module")
def client(neutron_url: str) -> Neutron:
    return without_keystone(neutron_url)


class TestNeutron(NeutronContract, SecurityGroupContract):
    @pytest.fixture
    def neutron(self, client: Neutron) -> Neutron:
        return client

    @pytest.fixture
    def host(self, chassis_host: str) -> str:
        return chassis_host
