# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Security groups: one contract for the fake, the client and the real Neutron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronConflict, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces.neutron import Neutron
from tests.adapters.neutron_sides import OnClient, OnFake
from tests.adapters.neutron_tenant import NOWHERE, Tenant


@pytest.fixture
def tenant(neutron: Neutron) -> Iterator[Tenant]:
    tenant = Tenant(neutron)
    yield tenant
    tenant.tidy()


def rule(group_id: str, port: int, protocol: str = "tcp", ethertype: str = "IPv4") -> dict[str, Any]:
    ports = {"port_range_min": port, "port_range_max": port}
    return {
        "security_group_id": group_id,
        "direction": "ingress",
        "protocol": protocol,
        "ethertype": ethertype,
        **ports,
    }


class SecurityGroupContract:
    """Needs the fixtures ``neutron`` and ``host`` (one that can bind ports)."""

    def test_a_group_is_made_with_all_its_rules_and_found_by_its_name(self, tenant: Tenant, neutron: Neutron) -> None:
        """The ports that a container exposes would stay closed, or their group would never be found again."""
        group = tenant.group(description="d")
        kinds = [(protocol, ethertype) for protocol in ("tcp", "udp", "sctp") for ethertype in ("IPv4", "IPv6")]
        neutron.create_security_group_rules(rule(group.id, 80, *kind) for kind in kinds)
        for query in ({"name": tenant.name}, {"id": group.id}):
            (found,) = neutron.find_security_groups(**query)
            assert (found.id, found.name, found.description) == (group.id, tenant.name, "d")
            assert sorted(rule.direction for rule in found.rules) == ["egress"] * 2 + ["ingress"] * len(kinds)
            assert {rule.remote_group_id for rule in found.rules} == {None}
        assert group.id in {found.id for found in neutron.find_security_groups(description="d")}
        assert neutron.find_security_groups(id=NOWHERE) == []

    def test_a_rule_that_is_there_refuses_the_whole_call(self, tenant: Tenant, neutron: Neutron) -> None:
        """Half of the rules would stay where the call is said to have failed."""
        group = tenant.group()
        neutron.create_security_group_rules([rule(group.id, 80)])
        with pytest.raises(NeutronConflict, match="already exists"):
            neutron.create_security_group_rules([rule(group.id, 81), rule(group.id, 80)])
        neutron.create_security_group_rules([rule(group.id, 81)])

    def test_a_new_port_has_the_default_group_unless_told_otherwise(self, tenant: Tenant) -> None:
        """The port's own groups would be lost as soon as another one is added."""
        network, group = tenant.network(), tenant.group()
        tenant.subnet(network, "10.11.0.0/24")
        assert len(tenant.port(network).security_groups) == 1
        assert tenant.port(network, security_groups=[group.id]).security_groups == (group.id,)
        assert tenant.port(network, security_groups=[]).security_groups == ()

    def test_a_group_is_added_by_the_call_that_binds(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """Exposing would take one more call, or unbind the port."""
        network, group = tenant.network(), tenant.group()
        tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network)
        both = [*port.security_groups, group.id]
        bound = neutron.update_port(port.id, {"binding:host_id": host, "security_groups": both})
        assert (set(bound.security_groups), bound.vif_type) == (set(both), "ovs")
        back = neutron.update_port(port.id, {"security_groups": list(port.security_groups)})
        assert (back.security_groups, back.vif_type) == (port.security_groups, "ovs")

    def test_a_group_in_use_stays_and_goes_after_its_port(self, tenant: Tenant, neutron: Neutron) -> None:
        """The group would be removed before the port, which fails in the cloud only."""
        group, network = tenant.group(), tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network, security_groups=[group.id])
        with pytest.raises(NeutronConflict, match="in use"):
            neutron.delete_security_group(group.id)
        neutron.delete_port(port.id)
        neutron.delete_security_group(group.id)
        with pytest.raises(NeutronNotFound, match=group.id):
            neutron.delete_security_group(group.id)

    def test_a_group_that_does_not_exist_is_not_found(self, tenant: Tenant, neutron: Neutron) -> None:
        """A group that somebody removed would look like a failure of the cloud."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network)
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            neutron.update_port(port.id, {"security_groups": [NOWHERE]})
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            neutron.create_security_group_rules([rule(NOWHERE, 80)])

    def test_a_port_without_port_security_takes_no_group(self, tenant: Tenant, neutron: Neutron) -> None:
        """A container on such a port would not start, as there is nothing to open on it."""
        group, network = tenant.group(), tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network, port_security_enabled=False)
        assert (port.port_security_enabled, port.security_groups) == (False, ())
        with pytest.raises(NeutronRefused, match="Port security must be enabled"):
            neutron.update_port(port.id, {"security_groups": [group.id]})
        other = tenant.port(network, security_groups=[group.id])
        with pytest.raises(NeutronConflict, match="Cannot disable port security"):
            neutron.update_port(other.id, {"port_security_enabled": False})


class TestFake(SecurityGroupContract, OnFake):
    """In memory."""


class TestClient(SecurityGroupContract, OnClient):
    """Over HTTP."""
