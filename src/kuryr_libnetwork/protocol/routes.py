# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's paths, and what belongs to each: a typed request, a method, and how to undo it.

``Plugin.Activate`` and the capabilities are constants: Docker caches their first outcome, even a failure, until it is
restarted (docs/notes/docker-plugin.md, "Handshake").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from kuryr_libnetwork.protocol.messages import (
    ActivateResponse,
    AddressSpaces,
    AllocateNetworkRequest,
    AllocateNetworkResponse,
    CreateEndpointRequest,
    CreateEndpointResponse,
    CreateNetworkRequest,
    DiscoveryRequest,
    Empty,
    EndpointRequest,
    ExternalConnectivityRequest,
    GwAllocCheckRequest,
    GwAllocCheckResponse,
    IpamCapabilities,
    JoinRequest,
    JoinResponse,
    Message,
    NetworkCapabilities,
    NetworkRequest,
    OperInfoResponse,
    ReleaseAddressRequest,
    ReleaseDeviceRequest,
    ReleasePoolRequest,
    RequestAddressRequest,
    RequestAddressResponse,
    RequestPoolRequest,
    RequestPoolResponse,
)

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class Kept(msgspec.Struct, Generic[A], frozen=True):
    """An answer that tells what was there before the call: Docker knows it from an earlier one, or will. If neither
    arrives, what the earlier call made is undone.
    """

    answer: A


class NetworkVerbs(Protocol):
    def gw_alloc_check(self, request: GwAllocCheckRequest) -> GwAllocCheckResponse: ...
    def create_network(self, request: CreateNetworkRequest) -> Empty | Kept[Empty]: ...
    def delete_network(self, request: NetworkRequest) -> Empty: ...
    def allocate_network(self, request: AllocateNetworkRequest) -> AllocateNetworkResponse: ...
    def free_network(self, request: NetworkRequest) -> Empty: ...
    def create_endpoint(
        self, request: CreateEndpointRequest
    ) -> CreateEndpointResponse | Kept[CreateEndpointResponse]: ...
    def delete_endpoint(self, request: EndpointRequest) -> Empty: ...
    def endpoint_oper_info(self, request: EndpointRequest) -> OperInfoResponse: ...
    def join(self, request: JoinRequest) -> JoinResponse: ...
    def leave(self, request: EndpointRequest) -> Empty: ...
    def program_external_connectivity(self, request: ExternalConnectivityRequest) -> Empty: ...
    def revoke_external_connectivity(self, request: ExternalConnectivityRequest) -> Empty: ...
    def discover_new(self, request: DiscoveryRequest) -> Empty: ...
    def discover_delete(self, request: DiscoveryRequest) -> Empty: ...


class IpamVerbs(Protocol):
    def request_pool(self, request: RequestPoolRequest) -> RequestPoolResponse: ...
    def release_pool(self, request: ReleasePoolRequest) -> Empty: ...
    def request_address(
        self, request: RequestAddressRequest
    ) -> RequestAddressResponse | Kept[RequestAddressResponse]: ...
    def release_address(self, request: ReleaseAddressRequest) -> Empty: ...


class OperatorVerbs(Protocol):
    def release_device(self, request: ReleaseDeviceRequest) -> Empty: ...


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """The constants of the handshake. ``scope``: ``local`` or ``global`` (kuryr.conf's ``capability_scope``)."""

    scope: str = "local"
    local_default_address_space: str = "no_address_space"
    global_default_address_space: str = "no_address_space"


class Route(Generic[Q, A]):
    """One path. Without ``request`` the call has no arguments and ``answer`` ignores its body.

    ``undo`` takes the request and the answer that Docker never got, and puts things back: Docker then believes that
    the call failed and sends no undo of its own
    (docs/notes/docker-plugin.md, "Retries with an empty body"). A repeated call, whose answer is :class:`Kept`, keeps
    what is there if its own answer arrives.
    """

    def __init__(
        self,
        request: type[Q] | None,
        answer: Callable[[Q], A | Kept[A]],
        undo: Callable[[Q, A], object] | None = None,
    ) -> None:
        self.request = request
        self.answer = answer
        self.undo = undo


Routes = Mapping[str, Route[Any, Any]]


RELEASE_DEVICE = "/Kuryr.ReleaseDevice"


