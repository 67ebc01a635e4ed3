# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Attacks by tenants on the real service, with Neutron's default policies: they get nothing by it, and break nothing.

The service is used with either of its users. A tenant may know every id: he sees all tags of a network that is shared
with him. tests/conversation/stories/test_tenants.py has more of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from kuryr_libnetwork.rules.identity import id_tags, intent_description, network_tags, pool_tags
from lab.api import Host, Lab
from lab.people import ADMIN, KURYR, KURYR_ADMIN, OTHER_MEMBER, TENANT_MANAGER, TENANT_MEMBER, TENANT_READER, Person
from lab.process import wait_for
from tests.cloud.test_restarts import lose_journal
from tests.cloud.user import MOVING, User, unique_cidr

ENDPOINT = "ab" * 32
WANTED: dict[str, Any] = {
    "device_owner": "network:dhcp",
    "binding:host_id": "h2",
    "binding:vnic_type": "direct",
    "allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}],
    "trusted": True,
    "port_security_enabled": False,
    "mac_address": "02:00:00:00:00:01",
    "device_id": ENDPOINT,
    "binding:profile": {"pci_slot": "0000:03:00.1", "trusted": "true"},
}
POISON = ("kuryr.was:binding:profile=1", "kuryr.was:profile.a=1", "kuryr.was:security_groups=5", "kuryr.was:=")
MARKS: dict[str, Any] = {"name": "kuryr-unbound-port", "description": intent_description("h1", "0123456789abcdef")}


@pytest.fixture(scope="module", params=[KURYR, KURYR_ADMIN], ids=lambda person: "+".join(person.roles))
def impatient(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Host]:
    """A host whose service looks for leftovers each second, as one of its users or the other."""
    host = lab.host("h1")
    before = host.person
    host.log_in_as(request.param)
    with host.configured(reconcile_interval=1, reconcile_grace=5):
        yield host
    host.log_in_as(before)


class Home:
    """A Docker network with one container, and what the tenant has made against it."""

    def __init__(self, user: User, host: Host) -> None:
        self.user, self.host = user, host
        self.cidr = unique_cidr()
        self.net = user.network(host, f"--subnet={self.cidr}")
        self.box = user.run(host, self.net)
        self.docker_id = str(host.docker_inspect(self.net)["Id"])
        self.neutron = user.network_of(host, self.net)
        port = user.port_of(host, self.box, self.net)
        self.groups, self.project = port["security_groups"], port["project_id"]
        (self.subnet,) = self.neutron["subnets"]
        (self.pool,) = user.neutron("GET", f"/subnetpools?name=kuryrPool-{self.cidr}")["subnetpools"]
        self._theirs: list[tuple[str, str]] = []
        self._before: list[dict[str, Any]] = []

    def attack(self, kind: str, *, by: Person = TENANT_MEMBER, tags: tuple[str, ...] = (), **attributes: Any) -> str:
        """Create a resource, and record its state; answers its id."""
        made = self.user.acting(by).make(kind, tags=tags, **attributes)
        seen = self.user.get(kind, made["id"])
        assert sorted(seen["tags"]) == sorted(tags)
        if by is not ADMIN:
            self._theirs.append((kind, made["id"]))
        return str(made["id"])

    def share(self, kind: str, resource_id: str) -> None:
        """Let the service's project use something of the tenant's."""
        self.user.member.share(kind, resource_id, self.project)

    def remember(self) -> None:
        """Record the state of all of the tenant's resources once he has prepared them."""
        self._before = self._now()

    def nothing_has_changed(self) -> None:
        assert self._now() == self._before

    def _now(self) -> list[dict[str, Any]]:
        return [self.user.get(kind, resource_id) for kind, resource_id in self._theirs]

    def background_has_looked(self) -> None:
        """Wait until it has removed, one after the other, two leftovers of its own: what it takes for such is gone by
        then.
        """
        for number in range(2):
            marks = {"name": "kuryr-unbound-port", "description": intent_description("h1", f"control{number}")}
            port = self.user.make("port", by=KURYR, network_id=self.neutron["id"], **marks)
            assert wait_for(partial(self._is_gone, port["id"]), 90), "no leftover was removed"

    def _is_gone(self, port_id: str) -> bool:
        return self.user.ports(id=port_id) == []

    def a_new_container_is_at_home(self) -> None:
        box = self.user.run(self.host, self.net)
        port = self.user.port_of(self.host, box, self.net)
        assert (port["network_id"], port["project_id"]) == (self.neutron["id"], self.project)
        assert (port["port_security_enabled"], port["security_groups"]) == (True, self.groups)
        self.user.ping(self.host, box, self.user.address(self.host, self.box, self.net))
        self.user.rm(self.host, box)

    def everything_goes(self) -> None:
        """What is ours: the end of ``user`` looks whether something of it is left."""
        self.user.rm(self.host, self.box)
        self.user.network_rm(self.host, self.net)
        ours = {"network": self.neutron["id"], "subnet": self.subnet, "subnetpool": self.pool["id"]}
        for kind, resource_id in ours.items():
            assert self.user.neutron("GET", f"/{kind}s?id={resource_id}")[f"{kind}s"] == []
        self.nothing_has_changed()


@pytest.fixture
def home(user: User, impatient: Host) -> Home:
    return Home(user, impatient)


