# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What takes a service with the role admin: it works with it, and without it is refused in one line that leaves
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.api import Host
from lab.people import KURYR
from tests.cloud.test_adoption import Ground
from tests.cloud.test_port_options import own
from tests.cloud.user import User, unique_cidr


@pytest.fixture
def gold(user: User) -> Iterator[str]:
    """A QoS policy for all projects."""
    policy = user.neutron("POST", "/qos/policies", {"policy": {"name": "gold", "shared": True}})["policy"]["id"]
    yield policy
    user.tidy()  # its ports
    user.neutron("DELETE", f"/qos/policies/{policy}")


def test_a_policy_for_a_port_of_a_tenant(role: str, user: User, h1: Host, gold: str) -> None:
    """The port would be bound without the limit that its container was to have, or keep it for ever."""
    ground = Ground(user, h1)
    network = own(ground.nets[0], qos_policy="gold")
    if role == "admin":
        box = user.run(h1, network, f"--ip={ground.ip}")
        assert ground.port()["qos_policy_id"] == gold
        user.rm(h1, box)
    else:
        said = user.refused(h1, "run", "--rm", "--network", network, f"--ip={ground.ip}", "busybox", "true")
        assert "qos_policy" in said
        assert "admin" in said
    assert ground.port() == ground.before


def test_a_subnet_on_a_network_of_a_tenant(role: str, user: User, h1: Host) -> None:
    """The Docker network would be made without its subnet, or the tenant's network keep one of ours."""
    network, cidr = user.make("network", name="tenant"), unique_cidr()
    options = (f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    if role == "admin":
        net = user.network(h1, *options)
        user.rm(h1, user.run(h1, net))
        user.network_rm(h1, net)
    else:
        said = user.refused(h1, "network", "create", "-d", "kuryr", "--ipam-driver=kuryr", *options, "bad")
        assert "subnet" in said
        assert "admin" in said
    assert user.get("network", network["id"])["subnets"] == []


def test_what_is_not_shared_is_not_there(user: User, h1: Host) -> None:
    """The service would use a tenant's group or pool that has the name which its user meant."""
    user.make("security-group", name="web")
    said = user.refused(
        h1,
        *("network", "create", "-d", "kuryr", "--ipam-driver=kuryr", f"--subnet={unique_cidr()}"),
        *("-o", "neutron.security_groups=web", "bad"),
    )
    assert "neutron.security_groups=web" in said
    group = user.make("security-group", by=KURYR, name="web")
    net = user.network(h1, f"--subnet={unique_cidr()}", "-o", "neutron.security_groups=web")
    box = user.run(h1, net)
    assert user.port_of(h1, box, net)["security_groups"] == [group["id"]]
