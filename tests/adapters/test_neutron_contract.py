# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the services rely on in Neutron: one contract for the fake, the client and the real Neutron."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from kuryr_libnetwork.errors import AddressTaken, NeutronConflict, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import TagOwner
from tests.adapters.neutron_sides import OnClient, OnFake
from tests.adapters.neutron_tenant import NOWHERE, Tenant, addresses
from tests.fakes.neutron import PROJECT

OWNERS: tuple[TagOwner, ...] = ("networks", "subnets", "subnetpools", "ports")


@pytest.fixture
def tenant(neutron: Neutron) -> Iterator[Tenant]:
    tenant = Tenant(neutron)
    yield tenant
    tenant.tidy()


class NetworkContract:
    """Networks, subnets and subnet pools. Needs the fixture ``neutron``."""

    def test_a_network_is_found_by_name_id_and_tags(self, tenant: Tenant, neutron: Neutron) -> None:
        """An existing network that the user names would not be found, or a stranger's be taken."""
        network = tenant.network(description="d")
        neutron.set_tags("networks", network.id, ["a", tenant.name])
        tagged = neutron.find_networks(tags=[tenant.name, "a"])
        assert [each.id for each in tagged] == [network.id]
        assert (tagged[0].name, tagged[0].description, set(tagged[0].tags)) == (tenant.name, "d", {"a", tenant.name})
        assert neutron.find_networks(name=tenant.name) == neutron.find_networks(id=[network.id, NOWHERE]) == tagged
        assert neutron.find_networks(tags=[tenant.name, "b"]) == []

    def test_a_filter_for_one_of_none_finds_nothing(self, tenant: Tenant, neutron: Neutron) -> None:
        """A look-up of no ids would return the whole cloud, and its caller delete it."""
        tenant.network()
        assert neutron.find_networks(id=[]) == []

    def test_an_unknown_filter_is_refused(self, neutron: Neutron) -> None:
        """An unknown filter would be treated as if it matched everything."""
        with pytest.raises(NeutronRefused, match="bogus"):
            neutron.find_ports(bogus="x")

    def test_a_network_cannot_be_made_with_tags(self, neutron: Neutron) -> None:
        """The service would rely on a combined call that real clouds refuse."""
        with pytest.raises(NeutronRefused, match="tags"):
            neutron.create_network({"name": "x", "tags": ["a"]})

    @pytest.mark.parametrize(
        ("cidr", "gateway", "expected"),
        [
            ("10.11.0.0/24", ..., "10.11.0.1"),
            ("10.11.0.0/24", None, None),
            ("10.11.0.0/24", "10.11.0.254", "10.11.0.254"),
            ("fd00:11::/64", ..., "fd00:11::"),  # routers' anycast address
        ],
    )
    def test_gateway_of_a_subnet(self, tenant: Tenant, cidr: str, gateway: object, expected: str | None) -> None:
        """Docker would be told another gateway than Neutron uses."""
        attributes = {} if gateway is ... else {"gateway_ip": gateway}
        assert tenant.subnet(tenant.network(), cidr, **attributes).gateway_ip == expected

    def test_host_bits_of_a_cidr_are_dropped_and_routes_kept(self, tenant: Tenant, neutron: Neutron) -> None:
        """Container routes would get lost, or a subnet not be found by its CIDR."""
        route = {"destination": "10.9.0.0/16", "nexthop": "10.11.0.9"}
        network = tenant.network()
        subnet = tenant.subnet(network, "10.11.0.7/24", host_routes=[route], enable_dhcp=False)
        assert subnet.cidr == "10.11.0.0/24"
        assert [(each.destination, each.nexthop) for each in subnet.host_routes] == [("10.9.0.0/16", "10.11.0.9")]
        assert neutron.find_subnets(network_id=network.id, cidr="10.11.0.0/24") == [subnet]
        assert neutron.find_networks(id=network.id)[0].subnets == (subnet.id,)

    def test_subnets_of_a_network_may_not_overlap(self, tenant: Tenant) -> None:
        """The service would rely on a second subnet that real clouds refuse."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        with pytest.raises(NeutronRefused, match="overlaps"):
            tenant.subnet(network, "10.11.0.128/25")
        tenant.subnet(tenant.network(), "10.11.0.0/24")

    def test_gateway_inside_an_allocation_pool_is_refused(self, tenant: Tenant) -> None:
        """A pool around the gateway would pass here and fail in the cloud."""
        pools = [{"start": "10.11.0.2", "end": "10.11.0.9"}]
        with pytest.raises(NeutronConflict):
            tenant.subnet(tenant.network(), "10.11.0.0/24", gateway_ip="10.11.0.5", allocation_pools=pools)

    def test_a_pool_gives_each_prefix_once(self, tenant: Tenant) -> None:
        """Two Docker networks of one pool would get the same addresses."""
        pool = tenant.pool("10.12.0.0/16", default_prefixlen=24)
        first = tenant.subnet(tenant.network(), "10.12.0.0/24", subnetpool_id=pool.id)
        assert first.subnetpool_id == pool.id
        for cidr in ("10.12.0.0/25", "10.12.0.0/24", "10.12.0.0/23", "10.99.0.0/24"):
            with pytest.raises(NeutronConflict, match="available set of prefixes"):
                tenant.subnet(tenant.network(), cidr, subnetpool_id=pool.id)
        chosen = tenant.subnet(tenant.network(), subnetpool_id=pool.id)
        assert ip_network(chosen.cidr).prefixlen == 24
        assert not ip_network(chosen.cidr).overlaps(ip_network(first.cidr))

    def test_an_empty_pool_is_a_conflict(self, tenant: Tenant) -> None:
        """A used-up pool would look like a broken cloud."""
        pool = tenant.pool("10.12.0.0/24", default_prefixlen=24)
        tenant.subnet(tenant.network(), subnetpool_id=pool.id)
        with pytest.raises(NeutronConflict, match="Insufficient"):
            tenant.subnet(tenant.network(), subnetpool_id=pool.id)

    def test_pools_keep_their_prefixes_compact(self, tenant: Tenant, neutron: Neutron) -> None:
        """A pool made for a CIDR with host bits would not be found again."""
        pool = tenant.pool("10.12.0.7/25", "10.12.0.128/25", description="d")
        assert (pool.prefixes, pool.ip_version, pool.description) == (("10.12.0.0/24",), 4, "d")
        assert tenant.pool("fd00:12::/48").ip_version == 6
        assert {each.ip_version for each in neutron.find_subnetpools(name=tenant.name)} == {4, 6}

    def test_length_of_a_prefix_has_limits(self, tenant: Tenant) -> None:
        """A pool for a short IPv6 prefix would be made in a way that real clouds refuse."""
        pool = tenant.pool("fd00:12::/48")
        with pytest.raises(NeutronRefused):
            tenant.subnet(tenant.network(), "fd00:12::/56", subnetpool_id=pool.id)

    def test_a_pool_in_use_stays(self, tenant: Tenant, neutron: Neutron) -> None:
        """Releasing a pool would be thought to have worked."""
        pool = tenant.pool("10.12.0.0/16")
        subnet = tenant.subnet(tenant.network(), "10.12.0.0/24", subnetpool_id=pool.id)
        with pytest.raises(NeutronRefused, match="allocations"):
            neutron.delete_subnetpool(pool.id)
        neutron.delete_subnet(subnet.id)
        neutron.delete_subnetpool(pool.id)
        assert neutron.find_subnetpools(id=pool.id) == []

    def test_a_network_does_not_mix_pools(self, tenant: Tenant) -> None:
        """A pool's subnet would be added to a user's network, which real clouds refuse."""
        pool = tenant.pool("10.12.0.0/16")
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        with pytest.raises(NeutronRefused, match="same subnet pool"):
            tenant.subnet(network, "10.12.0.0/24", subnetpool_id=pool.id)

    def test_deleting_a_network_takes_its_subnets_along(self, tenant: Tenant, neutron: Neutron) -> None:
        """The service would spend calls on subnets that are gone already."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        neutron.delete_network(network.id)
        assert neutron.find_subnets(network_id=network.id) == []
        assert neutron.find_ports(network_id=network.id) == []

    def test_a_network_with_ports_stays(self, tenant: Tenant, neutron: Neutron) -> None:
        """Removing a network would take strangers' ports along."""
        network = tenant.network()
        subnet = tenant.subnet(network, "10.11.0.0/24")
        port = tenant.port(network)
        with pytest.raises(NeutronConflict, match=port.id):
            neutron.delete_network(network.id)
        with pytest.raises(NeutronConflict):
            neutron.delete_subnet(subnet.id)
        assert neutron.find_subnets(id=subnet.id) == [subnet]

    def test_what_does_not_exist_is_not_found(self, neutron: Neutron) -> None:
        """A removal done twice would fail instead of being done."""
        for remove in (neutron.delete_network, neutron.delete_subnet, neutron.delete_subnetpool, neutron.delete_port):
            with pytest.raises(NeutronNotFound, match=NOWHERE):
                remove(NOWHERE)
        with pytest.raises(NeutronNotFound):
            neutron.update_port(NOWHERE, {"name": "x"})
        with pytest.raises(NeutronNotFound):
            neutron.create_port({"network_id": NOWHERE})
        with pytest.raises(NeutronNotFound):
            neutron.create_subnet({"network_id": NOWHERE, "ip_version": 4, "cidr": "10.0.0.0/24"})

    def test_extensions(self, neutron: Neutron) -> None:
        """The service would not see what a cloud can do."""
        assert {"binding", "standard-attr-tag", "tag-creation", "subnet_allocation"} <= neutron.extensions()

    def test_a_qos_policy_that_does_not_exist_is_not_there(self, neutron: Neutron) -> None:
        """A port whose policy was deleted could not be plugged."""
        assert neutron.find_qos_policies(id=[NOWHERE]) == []


