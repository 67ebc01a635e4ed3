# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A Docker host with the service as its units run it: Open vSwitch and the kernel are real, Docker and Neutron are
played.
"""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kuryr_libnetwork.host.namespaces import run_inside
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront
from tests.systemd.machine import CHECKOUT, Machine, booted
from tests.world.dockerside import Container, Docker
from tests.world.dockerview import Sandbox

UNITS = CHECKOUT / "etc" / "systemd"
SERVICE, SOCKET = "kuryr-libnetwork.service", "kuryr-libnetwork.socket"
CONF = "/etc/kuryr/kuryr.conf"
# In linux/capability.h.
CAPABILITIES = {
    name: number
    for number, name in enumerate(
        [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETPCAP",
            "CAP_LINUX_IMMUTABLE",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_BROADCAST",
            "CAP_NET_ADMIN",
            "CAP_NET_RAW",
            "CAP_IPC_LOCK",
            "CAP_IPC_OWNER",
            "CAP_SYS_MODULE",
            "CAP_SYS_RAWIO",
            "CAP_SYS_CHROOT",
            "CAP_SYS_PTRACE",
            "CAP_SYS_PACCT",
            "CAP_SYS_ADMIN",
            "CAP_SYS_BOOT",
            "CAP_SYS_NICE",
            "CAP_SYS_RESOURCE",
            "CAP_SYS_TIME",
            "CAP_SYS_TTY_CONFIG",
            "CAP_MKNOD",
            "CAP_LEASE",
            "CAP_AUDIT_WRITE",
            "CAP_AUDIT_CONTROL",
            "CAP_SETFCAP",
            "CAP_MAC_OVERRIDE",
            "CAP_MAC_ADMIN",
            "CAP_SYSLOG",
            "CAP_WAKE_ALARM",
            "CAP_BLOCK_SUSPEND",
            "CAP_AUDIT_READ",
            "CAP_PERFMON",
            "CAP_BPF",
            "CAP_CHECKPOINT_RESTORE",
        ]
    )
}
_PROGRAM = "kuryr-program.service"
_NOT_FOR_PROGRAMS = ("Requires=", "Before=", "After=", "Type=", "ExecStart=", "Restart", "StartLimit")
_UNIT_FOLDER = "/etc/systemd/system"
_OVS = """\
[Unit]
Description={name} of the tests, without the kernel's datapath
[Service]
{before}ExecStart={command} --unixctl=/run/openvswitch/{name}.ctl -vconsole:warn
RuntimeDirectory=openvswitch
RuntimeDirectoryPreserve=yes
StateDirectory=openvswitch
"""
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_DATABASE = "/var/lib/openvswitch/conf.db"
_OVSDB = "/run/openvswitch/db.sock"


class World:
    def __init__(self, machine: Machine, front: NeutronFront) -> None:
        self.machine = machine
        self.neutron: FakeNeutron = front.fake
        self.front = front

    @property
    def docker(self) -> Docker:
        """Docker's calls come through systemd's socket."""
        return Docker(self.machine.root / "run/docker/plugins/kuryr.sock")

    def configure(self, more: str = "") -> None:
        """Write kuryr.conf; ``more`` stands at the end of ``[DEFAULT]``."""
        text = (
            f"[DEFAULT]\nhost = h1\ndocker_socket =\n{more}\n"
            f"[neutron]\nauth_type = none\nendpoint = {self.front.url}\n"
            f"[ovs]\novsdb_connection = unix:{_OVSDB}\n"
        )
        self.machine.write(CONF, text, 0o600)

    def state(self, unit: str) -> str:
        return self.machine.show(unit, "ActiveState")

    def reset(self) -> None:
        """The state after boot, with a valid configuration; networks and containers of earlier tests are kept."""
        self.machine.drop_in(SERVICE, "")
        self.configure()
        self.machine.systemctl("reset-failed")
        self.machine.systemctl("start", SOCKET)
        self.machine.systemctl("restart", SERVICE)

    def run_in_sandbox(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A program in place of the service, in the same sandbox; answers its exit code and what it wrote."""
        unit = self.machine.systemctl("cat", SERVICE)
        kept = [line for line in unit.splitlines() if not line.startswith(_NOT_FOR_PROGRAMS)]
        own = [f"[Service]\nType=oneshot\nEnvironment=PYTHONPATH={CHECKOUT}\nExecStart={shlex.join(words)}\n"]
        self.machine.write(f"{_UNIT_FOLDER}/{_PROGRAM}", "\n".join(kept + own))
        self.machine.systemctl("daemon-reload")
        done = self.machine.try_run("systemctl", "start", _PROGRAM)
        invocation = self.machine.show(_PROGRAM, "InvocationID")
        said = self.machine.journal(_PROGRAM, f"_SYSTEMD_INVOCATION_ID={invocation}")
        return subprocess.CompletedProcess(words, done.returncode, "\n".join(said), "")

    def sandbox(self) -> Sandbox:
        """A container's network namespace where Docker has it, made after the service was started."""
        key = f"/run/docker/netns/{secrets.token_hex(6)}"
        self.machine.run("sh", "-c", 'mkdir -p "${1%/*}" && : >"$1" && unshare --net="$1" true', "sh", key)
        return Sandbox(key=key)

    def move(self, container: Container) -> None:
        """What Docker does with the interface that Join names."""
        self.machine.run("ip", "link", "set", container.interface["SrcName"], "netns", container.sandbox.key)

    def links_of(self, container: Container) -> list[dict[str, Any]]:
        """The interfaces of a container's namespace, without its loopback."""
        found = self.machine.run("nsenter", f"--net={container.sandbox.key}", "ip", "-json", "link")
        return [link for link in json.loads(found) if link["ifname"] != "lo"]

    def leftovers(self) -> list[str]:
        """What the service has made on the host and not taken away."""
        links = json.loads(self.machine.run("ip", "-json", "link"))
        return [link["ifname"] for link in links if link["ifname"].startswith(("tap", "t_c", "q", "brq"))]

    def last_fed(self) -> float:
        """When the service fed its watchdog last, in seconds of the machine's monotonic clock."""
        return int(self.machine.show(SERVICE, "WatchdogTimestampMonotonic")) / 1e6

    def main_pid(self) -> int:
        """The process id inside the machine."""
        return int(self.machine.show(SERVICE, "MainPID"))

    def status_of(self, pid: int) -> dict[str, str]:
        lines = self.machine.read(f"/proc/{pid}/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def capabilities(self) -> set[str]:
        """The capabilities that the service, or anything that it starts, can have at most."""
        bits = int(self.status_of(self.main_pid())["CapBnd"], 16)
        return {name for name, number in CAPABILITIES.items() if bits >> number & 1}

    def journal(self, *words: str) -> list[str]:
        """What the service has written since it was started last."""
        invocation = self.machine.show(SERVICE, "InvocationID")
        return self.machine.journal(SERVICE, f"_SYSTEMD_INVOCATION_ID={invocation}", *words)

    def start_ovs(self) -> None:
        create = f"ExecStartPre=ovsdb-tool create {_DATABASE} {_SCHEMA}\n"
        self._add_ovs("ovsdb-server", f"/usr/sbin/ovsdb-server {_DATABASE} --remote=punix:{_OVSDB}", create)
        self._add_ovs("ovs-vswitchd", f"/usr/sbin/ovs-vswitchd unix:{_OVSDB}")
        self.machine.systemctl("daemon-reload")
        self.machine.systemctl("start", "ovsdb-server.service", "ovs-vswitchd.service")
        bridge = ["--", "set", "bridge", "br-int", "datapath_type=netdev"]
        self.machine.run("ovs-vsctl", "--retry", "--timeout=30", "--no-wait", "init")
        self.machine.run("ovs-vsctl", "--timeout=30", "add-br", "br-int", *bridge)

    def _add_ovs(self, name: str, command: str, before: str = "") -> None:
        text = _OVS.format(name=name, command=command, before=before)
        self.machine.write(f"{_UNIT_FOLDER}/{name}.service", text)


@contextmanager
def running(folder: Path) -> Iterator[World]:
    """The units as they are shipped, enabled and started as the README says."""
    units = [(f"{_UNIT_FOLDER}/{unit.name}", unit.read_text()) for unit in UNITS.iterdir() if unit.is_file()]
    with booted(folder, units) as machine, cloud_of(machine) as world:
        world.configure()
        machine.systemctl("enable", "--now", SOCKET, SERVICE)
        yield world


@contextmanager
def without_the_service(folder: Path) -> Iterator[World]:
    """A host with Open vSwitch, and Neutron, on which nothing of the service is installed."""
    with booted(folder, installed=False) as machine, cloud_of(machine) as world:
        yield world


@contextmanager
def cloud_of(machine: Machine) -> Iterator[World]:
    """Open vSwitch and Neutron for a machine; the service is not configured yet."""
    front = NeutronFront(FakeNeutron(hosts=["h1"]))
    run_inside(machine.netns, front.__enter__)  # listens in the machine, answers from here
    try:
        world = World(machine, front)
        world.start_ovs()
        yield world
    finally:
        front.__exit__(None, None, None)
