# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`./dev demo`: shows the main use case to a newcomer, and leaves it running to play with."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import SubprocessError

from lab import api, lifecycle
from lab.demo import cloud as demo_cloud
from lab.demo.cloud import CIDR, NET, OFFICE, OFFICE_CIDR, RESERVED, RESERVED_ADDRESS
from lab.demo.show import DIM, GREEN, command, heading, line, paint, paragraph, show_calls, show_table
from lab.errors import LabError
from lab.paths import ADMIN_PORT, LabPaths
from lab.process import wait_for
from lab.progress import say

CREATE = ("network", "create", "-d", "kuryr", "--ipam-driver=kuryr", f"--subnet={CIDR}")
WEB, CLIENT = "demo-web", "demo-client"


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    story: Story | None = None
    try:
        story = Story(LabPaths(arguments.name), arguments.hosts)
        story.tell()
    except (LabError, OSError, SubprocessError) as error:
        where = f"; see {_relative(story.log)}" if story and ".log" not in str(error) else ""
        step = f"{story.step} failed: " if story else ""
        print(f"demo: {step}{_one_line(error)}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev demo", description="containers on Neutron networks, in a lab")
    parser.add_argument("--name", default="demo", help="name of the lab (default: demo)")
    parser.add_argument("--hosts", type=int, choices=range(1, 10), default=1, metavar="N", help="Docker hosts")
    return parser


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _relative(path: Path) -> str:
    return os.path.relpath(path)


@dataclass
class Taken:
    """What one step took."""

    what: str
    seconds: float
    neutron: float
    calls: int


