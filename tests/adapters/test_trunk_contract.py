# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What containers in virtual machines rely on in Neutron: address pairs and trunks, of the fake, the client and the
real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kuryr_libnetwork.errors import NeutronChanged, NeutronConflict, NeutronNotFound, NeutronRefused
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import AddressPair, Port, SubPort
from tests.adapters.neutron_client import without_keystone
from tests.adapters.neutron_tenant import NOWHERE, Tenant, addresses
from tests.adapters.test_neutron_contract import tenant
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront

__all__ = ["tenant"]

MakeTrunk = Callable[[str], str]
"""Makes a port the parent of a trunk; answers the trunk's id."""


def machine(tenant: Tenant, host: str) -> Port:
    """The port of a virtual machine that runs on a host."""
    network = tenant.network()
    tenant.subnet(network, "10.11.0.0/24")
    return tenant.bound(network, host, device_owner="compute:nova", device_id="vm")


def pairs(*found: AddressPair) -> dict[str, list[dict[str, str]]]:
    wanted = [{"ip_address": each.ip_address, "mac_address": each.mac_address} for each in found]
    return {"allowed_address_pairs": wanted}


class PairContract:
    """Address pairs. Needs the fixtures ``neutron`` and ``host``."""

    def test_pairs_are_replaced_by_the_revision_that_was_seen(
        self, tenant: Tenant, neutron: Neutron, host: str
    ) -> None:
        """Two Docker hosts, or a host and an operator, would overwrite each other's pairs."""
        vm = machine(tenant, host)
        assert vm.allowed_address_pairs == ()
        one, two = (AddressPair(ip_address=f"10.11.0.{n}", mac_address=vm.mac_address) for n in (201, 202))
        (seen,) = neutron.find_ports(mac_address=vm.mac_address, network_id=vm.network_id)
        changed = neutron.update_port(vm.id, pairs(one), seen.revision_number)
        assert changed.allowed_address_pairs == (one,)
        with pytest.raises(NeutronChanged, match="revision"):
            neutron.update_port(vm.id, pairs(two), seen.revision_number)
        (now,) = neutron.find_ports(id=vm.id)
        assert now.allowed_address_pairs == (one,)
        both = neutron.update_port(vm.id, pairs(one, two), now.revision_number)
        assert set(both.allowed_address_pairs) == {one, two}
        assert both.vif_type == "ovs"

    @pytest.mark.ovn("the agent of ML2/OVS lets any MAC pass")
    def test_a_pair_with_another_mac_is_refused(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """A macvlan would be thought to work with ML2/OVN, which takes MACs of VRRP only (seen in release 29)."""
        vm = machine(tenant, host)
        with pytest.raises(NeutronRefused, match="VRRP"):
            neutron.update_port(vm.id, pairs(AddressPair(ip_address="10.11.0.9", mac_address="fa:16:3e:01:02:03")))
        vrrp = AddressPair(ip_address="10.11.0.9", mac_address="00:00:5e:00:01:0a")
        assert neutron.update_port(vm.id, pairs(vrrp)).allowed_address_pairs == (vrrp,)

    def test_pairs_have_limits(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """The eleventh container of a machine would fail in real clouds only."""
        vm = machine(tenant, host)
        many = [AddressPair(ip_address=f"10.11.0.{100 + n}", mac_address=vm.mac_address) for n in range(11)]
        with pytest.raises(NeutronRefused, match="exceeds the maximum 10"):
            neutron.update_port(vm.id, pairs(*many))
        with pytest.raises(NeutronRefused, match="duplicate"):
            neutron.update_port(vm.id, pairs(many[0], many[0]))
        neutron.update_port(vm.id, {"port_security_enabled": False, "security_groups": []})
        with pytest.raises(NeutronConflict, match="Port Security"):
            neutron.update_port(vm.id, pairs(many[0]))

    def test_the_containers_port_stays_unbound(self, tenant: Tenant, neutron: Neutron, host: str) -> None:
        """The port that holds a container's address would be taken for a failed one when it gets its device."""
        vm = machine(tenant, host)
        port = neutron.create_port({"network_id": vm.network_id})
        pair = AddressPair(ip_address=addresses(port)[0], mac_address=vm.mac_address)
        neutron.update_port(vm.id, pairs(pair))
        held = neutron.update_port(port.id, {"device_id": "e" * 64, "device_owner": "compute:kuryr"})
        assert (held.host_id, held.vif_type, held.status) == ("", "unbound", "DOWN")
        found = neutron.find_ports(device_owner=["", "compute:kuryr"], network_id=vm.network_id)
        assert [each.id for each in found] == [port.id]


@pytest.mark.ovn("with ML2/OVS a port that is bound cannot become a trunk's parent")
class TrunkContract:
    """Trunks. Needs the fixtures ``neutron``, ``host`` and ``make_trunk``."""

    def test_a_port_on_a_trunk_is_bound_by_it(
        self, tenant: Tenant, neutron: Neutron, host: str, make_trunk: MakeTrunk
    ) -> None:
        """The service would not see on which VLAN a container's port is, or take it for an unbound one."""
        vm = machine(tenant, host)
        trunk_id = make_trunk(vm.id)
        port = tenant.port(tenant.network(), ["compute:kuryr"])
        trunk = neutron.add_subport(trunk_id, SubPort(port_id=port.id, segmentation_id=101))
        subport = SubPort(port_id=port.id, segmentation_id=101)
        assert (trunk.id, trunk.port_id, trunk.sub_ports) == (trunk_id, vm.id, (subport,))
        assert neutron.find_trunks(port_id=vm.id) == neutron.find_trunks(id=trunk_id) == [trunk]
        (parent,) = neutron.find_ports(mac_address=vm.mac_address, network_id=vm.network_id)
        assert parent.trunk_details is not None
        assert (parent.trunk_details.trunk_id, parent.trunk_details.sub_ports) == (trunk_id, (subport,))
        named = neutron.update_port(port.id, {"device_id": "e" * 64})
        assert (named.device_owner, named.host_id, named.vif_type) == ("trunk:subport", "", "ovs")
        assert (named.profile["parent_name"], named.profile["tag"]) == (vm.id, 101)
        assert named.tags == ("compute:kuryr",)
        neutron.remove_subport(trunk_id, port.id)
        (freed,) = neutron.find_ports(id=port.id)
        assert (freed.device_owner, freed.vif_type, freed.device_id, freed.profile) == ("", "unbound", "e" * 64, {})
        assert neutron.find_trunks(id=trunk_id)[0].sub_ports == ()

    def test_a_vlan_is_used_once(self, tenant: Tenant, neutron: Neutron, host: str, make_trunk: MakeTrunk) -> None:
        """Two containers would be in each other's network."""
        trunk_id = make_trunk(machine(tenant, host).id)
        network = tenant.network()
        one, two = tenant.port(network), tenant.port(network)
        neutron.add_subport(trunk_id, SubPort(port_id=one.id, segmentation_id=7))
        with pytest.raises(NeutronConflict, match="already in use"):
            neutron.add_subport(trunk_id, SubPort(port_id=two.id, segmentation_id=7))
        with pytest.raises(NeutronConflict, match="in use by another trunk"):
            neutron.add_subport(trunk_id, SubPort(port_id=one.id, segmentation_id=8))
        neutron.remove_subport(trunk_id, one.id)
        again = neutron.add_subport(trunk_id, SubPort(port_id=two.id, segmentation_id=7))
        assert [each.port_id for each in again.sub_ports] == [two.id]

    def test_what_a_trunk_refuses(self, tenant: Tenant, neutron: Neutron, host: str, make_trunk: MakeTrunk) -> None:
        """An order of steps that real clouds refuse would pass here: a device before the trunk, a new MAC after it."""
        vm = machine(tenant, host)
        trunk_id, network = make_trunk(vm.id), tenant.network()
        used, free = tenant.port(network, device_id="d"), tenant.port(network)
        for port_id, match in ((used.id, "attached device"), (vm.id, "eligible")):
            with pytest.raises(NeutronConflict, match=match):
                neutron.add_subport(trunk_id, SubPort(port_id=port_id, segmentation_id=7))
        for vlan in (0, 4095):
            with pytest.raises(NeutronRefused, match="not in range"):
                neutron.add_subport(trunk_id, SubPort(port_id=free.id, segmentation_id=vlan))
        neutron.add_subport(trunk_id, SubPort(port_id=free.id, segmentation_id=4094))
        with pytest.raises(NeutronConflict, match="bound"):
            neutron.update_port(free.id, {"mac_address": "fa:16:3e:01:02:03"})
        for port_id in (free.id, vm.id):
            with pytest.raises(NeutronConflict, match="trunk"):
                neutron.delete_port(port_id)

    def test_what_is_on_no_trunk_is_not_found(
        self, tenant: Tenant, neutron: Neutron, host: str, make_trunk: MakeTrunk
    ) -> None:
        """A removal done twice would fail instead of being done."""
        trunk_id = make_trunk(machine(tenant, host).id)
        port = tenant.port(tenant.network())
        with pytest.raises(NeutronNotFound, match=port.id):
            neutron.remove_subport(trunk_id, port.id)
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            neutron.remove_subport(NOWHERE, port.id)
        with pytest.raises(NeutronNotFound, match=NOWHERE):
            neutron.add_subport(trunk_id, SubPort(port_id=NOWHERE, segmentation_id=7))


class _Faked(PairContract, TrunkContract):
    @pytest.fixture
    def host(self) -> str:
        return "h1"

    @pytest.fixture
    def make_trunk(self, fake: FakeNeutron) -> Iterator[MakeTrunk]:
        made: list[str] = []

        def make(port_id: str) -> str:
            made.append(fake.seed_trunk(port_id).id)
            return made[-1]

        yield make
        for trunk_id in made:
            fake.drop_trunk(trunk_id)


class TestFake(_Faked):
    @pytest.fixture
    def fake(self) -> FakeNeutron:
        return FakeNeutron()

    @pytest.fixture
    def neutron(self, fake: FakeNeutron) -> Neutron:
        return fake


class TestClient(_Faked):
    @pytest.fixture
    def fake(self) -> FakeNeutron:
        return FakeNeutron()

    @pytest.fixture
    def neutron(self, fake: FakeNeutron) -> Iterator[Neutron]:
        with NeutronFront(fake) as front:
            yield without_keystone(front.url)
