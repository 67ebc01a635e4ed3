# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The table of paths: complete, with constants that need nothing, and the way back with the right arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kuryr_libnetwork.protocol import messages as m
from kuryr_libnetwork.protocol.routes import Constants, build_routes

NETWORK = "ab" * 32
ENDPOINT = "cd" * 32

# Every method of every engine from 20.10 to 29 (docs/notes/docker-plugin.md, "Messages").
HANDSHAKE = {
    "/Plugin.Activate",
    "/NetworkDriver.GetCapabilities",
    "/IpamDriver.GetCapabilities",
    "/IpamDriver.GetDefaultAddressSpaces",
}
NETWORK_VERBS = {
    "GwAllocCheck",
    "CreateNetwork",
    "DeleteNetwork",
    "AllocateNetwork",
    "FreeNetwork",
    "CreateEndpoint",
    "DeleteEndpoint",
    "EndpointOperInfo",
    "Join",
    "Leave",
    "ProgramExternalConnectivity",
    "RevokeExternalConnectivity",
    "DiscoverNew",
    "DiscoverDelete",
}
IPAM_VERBS = {"RequestPool", "ReleasePool", "RequestAddress", "ReleaseAddress"}


class NoVerbs:
    """Neither driver can do anything: each verb fails as a service does that has nothing below it."""

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        def verb(request: Any) -> Any:
            raise AssertionError(f"{name} was called")

        return verb


class Remember:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        def verb(request: Any) -> Any:
            self.calls.append((name, request))
            return m.Empty()

        return verb


def routes_of(verbs: Any, constants: Constants | None = None) -> Any:
    return build_routes(verbs, verbs, verbs, constants or Constants())


def test_all_methods_of_all_engines_and_no_others() -> None:
    """Fails if an engine calls something that is answered by 404, or a path is misspelled."""
    expected = HANDSHAKE | {f"/NetworkDriver.{each}" for each in NETWORK_VERBS}
    expected |= {f"/IpamDriver.{each}" for each in IPAM_VERBS}
    expected |= {"/Kuryr.ReleaseDevice"}  # the operators' command calls this one
    assert set(routes_of(NoVerbs())) == expected


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/Plugin.Activate", m.ActivateResponse(implements=["NetworkDriver", "IpamDriver"])),
        (
            "/NetworkDriver.GetCapabilities",
            m.NetworkCapabilities(scope="global", connectivity_scope="global", gw_alloc_checker=True),
        ),
        (
            "/IpamDriver.GetCapabilities",
            m.IpamCapabilities(requires_mac_address=False, requires_request_replay=False),
        ),
        (
            "/IpamDriver.GetDefaultAddressSpaces",
            m.AddressSpaces(local_default_address_space="here", global_default_address_space="everywhere"),
        ),
    ],
)
def test_the_handshake_needs_no_service(path: str, answer: m.Message) -> None:
    """Fails if activation can fail or say something else; Docker remembers that until it restarts."""
    constants = Constants(scope="global", local_default_address_space="here", global_default_address_space="everywhere")
    route = routes_of(NoVerbs(), constants)[path]
    assert route.request is None
    assert route.undo is None
    assert route.answer(m.Empty()) == answer


@pytest.mark.parametrize(("address", "released"), [("10.1.0.7/24", "10.1.0.7"), ("fd00::7/64", "fd00::7")])
def test_an_address_is_given_back_as_docker_would(address: str, released: str) -> None:
    """Fails if an address whose answer was lost is released with its prefix length, which names no address."""
    verbs = Remember()
    route = routes_of(verbs)["/IpamDriver.RequestAddress"]
    route.undo(m.RequestAddressRequest(pool_id="p", address=""), m.RequestAddressResponse(address=address))
    assert verbs.calls == [("release_address", m.ReleaseAddressRequest(pool_id="p", address=released))]


def test_a_pool_is_given_back_by_the_answered_id() -> None:
    """Fails if a pool whose answer was lost stays in Neutron, or another one is released."""
    verbs = Remember()
    route = routes_of(verbs)["/IpamDriver.RequestPool"]
    route.undo(m.RequestPoolRequest(pool="10.1.0.0/24"), m.RequestPoolResponse(pool_id="made", pool="10.1.0.0/24"))
    assert verbs.calls == [("release_pool", m.ReleasePoolRequest(pool_id="made"))]


def test_a_lost_join_is_a_leave_and_no_more() -> None:
    """Fails if a Join whose answer was lost deletes the endpoint: Docker sends its own DeleteEndpoint after it."""
    verbs = Remember()
    request = m.JoinRequest(network_id=NETWORK, endpoint_id=ENDPOINT)
    routes_of(verbs)["/NetworkDriver.Join"].undo(request, m.JoinResponse())
    assert verbs.calls == [("leave", m.EndpointRequest(network_id=NETWORK, endpoint_id=ENDPOINT))]
