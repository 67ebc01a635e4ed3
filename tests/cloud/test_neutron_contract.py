# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The contract that the fake Neutron passes, run against the real one as the users that the service may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import QosRule
from lab.api import Lab
from lab.backend import Backend
from lab.people import KURYR, KURYR_ADMIN
from tests.adapters.neutron_client import with_keystone
from tests.adapters.test_neutron_contract import AgentContract, NeutronContract, tenant
from tests.adapters.test_pool_contract import PoolContract
from tests.adapters.test_port_options import PortOptionsContract
from tests.adapters.test_port_revisions import PortRevisionContract
from tests.adapters.test_security_groups import SecurityGroupContract
from tests.adapters.test_trunk_contract import MakeTrunk, PairContract, TrunkContract
from tests.cloud.tenant import Tenant

__all__ = ["tenant"]


@pytest.fixture(scope="module")
def client(keystone_url: str, neutron_url: str) -> Neutron:
    """The service of most clouds, with the roles service and member."""
    return with_keystone(KURYR.login(keystone_url), neutron_url)


@pytest.fixture(scope="module")
def admin_client(keystone_url: str, neutron_url: str) -> Neutron:
    """With the roles service and admin."""
    return with_keystone(KURYR_ADMIN.login(keystone_url), neutron_url)


class TestAdmin(AgentContract):
    @pytest.fixture
    def agent_type(self, backend: Backend) -> str:
        return backend.agent_type

    @pytest.fixture
    def neutron(self, admin_client: Neutron) -> Neutron:
        return admin_client

    @pytest.fixture
    def host(self, chassis_host: str) -> str:
        return chassis_host


class TestNeutron(
    NeutronContract,
    PoolContract,
    PortOptionsContract,
    PortRevisionContract,
    SecurityGroupContract,
    PairContract,
    TrunkContract,
):
    @pytest.fixture
    def neutron(self, client: Neutron) -> Neutron:
        return client

    @pytest.fixture
    def host(self, chassis_host: str) -> str:
        return chassis_host

    def test_agents_are_not_shown(self, neutron: Neutron, host: str) -> None:
        """The service would take a list without agents for a host without agents."""
        assert neutron.find_agents(host=host) == []

    def test_rules_come_with_their_policy(self, lab: Lab, neutron: Neutron) -> None:
        """The rates of a QoS policy would be read as none."""
        wanted = {"policy": {"name": "gold", "shared": True}}
        policy = lab.neutron("POST", "/v2.0/qos/policies", wanted)["policy"]["id"]
        rules = f"/v2.0/qos/policies/{policy}"
        lab.neutron("POST", f"{rules}/bandwidth_limit_rules", {"bandwidth_limit_rule": {"max_kbps": 50_000}})
        lab.neutron("POST", f"{rules}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 26}})
        try:
            (found,) = neutron.find_qos_policies(id=[policy])
        finally:
            lab.neutron("DELETE", rules)
        limits = [rule for rule in found.rules if rule.type == "bandwidth_limit"]
        assert limits == [QosRule(type="bandwidth_limit", direction="egress", max_kbps=50_000)]
        assert len(found.rules) == 2

    @pytest.fixture
    def make_trunk(self, lab: Lab) -> Iterator[MakeTrunk]:
        owner = Tenant(lab, KURYR)
        yield lambda port_id: str(owner.make("trunk", port_id=port_id)["id"])
        owner.tidy()