class QuotaContract:
    """What the service's user is shown of his own project. Needs the fixture ``neutron``."""

    def test_the_quota_of_the_own_project(self, neutron: Neutron) -> None:
        """An operator would learn that there are no more ports when a container does not start."""
        project = neutron.project_id() or PROJECT
        before = neutron.quota(project)["network"].used
        network = neutron.create_network({"name": "quota"})
        quota = neutron.quota(project)
        assert quota["network"].used == before + 1
        assert {"port", "subnet", "subnetpool", "security_group"} <= set(quota)
        assert all(each.limit >= -1 and each.used >= 0 for each in quota.values())
        neutron.delete_network(network.id)


class AvailabilityContract:
    """What the service's user is shown of the addresses of a network. Needs the fixture ``neutron``."""

    def test_free_addresses(self, neutron: Neutron) -> None:
        """An operator would learn that a subnet is full when a container does not start."""
        network = neutron.create_network({"name": "availability"})
        other = neutron.create_network({"name": "no subnet"})
        subnet = neutron.create_subnet(
            {"network_id": network.id, "cidr": "10.99.7.0/28", "ip_version": 4, "name": "few", "enable_dhcp": False}
        )
        (before,) = neutron.free_addresses([network.id, other.id])
        assert (before.subnet_id, before.subnet_name) == (subnet.id, "few")
        assert 10 <= before.free <= 13
        port = neutron.create_port({"network_id": network.id})
        assert [each.free for each in neutron.free_addresses([network.id])] == [before.free - 1]
        assert neutron.free_addresses([]) == []
        neutron.delete_port(port.id)
        neutron.delete_network(network.id)
        neutron.delete_network(other.id)


