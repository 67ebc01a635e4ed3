# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker Compose with every option of docs/options.md, on each Docker Engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import compose
from lab.api import Host, Lab
from lab.people import ADMIN, KURYR
from tests.cloud.user import MOVING, User, unique_cidr, unique_cidr_v6

FILE = Path(__file__).with_name("compose.yaml")
PROJECT = "shop"


class Project:
    """The file's project on one host, and what it takes from Neutron."""

    def __init__(self, lab: Lab, user: User, host: Host) -> None:
        self.user, self.host = user, host
        self._command = compose.command(lab.paths.cache)
        self.group = user.open_group(by=KURYR)["id"]
        self.own_group = user.make("security-group", by=KURYR, name="own")["id"]
        policy = {"policy": {"name": f"gold-{host.name}", "shared": True}}
        self.policy = user.neutron("POST", "/qos/policies", policy)["policy"]
        chosen, named = self._network("chosen"), self._network("named")
        self.port = user.make("port", network_id=named["network_id"], name="of-the-user")
        pooled = unique_cidr()
        pool = {"shared": True, "prefixes": [pooled], "default_prefixlen": 26}
        front = unique_cidr()
        self.db_address = front.replace(".0/24", ".99")
        self.variables = {
            "GROUP": self.group,
            "OWN_GROUP": self.own_group,
            "POLICY": self.policy["name"],
            "FRONT": front,
            "FRONT_V6": unique_cidr_v6(),
            "DB_ADDRESS": self.db_address,
            "CHOSEN": chosen["network_id"],
            "CHOSEN_SUBNET": chosen["id"],
            "CHOSEN_CIDR": chosen["cidr"],
            "NAMED": "named",
            "NAMED_CIDR": named["cidr"],
            "PORT": self.port["id"],
            "PORT_ADDRESS": self.port["fixed_ips"][0]["ip_address"],
            "POOL_CIDR": pooled,
            "POOL": user.make("subnetpool", by=ADMIN, name="for-all", **pool)["id"],
        }

    def _network(self, name: str) -> dict[str, Any]:
        """A network of the user's; answers its subnet."""
        network = self.user.make("network", name=name)["id"]
        return self.user.make("subnet", name=name, network_id=network, cidr=unique_cidr(), ip_version=4)

    def __call__(self, *arguments: str) -> str:
        variables = (f"{name}={value}" for name, value in self.variables.items())
        argv = ["env", *variables, *self._command, "--file", str(FILE), "--project-name", PROJECT, *arguments]
        return self.host.run(argv, timeout=200).stdout

    def containers(self) -> dict[str, str]:
        """Ids by service and number."""
        found = self("ps", "--quiet").split()
        return {self.host.docker_inspect(each)["Name"].removeprefix(f"/{PROJECT}-"): each for each in found}

    def neutron_port(self, container: str, network: str) -> dict[str, Any]:
        return self.user.port_of(self.host, container, f"{PROJECT}_{network}")

    def reaches_web(self, container: str) -> None:
        """By the name that Docker knows; the group lets in IPv4 only."""
        self.host.docker("exec", container, "ping", "-4", "-c", "3", "-w", "10", "web")

    def now(self, port: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in self.user.get("port", port["id"]).items() if key not in MOVING}


@pytest.fixture
def project(lab: Lab, user: User, host: Host) -> Iterator[Project]:
    project = Project(lab, user, host)
    yield project
    project("down", "--timeout", "1")
    user.neutron("DELETE", f"/qos/policies/{project.policy['id']}")


def chosen(port: dict[str, Any]) -> tuple[Any, ...]:
    return port["security_groups"], port["qos_policy_id"], port["dns_domain"], port["port_security_enabled"]


@pytest.mark.quick
def test_every_option(project: Project) -> None:
    """A Compose file's options would be lost, or reach another container than the one they are for."""
    before = project.now(project.port)
    project("up", "--detach")
    boxes = project.containers()
    web, db, free = (boxes[f"{service}-1"] for service in ("web", "db", "free"))
    front = project.neutron_port(web, "front")
    groups = set(front["security_groups"])
    assert project.group in groups
    assert len(groups) == 2  # and the one for its exposed port
    assert chosen(front)[1:] == (project.policy["id"], "example.org.", True)
    assert "mtu 1300" in project.host.docker("exec", web, "ip", "link").stdout
    own = project.neutron_port(db, "front")
    assert chosen(own) == ([project.own_group], None, "db.example.org.", True)
    assert own["fixed_ips"][0]["ip_address"] == project.db_address
    assert project.neutron_port(db, "named")["id"] == project.port["id"]
    assert chosen(project.neutron_port(free, "front"))[0] == []
    assert project.neutron_port(free, "front")["port_security_enabled"] is False
    assert project.neutron_port(web, "chosen")["network_id"] == project.variables["CHOSEN"]
    (subnet,) = project.user.neutron("GET", f"/subnets?subnetpool_id={project.variables['POOL']}")["subnets"]
    assert project.neutron_port(free, "pooled")["fixed_ips"][0]["subnet_id"] == subnet["id"]
    project.reaches_web(db)
    project("down", "--timeout", "1")
    assert project.now(project.port) == before


def test_every_verb(project: Project) -> None:
    """Compose would lose containers, addresses or ports when it restarts, scales or recreates them."""
    project("up", "--detach")
    boxes = project.containers()
    project("up", "--detach")
    assert project.containers() == boxes, "nothing has changed, so nothing is made anew"
    project("restart", "--timeout", "1")
    project("stop", "--timeout", "1")
    project("start")
    assert project.containers() == boxes
    assert project.neutron_port(boxes["db-1"], "named")["id"] == project.port["id"]
    project("up", "--detach", "--scale", "web=4")
    scaled = project.containers()
    assert {f"web-{number}" for number in range(1, 5)} < set(scaled)
    project.reaches_web(scaled["db-1"])
    project("up", "--detach", "--force-recreate", "--timeout", "1")
    again = project.containers()
    assert sorted(each.partition("-")[0] for each in again) == ["db", "free", "web"]  # of web, any one of the four
    assert not {*again.values()} & {*scaled.values()}
    assert project.neutron_port(again["db-1"], "front")["fixed_ips"][0]["ip_address"] == project.db_address
    assert project.neutron_port(again["db-1"], "named")["id"] == project.port["id"]


def test_a_network_that_changes(project: Project) -> None:
    """Compose would not be able to make a network anew whose options or subnets have changed in the file."""
    project("up", "--detach", "web")
    project.variables["FRONT"] = unique_cidr()
    project.variables["DB_ADDRESS"] = project.variables["FRONT"].replace(".0/24", ".99")
    project("up", "--detach", "--yes", "web")
    shown = json.loads(project.host.docker("network", "inspect", f"{PROJECT}_front").stdout)[0]
    assert shown["IPAM"]["Config"][0]["Subnet"] == project.variables["FRONT"]
