# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's side of the plugin protocol, as Docker's own client speaks it (docker-plugin-protocol §1.3 to 1.5, §2.2, §2.5).

:class:`PluginClient` sends one call as the Go client does; :class:`Docker` replays what an engine of a given version calls
for ``network create``, ``run``, ``rm`` and ``network rm``, with its clean-up after a failure, and keeps its view of
networks and endpoints, so that a test reads as a story.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GENERIC = "com.docker.network.generic"
GATEWAY = {"RequestAddressType": "com.docker.network.gateway"}


class PluginError(Exception):
    """What Docker shows its user: the plugin's message."""

    def __init__(self, method: str, message: str, status: int) -> None:
        super().__init__(f"{method}: {message}")
        self.message = message
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("plugin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class PluginClient:
    """One call each on a connection of its own; ``host`` is "" as engines before 23.0.7 send it."""

    def __init__(self, path: Path, host: str = "plugin.moby.localhost", timeout: float = 30) -> None:
        self._path = path
        self._host = host
        self._timeout = timeout

    def raw(self, method: str, body: bytes, verb: str = "POST") -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of one request."""
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.putrequest(verb, f"/{method}", skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self._host)
            connection.putheader("User-Agent", "Go-http-client/1.1")
            connection.putheader("Content-Length", str(len(body)))
            connection.putheader("Accept", "application/vnd.docker.plugins.v1.2+json")
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def call(self, method: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call with Docker's reading of the answer; raises :class:`PluginError`."""
        body = b"" if arguments is None else json.dumps(arguments).encode() + b"\n"
        status, _, text = self.raw(method, body)
        if status != 200:
            try:
                message = json.loads(text)["Err"]
            except (ValueError, KeyError):
                message = text.decode(errors="replace")
            raise PluginError(method, message, status)
        if not text:
            raise PluginError(method, "EOF", status)
        answer: dict[str, Any] = json.loads(text) or {}
        message = answer.get("Err" if method.startswith("NetworkDriver") else "Error")
        if message:
            raise PluginError(method, f"remote: {message}", status)
        return answer


@dataclass
class Pool:
    pool_id: str
    cidr: str
    gateway: str
    v6: bool
    aux: dict[str, str] = field(default_factory=dict)

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

    def pool(self, *, v6: bool) -> Pool | None:
        return next((pool for pool in self.pools if pool.v6 is v6), None)


@dataclass
class Container:
    """What the container got."""

    network: DockerNetwork
    endpoint_id: str
    addresses: dict[str, str]
    mac: str
    interface: dict[str, str]
    gateway: str
    gateway_v6: str
    routes: list[dict[str, Any]]
    disable_gateway_service: bool

    @property
    def ip(self) -> str:
        return self.addresses.get("v4", "").partition("/")[0]

    @property
    def ip6(self) -> str:
        return self.addresses.get("v6", "").partition("/")[0]


def new_id() -> str:
    return secrets.token_hex(32)


class Docker:
    """An engine; ``version`` is its major number (20 … 29)."""

    def __init__(self, path: Path, version: int = 28) -> None:
        self.version = version
        self.client = PluginClient(path, host="" if version < 23 else "plugin.moby.localhost")
        self.log: list[str] = []

    def activate(self) -> dict[str, Any]:
        answer = self._call("Plugin.Activate")
        self._call("NetworkDriver.GetCapabilities")
        self._call("IpamDriver.GetCapabilities")
        return answer

    # -- networks --------------------------------------------------------------------------------------------------

    def network_create(
        self,
        subnet: str | None = "10.1.0.0/24",
        *,
        subnet_v6: str | None = None,
        gateway: str = "",
        gateway_v6: str = "",
        aux: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        ipam_options: Mapping[str, str] | None = None,
        internal: bool = False,
        ipv4: bool = True,
    ) -> DockerNetwork:
        """``docker network create``; after a failure the releases that the engine sends, and the error."""
        wanted = [(subnet or "", gateway, False)] if ipv4 else []
        wanted += [(subnet_v6, gateway_v6, True)] if subnet_v6 is not None else []
        shown: dict[str, Any] = {GENERIC: dict(options or {}), "com.docker.network.enable_ipv6": subnet_v6 is not None}
        if internal:
            shown["com.docker.network.internal"] = True
        if self.version >= 28:
            shown["com.docker.network.enable_ipv4"] = ipv4
            self._call("NetworkDriver.GwAllocCheck", {"Options": shown})
        self._call("IpamDriver.GetDefaultAddressSpaces")
        network = DockerNetwork(new_id(), [], internal)
        try:
            for cidr, asked, v6 in wanted:
                network.pools.append(self._pool(cidr, asked, v6, {} if v6 else aux or {}, ipam_options))
            self._call(
                "NetworkDriver.CreateNetwork",
                {
                    "NetworkID": network.network_id,
                    "Options": shown,
                    "IPv4Data": [pool.data for pool in network.pools if not pool.v6],
                    "IPv6Data": [pool.data for pool in network.pools if pool.v6],
                },
            )
        except PluginError:
            self._release_pools(network)
            raise
        return network

    def _pool(self, cidr: str, asked: str, v6: bool, aux: Mapping[str, str], options: Mapping[str, str] | None) -> Pool:
        if self.version >= 27:
            self._call("IpamDriver.GetDefaultAddressSpaces")
        request = {"AddressSpace": "no_address_space", "Pool": cidr, "SubPool": "", "Options": options, "V6": v6}
        answer = self._call("IpamDriver.RequestPool", request)
        pool = Pool(answer["PoolID"], answer["Pool"], "", v6)
        try:
            gateway = {"PoolID": pool.pool_id, "Address": asked, "Options": GATEWAY}
            pool.gateway = self._call("IpamDriver.RequestAddress", gateway)["Address"]
            for name, address in aux.items():
                request = {"PoolID": pool.pool_id, "Address": address, "Options": None}
                pool.aux[name] = self._call("IpamDriver.RequestAddress", request)["Address"]
        except PluginError:
            self._quietly("IpamDriver.ReleasePool", {"PoolID": pool.pool_id})
            raise
        return pool

    def network_rm(self, network: DockerNetwork) -> None:
        """``docker network rm``: addresses and pools go first; errors are only logged."""
        self._release_pools(network)
        self._quietly("NetworkDriver.DeleteNetwork", {"NetworkID": network.network_id})

    def _release_pools(self, network: DockerNetwork) -> None:
        for pool in network.pools:
            for address in [pool.gateway, *pool.aux.values()]:
                if address:
                    ip = address.partition("/")[0]
                    self._quietly("IpamDriver.ReleaseAddress", {"PoolID": pool.pool_id, "Address": ip})
            self._quietly("IpamDriver.ReleasePool", {"PoolID": pool.pool_id})

    # -- containers ------------------------------------------------------------------------------------------------

    def run(
        self,
        network: DockerNetwork,
        *,
        ip: str = "",
        ip6: str = "",
        mac: str = "",
        name: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> Container:
        """``docker run --network``: addresses, endpoint, join; after a failure what the engine undoes, and the error."""
        endpoint_id = new_id()
        got: dict[str, tuple[Pool, str]] = {}
        for family, asked in (("v4", ip), ("v6", ip6)):  # after a failure of the second, the first is never released
            pool = network.pool(v6=family == "v6")
            if pool is not None:
                got[family] = (pool, self._address(pool, asked, name))
        addresses = {family: address for family, (_, address) in got.items()}
        try:
            answered = self._create_endpoint(network, endpoint_id, addresses, mac, options)
        except PluginError:
            self._release(got)
            raise
        try:
            joined = self._join(network, endpoint_id)
        except PluginError:
            if self.version >= 29:
                self._quietly("NetworkDriver.Leave", self._ids(network, endpoint_id))
            self._quietly("NetworkDriver.DeleteEndpoint", self._ids(network, endpoint_id))
            self._release(got)
            raise
        if joined.get("Gateway"):
            ids = self._ids(network, endpoint_id)
            self._call("NetworkDriver.ProgramExternalConnectivity", ids | {"Options": {}})
        self._call("NetworkDriver.EndpointOperInfo", self._ids(network, endpoint_id))
        return Container(
            network=network,
            endpoint_id=endpoint_id,
            addresses=addresses,
            mac=mac or answered.get("MacAddress", ""),
            interface=joined.get("InterfaceName") or {},
            gateway=joined.get("Gateway", ""),
            gateway_v6=joined.get("GatewayIPv6", ""),
            routes=joined.get("StaticRoutes") or [],
            disable_gateway_service=joined.get("DisableGatewayService", False),
        )

    def _address(self, pool: Pool, asked: str, name: str) -> str:
        options = {"com.docker.network.endpoint.name": name} if self.version >= 29 and name else None
        request = {"PoolID": pool.pool_id, "Address": asked, "Options": options}
        address: str = self._call("IpamDriver.RequestAddress", request)["Address"]
        assert address, "Docker refuses an empty address"
        return address

    def _create_endpoint(
        self,
        network: DockerNetwork,
        endpoint_id: str,
        addresses: Mapping[str, str],
        mac: str,
        options: Mapping[str, Any] | None,
    ) -> dict[str, str]:
        interface = {
            "Address": addresses.get("v4", ""),
            "AddressIPv6": addresses.get("v6", ""),
            "MacAddress": mac,
        }
        shown = {"com.docker.network.endpoint.exposedports": [], "com.docker.network.portmap": [], **(options or {})}
        request = self._ids(network, endpoint_id) | {"Interface": interface, "Options": shown}
        answer = self._call("NetworkDriver.CreateEndpoint", request).get("Interface") or {}
        for key, value in answer.items():
            assert not (value and interface[key]), f"Docker refuses an answer that overrides {key}"
        return dict(answer)

    def _join(self, network: DockerNetwork, endpoint_id: str) -> dict[str, Any]:
        key = f"/var/run/docker/netns/{endpoint_id[:12]}"
        request = self._ids(network, endpoint_id) | {"SandboxKey": key, "Options": {}}
        return self._call("NetworkDriver.Join", request)

    def rm(self, container: Container, *, delete_endpoint: bool = True, leaves: int = 1) -> None:
        """``docker rm -f``; errors are only logged. The knobs are the engine's own ways to go wrong (§2.5)."""
        ids = self._ids(container.network, container.endpoint_id)
        if container.gateway:
            self._quietly("NetworkDriver.RevokeExternalConnectivity", ids)
        for _ in range(leaves):
            self._quietly("NetworkDriver.Leave", ids)
        if delete_endpoint:
            self._quietly("NetworkDriver.DeleteEndpoint", ids)
        for family, address in container.addresses.items():
            pool = container.network.pool(v6=family == "v6")
            assert pool is not None
            request = {"PoolID": pool.pool_id, "Address": address.partition("/")[0]}
            self._quietly("IpamDriver.ReleaseAddress", request)

    def _release(self, got: Mapping[str, tuple[Pool, str]]) -> None:
        for pool, address in got.values():
            request = {"PoolID": pool.pool_id, "Address": address.partition("/")[0]}
            self._quietly("IpamDriver.ReleaseAddress", request)

    # -- calls -----------------------------------------------------------------------------------------------------

    def _ids(self, network: DockerNetwork, endpoint_id: str) -> dict[str, Any]:
        return {"NetworkID": network.network_id, "EndpointID": endpoint_id}

    def _call(self, method: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.log.append(method)
        return self.client.call(method, arguments)

    def _quietly(self, method: str, arguments: Mapping[str, Any]) -> None:
        with contextlib.suppress(PluginError):
            self._call(method, arguments)
