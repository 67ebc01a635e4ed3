# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Neutron's default policies let the service do to the things of tenants, by its roles.

``tests/cloud/test_policy_contract.py`` holds the real Neutron to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import pytest

from kuryr_libnetwork.errors import NeutronConflict, NeutronForbidden, NeutronNotFound
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import TagOwner
from tests.adapters.neutron_tenant import Tenant
from tests.adapters.test_neutron_contract import tenant
from tests.fakes.neutron import FakeNeutron, Role
from tests.fakes.neutron.wire import TENANT

__all__ = ["tenant"]

ROLES: tuple[Role, ...] = ("service", "admin", "admin-only")
MARK = "kuryr.port.existing"
PROFILE = {"kuryr": {"host": "h1", "endpoint": "ab"}}


class Theirs(Protocol):
    """Things in the project of a tenant, each answered by its id; they are gone after the test."""

    def network(self, *tags: str, shared: bool = False) -> str: ...

    def subnet(self, network_id: str, cidr: str, *tags: str) -> str: ...

    def subnetpool(self, *tags: str, shared: bool = False) -> str: ...

    def port(self, network_id: str, *tags: str) -> str: ...

    def security_group(self, shared_with: str = "") -> str:
        """``shared_with``: a project that may use it; "": none."""

    def default_group(self) -> None:
        """The tenant looks at his groups, by which Neutron makes the one that each project has."""

    def qos_policy(self) -> str:
        """Of the operator's, for everybody."""


def only(allowed: bool, refusal: type[Exception] = NeutronForbidden) -> AbstractContextManager[object]:
    """``allowed``, or else refused."""
    return nullcontext() if allowed else pytest.raises(refusal)