@pytest.mark.timeout(400)
def test_ports_that_ask_for_admins_attributes(home: Home) -> None:
    """Any reader could have the operator's rights write to his port whatever he is not allowed to write himself."""
    shared = home.attack("network", by=ADMIN, name="for-all", shared=True)
    home.attack("subnet", by=ADMIN, network_id=shared, cidr=unique_cidr(), ip_version=4)
    asks = [(f"kuryr.was:{name}={json.dumps(value)}",) for name, value in WANTED.items()]
    for tags in (*asks, POISON, ("compute:kuryr",)):
        was = ("kuryr.port.existing", *id_tags(ENDPOINT), *tags)
        home.attack("port", by=TENANT_READER, network_id=shared, tags=was, **MARKS)
    bound: dict[str, Any] = {"device_owner": "compute:kuryr", "device_id": ENDPOINT, "network_id": shared}
    home.attack("port", tags=(*id_tags(ENDPOINT), *asks[1]), **bound, **MARKS)
    box = home.user.port_of(home.host, home.box, home.net)["device_id"]
    home.attack("port", network_id=shared, device_id=box, device_owner="compute:kuryr", name=f"{box}-port")
    home.remember()
    home.background_has_looked()
    home.nothing_has_changed()
    lose_journal(home.host)
    home.background_has_looked()
    home.nothing_has_changed()
    home.a_new_container_is_at_home()
    home.everything_goes()


def test_a_network_with_the_marks_of_ours(home: Home) -> None:
    """After a lost journal a container would be on the tenant's network, or its port be made there and the run fail."""
    name = f"kuryr-net-{home.docker_id[:8]}"
    marks: dict[str, Any] = {"description": MARKS["description"]}
    for _ in range(4):  # some of them sort before ours
        network = home.attack("network", tags=network_tags(home.docker_id, existing=True), name=name, **marks)
        on_it: dict[str, Any] = {
            "network_id": network,
            "cidr": home.cidr,
            "ip_version": 4,
            "name": f"kuryr-subnet-{home.cidr}",
        }
        home.attack("subnet", tags=(home.pool["id"],), **on_it, **marks)
        home.share("network", network)
    home.remember()
    lose_journal(home.host)
    home.a_new_container_is_at_home()
    lose_journal(home.host)
    home.background_has_looked()
    home.a_new_container_is_at_home()
    lose_journal(home.host)
    home.everything_goes()


def test_a_pool_with_the_marks_of_ours(home: Home) -> None:
    """After a lost journal the next containers would have no port security, or be on the tenant's network."""
    network = home.attack("network", name="mine")
    home.attack("subnet", network_id=network, cidr=home.cidr, ip_version=4, tags=(home.pool["id"],))
    tags = (*pool_tags(home.docker_id, network), "kuryr.opt:port_security=false", "kuryr.opt:group=")
    marks: dict[str, Any] = {"name": f"kuryrPool-{home.cidr}", "description": MARKS["description"]}
    pool = home.attack("subnetpool", tags=tags, prefixes=[home.cidr], default_prefixlen=24, **marks)
    home.share("network", network)
    home.share("subnetpool", pool)
    home.remember()
    lose_journal(home.host)
    home.a_new_container_is_at_home()
    home.background_has_looked()
    home.everything_goes()


def test_a_pool_with_the_name_of_the_default_pool(home: Home) -> None:
    """Every docker network create without --subnet would fail, or take the tenant's prefixes."""
    theirs, ours = unique_cidr(), unique_cidr()
    pool = home.attack("subnetpool", name="kuryr", prefixes=[theirs], default_prefixlen=25)
    home.share("subnetpool", pool)
    home.remember()
    own = home.user.make("subnetpool", by=KURYR, name="kuryr", prefixes=[ours], default_prefixlen=25)
    net = home.user.network(home.host)
    assert home.host.docker_inspect(net)["IPAM"]["Config"][0]["Subnet"] == ours.replace(".0/24", ".0/25")
    home.user.network_rm(home.host, net)
    home.user.neutron("DELETE", f"/subnetpools/{own['id']}")
    home.everything_goes()


def still(port: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in port.items() if key not in MOVING}


def test_the_memory_of_a_port_is_for_nobody_else(user: User, impatient: Host) -> None:
    """The owner of a port, or of its network, could write what his port is to become, or see where his
    neighbours run.
    """
    cidr, other = unique_cidr(), user.acting(OTHER_MEMBER)
    network = user.make("network", name="of-the-tenant")
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)
    user.member.share("network", network["id"], other.project_id)
    port = user.make("port", by=OTHER_MEMBER, network_id=network["id"], name="of-another", tags=("keep",))
    before = user.get("port", port["id"])
    net = user.network(impatient, f"--subnet={cidr}", "-o", f"neutron.net.uuid={network['id']}")
    box = user.run(impatient, net, f"--ip={port['fixed_ips'][0]['ip_address']}")
    there = user.get("port", port["id"])
    memory = there["binding:profile"]["kuryr"]
    assert (memory["host"], memory["endpoint"]) == ("h1", user.settings(impatient, box, net)["EndpointID"])
    forged = {"port": {"binding:profile": {"kuryr": {**memory, "was": {"binding:host_id": "h2"}}}}}
    for person in (TENANT_READER, TENANT_MEMBER, TENANT_MANAGER, OTHER_MEMBER):
        somebody = user.acting(person)
        assert "binding:profile" not in somebody.get("port", port["id"])
        assert somebody.find("port", id=port["id"], fields="binding:profile") == [{}]
        assert somebody.refused("PUT", f"/ports/{port['id']}", forged) == 403
        assert somebody.refused("DELETE", f"/ports/{port['id']}") == 403
    assert still(user.get("port", port["id"])) == still(there)
    lose_journal(impatient)
    user.rm(impatient, box)
    moving = {"revision_number", "updated_at", "status"}
    after = user.get("port", port["id"])
    assert {k: v for k, v in after.items() if k not in moving} == {k: v for k, v in before.items() if k not in moving}
    user.network_rm(impatient, net)
