# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the service may believe, and what not: Neutron's default policies, asked of the real Neutron.

Tags, names and descriptions are whatever a tenant likes. The binding profile of a port and the project of a resource
are not.
"""

from __future__ import annotations

from typing import Any

import pytest

from lab.people import ADMIN, KURYR, TENANT_MANAGER, TENANT_MEMBER, TENANT_READER, Person
from tests.cloud.user import User, unique_cidr

OURS = {"kuryr": {"host": "h1"}}
LIES = ("kuryr.port.existing", 'kuryr.was:binding:host_id="h2"')


@pytest.fixture
def network(user: User) -> dict[str, Any]:
    network = user.make("network", name="tenant")
    user.make("subnet", network_id=network["id"], cidr=unique_cidr(), ip_version=4)
    return network


@pytest.mark.parametrize("person", [TENANT_MEMBER, TENANT_MANAGER], ids=lambda person: person.name)
def test_a_tenant_writes_what_looks_like_ours(user: User, network: dict[str, Any], person: Person) -> None:
    """The tests that attack the service by these means would prove nothing."""
    tenant = user.acting(person)
    words = {"name": "kuryr-unbound-port", "description": "made by kuryr-libnetwork on h1, x"}
    port = tenant.make("port", tags=LIES, network_id=network["id"], **words)
    seen = user.get("port", port["id"])
    assert {key: seen[key] for key in words} == words
    assert sorted(seen["tags"]) == sorted(LIES)
    pool = tenant.make("subnetpool", tags=("kuryr.opt:port_security=false",), name="kuryr", prefixes=[unique_cidr()])
    assert user.get("subnetpool", pool["id"])["tags"] == ["kuryr.opt:port_security=false"]


@pytest.mark.parametrize("person", [TENANT_READER, TENANT_MEMBER, TENANT_MANAGER], ids=lambda person: person.name)
def test_no_tenant_writes_or_sees_a_profile(user: User, network: dict[str, Any], person: Person) -> None:
    """What we remember of a port in its profile could be forged."""
    tenant = user.acting(person)
    port = user.make("port", network_id=network["id"])
    user.acting(KURYR).change("port", port["id"], **{"binding:profile": OURS})
    change = {"port": {"binding:profile": {"kuryr": {"host": "h2"}}}}
    assert tenant.refused("PUT", f"/ports/{port['id']}", change) == 403
    assert tenant.refused("PUT", f"/ports/{port['id']}", {"port": {"binding:host_id": "h2"}}) == 403
    wanted = {"network_id": network["id"], "binding:profile": OURS}
    assert tenant.refused("POST", "/ports", {"port": wanted}) == 403
    assert "binding:profile" not in tenant.get("port", port["id"])
    assert user.acting(KURYR).get("port", port["id"])["binding:profile"] == OURS


@pytest.mark.parametrize("person", [TENANT_MEMBER, TENANT_MANAGER], ids=lambda person: person.name)
def test_no_tenant_makes_anything_in_our_project(user: User, network: dict[str, Any], person: Person) -> None:
    """What is looked up by our project could be a tenant's."""
    tenant, ours = user.acting(person), user.acting(KURYR).project_id
    there: dict[str, dict[str, Any]] = {
        "network": {},
        "port": {"network_id": network["id"]},
        "subnet": {"network_id": network["id"], "cidr": unique_cidr(), "ip_version": 4},
        "subnetpool": {"name": "kuryr", "prefixes": [unique_cidr()]},
    }
    for kind, attributes in there.items():
        assert tenant.refused("POST", f"/{kind}s", {kind: {"project_id": ours, **attributes}}) == 400
    assert tenant.refused("PUT", f"/networks/{network['id']}", {"network": {"project_id": ours}}) == 400


def test_a_profile_outlives_what_others_change(user: User, network: dict[str, Any]) -> None:
    """We would forget that a port is a tenant's as soon as he gives it a name."""
    port, service = user.make("port", network_id=network["id"]), user.acting(KURYR)
    service.change(
        "port", port["id"], **{"binding:profile": OURS, "binding:host_id": "h1", "device_owner": "compute:x"}
    )
    group = user.make("security-group", name="later")
    user.member.change("port", port["id"], name="new", device_id="d", security_groups=[group["id"]])
    user.acting(ADMIN).change("port", port["id"], description="seen by the admin")
    service.change("port", port["id"], **{"binding:host_id": "", "device_owner": ""})
    assert service.get("port", port["id"])["binding:profile"] == OURS
    user.member.change("port", port["id"], security_groups=[])


def test_tags_of_others_are_not_ours_to_write_or_see(user: User, network: dict[str, Any]) -> None:
    """With the roles service and member no tag on a tenant's port would be taken for a tag that is not there."""
    port, service = user.member.make("port", tags=LIES, network_id=network["id"]), user.acting(KURYR)
    assert not service.get("port", port["id"]).get("tags")
    for path in (f"/ports/{port['id']}/tags", f"/networks/{network['id']}/tags"):
        assert service.refused("PUT", path, {"tags": ["mine"]}) == 403
