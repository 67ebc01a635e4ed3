# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The network side of the plugin: one method for each verb of Docker, under the lock of the object that it names."""

from __future__ import annotations

import logging
from functools import partial

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.protocol.messages import (
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
    JoinRequest,
    JoinResponse,
    NetworkRequest,
    OperInfoResponse,
)
from kuryr_libnetwork.protocol.routes import Kept
from kuryr_libnetwork.rules.refusals import network_subject
from kuryr_libnetwork.services.endpoints.lifecycle import Endpoints
from kuryr_libnetwork.services.networks.lifecycle import Networks
from kuryr_libnetwork.services.state.explaining import explaining
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.unfinished_removals import UnfinishedRemovals

LOG = logging.getLogger(__name__)


class NetworkDriver:
    """``NetworkDriver.*``."""

    def __init__(
        self, networks: Networks, endpoints: Endpoints, locks: KeyedLocks, unfinished: UnfinishedRemovals
    ) -> None:
        self._networks = networks
        self._endpoints = endpoints
        self._locks = locks
        self._unfinished = unfinished

    def gw_alloc_check(self, request: GwAllocCheckRequest) -> GwAllocCheckResponse:  # noqa: ARG002  - the protocol's form
        """Docker is to ask for the gateway: our IPAM side, which is asked next, knows that of an existing network."""
        return GwAllocCheckResponse(skip_ipv4=False, skip_ipv6=False)

    def create_network(self, request: CreateNetworkRequest) -> Empty | Kept[Empty]:
        subject = partial(network_subject, request.network_id, None)
        with self._locks.hold("network", request.network_id), explaining(subject):
            return Empty() if self._networks.create(request) else Kept(Empty())

    def delete_network(self, request: NetworkRequest) -> Empty:
        network = request.network_id
        for other in self._delete_network(network):
            try:
                self._delete_network(other)
            except KuryrError as error:  # Docker asked for the removal of another one, which is done
                LOG.info("Docker network %s is still to be removed: %s", other[:12], error)
        return Empty()

    def _delete_network(self, network: str) -> list[str]:
        with self._unfinished.kept("network", network), self._locks.hold("network", network):
            return self._networks.delete(network)

    def allocate_network(self, request: AllocateNetworkRequest) -> AllocateNetworkResponse:
        """For Swarm's manager: there is nothing to allocate; the options go to the nodes unchanged."""
        return AllocateNetworkResponse(options=request.options or {})

    def free_network(self, request: NetworkRequest) -> Empty:  # noqa: ARG002  - the protocol's form
        return Empty()

    def create_endpoint(self, request: CreateEndpointRequest) -> CreateEndpointResponse | Kept[CreateEndpointResponse]:
        subject = partial(network_subject, request.network_id, None)
        with self._locks.hold("endpoint", request.endpoint_id), explaining(subject):
            return self._endpoints.create(request)

    def delete_endpoint(self, request: EndpointRequest) -> Empty:
        endpoint = request.endpoint_id
        with self._unfinished.kept("endpoint", endpoint), self._locks.hold("endpoint", endpoint):
            self._endpoints.delete(endpoint)
        return Empty()

    def endpoint_oper_info(self, request: EndpointRequest) -> OperInfoResponse:
        return OperInfoResponse(value=self._endpoints.status(request.endpoint_id))

    def join(self, request: JoinRequest) -> JoinResponse:
        return self._endpoints.join(request)

    def leave(self, request: EndpointRequest) -> Empty:  # noqa: ARG002  - the protocol's form
        """Nothing to do: Docker moves the interface out of the container after this call; DeleteEndpoint removes it."""
        return Empty()

    def program_external_connectivity(self, request: ExternalConnectivityRequest) -> Empty:
        """Mostly nothing is left to do: CreateEndpoint has opened the exposed ports."""
        with explaining(partial(network_subject, request.network_id, None)):
            self._endpoints.program(request)
        return Empty()

    def revoke_external_connectivity(self, request: ExternalConnectivityRequest) -> Empty:  # noqa: ARG002  - the protocol's form
        """Nothing to do: exposed ports stay open until the endpoint is deleted, on all networks of the container."""
        return Empty()

    def discover_new(self, request: DiscoveryRequest) -> Empty:  # noqa: ARG002  - the protocol's form
        return Empty()

    def discover_delete(self, request: DiscoveryRequest) -> Empty:  # noqa: ARG002  - the protocol's form
        return Empty()