@dataclass
class Story:
    """One run of the demo; `step` and `log` tell where it was if it fails."""

    paths: LabPaths
    hosts: int
    step: str = "starting"
    taken: list[Taken] = field(default_factory=list)
    number: int = 0
    fresh: bool = False

    @property
    def log(self) -> Path:
        kuryr = self.paths.log("h1-kuryr")
        return kuryr if kuryr.exists() else self.paths.logs

    def tell(self) -> None:
        say("kuryr-libnetwork: Docker containers on the networks of an OpenStack Neutron")
        lab = self.start_lab()
        self.start_service(lab)
        self.run_containers(lab)
        self.show_what_is_what(lab)
        self.show_times()
        self.show_state(lab)
        self.tell_how_to_play(lab)

    def begin(self, what: str, words: str = "") -> None:
        self.number += 1
        self.step = f"step {self.number} ({what})"
        heading(f"{self.number}. {what}")
        if words:
            command(words)

    # -- the lab -----------------------------------------------------------------------------------------------------

    def start_lab(self) -> api.Lab:
        self.begin(f"Start a cloud in a box, the lab {self.paths.name!r}: Keystone, Neutron, OVN, Open vSwitch, Docker")
        begin = time.monotonic()
        running = lifecycle.status(self.paths)
        if running and all(running.values()) and len(lifecycle.hosts_of(self.paths)) >= self.hosts:
            line("it is running already")
        else:
            lifecycle.up(self.paths, self.hosts, with_kuryr=False)
            self.fresh = not running
            self.taken.append(Taken("start the lab", time.monotonic() - begin, 0, 0))
        return api.connect(self.paths.name)

    def start_service(self, lab: api.Lab) -> None:
        self.begin("Start kuryr-server, the network driver 'kuryr' of Docker")
        for host in reversed(lab.hosts.values()):  # h1, which made the network, is the last to leave it
            host.kuryr.start()
            removed = demo_cloud.clean(host)
            if removed:
                line(f"{host.name}: removed what the last demo left: {removed} containers and networks")
        for host in lab.hosts.values():
            host.kuryr.stop()
            since = lab.neutron_log_position()
            begin = time.monotonic()
            host.kuryr.start()
            seconds = time.monotonic() - begin
            _wait_for_background(lab, since)
            line(f"{host.name}: first answer to Docker {seconds:.2f} s after its start")
            self.taken.append(Taken(f"start kuryr-server{_on(host)}", seconds, 0, 0))

    # -- the main job ------------------------------------------------------------------------------------------------

    def run_containers(self, lab: api.Lab) -> None:
        host = lab.host()
        self.docker(lab, host, "A Docker network, made as a network of Neutron", *CREATE, NET)
        self.docker(lab, host, "A container on it, with a port of Neutron", *_run(WEB))
        self.docker(lab, host, "Another one", *_run(CLIENT))
        self.ping(lab, host, CLIENT, WEB)
        for other in list(lab.hosts.values())[1 : self.hosts]:
            self.join_from(lab, other)

    def join_from(self, lab: api.Lab, host: api.Host) -> None:
        """The same Neutron network on another Docker host."""
        uuid = demo_cloud.neutron_network_id(lab, lab.host())
        create = (*CREATE, f"--opt=neutron.net.uuid={uuid}", NET)
        self.docker(lab, host, f"The same Neutron network on another Docker host, {host.name}", *create)
        container = f"demo-{host.name}"
        self.docker(lab, host, f"A container on {host.name}", *_run(container))
        self.ping(lab, host, container, demo_cloud.address_of(lab.host(), WEB))

    def docker(self, lab: api.Lab, host: api.Host, what: str, *words: str) -> str:
        self.begin(what, f"docker {' '.join(words)}")
        position = lab.neutron_log_position()
        begin = time.monotonic()
        done = host.docker(*words, check=False)
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            said = [text for text in (done.stderr or done.stdout).splitlines() if not text.startswith("See 'docker")]
            raise LabError(" ".join(said) or f"exit code {done.returncode}")
        calls = lab.calls_with_labels(position)
        neutron = sum(call.milliseconds for call in calls) / 1000
        if calls:
            line(f"{seconds:.2f} s, of these {neutron:.2f} s in {len(calls)} calls of Neutron's API:")
            show_calls(calls)
        self.taken.append(Taken(_short(words) + _on(host), seconds, neutron, len(calls)))
        return done.stdout

    def ping(self, lab: api.Lab, host: api.Host, container: str, target: str) -> None:
        what = "They reach each other" if target == WEB else "They reach each other across the hosts"
        said = self.docker(lab, host, what, "exec", container, "ping", "-c", "3", "-w", "10", target)
        line("\n".join(text for text in said.splitlines() if text), DIM)

    # -- what happened -----------------------------------------------------------------------------------------------

    def show_what_is_what(self, lab: api.Lab) -> None:
        self.step = "the question what is what"
        heading("What is what")
        rows = demo_cloud.network_facts(lab, lab.host())
        show_table(["in Docker", "in Neutron", "id in Neutron", ""], rows)
        say("")
        hosts = list(lab.hosts.values())[: self.hosts]
        all_containers = [(hosts[0], WEB), (hosts[0], CLIENT), *((host, f"demo-{host.name}") for host in hosts[1:])]
        containers = [demo_cloud.container_facts(lab, host, name) for host, name in all_containers]
        show_table(["container", "address", "MAC", "port in Neutron", "status"], [row[:-1] for row in containers])
        say("")
        paragraph(f"Their other ends are in Open vSwitch's bridge br-int: {', '.join(row[-1] for row in containers)}")

    def show_times(self) -> None:
        heading("How long it took")
        rows = [
            [each.what, f"{each.seconds:.2f} s", f"{each.neutron:.2f} s" if each.calls else "", str(each.calls or "")]
            for each in self.taken
        ]
        show_table(["step", "time", "of it Neutron", "calls"], rows, right=[1, 2, 3])
        if self.fresh:
            line("(The first calls of a Neutron just started are slow; the next ./dev demo shows its usual pace.)", DIM)

    def show_state(self, lab: api.Lab) -> None:
        """What an operator of the first host sees."""
        self.step = "the question how the service is"
        heading("How the service is")
        host = lab.host()
        status = [str(self.paths.venv / "bin" / "kuryr"), "--config-file", str(host.paths.kuryr_conf), "status"]
        # Its first look at everything may take a moment longer than the containers did.
        wait_for(lambda: host.run(status, check=False).returncode == 0, 30)
        done = host.run(status, check=False)
        command("kuryr status")
        line((done.stdout or done.stderr).rstrip())
        address = f"http://127.0.0.1:{ADMIN_PORT}"
        paragraph(f"More for operators, inside the host: kuryr top, kuryr doctor, and {address}/metrics for Prometheus")

    def tell_how_to_play(self, lab: api.Lab) -> None:
        self.step = "the network to play with"
        office = demo_cloud.prepare_office(lab)
        name = self.paths.name
        heading("Now you: all of it is still running")
        line(f"{paint(f'./dev shell --name {name}', GREEN)}   opens a shell in the Docker host; in it, for example:")
        _try(
            "what Neutron and Open vSwitch see",
            "openstack port list",
            "ovs-vsctl show",
        )
        _try(
            f"use a network that somebody made in Neutron: {OFFICE!r}, {OFFICE_CIDR}",
            "docker network create -d kuryr --ipam-driver=kuryr \\",
            f"    --subnet={OFFICE_CIDR} -o neutron.net.uuid={office.network_id} {OFFICE}",
        )
        _try(
            f"adopt its waiting port {RESERVED!r}: the container gets the port's MAC, {office.port_mac}",
            f"docker run --rm --net {OFFICE} --ip {RESERVED_ADDRESS} busybox ip addr show eth0",
        )
        say("")
        command, conf = self.paths.venv / "bin" / "kuryr", lab.host("h1").paths.kuryr_conf
        page = f"{_relative(command)} --config-file {_relative(conf)} page"
        line(f"Who is wired where:      {paint(page, GREEN)}   (in a browser)")
        line(f"The log of kuryr-server: {_relative(self.paths.log('h1-kuryr'))}")
        line(f"Run the demo again:      {paint(_again('demo', name), GREEN)}")
        line(f"Stop it:                 {paint(f'./dev down --name {name}', GREEN)}")


def _wait_for_background(lab: api.Lab, since: int) -> None:
    """Wait for the service's first look at Neutron, so that the calls counted afterwards belong to the steps."""
    wait_for(lambda: any("name=kuryr-unbound-port" in call.uri for call in lab.neutron_calls(since)), 15)


def _on(host: api.Host) -> str:
    return "" if host.name == "h1" else f" on {host.name}"


def _run(container: str) -> tuple[str, ...]:
    return ("run", "-d", "--name", container, "--net", NET, "busybox")


def _short(command: Sequence[str]) -> str:
    if command[0] == "run":
        return f"docker run {command[3]}"
    return f"docker {command[0]} {command[1]}" if command[0] == "network" else "three pings"


def _try(why: str, *commands: str) -> None:
    say("")
    line(f"   # {why}", DIM)
    for each in commands:
        line(f"   {paint(each, GREEN)}")


def _again(verb: str, name: str) -> str:
    return f"./dev {verb}" + ("" if name == verb else f" --name {name}")


if __name__ == "__main__":
    sys.exit(main())
