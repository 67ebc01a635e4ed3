# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where everything of a lab is.

Files that are worth keeping (logs, data folders) are in ``<repo>/.dev/labs/<name>``. Sockets and process records are
in ``/run/kuryr-lab/<name>``: the path of a unix socket may not exceed 108 bytes, a check-out may be anywhere.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.errors import LabError

REPO = Path(__file__).resolve().parent.parent
RUN_ROOT = Path("/run/kuryr-lab")

# Management network: the APIs of Keystone and Neutron. Data network: geneve between the hosts, and the provider network
# physnet1.
CLOUD_ADDRESS = "172.31.250.1"
NEUTRON_PORT = 9696
KEYSTONE_PORT = 5000
ADMIN_PORT = 9697  # of kuryr-server, on the loopback address of each host
NEUTRON_URL = f"http://{CLOUD_ADDRESS}:{NEUTRON_PORT}"
KEYSTONE_URL = f"http://{CLOUD_ADDRESS}:{KEYSTONE_PORT}/v3"


@dataclass(frozen=True)
class HostPaths:
    lab: str
    name: str
    number: int
    state: Path
    run: Path

    @property
    def netns(self) -> str:
        return f"kl-{self.lab}-{self.name}"

    @property
    def cgroup(self) -> str:
        return self.netns

    @property
    def address(self) -> str:
        return f"172.31.250.{10 + self.number}"

    @property
    def tunnel_address(self) -> str:
        return f"172.31.251.{10 + self.number}"

    @property
    def ovs_run(self) -> Path:
        return self.run / "ovs"

    @property
    def ovsdb_socket(self) -> Path:
        return self.ovs_run / "db.sock"

    @property
    def docker_socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def admin_socket(self) -> Path:
        return self.run / "admin.sock"

    @property
    def engine_file(self) -> Path:
        """Which Docker Engine the host has."""
        return self.run / "engine.json"

    @property
    def bin(self) -> Path:
        """Commands that stand before the machine's own."""
        return self.run / "bin"

    @property
    def plugin_socket(self) -> Path:
        """kuryr.sock as seen from outside of the host's mount namespace."""
        return self.run / "run-docker" / "plugins" / "kuryr.sock"

    @property
    def kuryr_conf(self) -> Path:
        return self.state / "kuryr.conf"

    @property
    def kuryr_state(self) -> Path:
        return self.state / "kuryr"


@dataclass(frozen=True)
class LabPaths:
    name: str
    repo: Path = REPO

    def __post_init__(self) -> None:
        # "x-h1" is refused because the namespace of the cloud of "x-h1" would be that of the first host of "x".
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,19}", self.name) or re.search(r"-h\d+$", self.name):
            msg = f"{self.name!r} is no name for a lab: up to 20 of a-z, 0-9 and -, not ending in -h<number>"
            raise LabError(msg)

    @cached_property
    def dev(self) -> Path:
        return self.repo / ".dev"

    @cached_property
    def state(self) -> Path:
        return self.dev / "labs" / self.name

    @cached_property
    def run(self) -> Path:
        return RUN_ROOT / self.name

    @cached_property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def netns(self) -> str:
        return f"kl-{self.name}"

    @property
    def lock(self) -> Path:
        return RUN_ROOT / f"{self.name}.lock"

    @property
    def cache(self) -> Path:
        return self.dev / "cache"

    @property
    def venv(self) -> Path:
        return self.dev / "venv"

    @property
    def neutron_venv(self) -> Path:
        return self.dev / "neutron"

    @property
    def kuryr_server(self) -> Path:
        return self.venv / "bin" / "kuryr-server"

    @property
    def mysql_socket(self) -> Path:
        return self.run / "mysql.sock"

    @property
    def ovn_run(self) -> Path:
        return self.run / "ovn"

    @property
    def nb_socket(self) -> Path:
        return self.ovn_run / "ovnnb_db.sock"

    @property
    def sb_socket(self) -> Path:
        return self.ovn_run / "ovnsb_db.sock"

    @property
    def neutron_conf(self) -> Path:
        return self.state / "neutron" / "neutron.conf"

    @property
    def neutron_access_log(self) -> Path:
        return self.logs / "neutron-access.log"

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def host(self, number: int) -> HostPaths:
        name = f"h{number}"
        return HostPaths(self.name, name, number, self.state / name, self.run / name)
