# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's side of the plugin protocol: what an engine calls, in which order, and what it undoes after a failure.

:class:`Docker` replays an engine of a given version (docs/notes/docker-plugin.md, "Order of calls") for ``network
create``, ``run``, ``network connect``, ``restart``, ``rm`` and ``network rm``. It keeps Docker's own view of networks,
containers and which endpoint is a container's gateway, so that a test reads as a story.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from kuryr_libnetwork.errors import LinkError
from tests.fakes.host import FakeSandboxes, Namespace
from tests.world.dockerclient import PluginClient, PluginError
from tests.world.dockerview import Container, DockerNetwork, Pool, Sandbox, Wish, new_id

__all__ = ["Container", "Docker", "DockerNetwork", "PluginClient", "PluginError", "Pool", "Wish", "new_id"]

GENERIC = "com.docker.network.generic"
GATEWAY = "com.docker.network.gateway"


class Docker:
    """An engine; ``version`` is its major number (20 … 29). ``log``: the methods called, in order. ``beside``: what the
    service does while a container starts, where no thread of it does so.
    """

    def __init__(self, path: Path, version: int = 28) -> None:
        self.version = version
        self.client = PluginClient(path, host="" if version < 23 else "plugin.moby.localhost")
        self.log: list[str] = []
        self.sandboxes = FakeSandboxes()
        self.beside: Callable[[], None] = lambda: None
        self._to_lose: set[str] = set()

    def activate(self) -> dict[str, Any]:
        answer = self._call("Plugin.Activate")
        self._call("NetworkDriver.GetCapabilities")
        self._call("IpamDriver.GetCapabilities")
        return answer

    def lose_answer(self, method: str) -> None:
        """Let the connection break before the next answer to this method; Docker repeats it with an empty body."""
        self._to_lose.add(method)

    # -- networks --------------------------------------------------------------------------------------------------

    def network_create(
        self,
        subnet: str | Sequence[str] | None = "10.1.0.0/24",
        *,
        subnet_v6: str | Sequence[str] | None = None,
        gateway: str = "",
        gateway_v6: str = "",
        aux: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        ipam_options: Mapping[str, str] | None = None,
        ip_range: str = "",
        internal: bool = False,
        ipv4: bool = True,
        name: str = "",
    ) -> DockerNetwork:
        """``docker network create``; after a failure the engine's releases. The first subnet gets ``gateway`` and so
        on.
        """
        shown: dict[str, Any] = {GENERIC: dict(options or {}), "com.docker.network.enable_ipv6": subnet_v6 is not None}
        if internal:
            shown["com.docker.network.internal"] = True
        if self.version >= 28:
            shown["com.docker.network.enable_ipv4"] = ipv4
            self._call("NetworkDriver.GwAllocCheck", {"Options": shown})
        self._call("IpamDriver.GetDefaultAddressSpaces")
        network = DockerNetwork(new_id(), [], internal, name)
        if ipv4:
            self._allocate(network, _each(subnet), gateway, aux or {}, ipam_options, v6=False, ip_range=ip_range)
        if subnet_v6 is not None:
            self._allocate(network, _each(subnet_v6), gateway_v6, {}, ipam_options, v6=True)
        network.options = shown
        self._create_network(network)
        return network

    def network_again(self, network: DockerNetwork, ipam_options: Mapping[str, str] | None = None) -> DockerNetwork:
        """Docker does not keep a swarm's network when it stops: it creates it again, with its old id."""
        self._call("IpamDriver.GetDefaultAddressSpaces")
        again = DockerNetwork(network.network_id, [], network.internal, network.name, network.options)
        for pool in network.pools:
            wanted = {"Pool": pool.cidr, "SubPool": "", "Options": ipam_options, "V6": pool.v6}
            again.pools.append(self._pool(wanted, "", {}))
        self._create_network(again)
        return again

    def _create_network(self, network: DockerNetwork) -> None:
        data = {
            f"IPv{6 if v6 else 4}Data": [each.data for each in network.pools if each.v6 is v6] for v6 in (False, True)
        }
        request = {"NetworkID": network.network_id, "Options": network.options} | data
        try:
            self._call("NetworkDriver.CreateNetwork", request)
        except PluginError:  # DeleteNetwork is not called
            self._release_pools(network.pools)
            raise

    def _allocate(
        self,
        network: DockerNetwork,
        subnets: Sequence[str],
        gateway: str,
        aux: Mapping[str, str],
        options: Mapping[str, str] | None,
        *,
        v6: bool,
        ip_range: str = "",
    ) -> None:
        for number, cidr in enumerate(subnets):
            wanted = {"Pool": cidr, "SubPool": ip_range if number == 0 else "", "Options": options, "V6": v6}
            try:
                pool = self._pool(wanted, gateway if number == 0 else "", aux if number == 0 else {})
            except PluginError:
                if self.version not in (27, 28):  # these versions forget the earlier pools of the family
                    for pool in reversed([each for each in network.pools if each.v6 is v6]):
                        self._quietly("IpamDriver.ReleasePool", {"PoolID": pool.pool_id})
                self._release_pools([each for each in network.pools if each.v6 is not v6])
                raise
            network.pools.append(pool)

    def _pool(self, wanted: Mapping[str, Any], asked: str, aux: Mapping[str, str]) -> Pool:
        if self.version >= 27:
            self._call("IpamDriver.GetDefaultAddressSpaces")
        answer = self._call("IpamDriver.RequestPool", {"AddressSpace": "no_address_space", **wanted})
        pool = Pool(answer["PoolID"], answer["Pool"], "", wanted["V6"])
        try:
            pool.gateway = self._request(pool, asked, {"RequestAddressType": GATEWAY})
            for name, address in aux.items():
                pool.aux[name] = self._request(pool, address, None)
        except PluginError:  # only the pool is released, its addresses go with it
            self._quietly("IpamDriver.ReleasePool", {"PoolID": pool.pool_id})
            raise
        return pool

    def network_rm(self, network: DockerNetwork) -> None:
        """``docker network rm``: addresses and pools go first; errors are only logged."""
        self._release_pools(network.pools)
        self._quietly("NetworkDriver.DeleteNetwork", {"NetworkID": network.network_id})

    def _release_pools(self, pools: Sequence[Pool]) -> None:
        for pool in pools:
            for address in [pool.gateway, *pool.aux.values()]:
                if address:
                    self._release(pool, address)
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
        expose: Sequence[tuple[int, int]] = (),
        publish: Sequence[tuple[int, int]] = (),
        no_ipv6: bool = False,
        sandbox: Sandbox | None = None,
    ) -> Container:
        """``docker run --network``; after a failure what the engine undoes, and the error."""
        sandbox = sandbox or Sandbox()
        box = self._connect(sandbox, network, Wish(ip, ip6, mac, name, options or {}, expose, publish, no_ipv6))
        self._start(sandbox)
        self._moved(box)
        self.beside()
        return box

    def _moved(self, box: Container) -> None:
        """The interface is in the container now."""

    def run_on(self, *networks: DockerNetwork) -> list[Container]:
        """``docker start`` of a container on several networks."""
        sandbox = Sandbox()
        boxes = [self._connect(sandbox, network, Wish()) for network in networks]
        self._start(sandbox)
        self.beside()
        return boxes

    def connect(self, container: Container, network: DockerNetwork, wish: Wish | None = None) -> Container:
        """``docker network connect``: one more interface for a running container."""
        ports = container.wish  # those are the container's
        wish = replace(wish or Wish(), expose=ports.expose, publish=ports.publish)
        box = self._connect(container.sandbox, network, wish)
        self.beside()
        return box

    def disconnect(self, container: Container) -> None:
        """``docker network disconnect``: this interface only."""
        self._leave(container, delete_endpoint=True, leaves=1)

    def rm(self, container: Container, *, delete_endpoint: bool = True, leaves: int = 1) -> None:
        """``docker rm -f``, all its networks; errors are only logged. The options simulate known faults of engines."""
        for each in list(container.sandbox.endpoints):
            self._leave(each, delete_endpoint=delete_endpoint, leaves=leaves)
        container.sandbox.live = False
        self.sandboxes.namespaces.pop(container.sandbox.key, None)

    def restart(self, container: Container) -> Container:
        """``docker restart``: everything again, with new endpoint ids. Answers the endpoint on the same network."""
        old = list(container.sandbox.endpoints)
        self.rm(container)
        sandbox = Sandbox()
        new = [self._connect(sandbox, each.network, each.wish) for each in old]
        self._start(sandbox)
        self.beside()
        return new[old.index(container)]

    def crash(self, container: Container) -> None:
        """dockerd died under the container: at its next start it only releases the addresses."""
        for each in container.sandbox.endpoints:
            self._release_addresses(each)
        container.sandbox.endpoints.clear()

    def live_restore(self, container: Container) -> None:
        """Docker restarts while the container keeps running; before 27 it makes no calls."""
        if self.version >= 27:
            self._look(container.sandbox)

    def _connect(self, sandbox: Sandbox, network: DockerNetwork, wish: Wish) -> Container:
        self._look(sandbox)
        box = Container(network, new_id(), wish, sandbox)
        for family, asked in (("v4", wish.ip), ("v6", wish.ip6)):  # if the second fails, the first is never released
            pool = network.pool(v6=family == "v6", ip=asked)
            if pool is not None:
                box.pools[family] = pool
                label = {"com.docker.network.endpoint.name": wish.name}
                options = label if self.version >= 29 and wish.name else None
                box.addresses[family] = self._request(pool, asked, options)
        if self.version >= 28:
            self._open(sandbox)
        try:
            self._create_endpoint(box)
        except PluginError:
            self._release_addresses(box)
            raise
        try:
            self._join(box)
        except PluginError:
            self._take_back(box, leaves=1 if self.version >= 29 else 0)
            raise
        sandbox.endpoints.append(box)
        if sandbox.live or self.version >= 28:
            self._set_up(box)
        if wish.no_ipv6 and self.version >= 28 and "v6" in box.addresses:  # nobody else is told
            self._release_one(box, "v6", box.addresses.pop("v6"))
        try:
            self._choose_gateway(sandbox)
        except PluginError:
            sandbox.endpoints.remove(box)
            self._take_back(box, leaves=2 if self.version >= 29 else 1)
            raise
        self._look(sandbox)
        return box

    def _start(self, sandbox: Sandbox) -> None:
        """Before 28 the namespace is created after all joins, and external connectivity is set up first."""
        if sandbox.live:
            return
        for box in sorted(sandbox.endpoints, key=lambda each: each is not sandbox.gateway):
            self._set_up(box)

    def _set_up(self, box: Container) -> None:
        """Configures the container's namespace as the engine does; if the kernel refuses, all of it is undone."""
        sandbox, inside = box.sandbox, self.sandboxes
        self._open(sandbox)
        if not box.interface.get("SrcName"):
            return
        try:
            box.index = inside.interface(sandbox.key, box.addresses.values())
            for route in (each for each in box.routes if each["RouteType"] == 1):
                inside.static_route(sandbox.key, route["Destination"], "", box.index)
            for route in (each for each in box.routes if each["RouteType"] == 0):
                inside.static_route(sandbox.key, route["Destination"], route["NextHop"])
            if sandbox.gateway is box:
                inside.gateways(sandbox.key, box.gateway, box.gateway_v6)
        except LinkError as error:
            self._leave(box, delete_endpoint=True, leaves=2 if self.version >= 29 else 1)
            raise PluginError("docker start", f"failed to set up container networking: {error}", 500) from error

    def _open(self, sandbox: Sandbox) -> None:
        """The container's namespace is there."""
        if not sandbox.live:
            sandbox.live = True
            self.sandboxes.namespaces[sandbox.key] = Namespace()

    def _create_endpoint(self, box: Container) -> None:
        interface = {
            "Address": box.addresses.get("v4", ""),
            "AddressIPv6": box.addresses.get("v6", ""),
            "MacAddress": box.wish.mac,
        }
        hidden = box.network.internal or box.sandbox.ports_taken
        options = {**({} if hidden else box.wish.labels), **box.wish.options}
        request = box.ids | {"Interface": interface, "Options": options}
        answer = self._call("NetworkDriver.CreateEndpoint", request).get("Interface") or {}
        for key, value in answer.items():
            assert not (value and interface[key]), f"Docker refuses an answer that overrides {key}"
        box.mac = box.wish.mac or answer.get("MacAddress", "")

    def _join(self, box: Container) -> None:
        request = box.ids | {"SandboxKey": box.sandbox.key, "Options": box.wish.labels}
        answer = self._call("NetworkDriver.Join", request)
        box.interface = answer.get("InterfaceName") or {}
        box.gateway = answer.get("Gateway", "")
        box.gateway_v6 = answer.get("GatewayIPv6", "")
        box.routes = answer.get("StaticRoutes") or []
        assert all(route["Destination"] for route in box.routes), "an empty Destination ends dockerd"
        box.disable_gateway_service = answer.get("DisableGatewayService", False)

    def _choose_gateway(self, sandbox: Sandbox) -> None:
        """The endpoint with most gateways, then the network's name; engines before 28 see IPv4 only."""

        def gateways(box: Container) -> int:
            return bool(box.gateway) + bool(box.gateway_v6)

        able = [box for box in sandbox.endpoints if box.gateway or (self.version >= 28 and box.gateway_v6)]
        able.sort(key=lambda box: (box.network.internal, -gateways(box), box.network.name))
        best = able[0] if able else None
        if best is sandbox.gateway:
            return
        if sandbox.gateway is not None:
            self._call("NetworkDriver.RevokeExternalConnectivity", sandbox.gateway.ids)
        sandbox.gateway = best
        if sandbox.live:
            self.sandboxes.gateways(sandbox.key, *((best.gateway, best.gateway_v6) if best and best.index else ()))
        if best is not None:
            try:
                self._call("NetworkDriver.ProgramExternalConnectivity", best.ids | {"Options": best.wish.labels})
            except PluginError:
                sandbox.gateway = None
                raise

    def _leave(self, box: Container, *, delete_endpoint: bool, leaves: int) -> None:
        sandbox = box.sandbox
        if sandbox.gateway is box:
            self._quietly("NetworkDriver.RevokeExternalConnectivity", box.ids)
            sandbox.gateway = None
        for _ in range(leaves):
            self._quietly("NetworkDriver.Leave", box.ids)
        sandbox.endpoints.remove(box)
        if sandbox.live and box.index:
            self.sandboxes.remove_interface(sandbox.key, box.index)
        with contextlib.suppress(PluginError):
            self._choose_gateway(sandbox)
        self._look(sandbox)
        if delete_endpoint:
            self._quietly("NetworkDriver.DeleteEndpoint", box.ids)
        self._release_addresses(box)

    def _take_back(self, box: Container, leaves: int) -> None:
        for _ in range(leaves):
            self._quietly("NetworkDriver.Leave", box.ids)
        self._quietly("NetworkDriver.DeleteEndpoint", box.ids)
        self._release_addresses(box)

    def _look(self, sandbox: Sandbox) -> None:
        for box in sandbox.endpoints:
            self._quietly("NetworkDriver.EndpointOperInfo", box.ids)

    # -- addresses and calls ---------------------------------------------------------------------------------------

    def _request(self, pool: Pool, asked: str, options: Mapping[str, str] | None) -> str:
        request = {"PoolID": pool.pool_id, "Address": asked, "Options": options}
        address: str = self._call("IpamDriver.RequestAddress", request)["Address"]
        assert "/" in address, f"Docker refuses {address!r}: not a CIDR"
        return address

    def _release_addresses(self, box: Container) -> None:
        for family, address in box.addresses.items():
            if family == "v4" or not ip_interface(address).is_link_local:  # not Go's IsGlobalUnicast
                self._release_one(box, family, address)

    def _release_one(self, box: Container, family: str, address: str) -> None:
        pool = box.network.pool(v6=family == "v6")
        assert pool is not None
        self._release(pool, address)

    def _release(self, pool: Pool, address: str) -> None:
        request = {"PoolID": pool.pool_id, "Address": address.partition("/")[0]}
        self._quietly("IpamDriver.ReleaseAddress", request)

    def _call(self, method: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.log.append(method)
        if method in self._to_lose and arguments is not None:
            self._to_lose.remove(method)
            self.client.abandon(method, arguments)
            arguments = None
        return self.client.call(method, arguments)

    def _quietly(self, method: str, arguments: Mapping[str, Any]) -> None:
        with contextlib.suppress(PluginError):
            self._call(method, arguments)


def _each(subnets: str | Sequence[str] | None) -> Sequence[str]:
    """No subnet counts as one empty subnet."""
    return [subnets or ""] if subnets is None or isinstance(subnets, str) else subnets
