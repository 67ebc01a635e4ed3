# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Pools as records and as names: one contract for the fake, the client and the real Neutron."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.errors import NeutronConflict, NoFreeAddress
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import AddressSpan
from tests.adapters.neutron_client import without_keystone
from tests.adapters.neutron_tenant import Tenant, addresses
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront


@pytest.fixture
def tenant(neutron: Neutron) -> Iterator[Tenant]:
    tenant = Tenant(neutron)
    yield tenant
    tenant.tidy()


class PoolContract:
    """Needs the fixture ``neutron``."""

    def test_a_pool_is_found_by_what_is_recorded_on_it(self, tenant: Tenant, neutron: Neutron) -> None:
        """A Docker network without room for its tags on its Neutron network could not be found again."""
        one, two = tenant.pool("10.12.0.0/24"), tenant.pool("10.12.0.0/24")
        neutron.set_tags("subnetpools", one.id, ["a", f"kuryr.net.on:{two.id}"])
        assert [pool.id for pool in neutron.find_subnetpools(tags=["a", f"kuryr.net.on:{two.id}"])] == [one.id]
        assert {pool.id for pool in neutron.find_subnetpools(name=tenant.name)} == {one.id, two.id}
        assert one.id in {pool.id for pool in neutron.find_subnetpools()}
        neutron.set_tags("subnetpools", one.id, [])
        assert neutron.find_subnetpools(tags=["a", f"kuryr.net.on:{two.id}"]) == []

    def test_subnets_by_any_of_some_tags_and_by_family(self, tenant: Tenant, neutron: Neutron) -> None:
        """Pools in use would be taken for forgotten ones; an IPv4 subnet for the IPv6 one that the user means."""
        network = tenant.network()
        four, six = tenant.subnet(network, "10.12.0.0/24"), tenant.subnet(network, "fd00:12::/64")
        neutron.set_tags("subnets", four.id, [f"{tenant.name}-a"])
        tags = {"tags-any": f"{tenant.name}-b,{tenant.name}-a"}
        assert [subnet.id for subnet in neutron.find_subnets(**tags)] == [four.id]
        for version, subnet in (("4", four), ("6", six)):
            assert neutron.find_subnets(network_id=network.id, ip_version=version)[0].id == subnet.id

    @pytest.mark.parametrize("cidr", ["10.12.0.0/24", "10.0.0.0/7", "fd00:12::/48", "fd00:12::/64", "fd00:12::/127"])
    def test_a_pool_of_any_length(self, tenant: Tenant, neutron: Neutron, cidr: str) -> None:
        """docker network create would fail for subnets of unusual length."""
        length = int(cidr.partition("/")[2])
        pool = tenant.pool(cidr, default_prefixlen=length, min_prefixlen=length)
        (found,) = neutron.find_subnetpools(id=pool.id)
        assert int(found.default_prefixlen) == length

    def test_subnets_without_a_pool_stand_beside_each_other(self, tenant: Tenant) -> None:
        """Several --subnet of one family could not be on one network."""
        network = tenant.network()
        pools = [{"start": "10.12.1.64", "end": "10.12.1.127"}]
        assert tenant.subnet(network, "10.12.0.0/24").subnetpool_id is None
        second = tenant.subnet(network, "10.12.1.0/24", allocation_pools=pools)
        assert second.allocation_pools == (AddressSpan(start="10.12.1.64", end="10.12.1.127"),)
        (address,) = addresses(tenant.port(network, fixed_ips=[{"subnet_id": second.id}]))
        assert 64 <= int(address.rpartition(".")[2]) <= 127
        outside = [{"subnet_id": second.id, "ip_address": "10.12.1.9"}]
        assert addresses(tenant.port(network, fixed_ips=outside)) == ["10.12.1.9"]

    def test_a_port_that_keeps_an_address(self, tenant: Tenant, neutron: Neutron) -> None:
        """An auxiliary address would be given to a container, or its port not be found again."""
        network = tenant.network()
        subnet = tenant.subnet(network, "10.12.0.0/24")
        fixed = [{"subnet_id": subnet.id, "ip_address": "10.12.0.9"}]
        port = tenant.port(network, fixed_ips=fixed, device_id=tenant.name, device_owner="kuryr:aux-address")
        found = neutron.find_ports(device_id=tenant.name, device_owner="kuryr:aux-address")
        assert [each.id for each in found] == [port.id]
        assert [each.id for each in neutron.find_ports(fixed_ips=[f"subnet_id={subnet.id}"])].count(port.id) == 1
        with pytest.raises(NeutronConflict) as caught:
            tenant.port(network, fixed_ips=fixed)
        assert not isinstance(caught.value, NoFreeAddress)

    def test_a_full_subnet_is_told_from_a_taken_address(self, tenant: Tenant) -> None:
        """The next subnet of a Docker network would not be tried, or be tried for nothing."""
        network = tenant.network()
        subnet = tenant.subnet(network, "10.12.0.0/30", enable_dhcp=False)
        tenant.port(network, fixed_ips=[{"subnet_id": subnet.id}])
        with pytest.raises(NoFreeAddress):
            tenant.port(network, fixed_ips=[{"subnet_id": subnet.id}])


class TestFake(PoolContract):
    @pytest.fixture
    def neutron(self) -> Neutron:
        return FakeNeutron()


@pytest.fixture(scope="module")
def client() -> Iterator[Neutron]:
    with NeutronFront(FakeNeutron()) as front:
        yield without_keystone(front.url)


class TestClient(PoolContract):
    @pytest.fixture
    def neutron(self, client: Neutron) -> Neutron:
        return client