def build_routes(network: NetworkVerbs, ipam: IpamVerbs, operator: OperatorVerbs, constants: Constants) -> Routes:
    """All paths that this plugin serves: Docker's, and those of the operators' command."""
    own = {RELEASE_DEVICE: Route(ReleaseDeviceRequest, operator.release_device)}
    return _handshake(constants) | _network(network) | _ipam(ipam) | own


def _handshake(constants: Constants) -> dict[str, Route[Any, Any]]:
    activate = ActivateResponse(implements=["NetworkDriver", "IpamDriver"])
    network = NetworkCapabilities(scope=constants.scope, connectivity_scope=constants.scope, gw_alloc_checker=True)
    ipam = IpamCapabilities(requires_mac_address=False, requires_request_replay=False)
    spaces = AddressSpaces(
        local_default_address_space=constants.local_default_address_space,
        global_default_address_space=constants.global_default_address_space,
    )
    return {
        "/Plugin.Activate": Route(None, lambda _: activate),
        "/NetworkDriver.GetCapabilities": Route(None, lambda _: network),
        "/IpamDriver.GetCapabilities": Route(None, lambda _: ipam),
        "/IpamDriver.GetDefaultAddressSpaces": Route(None, lambda _: spaces),
    }


def _network(verbs: NetworkVerbs) -> dict[str, Route[Any, Any]]:
    def delete_network(request: CreateNetworkRequest, _: Empty) -> None:
        verbs.delete_network(NetworkRequest(network_id=request.network_id))

    def delete_endpoint(request: CreateEndpointRequest, _: CreateEndpointResponse) -> None:
        verbs.delete_endpoint(EndpointRequest(network_id=request.network_id, endpoint_id=request.endpoint_id))

    def leave(request: JoinRequest, _: JoinResponse) -> None:
        verbs.leave(EndpointRequest(network_id=request.network_id, endpoint_id=request.endpoint_id))

    return {
        "/NetworkDriver.GwAllocCheck": Route(GwAllocCheckRequest, verbs.gw_alloc_check),
        "/NetworkDriver.CreateNetwork": Route(CreateNetworkRequest, verbs.create_network, delete_network),
        "/NetworkDriver.DeleteNetwork": Route(NetworkRequest, verbs.delete_network),
        "/NetworkDriver.AllocateNetwork": Route(AllocateNetworkRequest, verbs.allocate_network),
        "/NetworkDriver.FreeNetwork": Route(NetworkRequest, verbs.free_network),
        "/NetworkDriver.CreateEndpoint": Route(CreateEndpointRequest, verbs.create_endpoint, delete_endpoint),
        "/NetworkDriver.DeleteEndpoint": Route(EndpointRequest, verbs.delete_endpoint),
        "/NetworkDriver.EndpointOperInfo": Route(EndpointRequest, verbs.endpoint_oper_info),
        "/NetworkDriver.Join": Route(JoinRequest, verbs.join, leave),
        "/NetworkDriver.Leave": Route(EndpointRequest, verbs.leave),
        "/NetworkDriver.ProgramExternalConnectivity": Route(
            ExternalConnectivityRequest, verbs.program_external_connectivity
        ),
        "/NetworkDriver.RevokeExternalConnectivity": Route(
            ExternalConnectivityRequest, verbs.revoke_external_connectivity
        ),
        "/NetworkDriver.DiscoverNew": Route(DiscoveryRequest, verbs.discover_new),
        "/NetworkDriver.DiscoverDelete": Route(DiscoveryRequest, verbs.discover_delete),
    }


def _ipam(verbs: IpamVerbs) -> dict[str, Route[Any, Any]]:
    def release_pool(_: RequestPoolRequest, answer: RequestPoolResponse) -> None:
        verbs.release_pool(ReleasePoolRequest(pool_id=answer.pool_id))

    def release_address(request: RequestAddressRequest, answer: RequestAddressResponse) -> None:
        ip = answer.address.partition("/")[0]
        verbs.release_address(ReleaseAddressRequest(pool_id=request.pool_id, address=ip))

    return {
        "/IpamDriver.RequestPool": Route(RequestPoolRequest, verbs.request_pool, release_pool),
        "/IpamDriver.ReleasePool": Route(ReleasePoolRequest, verbs.release_pool),
        "/IpamDriver.RequestAddress": Route(RequestAddressRequest, verbs.request_address, release_address),
        "/IpamDriver.ReleaseAddress": Route(ReleaseAddressRequest, verbs.release_address),
    }
