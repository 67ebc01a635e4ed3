# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The real Neutron is held to what the fake one promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.interfaces import Neutron
from kuryr_libnetwork.model import QosRule
from lab.api import Lab
from tests.adapters.neutron_client import without_keystone
from tests.adapters.test_neutron_contract import NeutronContract, tenant
from tests.adapters.test_pool_contract import PoolContract
from tests.adapters.test_port_options import PortOptionsContract
from tests.adapters.test_port_revisions import PortRevisionContract
from tests.adapters.test_security_groups import SecurityGroupContract
from tests.adapters.test_trunk_contract import MakeTrunk, PairContract, TrunkContract

__all__ = ["tenant"]


@pytest.fixture(scope="module")
def client(neutron_url: str) -> Neutron:
    return without_keystone(neutron_url)


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

    def test_rules_come_with_their_policy(self, lab: Lab, neutron: Neutron) -> None:
        """The rates of a QoS policy would be read as none."""
        policy = lab.neutron("POST", "/v2.0/qos/policies", {"policy": {"name": "gold"}})["policy"]["id"]
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
        made: list[str] = []

        def make(port_id: str) -> str:
            made.append(lab.neutron("POST", "/v2.0/trunks", {"trunk": {"port_id": port_id}})["trunk"]["id"])
            return made[-1]

        yield make
        for trunk_id in made:
            lab.neutron("DELETE", f"/v2.0/trunks/{trunk_id}")