class PolicyContract:
    """Needs the fixtures ``role``, ``neutron`` (with that role) and ``theirs``."""

    @pytest.fixture
    def is_admin(self, role: Role) -> bool:
        return role != "service"

    # -- making things -------------------------------------------------------------------------------------------------

    def test_ports_on_networks_of_others(self, neutron: Neutron, theirs: Theirs) -> None:
        """No container could be on a tenant's network."""
        network = theirs.network()
        theirs.subnet(network, "10.61.0.0/24")
        wanted = {"network_id": network, "binding:host_id": "h1", "device_owner": "compute:kuryr"}
        made = neutron.create_port(wanted, [MARK])
        assert (made.host_id, made.project_id, made.tags) == ("h1", neutron.project_id(), (MARK,))
        neutron.delete_port(made.id)

    def test_subnets_on_networks_of_others(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """The service would promise a subnet that it cannot make."""
        wanted = {"network_id": theirs.network(), "ip_version": 4, "cidr": "10.62.0.0/24"}
        with only(is_admin):
            neutron.create_subnet(wanted)

    @pytest.mark.parametrize("shared", [False, True], ids=["", "shared"])
    def test_own_things(self, neutron: Neutron, tenant: Tenant, is_admin: bool, shared: bool) -> None:
        """``docker network create`` would fail, or hand the service's things to everybody."""
        with only(is_admin or not shared):
            tenant.pool("10.63.0.0/24", **({"shared": True} if shared else {}))
        with only(is_admin or not shared):
            tenant.network(**({"shared": True} if shared else {}))

    # -- ports of others -----------------------------------------------------------------------------------------------

    def test_a_profile(self, neutron: Neutron, theirs: Theirs, role: Role) -> None:
        """What an adopted port was before would be forgotten, or believed though a tenant may write it."""
        network = theirs.network()
        port, may = theirs.port(network), role != "admin-only"
        with only(may):
            neutron.update_port(port, {"binding:profile": PROFILE, "name": "x"})
        (seen,) = neutron.find_ports(id=port)
        assert (seen.profile, seen.name) == ((PROFILE, "x") if may else ({}, seen.name))
        with only(may):
            made = neutron.create_port({"network_id": network, "binding:profile": PROFILE})
            neutron.delete_port(made.id)

    def test_what_a_binding_changes(self, neutron: Neutron, theirs: Theirs) -> None:
        """A port that was made beforehand could not be given to a container."""
        network = theirs.network()
        port = theirs.port(network)
        wanted: dict[str, Any] = {"binding:host_id": "h1", "device_owner": "compute:kuryr", "device_id": "ab" * 32}
        bound = neutron.update_port(port, wanted | {"mac_address": "02:42:ac:11:61:01", "security_groups": []})
        assert (bound.host_id, bound.mac_address, bound.security_groups) == ("h1", "02:42:ac:11:61:01", ())
        free = neutron.update_port(port, {"binding:host_id": "", "device_owner": "", "device_id": ""})
        assert free.host_id == ""
        neutron.delete_port(port)

    def test_a_qos_policy(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """The option would fail with rules of Neutron, or be refused where it is allowed."""
        network, policy = theirs.network(), theirs.qos_policy()
        with only(is_admin):
            neutron.update_port(theirs.port(network), {"qos_policy_id": policy})
        own = neutron.create_port({"network_id": network})
        assert neutron.update_port(own.id, {"qos_policy_id": policy}).qos_policy_id == policy
        neutron.delete_port(own.id)

    # -- tags ----------------------------------------------------------------------------------------------------------

    def test_tags_of_others(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """What is written on a tenant's things would fail, or be thought to be written."""
        network = theirs.network("x")
        made: dict[TagOwner, str] = {
            "networks": network,
            "subnets": theirs.subnet(network, "10.64.0.0/24", "x"),
            "ports": theirs.port(network, "x"),
        }
        changes: list[Callable[[TagOwner, str], None]] = [
            lambda kind, key: neutron.add_tags(kind, key, [MARK]),
            lambda kind, key: neutron.set_tags(kind, key, ["x"]),
            lambda kind, key: neutron.remove_tag(kind, key, "x"),
        ]
        for kind, key in made.items():
            for change in changes:
                with only(is_admin):
                    change(kind, key)

    def test_tags_that_are_seen(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """No tag would be taken for a port that is not marked."""
        for shared in (False, True):
            network = theirs.network(MARK, shared=shared)
            subnet = theirs.subnet(network, "10.65.0.0/24", MARK)
            port = theirs.port(network, MARK)
            seen = (MARK,) if is_admin or shared else ()
            assert tags(neutron.find_networks(id=network)) == [seen]
            assert tags(neutron.find_subnets(id=subnet)) == [seen]
            assert tags(neutron.find_ports(id=port)) == [(MARK,) if is_admin else ()]

    # -- what is seen at all, and removed ------------------------------------------------------------------------------

    def test_pools_of_others(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """A tenant's pool would be taken for one of the operator's, or the operator's not be found."""
        hidden, shared = theirs.subnetpool(MARK), theirs.subnetpool(shared=True)
        assert {pool.id for pool in neutron.find_subnetpools(id=[hidden, shared])} == (
            {hidden, shared} if is_admin else {shared}
        )
        assert neutron.find_subnetpools(id=[hidden, shared], project_id=neutron.project_id()) == []
        for pool in (hidden, shared):
            with only(is_admin):
                neutron.add_tags("subnetpools", pool, [MARK])
        with only(is_admin, NeutronNotFound):
            neutron.delete_subnetpool(hidden)
        with only(is_admin):
            neutron.delete_subnetpool(shared)

    def test_groups_of_others(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """Where a group is not shown, an option that names it would be refused for no reason that can be read."""
        group = theirs.security_group()
        assert [found.id for found in neutron.find_security_groups(id=group)] == ([group] if is_admin else [])
        with only(is_admin, NeutronNotFound):
            neutron.delete_security_group(group)

    @pytest.mark.parametrize("shared", [False, True], ids=["", "shared"])
    def test_groups_of_others_on_our_ports(
        self, neutron: Neutron, theirs: Theirs, is_admin: bool, shared: bool
    ) -> None:
        """An option would name a group that Neutron does not take, or refuse one that it takes.

        Whoever is no admin may make a port with what he sees; a port that is there takes any group from the service.
        """
        network = theirs.network()
        theirs.subnet(network, "10.68.0.0/24")
        group = theirs.security_group(neutron.project_id() if shared else "")
        seen = is_admin or shared
        assert [each.id for each in neutron.find_security_groups(id=group)] == ([group] if seen else [])
        with only(seen, NeutronNotFound):
            made = neutron.create_port({"network_id": network, "security_groups": [group]})
            assert made.security_groups == (group,)
            neutron.delete_port(made.id)
        made = neutron.create_port({"network_id": network})
        assert neutron.update_port(made.id, {"security_groups": [group]}).security_groups == (group,)
        neutron.delete_port(made.id)

    def test_the_default_group_of_others(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """A tenant could put another group in the place of the one that Neutron made, or nobody see that one."""
        owner = neutron.find_networks(id=theirs.network())[0].project_id or ""
        theirs.default_group()
        found = neutron.find_security_groups(name=["default"], project_id=[neutron.project_id(), owner])
        seen = [neutron.project_id(), owner] if is_admin else [neutron.project_id()]
        assert sorted(each.project_id or "" for each in found) == sorted(seen)
        for name in ("default", "Default"):
            with pytest.raises(NeutronConflict, match="Default security group already exists"):
                neutron.create_security_group({"name": name})

    def test_networks_of_others(self, neutron: Neutron, theirs: Theirs, is_admin: bool) -> None:
        """A tenant's network could not be used, or be removed by mistake."""
        network = theirs.network()
        subnet = theirs.subnet(network, "10.66.0.0/24")
        (found,) = neutron.find_networks(id=network)
        assert found.project_id != neutron.project_id()
        assert neutron.find_networks(id=network, project_id=neutron.project_id()) == []
        with only(is_admin):
            neutron.delete_subnet(subnet)
        with only(is_admin):
            neutron.delete_network(network)


def tags(found: Iterable[Any]) -> list[tuple[str, ...]]:
    return [each.tags for each in found]


class OnFake:
    """Things of the fake's tenant."""

    def __init__(self, fake: FakeNeutron) -> None:
        self.fake = fake

    def network(self, *tags: str, shared: bool = False) -> str:
        return self.fake.seed_network(tags=tags, shared=shared).id

    def subnet(self, network_id: str, cidr: str, *tags: str) -> str:
        return self.fake.seed_subnet(network_id, cidr, tags=tags).id

    def subnetpool(self, *tags: str, shared: bool = False) -> str:
        return self.fake.seed_subnetpool("theirs", "10.67.0.0/24", tags=tags, shared=shared).id

    def port(self, network_id: str, *tags: str) -> str:
        return self.fake.seed_port(network_id, tags=tags).id

    def security_group(self, shared_with: str = "") -> str:
        return self._group("theirs", shared=bool(shared_with))

    def default_group(self) -> None:
        self._group("default")

    def _group(self, name: str, *, shared: bool = False) -> str:
        store = self.fake.store
        wanted = {"name": name, "project_id": TENANT, "shared": shared}
        return str(store.add("security_groups", store.build("security_groups", wanted))["id"])

    def qos_policy(self) -> str:
        return self.fake.seed_qos_policy().id


class TestFake(PolicyContract):
    @pytest.fixture(params=ROLES)
    def role(self, request: pytest.FixtureRequest) -> Role:
        found: Role = request.param
        return found

    @pytest.fixture
    def neutron(self, role: Role) -> FakeNeutron:
        return FakeNeutron(role=role)

    @pytest.fixture
    def theirs(self, neutron: FakeNeutron) -> Theirs:
        return OnFake(neutron)
