# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What options set on ports: one contract for the fake, the client and the real Neutron."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.errors import NeutronNotFound
from kuryr_libnetwork.interfaces.neutron import Neutron
from tests.adapters.neutron_client import without_keystone
from tests.adapters.neutron_tenant import NOWHERE, Tenant
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront


@pytest.fixture
def tenant(neutron: Neutron) -> Iterator[Tenant]:
    tenant = Tenant(neutron)
    yield tenant
    tenant.tidy()


class PortOptionsContract:
    """Needs the fixtures ``neutron`` and ``host`` (one that can bind ports)."""

    def test_port_security_goes_off_and_on_in_the_call_that_binds(
        self, tenant: Tenant, neutron: Neutron, host: str
    ) -> None:
        """A container without port security would cost a call more, or its port not be put back."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network)
        off = {"binding:host_id": host, "port_security_enabled": False, "security_groups": []}
        bound = neutron.update_port(port.id, off)
        assert (bound.vif_type, bound.port_security_enabled, bound.security_groups) == ("ovs", False, ())
        on = {"binding:host_id": "", "port_security_enabled": True, "security_groups": list(port.security_groups)}
        back = neutron.update_port(port.id, on)
        assert (back.vif_type, back.port_security_enabled, back.security_groups) == (
            "unbound",
            True,
            port.security_groups,
        )

    def test_a_port_has_a_dns_domain(self, tenant: Tenant, neutron: Neutron) -> None:
        """The names of containers would not be published where they are to be."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network, dns_domain="example.org.")
        assert port.dns_domain == "example.org."
        assert neutron.update_port(port.id, {"dns_domain": ""}).dns_domain in ("", None)
        assert neutron.update_port(port.id, {"dns_domain": "other.org."}).dns_domain == "other.org."
        assert neutron.find_ports(id=port.id)[0].dns_domain == "other.org."

    def test_a_policy_that_does_not_exist_is_not_found(self, tenant: Tenant, neutron: Neutron) -> None:
        """A wrong neutron.qos_policy would look like a failure of the cloud."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            tenant.port(network, qos_policy_id=NOWHERE)
        port = tenant.port(network)
        assert port.qos_policy_id is None
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            neutron.update_port(port.id, {"qos_policy_id": NOWHERE})
        assert neutron.find_qos_policies(name=NOWHERE) == []
        assert neutron.find_security_groups(name=NOWHERE) == []


class TestFake(PortOptionsContract):
    @pytest.fixture
    def neutron(self) -> Neutron:
        return FakeNeutron()

    @pytest.fixture
    def host(self) -> str:
        return "h1"


@pytest.fixture(scope="module")
def client() -> Iterator[Neutron]:
    with NeutronFront(FakeNeutron()) as front:
        yield without_keystone(front.url)


class TestClient(PortOptionsContract):
    @pytest.fixture
    def neutron(self, client: Neutron) -> Neutron:
        return client

    @pytest.fixture
    def host(self) -> str:
        return "h1"
