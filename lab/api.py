# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The Python interface to a running lab, for tests, the demo and the benchmark."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import agents, dockerd, engines, host as programs, http, lifecycle, openstack, people
from lab.backend import Backend
from lab.errors import LabError
from lab.openstack import Session
from lab.paths import HostPaths, LabPaths
from lab.people import Person
from lab.process import Place, Registry, clean_environment, wait_for
from lab.releases import Release
from lab.sriov import api as sriov_api

LABELLED = 10.0
"""Seconds."""


def connect(name: str = "dev") -> "Lab":
    """The lab of this name, which must be up."""
    paths = LabPaths(name)
    if not any(lifecycle.status(paths).values()):
        msg = f"the lab {name!r} is not up; run ./dev up --name {name}"
        raise LabError(msg)
    return Lab(paths)


@dataclass(frozen=True)
class NeutronCall:
    """One line of the access log of Neutron's API."""

    epoch: int
    address: str
    method: str
    uri: str
    status: int
    milliseconds: int
    agent: str


class Service:
    """One program of a host that a test may stop, kill and start again."""

    def __init__(self, paths: LabPaths, host: HostPaths, registry: Registry, kind: str) -> None:
        self._paths = paths
        self._host = host
        self._registry = registry
        self._kind = kind
        self._name = f"{host.name}-{kind}"

    @property
    def log(self) -> Path:
        return self._paths.log(self._name)

    @property
    def pid(self) -> int | None:
        record = self._registry.running(self._name)
        return record.pid if record else None

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers."""
        if self._kind == "kuryr":
            programs.start_kuryr(self._paths, self._host, self._registry)
        elif self._kind == "dockerd":
            dockerd.start(self._paths, self._host, self._registry)
        else:
            backend = lifecycle.backend_of(self._paths)
            programs.start_ovs(self._paths, self._host, self._registry, backend)
            agents.start(self._paths, self._host, self._registry, backend, lifecycle.release_of(self._paths))

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._registry.stop([self._name])

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._registry.stop([self._name], sudden=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It runs, and does not move."""
        pid = self.pid
        if pid is None:
            msg = f"{self._name} does not run"
            raise LabError(msg)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Host:
    def __init__(self, paths: LabPaths, host: HostPaths, registry: Registry) -> None:
        self.paths = host
        self.name = host.name
        self.address = host.address
        self.kuryr = Service(paths, host, registry, "kuryr")
        self.dockerd = Service(paths, host, registry, "dockerd")
        self.vswitchd = Service(paths, host, registry, "vswitchd")
        self.ovsdb = Service(paths, host, registry, "ovsdb")
        self.agent = Service(paths, host, registry, lifecycle.backend_of(paths).agent)
        self.dhcp_agent = Service(paths, host, registry, agents.DHCP.program)  # with ML2/OVS, of h1 only
        self._lab = paths
        self._registry = registry

    @property
    def engine(self) -> engines.Engine:
        """The Docker Engine that this host was started with."""
        found = engines.of(self.paths)
        if found is None:
            msg = f"{self.name} has no Docker Engine; run ./dev up"
            raise LabError(msg)
        return found

    @property
    def place(self) -> Place:
        """The namespaces of this host, for programs that a test starts there."""
        return programs.place(self.paths, self._registry)

    @property
    def person(self) -> Person:
        """Who kuryr-server is in the cloud."""
        return people.logged_in(self.paths.kuryr_conf.read_text())

    def log_in_as(self, person: Person) -> None:
        """Restart kuryr-server as another user of the cloud, unless it runs as that user already."""
        programs.log_in_as(self.paths, person, self._registry)
        self.kuryr.start()

    @contextmanager
    def configured(self, **options: str | int) -> Iterator[None]:
        """Run kuryr-server with these options of [DEFAULT], which the lab itself must not set, within the block."""
        programs.configure(self.paths, options, self._registry)
        self.kuryr.start()
        try:
            yield
        finally:
            programs.configure(self.paths, dict.fromkeys(options), self._registry)
            self.kuryr.start()

    @contextmanager
    def with_conf(self, text: str) -> Iterator[None]:
        """Run kuryr-server with this kuryr.conf within the block."""
        file = self.paths.kuryr_conf
        before = file.read_text()
        file.write_text(text)
        self.kuryr.restart()
        try:
            yield
        finally:
            file.write_text(before)
            self.kuryr.restart()

    def environment(self, person: Person = people.ADMIN) -> dict[str, str]:
        """`person`: who the openstack command is."""
        # The docker command of dockerd's own package comes first.
        folders = [str(folder / "bin") for folder in (self._lab.venv, self._lab.neutron_venv) if folder.exists()]
        return {
            "DOCKER_HOST": f"unix://{self.paths.docker_socket}",
            "DOCKER_CONFIG": str(self.paths.state / "docker-cli"),
            **person.environment(),
            "OVS_RUNDIR": str(self.paths.ovs_run),
            "OVN_NB_DB": f"unix:{self._lab.nb_socket}",
            "OVN_SB_DB": f"unix:{self._lab.sb_socket}",
            "KURYR_LAB": self._lab.name,
            "KURYR_LAB_HOST": self.name,
            "PATH": ":".join(
                [str(self.paths.bin), "/usr/sbin", "/usr/bin", *folders, os.environ.get("PATH", "/sbin:/bin")]
            ),
        }

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` in this host, in the caller's working directory."""
        entered = self.place.enter(argv)
        return [entered[0], f"--wdns={Path.cwd()}", *entered[1:]]

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(self.enter(argv), env=self._process_environment(), text=True, **options)

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 120, stdin: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in this host; with `check` a failure is an error that shows what the command said."""
        result = subprocess.run(
            self.enter(argv),
            env=self._process_environment(),
            text=True,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        if check and result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            msg = f"{self.name}: {' '.join(argv)} ended with {result.returncode}: {said}"
            raise LabError(msg)
        return result

    def docker(self, *arguments: str, check: bool = True, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        return self.run(["docker", *arguments], check=check, timeout=timeout)

    def docker_inspect(self, thing: str) -> Any:
        """The one object that `docker inspect` shows for a container, network or image."""
        return json.loads(self.docker("inspect", thing).stdout)[0]

    def plugin(self, method: str, body: Mapping[str, Any] | None = None) -> Any:
        """A call of Docker's plugin protocol straight to this host's kuryr-server."""
        data = b"" if body is None else json.dumps(body).encode()
        return json.loads(http.call(http.unix(self.paths.plugin_socket), "POST", f"/{method}", data))

    def _process_environment(self) -> dict[str, str]:
        return {**clean_environment(), **self.environment()}


class Lab:
    def __init__(self, paths: LabPaths) -> None:
        self.paths = paths
        self.name = paths.name
        self.programs = lifecycle.registry_of(paths)
        self.hosts = {each.name: Host(paths, each, self.programs) for each in lifecycle.hosts_of(paths)}
        self.machines = sriov_api.machines(paths, self.programs)
        self._sessions: dict[Person, Session] = {}

    @property
    def backend(self) -> Backend:
        return lifecycle.backend_of(self.paths)

    @property
    def release(self) -> Release:
        return lifecycle.release_of(self.paths)

    def has_extension(self, alias: str) -> bool:
        """Whether Neutron lists this extension of its API."""
        return any(each["alias"] == alias for each in self.neutron("GET", "/v2.0/extensions")["extensions"])

    def machine(self, name: str = "s1") -> sriov_api.Machine:
        """An SR-IOV machine; `./dev up --sriov` starts it."""
        try:
            return self.machines[name]
        except KeyError:
            msg = f"the lab {self.name!r} has no SR-IOV machine {name!r}; run ./dev up --sriov --name {self.name}"
            raise LabError(msg) from None

    def host(self, name: str = "h1") -> Host:
        try:
            return self.hosts[name]
        except KeyError:
            msg = f"the lab {self.name!r} has no host {name!r}, only {', '.join(self.hosts)}"
            raise LabError(msg) from None

    def session(self, person: Person) -> Session:
        """Calls of Keystone and Neutron by somebody of `lab.people`."""
        return self._sessions.setdefault(person, openstack.session(self.paths.netns, person))

    def neutron(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call of Neutron's API by the admin, e.g. `neutron("GET", "/v2.0/ports?device_owner=kuryr:container")`."""
        return self.session(people.ADMIN).neutron(method, path, body)

    def neutron_log_position(self) -> int:
        return self.paths.neutron_access_log.stat().st_size

    def neutron_calls(self, since: int = 0) -> list[NeutronCall]:
        """The calls that others (kuryr-server, the openstack command) made since a position in the access log."""
        with self.paths.neutron_access_log.open("rb") as log:
            log.seek(since)
            calls = parsed_calls(log.read().decode(errors="replace"))
        return [call for call in calls if call.agent != "kuryr-lab"]

    def calls_with_labels(self, since: int) -> list[NeutronCall]:
        """The same, when Neutron has been told which container has a port that was made: that follows its start."""
        wait_for(lambda: _are_labelled(self.neutron_calls(since)), LABELLED)
        return self.neutron_calls(since)


def _are_labelled(calls: list[NeutronCall]) -> bool:
    made = any((call.method, call.uri) == ("POST", "/v2.0/ports") for call in calls)
    return not made or any(call.method == "PUT" and call.uri.startswith("/v2.0/ports/") for call in calls)


def parsed_calls(text: str) -> list[NeutronCall]:
    """The calls of an access log."""
    return [_parse(line) for line in text.splitlines()]


def _parse(line: str) -> NeutronCall:
    epoch, address, method, uri, status, milliseconds, agent = line.split("\t")
    return NeutronCall(int(epoch), address, method, uri, int(status), int(milliseconds), agent)
