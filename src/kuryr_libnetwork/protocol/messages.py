# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's remote network-driver and IPAM messages as frozen typed structs.

Field names are the wire names in snake case (``network_id`` is ``NetworkID``). Docker's quirks end here: lists and
objects that may be ``null`` are read through properties that answer an empty value. Unknown members are ignored, as
Docker does. More about the messages: docs/notes/docker-plugin.md, "Messages" and "Addresses".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

GENERIC = "com.docker.network.generic"
ENABLE_IPV4 = "com.docker.network.enable_ipv4"
ENABLE_IPV6 = "com.docker.network.enable_ipv6"
INTERNAL = "com.docker.network.internal"
GATEWAY_REQUEST = "com.docker.network.gateway"
REQUEST_ADDRESS_TYPE = "RequestAddressType"
ENDPOINT_NAME = "com.docker.network.endpoint.name"
ENDPOINT_IFNAME = "com.docker.network.endpoint.ifname"
EXPOSED_PORTS = "com.docker.network.endpoint.exposedports"
PORT_MAP = "com.docker.network.portmap"

_WORDS = {"id": "ID", "ipv4": "IPv4", "ipv6": "IPv6", "v6": "V6"}


def wire_name(field: str) -> str:
    """The JSON member for a field: ``address_ipv6`` is ``AddressIPv6``, ``sub_pool`` is ``SubPool``."""
    return "".join(_WORDS.get(word, word.capitalize()) for word in field.split("_"))


