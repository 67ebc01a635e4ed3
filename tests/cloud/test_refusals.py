# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a Docker user reads when the real Neutron refuses something.

The table of what it can refuse is in ``tests/conversation/stories/test_refusals.py``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.api import Host
from lab.people import ADMIN, KURYR
from tests.cloud.user import User, leftovers, unique_cidr, unique_cidr_v6
from tests.conversation.stories.test_refusals import MET

LIST_TYPES = """
import importlib, inspect, json, pkgutil
import neutron_lib.exceptions as base
parts = [module.name for module in pkgutil.iter_modules(base.__path__)]
modules = [base, *(importlib.import_module(f"neutron_lib.exceptions.{name}") for name in parts)]
names = ("ipam.exceptions", "extensions.securitygroup", "plugins.ml2.common.exceptions", "services.trunk.exceptions")
modules += [importlib.import_module(f"neutron.{name}") for name in names]
found = {}
for module in modules:
    for name, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Exception):
            found[name] = [each.__name__ for each in kind.__mro__]
print(json.dumps(found))
"""
STATUS = {
    "NotFound": 404,
    "Conflict": 409,
    "InUse": 409,
    "BadRequest": 400,
    "NotAuthorized": 403,
    "ServiceUnavailable": 503,
}
"""neutron/api/api_common.py and neutron_lib/api/faults.py: of an exception by its base; 500 of all others."""
NOT_NEUTRONS = {"PolicyNotAuthorized": 403, "RevisionNumberConstraintFailed": 412}
"""Of oslo.policy, and of Neutron's service for revisions, which raises an HTTP error by itself."""


def test_the_table_is_neutrons() -> None:
    """A refusal would be explained by a type that no Neutron ever sends, or with another status."""
    python = Path(__file__).parents[2] / ".dev" / "neutron" / "bin" / "python"
    asked = subprocess.run([python, "-c", LIST_TYPES], check=True, capture_output=True, text=True)
    types: dict[str, list[str]] = json.loads(asked.stdout.splitlines()[-1])
    for kind, status in {pair for refusals in MET.values() for pair in refusals}:
        known = NOT_NEUTRONS.get(kind)
        if known is None:
            known = next((STATUS[base] for base in types[kind] if base in STATUS), 500)
        assert (kind, known) == (kind, status)


@contextmanager
def quota(user: User, **limits: int) -> Iterator[None]:
    path = f"/quotas/{user.acting(KURYR).project_id}"
    user.neutron("PUT", path, {"quota": limits})
    try:
        yield
    finally:
        user.neutron("DELETE", path)


def refused(user: User, host: Host, *arguments: str) -> str:
    """What the user reads: one line, and nothing is left of it."""
    before = leftovers(user.lab)
    said = user.refused(host, *arguments)
    assert leftovers(user.lab) == before
    (line,) = [line for line in said.splitlines() if line and not line.startswith(("time=", "See '"))]
    return line


def create(*arguments: str) -> tuple[str, ...]:
    return "network", "create", "-d", "kuryr", "--ipam-driver=kuryr", *arguments, "bad"


def start(network: str, *arguments: str) -> tuple[str, ...]:
    return "run", "--rm", "--net", network, *arguments, "busybox", "true"


@pytest.mark.parametrize(
    ("kind", "subject"),
    [("subnetpool", "--subnet 10."), ("network", "Docker network "), ("subnet", "Docker network ")],
)
def test_no_quota_for_a_network(user: User, h1: Host, kind: str, subject: str) -> None:
    """``docker network create`` would fail with words of Neutron's."""
    with quota(user, **{kind: 0}):
        said = refused(user, h1, *create(f"--subnet={unique_cidr()}"))
    assert subject in said
    assert "a quota of the service's project is used up; remove what is not needed, or have" in said


