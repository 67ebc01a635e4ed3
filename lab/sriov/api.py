# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The Python interface to a running SR-IOV machine, as `lab.api.Host` is for the other Docker hosts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import http, openstack, people
from lab.errors import LabError
from lab.paths import LabPaths
from lab.people import Person
from lab.process import Place, Registry, clean_environment, run, wait_for
from lab.sriov import channel as sriov_channel, guest as sriov_guest, image as sriov_image, machine as sriov_machine
from lab.sriov.machine import MachinePaths

ENDLESS = 86400.0


class GuestService:
    """One program of the machine that a test may stop, kill and start again. It is `lab.api.Service` for a guest."""

    def __init__(self, each: MachinePaths, name: str, start: Callable[[], None], grace: float) -> None:
        self._each = each
        self._name = name
        self._start = start
        self._grace = grace

    @property
    def log(self) -> Path:
        """The log as seen from outside."""
        return self._each.logs / f"{self._name}.log"

    @property
    def pid(self) -> int | None:
        """Its process id in the guest."""
        found = self._each.channel.services().get(self._name)
        return found["pid"] if found is not None and found["rc"] is None else None

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers (Neutron's agent: see `Machine.wait_for_agent`)."""
        self._start()

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._each.channel.stop(self._name, signal.SIGTERM, self._grace)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._each.channel.stop(self._name, signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()


class CloudCard:
    """The card with which a machine can be an instance of the cloud: ens3, down until somebody uses it.

    Its other end, a tap device, is in the cloud's namespace whenever QEMU has just been started.
    """

    def __init__(self, lab: LabPaths, each: MachinePaths) -> None:
        self.tap = each.tap
        self._netns = lab.netns

    def attach(self, netns: str) -> None:
        """Move the tap device to a host's namespace, unless it is there already."""
        _bring(self.tap, self._netns, netns)

    def detach(self, netns: str) -> None:
        """Move it back to where QEMU created it, unless QEMU has created it again meanwhile."""
        _bring(self.tap, netns, self._netns)


class Machine:
    """Names, commands and services of one SR-IOV machine."""

    pfs = sriov_guest.PFS
    physical_network = sriov_guest.PHYSICAL_NETWORK
    kuryr_conf = sriov_guest.KURYR_CONF

    def __init__(self, lab: LabPaths, each: MachinePaths, registry: Registry) -> None:
        self.paths = each
        self.name = each.name  # also the host name in Neutron
        self.logs = each.logs
        self._lab = lab
        self._registry = registry
        self._channel = each.channel
        self._admin = openstack.session(lab.netns, people.ADMIN)
        self.cloud_card = CloudCard(lab, each)
        self.kuryr = GuestService(each, sriov_guest.KURYR, self._start_kuryr, sriov_guest.KURYR_GRACE)
        self.dockerd = GuestService(each, sriov_guest.DOCKERD, lambda: sriov_guest.start_docker(each), 20.0)
        self.sriov_agent = GuestService(each, sriov_guest.AGENT, lambda: sriov_guest.start_agent(each), 10.0)

    @property
    def person(self) -> Person:
        """Who the service is in the cloud."""
        return people.logged_in(self.read(self.kuryr_conf))

    def log_in_as(self, person: Person) -> None:
        """Restart the service as another user of the cloud, unless it runs as that user already."""
        sriov_guest.log_in_as(self.paths, person)
        self.kuryr.start()

    # ---- commands and files ----

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float = 120,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the machine; with `check` a failure is an error that shows what the command said."""
        raw = self._channel.run(argv, timeout=timeout, stdin=(stdin or "").encode(), env=env)
        result = subprocess.CompletedProcess(
            raw.args, raw.returncode, raw.stdout.decode(errors="replace"), raw.stderr.decode(errors="replace")
        )
        _checked(self.name, result, check=check)
        return result

    def shell(self, script: str, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """The output of a shell script; its arguments are $1, $2 …"""
        return self.run(["sh", "-c", script, "sh", *arguments], check=check, timeout=timeout).stdout

    def push(self, source: Path, target: str) -> None:
        sriov_channel.write(self._channel, target, source.read_bytes())

    def write(self, target: str, text: str) -> None:
        sriov_channel.write(self._channel, target, text.encode())

    def pull(self, source: str) -> bytes:
        return sriov_channel.read(self._channel, source)

    def read(self, source: str) -> str:
        return self.pull(source).decode(errors="replace")

    # ---- Docker, the plugin, Neutron ----

    def environment(self, person: Person = people.ADMIN) -> dict[str, str]:
        """`person`: who the openstack command is."""
        host, port = self.paths.docker_address
        openstack = self._lab.neutron_venv / "bin"
        return {
            "DOCKER_HOST": f"tcp://{host}:{port}",
            "DOCKER_CONFIG": str(self.paths.state / "docker-cli"),
            **person.environment(),
            "PATH": ":".join(["/usr/sbin", "/usr/bin", str(openstack), os.environ.get("PATH", "/sbin:/bin")]),
        }

    def docker(self, *arguments: str, check: bool = True, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
        """The docker command outside, connected to the engine inside: much faster than the command inside."""
        return self._outside(["docker", *arguments], check=check, timeout=timeout)

    def user(self, script: str, *, timeout: float = 600) -> str:
        """The output of an operator's script with the commands docker and openstack; it ends at the first failure."""
        argv = ["bash", "-euo", "pipefail", "-c", script]
        return self._outside(argv, check=True, timeout=timeout, person=people.OPERATOR).stdout

    def _outside(
        self, argv: Sequence[str], *, check: bool, timeout: float, person: Person = people.ADMIN
    ) -> "subprocess.CompletedProcess[str]":
        result = subprocess.run(
            Place(self.paths.netns).enter(argv),
            env={**clean_environment(), **self.environment(person)},
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        _checked(self.name, result, check=check)
        return result

    def docker_inspect(self, thing: str) -> Any:
        """The one object that `docker inspect` shows for a container, network or image."""
        return json.loads(self.docker("inspect", thing).stdout)[0]

    def plugin(self, method: str, body: Mapping[str, Any] | None = None) -> Any:
        """A call of Docker's plugin protocol straight to the machine's kuryr-server."""
        data = b"" if body is None else json.dumps(body).encode()
        return json.loads(http.call(self._channel.unix(sriov_guest.PLUGIN_SOCKET), "POST", f"/{method}", data))

    def agent_alive(self) -> bool:
        """Whether Neutron sees the SR-IOV agent of this machine."""
        query = f"/v2.0/agents?host={self.name}&agent_type=NIC%20Switch%20agent"
        return any(agent["alive"] for agent in self._admin.neutron("GET", query)["agents"])

    def wait_for_agent(self, seconds: float = 180) -> None:
        if not wait_for(self.agent_alive, seconds):
            msg = f"{self.name}: {sriov_guest.AGENT} is not alive after {seconds:.0f} s; see {self.sriov_agent.log}"
            raise LabError(msg)

    # ---- cards ----

    def set_vfs(self, pf: str, count: int) -> None:
        """Create Virtual Functions on a PF, named pf0v0, pf0v1 …, and wait for its carrier."""
        sriov_guest.set_vfs(self.paths, pf, count)

    def pci(self, interface: str) -> str:
        """The PCI address of a network interface of the machine."""
        return Path(self.shell('readlink -f "/sys/class/net/$1/device"', interface).strip()).name

    # ---- the machine itself ----

    def cut_power(self) -> None:
        """Cut the power: the guest is not told, and what it has not written to its disk is lost."""
        self._registry.stop([self.paths.qemu], sudden=True)

    def power_on(self) -> None:
        """Boot, and create the Virtual Functions. Nothing else is started."""
        sriov_machine.boot(self._lab, self.paths, sriov_machine.fleet_of(self._lab), self._registry)
        sriov_guest.make_vfs(self.paths)

    def execute(self, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal; without a terminal answers its output and exit code."""
        if sys.stdin.isatty() and sys.stdout.isatty():
            term = os.environ.get("TERM", "linux")
            self._channel.shell(argv, {"TERM": term, "PS1": f"({self._lab.name}/{self.name}) \\w\\$ ", "HOME": "/root"})
            return 0
        result = self._channel.run(argv, timeout=ENDLESS, stdin=sys.stdin.buffer.read())
        sys.stdout.buffer.write(result.stdout)
        sys.stderr.buffer.write(result.stderr)
        return result.returncode

    def _start_kuryr(self) -> None:
        image = sriov_image.image(self._lab, sriov_machine.fleet_of(self._lab).release)
        sriov_guest.start_kuryr(self._lab, self.paths, image)


def _bring(device: str, origin: str, target: str) -> None:
    there = json.loads(run(["ip", "-n", target, "-json", "link", "show"]))
    if device not in [link["ifname"] for link in there]:
        run(["ip", "-n", origin, "link", "set", device, "netns", target])


def machines(lab: LabPaths, registry: Registry) -> dict[str, Machine]:
    return {each.name: Machine(lab, each, registry) for each in sriov_machine.fleet_of(lab).paths(lab)}


def programs(lab: LabPaths, registry: Registry) -> dict[str, int | None]:
    """By program of the machines: its process id in the guest, or None if it should run but does not."""
    found: dict[str, int | None] = {}
    for each in sriov_machine.fleet_of(lab).paths(lab):
        services = each.channel.services() if registry.running(each.qemu) and each.channel.answers() else {}
        for name in (sriov_guest.DOCKERD, sriov_guest.AGENT, sriov_guest.KURYR):
            service = services.get(name)
            found[f"{each.name} {name}"] = service["pid"] if service is not None and service["rc"] is None else None
    return found


def _checked(name: str, result: "subprocess.CompletedProcess[str]", *, check: bool) -> None:
    if check and result.returncode != 0:
        said = (result.stderr or result.stdout).strip()
        msg = f"{name}: {' '.join(result.args)} ended with {result.returncode}: {said}"
        raise LabError(msg)