class Message(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """Base of all messages."""


class Empty(Message, frozen=True, kw_only=True):
    """``{}``: the answer "done", and the request of a call without arguments."""


# -- shared parts ------------------------------------------------------------------------------------------------


class IpamData(Message, frozen=True, kw_only=True):
    """One pool of a network. ``pool`` and ``gateway`` are CIDRs; ``aux_addresses`` maps names to CIDRs."""

    address_space: str = ""
    pool: str = ""
    gateway: str = ""
    aux_addresses: dict[str, str] | None = None


class EndpointInterface(Message, frozen=True, kw_only=True):
    """Addresses are CIDRs or empty; in an answer only what the request left empty may be set."""

    address: str = ""
    address_ipv6: str = ""
    mac_address: str = ""


class InterfaceName(Message, frozen=True, kw_only=True):
    """``src_name`` on the host becomes ``dst_prefix`` + number in the container (``dst_name`` on future engines)."""

    src_name: str = ""
    dst_prefix: str = ""
    dst_name: str = ""


class StaticRoute(Message, frozen=True, kw_only=True, omit_defaults=False):
    """``route_type`` 0: via ``next_hop``; 1: connected, without next hop. ``destination`` must never be empty."""

    destination: str
    route_type: int
    next_hop: str = ""


class TransportPort(Message, frozen=True, kw_only=True):
    """An entry of :data:`EXPOSED_PORTS`. ``proto`` is the number of the IP protocol."""

    proto: int
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class PublishedPort(TransportPort, frozen=True, kw_only=True):
    """An entry of :data:`PORT_MAP`. ``host_port`` 0: Docker's choice."""

    host_ip: str = msgspec.field(name="HostIP", default="")
    host_port: int = 0
    host_port_end: int = 0


# -- handshake ---------------------------------------------------------------------------------------------------


class ActivateResponse(Message, frozen=True, kw_only=True):
    implements: list[str]


class NetworkCapabilities(Message, frozen=True, kw_only=True):
    scope: str
    connectivity_scope: str
    gw_alloc_checker: bool


class IpamCapabilities(Message, frozen=True, kw_only=True):
    requires_mac_address: bool = msgspec.field(name="RequiresMACAddress")
    requires_request_replay: bool


class AddressSpaces(Message, frozen=True, kw_only=True):
    local_default_address_space: str
    global_default_address_space: str


# -- network driver ----------------------------------------------------------------------------------------------


class WithOptions(Message, frozen=True, kw_only=True):
    options: dict[str, Any] | None = None

    @property
    def generic(self) -> Mapping[str, Any]:
        """All ``-o key=value`` options of the network."""
        value = (self.options or {}).get(GENERIC)
        return value if isinstance(value, dict) else {}


class GwAllocCheckRequest(WithOptions, frozen=True, kw_only=True):
    pass


class GwAllocCheckResponse(Message, frozen=True, kw_only=True, omit_defaults=False):
    skip_ipv4: bool
    skip_ipv6: bool


class CreateNetworkRequest(WithOptions, frozen=True, kw_only=True):
    network_id: str
    ipv4_data: list[IpamData] | None = None
    ipv6_data: list[IpamData] | None = None


class NetworkRequest(Message, frozen=True, kw_only=True):
    """DeleteNetwork, FreeNetwork."""

    network_id: str


class AllocateNetworkRequest(Message, frozen=True, kw_only=True):
    network_id: str
    options: dict[str, str] | None = None
    ipv4_data: list[IpamData] | None = None
    ipv6_data: list[IpamData] | None = None


class AllocateNetworkResponse(Message, frozen=True, kw_only=True, omit_defaults=False):
    options: dict[str, str]


class EndpointRequest(Message, frozen=True, kw_only=True):
    """DeleteEndpoint, EndpointOperInfo, Leave."""

    network_id: str
    endpoint_id: str


class CreateEndpointRequest(WithOptions, frozen=True, kw_only=True):
    network_id: str
    endpoint_id: str
    interface: EndpointInterface | None = None


class CreateEndpointResponse(Message, frozen=True, kw_only=True, omit_defaults=False):
    interface: EndpointInterface


class OperInfoResponse(Message, frozen=True, kw_only=True, omit_defaults=False):
    value: dict[str, str]


class JoinRequest(WithOptions, frozen=True, kw_only=True):
    network_id: str
    endpoint_id: str
    sandbox_key: str = ""


class JoinResponse(Message, frozen=True, kw_only=True):
    """``interface_name`` absent: Docker moves no interface. Absent gateways: none is set."""

    interface_name: InterfaceName | None = None
    gateway: str = ""
    gateway_ipv6: str = msgspec.field(name="GatewayIPv6", default="")
    static_routes: list[StaticRoute] = []
    disable_gateway_service: bool = False


class ExternalConnectivityRequest(WithOptions, frozen=True, kw_only=True):
    """ProgramExternalConnectivity and, without options, RevokeExternalConnectivity."""

    network_id: str
    endpoint_id: str


class DiscoveryRequest(Message, frozen=True, kw_only=True):
    discovery_type: int = 0
    discovery_data: Any = None


# -- IPAM driver -------------------------------------------------------------------------------------------------


class RequestPoolRequest(Message, frozen=True, kw_only=True):
    address_space: str = ""
    pool: str = ""
    sub_pool: str = ""
    options: dict[str, str] | None = None
    v6: bool = False


class RequestPoolResponse(Message, frozen=True, kw_only=True, omit_defaults=False):
    pool_id: str
    pool: str
    data: dict[str, str] = {}


class ReleasePoolRequest(Message, frozen=True, kw_only=True):
    pool_id: str


class RequestAddressRequest(Message, frozen=True, kw_only=True):
    pool_id: str
    address: str = ""
    options: dict[str, str] | None = None


class RequestAddressResponse(Message, frozen=True, kw_only=True, omit_defaults=False):
    """``address`` is a CIDR whose length is the pool's."""

    address: str
    data: dict[str, str] = {}


class ReleaseAddressRequest(Message, frozen=True, kw_only=True):
    pool_id: str
    address: str = ""


# -- the operators' command --------------------------------------------------------------------------------------


class ReleaseDeviceRequest(Message, frozen=True, kw_only=True):
    """Sent by ``kuryr vf release`` to the running service; Docker never sends it."""

    pci_address: str
