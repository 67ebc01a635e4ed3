# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""More Docker networks on one Neutron network than Neutron takes tags for; upstream stops at 16."""

from __future__ import annotations

import random

import pytest

from lab.api import Host
from lab.people import KURYR, TENANT_MEMBER, Person
from tests.cloud.test_restarts import lose_journal
from tests.cloud.user import User, unique_cidr

MANY = 54


@pytest.mark.timeout(400)
@pytest.mark.parametrize("owner", [KURYR, TENANT_MEMBER], ids=["own", "of-a-tenant"])
def test_more_docker_networks_than_tags(user: User, h1: Host, h2: Host, owner: Person) -> None:
    """docker network create would fail, or a later removal take the network from the hosts that still use it."""
    cidr = unique_cidr()
    network = user.make("network", by=owner, name="crowded")
    user.make("subnet", by=owner, network_id=network["id"], cidr=cidr, ip_version=4)
    hosts = [h1, h2]
    made = []
    for number in range(MANY):
        host = hosts[number % 2]
        made.append((host, user.network(host, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")))
    tags = user.get("network", network["id"])["tags"]
    assert len(tags) <= 50
    # The service does not write on what is a tenant's.
    assert sum(tag.startswith("kuryr.net.uuid.lh:") for tag in tags) == (16 if owner == KURYR else 0)
    first, last = (user.run(*made[number]) for number in (0, MANY - 1))
    user.ping(h1, first, user.address(h2, last, made[-1][1]))
    for host in hosts:
        lose_journal(host)
    again = user.run(*made[-1])
    user.ping(h2, again, user.address(h2, last, made[-1][1]))
    user.rm(h1, first)
    order = made[:-1]
    random.Random(7).shuffle(order)
    for host, name in order:
        user.network_rm(host, name)
    more = user.run(*made[-1])
    user.ping(h2, more, user.address(h2, last, made[-1][1]))
    for box in (again, last, more):
        user.rm(h2, box)
    user.network_rm(*made[-1])
    assert user.get("network", network["id"])["tags"] == []
    assert len(user.get("network", network["id"])["subnets"]) == 1