class AgentContract:
    """What an administrator is shown. Needs the fixtures ``neutron`` and ``host`` (one that can bind ports)."""

    @pytest.fixture
    def agent_type(self) -> str:
        return "OVN Controller agent"

    def test_agents(self, neutron: Neutron, host: str, agent_type: str) -> None:
        """The service would not see that a host's agent is alive."""
        agents = neutron.find_agents(host=host, agent_type=agent_type)
        assert [(agent.host, agent.alive) for agent in agents] == [(host, True)]
        assert neutron.find_agents(host="nowhere") == []


class PortContract:
    """Ports and tags. Needs the fixtures ``neutron`` and ``host`` (one that can bind ports)."""

    @pytest.mark.ovn("it has a metadata port on each network")
    def test_a_port_gets_an_address_but_not_the_gateways(self, tenant: Tenant) -> None:
        """A container would get the address of its gateway."""
        network = tenant.network()
        subnet = tenant.subnet(network, "10.11.0.0/29")
        there = [addresses(tenant.port(network))[0] for _ in range(4)]
        assert sorted(there) == [f"10.11.0.{last}" for last in (3, 4, 5, 6)]  # .2: Neutron's metadata port
        with pytest.raises(NeutronConflict, match="No more IP addresses"):
            tenant.port(network)
        assert addresses(tenant.port(network, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.11.0.1"}]))

    def test_a_port_of_a_network_without_subnets_has_no_address(self, tenant: Tenant) -> None:
        """The service would look for an address that is not there."""
        assert tenant.port(tenant.network()).fixed_ips == ()

    def test_both_versions_by_default_and_the_asked_subnets_only_on_request(self, tenant: Tenant) -> None:
        """A dual-stack container would lack an address, or get one that nobody asked for."""
        network = tenant.network()
        four, six = tenant.subnet(network, "10.11.0.0/24"), tenant.subnet(network, "fd00:11::/64")
        assert {fixed.subnet_id for fixed in tenant.port(network).fixed_ips} == {four.id, six.id}
        assert [fixed.subnet_id for fixed in tenant.port(network, fixed_ips=[{"subnet_id": six.id}]).fixed_ips] == [
            six.id
        ]
        assert tenant.port(network, fixed_ips=[]).fixed_ips == ()

    def test_slaac_addresses_follow_the_mac(self, tenant: Tenant, neutron: Neutron) -> None:
        """An address would be promised that the container does not give itself."""
        network = tenant.network()
        modes = {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}
        subnet = tenant.subnet(network, "fd00:11::/64", **modes)
        assert subnet.ipv6_address_mode == "slaac"
        port = tenant.port(network, mac_address="fa:16:3e:01:02:03")
        assert addresses(port) == ["fd00:11::f816:3eff:fe01:203"]
        with pytest.raises(NeutronRefused):
            tenant.port(network, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "fd00:11::5"}])
        port = neutron.update_port(port.id, {"mac_address": "fa:16:3e:01:02:04"})
        assert addresses(port) == ["fd00:11::f816:3eff:fe01:204"]

    def test_a_range_is_kept_for_whoever_names_its_addresses(self, tenant: Tenant, neutron: Neutron) -> None:
        """Neutron's own port, and those of others, would take addresses of an --ip-range; or no container could have
        one.
        """
        network = tenant.network()
        outside = [{"start": "10.11.0.2", "end": "10.11.0.63"}, {"start": "10.11.0.72", "end": "10.11.0.254"}]
        subnet = tenant.subnet(network, "10.11.0.0/24", allocation_pools=outside)
        inside = tenant.port(network, fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.11.0.65"}])
        tenant.port(network)
        seen = neutron.find_ports(network_id=network.id, fields=["id", "network_id", "fixed_ips"])
        taken = {ip for port in seen for ip in addresses(port)}
        assert {ip for ip in taken if 64 <= int(ip.rpartition(".")[2]) < 72} == {"10.11.0.65"}
        assert [port.name for port in seen if port.id == inside.id] == [""]

    def test_an_address_is_used_once(self, tenant: Tenant, neutron: Neutron) -> None:
        """Two containers would get one address."""
        network = tenant.network()
        subnet = tenant.subnet(network, "10.11.0.0/24")
        asked = [{"subnet_id": subnet.id, "ip_address": "10.11.0.50"}]
        first = tenant.port(network, fixed_ips=asked)
        assert addresses(first) == ["10.11.0.50"]
        with pytest.raises(AddressTaken, match="already allocated"):
            tenant.port(network, fixed_ips=asked)
        other = tenant.port(network)
        with pytest.raises(NeutronConflict):
            neutron.update_port(other.id, {"fixed_ips": asked})
        neutron.delete_port(first.id)
        assert addresses(neutron.update_port(other.id, {"fixed_ips": asked})) == ["10.11.0.50"]

    @pytest.mark.parametrize("address", ["10.99.0.1", "10.11.0.255", "fd00::1"])
    def test_an_address_outside_is_refused(self, tenant: Tenant, address: str) -> None:
        """A typing error would look like a failure of the cloud."""
        network = tenant.network()
        subnet = tenant.subnet(network, "10.11.0.0/24")
        with pytest.raises(NeutronRefused, match="not a valid IP"):
            tenant.port(network, fixed_ips=[{"subnet_id": subnet.id, "ip_address": address}])

    def test_a_subnet_that_does_not_exist_is_not_found(self, tenant: Tenant) -> None:
        """A subnet that vanished would not be told from a wrong address."""
        network = tenant.network()
        with pytest.raises(NeutronRefused, match="requires subnets"):
            tenant.port(network, fixed_ips=[{"subnet_id": NOWHERE}])
        tenant.subnet(network, "10.11.0.0/24")
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            tenant.port(network, fixed_ips=[{"subnet_id": NOWHERE}])

    def test_a_mac_is_used_once_in_a_network(self, tenant: Tenant) -> None:
        """Two containers would get one MAC address."""
        network = tenant.network()
        mac = tenant.port(network).mac_address
        with pytest.raises(NeutronConflict, match="mac address"):
            tenant.port(network, mac_address=mac)
        assert tenant.port(tenant.network(), mac_address=mac).mac_address == mac

    def test_binding_at_creation(self, tenant: Tenant, host: str) -> None:
        """The service would not learn from the first answer how to plug the port."""
        port = tenant.bound(tenant.network(), host, ["a", "b"])
        assert (port.host_id, port.vif_type, port.device_owner) == (host, "ovs", "compute:kuryr")
        assert port.vif_details["bridge_name"] == "br-int"
        assert (port.vif_details["port_filter"], port.vif_details["datapath_type"]) == (True, "netdev")
        assert set(port.tags) == {"a", "b"}

    def test_device_and_name_are_set_without_a_new_binding(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """CreateEndpoint would lose the binding that RequestAddress has made."""
        port = tenant.bound(tenant.network(), host, ["a"])
        later = neutron.update_port(port.id, {"device_id": "e" * 64, "name": "x"})
        assert (later.device_id, later.name) == ("e" * 64, "x")
        assert (later.vif_type, later.mac_address, later.tags) == ("ovs", port.mac_address, ("a",))
        assert later.vif_details == {name: port.vif_details[name] for name in later.vif_details}

    def test_binding_later_and_unbinding(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """An adopted port could not be bound, or not be put back."""
        port = tenant.port(tenant.network())
        assert (port.host_id, port.vif_type, port.vif_details, port.profile) == ("", "unbound", {}, {})
        assert neutron.update_port(port.id, {"binding:host_id": host}).vif_type == "ovs"
        unbound = neutron.update_port(port.id, {"binding:host_id": ""})
        assert (unbound.host_id, unbound.vif_type, unbound.vif_details) == ("", "unbound", {})

    def test_binding_to_a_host_without_an_agent_fails_in_the_answer(
        self, tenant: Tenant, neutron: Neutron, host: str
    ) -> None:
        """A failed binding would be taken for an error of the call, or not be seen at all."""
        port = tenant.bound(tenant.network(), "no-such-host")
        assert (port.host_id, port.vif_type) == ("no-such-host", "binding_failed")
        assert neutron.update_port(port.id, {"binding:host_id": host}).vif_type == "ovs"

    def test_the_mac_of_a_bound_port_stays(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """``docker run --mac-address`` would fail in the cloud only."""
        port = tenant.bound(tenant.network(), host)
        mac = "fa:16:3e:aa:bb:cc"
        for also in ({}, {"binding:host_id": ""}):
            with pytest.raises(NeutronConflict, match="bound"):
                neutron.update_port(port.id, {"mac_address": mac, **also})
        neutron.update_port(port.id, {"binding:host_id": ""})
        changed = neutron.update_port(port.id, {"mac_address": mac, "binding:host_id": host})
        assert (changed.mac_address, changed.vif_type) == (mac, "ovs")

    def test_ports_are_found_by_what_the_service_marks(self, tenant: Tenant, neutron: Neutron) -> None:
        """Ports of ours would not be found again, or strangers' be taken for ours."""
        network = tenant.network()
        tenant.subnet(network, "10.11.0.0/24")
        first = tenant.port(network, ["a", "b"], name="one", description="token", device_id="d1")
        second = tenant.port(network, ["a"], name="two", device_id="d2")
        address = f"ip_address={addresses(first)[0]}"

        def found(**query: str | list[str]) -> set[str]:
            return {port.id for port in neutron.find_ports(network_id=network.id, **query)}

        assert found(tags=["a", "b"]) == found(description="token") == found(fixed_ips=address) == {first.id}
        both = {first.id, second.id}
        assert found(tags="a") == found(name=["one", "two"]) == found(device_id=["d1", "d2"]) == both
        assert found(id=[first.id, *(str(uuid.uuid4()) for _ in range(120)), second.id]) == both
        assert found(tags=["a", "c"]) == found(name="three") == set()
        assert found(device_owner="network:distributed").isdisjoint(both)

    def test_refused_values(self, tenant: Tenant, neutron: Neutron) -> None:
        """A value that real clouds refuse would pass here."""
        port = tenant.port(tenant.network())
        for wrong in ({"name": None}, {"description": "x" * 256}, {"nonsense": 1}, {"network_id": NOWHERE}):
            with pytest.raises(NeutronRefused):
                neutron.update_port(port.id, wrong)

    def test_tags_are_replaced_added_and_removed(self, tenant: Tenant, neutron: Neutron) -> None:
        """Tags of the user's would get lost, or ours stay behind."""
        port = tenant.port(tenant.network(), ["a"])

        def tags() -> set[str]:
            return set(neutron.find_ports(id=port.id)[0].tags)

        neutron.add_tags("ports", port.id, ["b", "c d"])
        assert tags() == {"a", "b", "c d"}
        neutron.remove_tag("ports", port.id, "c d")
        assert tags() == {"a", "b"}
        neutron.set_tags("ports", port.id, ["z"])
        assert tags() == {"z"}
        with pytest.raises(NeutronNotFound, match="Tag a"):
            neutron.remove_tag("ports", port.id, "a")

    @pytest.mark.parametrize("owner", OWNERS)
    def test_tags_of_what_does_not_exist_are_not_found(self, neutron: Neutron, owner: TagOwner) -> None:
        """A resource that is gone would look like a failure of the cloud."""
        for change in (neutron.set_tags, neutron.add_tags):
            with pytest.raises(NeutronNotFound, match=NOWHERE):
                change(owner, NOWHERE, ["a"])
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            neutron.remove_tag(owner, NOWHERE, "a")

    def test_number_and_length_of_tags_are_limited(self, tenant: Tenant, neutron: Neutron) -> None:
        """The adoption of a port with many user's tags would fail halfway."""
        network = tenant.network()
        neutron.set_tags("networks", network.id, [f"{number}" for number in range(50)])
        for wrong in ([f"{number}" for number in range(51)], ["x" * 256]):
            with pytest.raises(NeutronRefused):
                neutron.set_tags("networks", network.id, wrong)
        assert len(neutron.find_networks(id=network.id)[0].tags) == 50


class NeutronContract(NetworkContract, QuotaContract, AvailabilityContract, PortContract):
    """All of it."""


class TestFake(NeutronContract, OnFake):
    """In memory."""


class TestClient(NeutronContract, OnClient):
    """Over HTTP."""


class TestFakeOfAnAdministrator(AgentContract, OnFake):
    role = "admin"


class TestClientOfAnAdministrator(AgentContract, OnClient):
    role = "admin"
