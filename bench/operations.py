# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker commands on a lab's host: timed, and with the Neutron calls that each one made."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from lab.api import Host, Lab, NeutronCall
from lab.errors import LabError
from lab.people import TENANT_MEMBER

PREFIX = "bench-"
BACKGROUND = (
    "/v2.0/subnets?id=",
    "/v2.0/ports?name=kuryr-unbound-port",
    "/v2.0/ports?device_owner=compute:kuryr&binding",
    "/v2.0/ports?binding:host_id=",
    "/v2.0/quotas/",
    "/v2.0/agents",
    "/v2.0/qos/policies",
)
"""The calls of the reconciler's round, once a minute whatever Docker does."""
LABELS = "/v2.0/ports/"


@dataclass(frozen=True)
class Timed:
    seconds: float
    calls: list[NeutronCall]

    @property
    def neutron(self) -> float:
        """Seconds of the calls that Docker waited for: a port's labels are written beside the container's start."""
        waited = [call for call in self.calls if not (call.method == "PUT" and call.uri.startswith(LABELS))]
        return sum(call.milliseconds for call in waited) / 1000


def is_background(call: NeutronCall) -> bool:
    return unquote(call.uri).startswith(BACKGROUND)


class Bench:
    """Shared by all measurements: a lab, its one host, and names that can be cleaned up."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host: Host = lab.host()

    def docker(self, *arguments: str) -> Timed:
        position = self.lab.neutron_log_position()
        begin = time.monotonic()
        self.host.docker(*arguments)
        seconds = time.monotonic() - begin
        calls = [call for call in self.lab.calls_with_labels(position) if not is_background(call)]
        return Timed(seconds, calls)

    def create(self, driver: str, name: str, *arguments: str) -> Timed:
        ipam = [] if driver == "bridge" else [f"--ipam-driver={driver}"]
        return self.docker("network", "create", "-d", driver, *ipam, *arguments, PREFIX + name)

    def remove_network(self, name: str) -> Timed:
        return self.docker("network", "rm", PREFIX + name)

    def run(self, network: str, name: str, *arguments: str, command: Sequence[str] = ()) -> Timed:
        """``network`` "none" is Docker's own."""
        where = network if network == "none" else PREFIX + network
        return self.docker("run", "-d", "--name", PREFIX + name, "--net", where, *arguments, "busybox", *command)

    def rm(self, *names: str) -> Timed:
        return self.docker("rm", "-f", *(PREFIX + name for name in names))

    def run_together(self, network: str, names: list[str]) -> float:
        """One ``docker run`` for each name, all at once; the seconds until the last has ended."""
        begin = time.monotonic()
        started = [
            self.host.popen(
                ["docker", "run", "-d", "--name", PREFIX + name, "--net", PREFIX + network, "busybox"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for name in names
        ]
        errors = [process.communicate(timeout=200)[1] for process in started]
        failed = [error for process, error in zip(started, errors, strict=True) if process.returncode]
        if failed:
            msg = f"{len(failed)} of {len(names)} x docker run failed: {failed[0].strip()}"
            raise LabError(msg)
        return time.monotonic() - begin

    # -- Neutron ---------------------------------------------------------------------------------------------------

    @contextmanager
    def tenant_network(self, cidr: str, address: str) -> Iterator[str]:
        """Create another user's network, with one port prepared at ``address``; answers the network's id."""
        network = self._post("network", name="bench-tenant")
        try:
            subnet = self._post("subnet", network_id=network, cidr=cidr, ip_version=4)
            self._post("port", network_id=network, fixed_ips=[{"subnet_id": subnet, "ip_address": address}])
            yield network
        finally:
            for port in self.lab.neutron("GET", f"/v2.0/ports?network_id={network}&device_owner=")["ports"]:
                self.lab.neutron("DELETE", f"/v2.0/ports/{port['id']}")
            self.lab.neutron("DELETE", f"/v2.0/networks/{network}")

    def _post(self, kind: str, **attributes: Any) -> str:
        return str(self.lab.session(TENANT_MEMBER).neutron("POST", f"/v2.0/{kind}s", {kind: attributes})[kind]["id"])