def test_no_quota_for_a_container(user: User, h1: Host) -> None:
    """``docker run`` would fail with words of Neutron's."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    used = user.neutron("GET", f"/quotas/{user.acting(KURYR).project_id}/details.json")["quota"]["port"]["used"]
    with quota(user, port=used):
        said = refused(user, h1, *start(net))
    neutron_id = user.network_of(h1, net)["id"]
    assert f"(Neutron network {neutron_id}, 10." in said
    assert "a quota of the service's project is used up" in said


def test_a_full_subnet(user: User, h1: Host) -> None:
    """The user would read the id of a subnet, and not that he has to make room."""
    net = user.network(h1, f"--subnet={unique_cidr().replace('.0/24', '.0/29')}")
    boxes = [user.run(h1, net) for _ in range(4)]  # beside the gateway and Neutron's own port
    said = refused(user, h1, *start(net))
    assert "no address is left on the Neutron subnet; remove containers, or" in said
    user.rm(h1, boxes[0])
    user.run(h1, net)


@pytest.fixture
def network(user: User) -> dict[str, Any]:
    return user.make("network", name="tenant")


def with_subnet(user: User, network: dict[str, Any], cidr: str, **attributes: Any) -> tuple[str, str]:
    version = 6 if ":" in cidr else 4
    user.make("subnet", network_id=network["id"], cidr=cidr, ip_version=version, **attributes)
    return "-o", f"neutron.net.uuid={network['id']}"


@pytest.mark.usefixtures("service_admin")
def test_a_subnet_that_overlaps(user: User, h1: Host, network: dict[str, Any]) -> None:
    """The user would not know which of the subnets is in the way, or what to give instead."""
    cidr = unique_cidr()
    choice = with_subnet(user, network, cidr)
    said = refused(user, h1, *create(f"--subnet={cidr.replace('.0/24', '.0/25')}", *choice))
    assert "the Neutron network has a subnet that overlaps; give the --subnet of an existing one" in said


@pytest.mark.usefixtures("service_admin")
def test_an_mtu_too_small_for_ipv6(user: User, h1: Host) -> None:
    """IPv6 would be refused for a number that the user has never heard of."""
    small = user.make("network", by=ADMIN, name="small", mtu=1000)
    choice = ("-o", f"neutron.net.uuid={small['id']}")
    said = refused(user, h1, *create("--ipv6", f"--subnet={unique_cidr_v6()}", f"--subnet={unique_cidr()}", *choice))
    assert "IPv6" in said
    assert "1280" in said


@pytest.mark.parametrize("kind", ["security-group", "qos"])
def test_a_group_or_policy_that_was_deleted(user: User, h1: Host, kind: str) -> None:
    """Each container of the network would fail with an id, and nobody know of which option it is."""
    if kind == "qos":
        policy = user.neutron("POST", "/qos/policies", {"policy": {"name": "gold", "shared": True}})["policy"]
        option, path = f"neutron.qos_policy={policy['id']}", f"/qos/policies/{policy['id']}"
    else:
        group = user.make("security-group", by=KURYR, name="web")
        option, path = f"neutron.security_groups={group['id']}", f"/security-groups/{group['id']}"
    net = user.network(h1, f"--subnet={unique_cidr()}", "-o", option)
    user.neutron("DELETE", path)
    assert option in refused(user, h1, *start(net))


def test_groups_without_port_security(user: User, h1: Host) -> None:
    """Neutron's own words name no option of Docker's."""
    open_to_all = user.make("network", name="open", port_security_enabled=False)
    cidr = unique_cidr()
    net = user.network(h1, f"--subnet={cidr}", *with_subnet(user, open_to_all, cidr))
    said = refused(user, h1, *start(f"name={net},driver-opt=neutron.security_groups=default"))
    assert "neutron.port_security=true" in said


@pytest.mark.parametrize("what", ["network", "subnet"])
def test_what_was_deleted_under_a_docker_network(user: User, h1: Host, network: dict[str, Any], what: str) -> None:
    """The containers would not start, and their user have to ask the operator what an id is."""
    cidr = unique_cidr()
    net = user.network(h1, f"--subnet={cidr}", *with_subnet(user, network, cidr))
    for port in user.ports(network_id=network["id"]):
        user.neutron("DELETE", f"/ports/{port['id']}")
    (subnet,) = user.neutron("GET", f"/networks/{network['id']}")["network"]["subnets"]
    path = f"/networks/{network['id']}" if what == "network" else f"/subnets/{subnet}"
    user.neutron("DELETE", path)
    said = refused(user, h1, *start(net))
    assert "deleted in Neutron; remove the Docker network ('docker network rm') and create it again" in said


def test_a_network_that_is_set_down(user: User, h1: Host) -> None:
    """Containers would start and reach nobody."""
    down = user.make("network", name="down", admin_state_up=False)
    cidr = unique_cidr()
    said = refused(user, h1, *create(f"--subnet={cidr}", *with_subnet(user, down, cidr)))
    assert down["id"] in said
    assert "down" in said
