# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The server for Docker with verbs that only record their calls, and clients that control every byte."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.docker.door import Limits
from kuryr_libnetwork.docker.listeners import Listener, unix_listener
from kuryr_libnetwork.docker.server import PluginServer, Tls
from kuryr_libnetwork.protocol import messages as m
from kuryr_libnetwork.protocol.routes import Constants, Kept, build_routes
from tests.world.dockerside import PluginClient

LIMIT = 20.0
NETWORK = "0123456789abcdef" * 4
ENDPOINT = "fedcba9876543210" * 4
IDS = {"NetworkID": NETWORK, "EndpointID": ENDPOINT}
POOL = {"PoolID": "pool-1"}

ANSWERS: dict[str, m.Message] = {
    "gw_alloc_check": m.GwAllocCheckResponse(skip_ipv4=True, skip_ipv6=True),
    "create_network": m.Empty(),
    "delete_network": m.Empty(),
    "allocate_network": m.AllocateNetworkResponse(options={}),
    "free_network": m.Empty(),
    "create_endpoint": m.CreateEndpointResponse(interface=m.EndpointInterface()),
    "delete_endpoint": m.Empty(),
    "endpoint_oper_info": m.OperInfoResponse(value={}),
    "join": m.JoinResponse(),
    "leave": m.Empty(),
    "program_external_connectivity": m.Empty(),
    "revoke_external_connectivity": m.Empty(),
    "discover_new": m.Empty(),
    "discover_delete": m.Empty(),
    "request_pool": m.RequestPoolResponse(pool_id="pool-1", pool="10.1.0.0/24"),
    "release_pool": m.Empty(),
    "request_address": m.RequestAddressResponse(address="10.1.0.7/24"),
    "release_address": m.Empty(),
    "release_device": m.Empty(),
}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "NetworkDriver.GwAllocCheck": ("gw_alloc_check", {"Options": {}}),
    "NetworkDriver.CreateNetwork": ("create_network", {"NetworkID": NETWORK}),
    "NetworkDriver.DeleteNetwork": ("delete_network", {"NetworkID": NETWORK}),
    "NetworkDriver.AllocateNetwork": ("allocate_network", {"NetworkID": NETWORK}),
    "NetworkDriver.FreeNetwork": ("free_network", {"NetworkID": NETWORK}),
    "NetworkDriver.CreateEndpoint": ("create_endpoint", IDS),
    "NetworkDriver.DeleteEndpoint": ("delete_endpoint", IDS),
    "NetworkDriver.EndpointOperInfo": ("endpoint_oper_info", IDS),
    "NetworkDriver.Join": ("join", IDS | {"SandboxKey": "/var/run/docker/netns/1"}),
    "NetworkDriver.Leave": ("leave", IDS),
    "NetworkDriver.ProgramExternalConnectivity": ("program_external_connectivity", IDS),
    "NetworkDriver.RevokeExternalConnectivity": ("revoke_external_connectivity", IDS),
    "NetworkDriver.DiscoverNew": ("discover_new", {"DiscoveryType": 1}),
    "NetworkDriver.DiscoverDelete": ("discover_delete", {"DiscoveryType": 1}),
    "IpamDriver.RequestPool": ("request_pool", {"AddressSpace": "a"}),
    "IpamDriver.ReleasePool": ("release_pool", POOL),
    "IpamDriver.RequestAddress": ("request_address", POOL),
    "IpamDriver.ReleaseAddress": ("release_address", POOL | {"Address": "10.1.0.7"}),
}
"""Every call with arguments: its verb, and the smallest valid body."""


class Verbs:
    """Both drivers. ``does`` replaces what a verb does; ``calls`` lists the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.does: dict[str, Callable[[Any], m.Message | Kept[Any]]] = {}

    def __getattr__(self, name: str) -> Callable[[Any], m.Message | Kept[Any]]:
        if name not in ANSWERS:
            raise AttributeError(name)

        def verb(request: Any) -> m.Message | Kept[Any]:
            self.calls.append((name, request))
            does = self.does.get(name)
            return does(request) if does else ANSWERS[name]

        return verb

    @property
    def called(self) -> list[str]:
        return [name for name, _ in self.calls]


def boundary_of(verbs: Any, **more: Any) -> Boundary:
    return Boundary(build_routes(verbs, verbs, verbs, Constants()), **more)


class Edge:
    """A server under test."""

    def __init__(self, path: Path, verbs: Verbs, server: PluginServer, thread: threading.Thread) -> None:
        self.path = path
        self.verbs = verbs
        self.server = server
        self.thread = thread
        self.client = PluginClient(path, timeout=LIMIT)

    def connect(self) -> socket.socket:
        return connect_unix(self.path)

    def post(self, method: str, arguments: Any = None) -> tuple[int, Any]:
        status, _, body = self.client.raw(method, b"" if arguments is None else json.dumps(arguments).encode())
        return status, json.loads(body)


@contextmanager
def serving(
    folder: Path,
    listeners: Sequence[Listener] | None = None,
    *,
    threads: int = 4,
    stop_timeout: float = 2,
    tls: Tls | None = None,
    limits: Limits | None = None,
) -> Iterator[Edge]:
    verbs = Verbs()
    path = folder / "edge.sock"
    chosen = [unix_listener(path)] if listeners is None else listeners
    server = PluginServer(
        boundary_of(verbs), chosen, threads=threads, stop_timeout=stop_timeout, tls=tls, limits=limits
    )
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    assert server.ready.wait(LIMIT)
    try:
        yield Edge(path, verbs, server, thread)
    finally:
        server.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()


def connect_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    sock.connect(str(path))
    return sock


def request(method: str, body: bytes = b"", *headers: str, verb: str = "POST", length: int | None = None) -> bytes:
    """The bytes of a request; ``length`` may lie about the body."""
    lines = [f"{verb} /{method} HTTP/1.1", "Host: plugin.moby.localhost"]
    lines += [f"Content-Length: {len(body) if length is None else length}"] if length != -1 else []
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def exchange(sock: socket.socket, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and read until the server closes."""
    with sock:
        with suppress(BrokenPipeError):  # an answer may come before the whole request is taken
            sock.sendall(data)
        got = b""
        with suppress(ConnectionResetError):
            while part := sock.recv(65536):
                got += part
    return parsed(got)


def parsed(got: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]) if first else 0, headers, body


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until another thread has done something; only a failing test reaches the time-out."""
    end = time.monotonic() + LIMIT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"did not happen: {what}"
        pause.wait(0.005)
