# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What users do at the command line, and checks that nothing of theirs is left."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from collections.abc import Iterator
from typing import Any, Protocol

from lab.api import Lab
from lab.people import TENANT_MEMBER, Person
from lab.process import wait_for
from tests.cloud.tenant import Tenant

LABELLED = 30
"""Seconds until Neutron says which endpoint has a port: its start does not wait for that."""
MOVING = {"revision_number", "updated_at", "status"}
"""Attributes of a port that change by themselves, as when it becomes active."""
_NUMBERS = itertools.count(1)


def unique_cidr() -> str:
    """A subnet that no other test of this run uses: every test must be able to fail alone."""
    number = next(_NUMBERS)
    return f"10.{100 + number // 250}.{number % 250}.0/24"


def unique_cidr_v6() -> str:
    return f"fd00:{next(_NUMBERS):x}::/64"


class DockerHost(Protocol):
    """Where docker commands run: one of the lab's hosts, or a machine in QEMU."""

    @property
    def name(self) -> str: ...
    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]: ...
    def docker_inspect(self, thing: str) -> Any: ...


class User:
    """Somebody who uses Docker on the hosts, and is the plain member of a tenant's project in Neutron (``member``)."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._containers: list[tuple[DockerHost, str]] = []
        self._networks: list[tuple[DockerHost, str]] = []
        self._neutron: list[str] = []
        self.member = self.acting(TENANT_MEMBER)

    @property
    def containers(self) -> list[tuple[DockerHost, str]]:
        return list(self._containers)

    # -- docker ----------------------------------------------------------------------------------------------------

    def network(self, host: DockerHost, *arguments: str, check: bool = True, driver: str = "kuryr") -> str:
        """``docker network create -d kuryr --ipam-driver=kuryr ARGUMENTS NAME``; answers the name."""
        name = f"net{next(_NUMBERS)}"
        self._networks.append((host, name))
        host.docker("network", "create", "-d", driver, f"--ipam-driver={driver}", *arguments, name, check=check)
        return name

    def run(self, host: DockerHost, network: str, *arguments: str) -> str:
        """``docker run -d --net NETWORK ARGUMENTS busybox``; answers the container's name."""
        name = f"box{next(_NUMBERS)}"
        self._containers.append((host, name))
        host.docker("run", "-d", "--name", name, "--net", network, *arguments, "busybox", "sleep", "600")
        return name

    def refused(self, host: DockerHost, *arguments: str) -> str:
        """A docker command that must fail; answers what the user reads."""
        result = host.docker(*arguments, check=False)
        assert result.returncode != 0, f"docker {' '.join(arguments)} should have been refused"
        return result.stderr

    def rm(self, host: DockerHost, name: str) -> None:
        self._containers.remove((host, name))
        host.docker("rm", "-f", name)

    def network_rm(self, host: DockerHost, name: str) -> None:
        self._networks.remove((host, name))
        host.docker("network", "rm", name)

    def settings(self, host: DockerHost, container: str, network: str) -> dict[str, Any]:
        found: dict[str, Any] = host.docker_inspect(container)["NetworkSettings"]["Networks"][network]
        return found

    def address(self, host: DockerHost, container: str, network: str) -> str:
        return str(self.settings(host, container, network)["IPAddress"])

    def address_v6(self, host: DockerHost, container: str, network: str) -> str:
        return str(self.settings(host, container, network)["GlobalIPv6Address"])

    def inside(self, host: DockerHost, container: str, *command: str) -> str:
        return host.docker("exec", container, *command).stdout

    def ping(self, host: DockerHost, container: str, address: str) -> None:
        """Three answers, or the error shows ping's output.

        The first one is waited for: ovn-controller, or Neutron's agent, lets a port in some time after its container
        has started, which on a busy machine is longer than the three packets take.
        """
        once = ("exec", container, "ping", "-c", "1", "-w", "1", address)
        wait_for(lambda: host.docker(*once, check=False).returncode == 0, 30)
        host.docker("exec", container, "ping", "-c", "3", "-i", "0.2", "-w", "10", address)

    # -- neutron ---------------------------------------------------------------------------------------------------

    def acting(self, person: Person) -> Tenant:
        """Somebody else; what he makes is removed at the end as well."""
        return Tenant(self.lab, person, self._neutron)

    def neutron(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """By the cloud's admin, who sees everything."""
        return self.lab.neutron(method, f"/v2.0{path}", body)

    def make(self, kind: str, *, by: Person = TENANT_MEMBER, **attributes: Any) -> dict[str, Any]:
        """A resource of the user's own (``kind`` in the singular), or of somebody else's, removed again at the end."""
        return self.acting(by).make(kind, **attributes)

    def open_group(self, *, by: Person = TENANT_MEMBER) -> dict[str, Any]:
        """A security group that lets ping in from anywhere: a default group lets in ports of its own project only."""
        group = self.make("security-group", by=by, name=f"ping-{next(_NUMBERS)}")
        rule = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"}
        self.make("security-group-rule", by=by, **rule)
        return group

    def get(self, kind: str, resource_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.neutron("GET", f"/{kind}s/{resource_id}")[kind]
        return found

    def ports(self, **query: str) -> list[dict[str, Any]]:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        found: list[dict[str, Any]] = self.neutron("GET", f"/ports?{text}")["ports"]
        return found

    def port_of(self, host: DockerHost, container: str, network: str) -> dict[str, Any]:
        """The service tells Neutron beside the container's start which endpoint has the port."""
        endpoint = self.settings(host, container, network)["EndpointID"]
        assert wait_for(lambda: bool(self.ports(device_id=endpoint)), LABELLED)
        (port,) = self.ports(device_id=endpoint)
        return port

    def network_of(self, host: DockerHost, name: str) -> dict[str, Any]:
        """The Neutron network of a Docker network, by the tag that upstream's users look for."""
        docker_id = host.docker_inspect(name)["Id"]
        (network,) = self.neutron("GET", f"/networks?tags=kuryr.net.uuid.lh:{docker_id[:32]}")["networks"]
        return dict(network)

    # -- the end ---------------------------------------------------------------------------------------------------

    def tidy_docker(self) -> None:
        """Remove containers and networks while the service still has the configuration with which they were created."""
        while self._containers:
            host, name = self._containers.pop()
            host.docker("rm", "-f", name, check=False)
        while self._networks:
            host, name = self._networks.pop()
            host.docker("network", "rm", name, check=False)

    def tidy(self) -> None:
        self.tidy_docker()
        self.member.tidy()


def leftovers(lab: Lab) -> list[str]:
    """Everything of kuryr that is still on a host, in Open vSwitch or in Neutron.

    Ports are told by their ids: the name comes beside the container's start, so that two looks may see two of it.
    """
    found = []
    for host in lab.hosts.values():
        links = json.loads(host.run(["ip", "-json", "link"]).stdout)
        found += [f"{host.name}: link {link['ifname']}" for link in links if link["ifname"].startswith(("tap", "t_c"))]
        rows = host.run(
            ["ovs-vsctl", "--bare", "--columns=name", "find", "interface", "external_ids:owner=kuryr"]
        ).stdout
        found += [f"{host.name}: OVS interface {name}" for name in rows.split()]
    for kind, mark in (("networks", "kuryr-net-"), ("subnets", "kuryr-subnet-"), ("subnetpools", "kuryrPool-")):
        rows_ = lab.neutron("GET", f"/v2.0/{kind}")[kind]
        found += [f"Neutron: {kind} {row['name']}" for row in rows_ if row["name"].startswith(mark)]
        found += [
            f"Neutron: {kind} {row['id']} has tags {row['tags']}"
            for row in rows_
            if any("kuryr" in t for t in row["tags"])
        ]
    groups = lab.neutron("GET", "/v2.0/security-groups")["security_groups"]
    found += [f"Neutron: security group {group['name']}" for group in groups if group["name"].endswith("exposed_ports")]
    ports = lab.neutron("GET", "/v2.0/ports")["ports"]
    found += [
        f"Neutron: port {p['id']}"
        for p in ports
        if p["device_owner"] == "compute:kuryr" or p["name"] == "kuryr-unbound-port"
    ]
    return found


@contextlib.contextmanager
def somebody(lab: Lab) -> Iterator[User]:
    """Somebody at the docker command line, who tidies up; whatever is left then, was left by the service."""
    user = User(lab)
    yield user
    user.tidy()
    assert leftovers(lab) == []


def together(*processes: subprocess.Popen[str], timeout: float) -> list[tuple[int, str]]:
    """Wait for all; answers exit code and error text of each."""
    ended = []
    for process in processes:
        _, error = process.communicate(timeout=timeout)
        ended.append((process.returncode, error or ""))
    return ended
