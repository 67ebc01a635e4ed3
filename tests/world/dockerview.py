# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker itself knows of its networks and containers, for :mod:`tests.world.dockerside`."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


def new_id() -> str:
    return secrets.token_hex(32)


@dataclass
class Pool:
    pool_id: str
    cidr: str
    gateway: str
    v6: bool
    aux: dict[str, str] = field(default_factory=dict)

    def holds(self, ip: str) -> bool:
        return ipaddress.ip_address(ip) in ipaddress.ip_network(self.cidr)

    @property
    def data(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"AddressSpace": "no_address_space", "Pool": self.cidr}
        if self.gateway:
            shown["Gateway"] = self.gateway
        if self.aux:
            shown["AuxAddresses"] = self.aux
        return shown


@dataclass
class DockerNetwork:
    network_id: str
    pools: list[Pool]
    internal: bool = False
    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def pool(self, *, v6: bool, ip: str = "") -> Pool | None:
        """The pool to request an address from: with ``--ip`` the one that contains it, else the family's first."""
        able = [pool for pool in self.pools if pool.v6 is v6]
        return next((pool for pool in able if ip and pool.holds(ip)), able[0] if able else None)


@dataclass(frozen=True)
class Wish:
    """What the user asks for one endpoint. ``no_ipv6``: a sysctl turns IPv6 off in the container."""

    ip: str = ""
    ip6: str = ""
    mac: str = ""
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    expose: Sequence[tuple[int, int]] = ()
    publish: Sequence[tuple[int, int]] = ()
    no_ipv6: bool = False

    @property
    def labels(self) -> dict[str, Any]:
        """What the engine says of ``--expose`` and ``-p``: pairs of IP protocol and port."""
        exposed = [{"Proto": proto, "Port": port} for proto, port in (*self.expose, *self.publish)]
        mapped = [
            {"Proto": proto, "IP": "", "Port": port, "HostIP": "", "HostPort": port + 8000, "HostPortEnd": port + 8000}
            for proto, port in self.publish
        ]
        return {"com.docker.network.endpoint.exposedports": exposed, "com.docker.network.portmap": mapped}


@dataclass(eq=False)
class Sandbox:
    """A container's network namespace, and the endpoint that is its gateway.

    ``ports_taken``: an endpoint on a bridge of Docker's own has published the container's ports already. ``live``: the
    container runs.
    """

    key: str = field(default_factory=lambda: f"/var/run/docker/netns/{secrets.token_hex(6)}")
    endpoints: list[Container] = field(default_factory=list)
    gateway: Container | None = None
    ports_taken: bool = False
    live: bool = False


@dataclass(eq=False)
class Container:
    """A container on one network: its endpoint, and what the container got from it."""

    network: DockerNetwork
    endpoint_id: str
    wish: Wish = field(default_factory=Wish)
    sandbox: Sandbox = field(default_factory=Sandbox, repr=False)
    addresses: dict[str, str] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict, repr=False)
    mac: str = ""
    interface: dict[str, str] = field(default_factory=dict)
    gateway: str = ""
    gateway_v6: str = ""
    routes: list[dict[str, Any]] = field(default_factory=list)
    disable_gateway_service: bool = False
    index: int = 0

    @property
    def ip(self) -> str:
        return self.addresses.get("v4", "").partition("/")[0]

    @property
    def ip6(self) -> str:
        return self.addresses.get("v6", "").partition("/")[0]

    @property
    def ids(self) -> dict[str, Any]:
        return {"NetworkID": self.network.network_id, "EndpointID": self.endpoint_id}
