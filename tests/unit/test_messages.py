# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's messages byte by byte: the names on the wire, and what each side may leave out."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from kuryr_libnetwork.protocol import messages as m

NETWORK = "ab" * 32
ENDPOINT = "cd" * 32
IDS = f'"NetworkID":"{NETWORK}","EndpointID":"{ENDPOINT}"'

# Requests as the Go client writes them (docs/notes/docker-plugin.md, "Messages"), and the value each has to become.
REQUESTS: list[tuple[str, m.Message]] = [
    (
        '{"Options":{"com.docker.network.generic":{}}}',
        m.GwAllocCheckRequest(options={"com.docker.network.generic": {}}),
    ),
    (
        (
            f'{{"NetworkID":"{NETWORK}","Options":{{"com.docker.network.enable_ipv6":false}},'
            '"IPv4Data":[{"AddressSpace":"local","Pool":"10.1.0.0/24","Gateway":"10.1.0.1/24",'
            '"AuxAddresses":{"a":"10.1.0.9/24"}}],"IPv6Data":[]}'
        ),
        m.CreateNetworkRequest(
            network_id=NETWORK,
            options={"com.docker.network.enable_ipv6": False},
            ipv4_data=[
                m.IpamData(
                    address_space="local",
                    pool="10.1.0.0/24",
                    gateway="10.1.0.1/24",
                    aux_addresses={"a": "10.1.0.9/24"},
                )
            ],
            ipv6_data=[],
        ),
    ),
    (
        (
            f'{{{IDS},"Interface":{{"Address":"10.1.0.5/24","AddressIPv6":"fd00::5/64","MacAddress":"02:42:ac:11:00:04"}},'
            '"Options":{"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":80}]}}'
        ),
        m.CreateEndpointRequest(
            network_id=NETWORK,
            endpoint_id=ENDPOINT,
            interface=m.EndpointInterface(
                address="10.1.0.5/24", address_ipv6="fd00::5/64", mac_address="02:42:ac:11:00:04"
            ),
            options={"com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 80}]},
        ),
    ),
    (
        f'{{{IDS},"SandboxKey":"/var/run/docker/netns/0123456789ab","Options":null}}',
        m.JoinRequest(network_id=NETWORK, endpoint_id=ENDPOINT, sandbox_key="/var/run/docker/netns/0123456789ab"),
    ),
    (
        f'{{"NetworkID":"{NETWORK}","Options":{{"a":"b"}},"IPv4Data":null,"IPv6Data":null}}',
        m.AllocateNetworkRequest(network_id=NETWORK, options={"a": "b"}),
    ),
    (
        '{"DiscoveryType":1,"DiscoveryData":{"Address":"192.0.2.1","BindAddress":"0.0.0.0","Self":true}}',
        m.DiscoveryRequest(
            discovery_type=1, discovery_data={"Address": "192.0.2.1", "BindAddress": "0.0.0.0", "Self": True}
        ),
    ),
    (
        '{"AddressSpace":"s","Pool":"fd00::/64","SubPool":"fd00::/80","Options":{"o":"v"},"V6":true}',
        m.RequestPoolRequest(address_space="s", pool="fd00::/64", sub_pool="fd00::/80", options={"o": "v"}, v6=True),
    ),
    ('{"PoolID":"p"}', m.ReleasePoolRequest(pool_id="p")),
    (
        '{"PoolID":"p","Address":"10.1.0.1","Options":{"RequestAddressType":"com.docker.network.gateway"}}',
        m.RequestAddressRequest(
            pool_id="p", address="10.1.0.1", options={"RequestAddressType": "com.docker.network.gateway"}
        ),
    ),
    ('{"PoolID":"p","Address":"10.1.0.1"}', m.ReleaseAddressRequest(pool_id="p", address="10.1.0.1")),
    ('{"PciAddress":"0000:01:10.0"}', m.ReleaseDeviceRequest(pci_address="0000:01:10.0")),
    ('{"Proto":17,"Port":53}', m.TransportPort(proto=17, port=53)),
    (
        '{"Proto":6,"IP":"","Port":80,"HostIP":"192.0.2.1","HostPort":8080,"HostPortEnd":8090}',
        m.PublishedPort(proto=6, port=80, host_ip="192.0.2.1", host_port=8080, host_port_end=8090),
    ),
]


@pytest.mark.parametrize(("wire", "value"), REQUESTS, ids=[type(value).__name__ for _, value in REQUESTS])
def test_requests_are_read_with_every_member(wire: str, value: m.Message) -> None:
    """Fails if a member of Docker's request is spelled otherwise here, so that its value is silently lost."""
    assert msgspec.json.decode(wire, type=type(value)) == value


# Answers, and what Docker gets to read.
ANSWERS: list[tuple[m.Message, str]] = [
    (m.Empty(), "{}"),
    (m.ActivateResponse(implements=["NetworkDriver"]), '{"Implements":["NetworkDriver"]}'),
    (
        m.NetworkCapabilities(scope="local", connectivity_scope="local", gw_alloc_checker=True),
        '{"Scope":"local","ConnectivityScope":"local","GwAllocChecker":true}',
    ),
    (
        m.IpamCapabilities(requires_mac_address=False, requires_request_replay=False),
        '{"RequiresMACAddress":false,"RequiresRequestReplay":false}',
    ),
    (
        m.AddressSpaces(local_default_address_space="l", global_default_address_space="g"),
        '{"LocalDefaultAddressSpace":"l","GlobalDefaultAddressSpace":"g"}',
    ),
    (m.GwAllocCheckResponse(skip_ipv4=False, skip_ipv6=True), '{"SkipIPv4":false,"SkipIPv6":true}'),
    (m.AllocateNetworkResponse(options={}), '{"Options":{}}'),
    (
        m.CreateEndpointResponse(interface=m.EndpointInterface(mac_address="02:42:ac:11:00:04")),
        '{"Interface":{"MacAddress":"02:42:ac:11:00:04"}}',
    ),
    (m.OperInfoResponse(value={}), '{"Value":{}}'),
    (m.JoinResponse(), "{}"),
    (
        m.JoinResponse(
            interface_name=m.InterfaceName(src_name="t_c1", dst_prefix="eth", dst_name="lan"),
            gateway="10.1.0.1",
            gateway_ipv6="fd00::1",
            static_routes=[m.StaticRoute(destination="192.0.2.0/24", route_type=0, next_hop="10.1.0.7")],
            disable_gateway_service=True,
        ),
        (
            '{"InterfaceName":{"SrcName":"t_c1","DstPrefix":"eth","DstName":"lan"},"Gateway":"10.1.0.1",'
            '"GatewayIPv6":"fd00::1","StaticRoutes":[{"Destination":"192.0.2.0/24","RouteType":0,"NextHop":"10.1.0.7"}],'
            '"DisableGatewayService":true}'
        ),
    ),
    (m.RequestPoolResponse(pool_id="p", pool="10.1.0.0/24"), '{"PoolID":"p","Pool":"10.1.0.0/24","Data":{}}'),
    (m.RequestAddressResponse(address="10.1.0.5/24"), '{"Address":"10.1.0.5/24","Data":{}}'),
]


@pytest.mark.parametrize(("answer", "wire"), ANSWERS, ids=[type(answer).__name__ for answer, _ in ANSWERS])
def test_answers_have_dockers_spelling(answer: m.Message, wire: str) -> None:
    """Fails if a member is spelled in a way that Docker does not know and so takes for absent."""
    assert msgspec.json.decode(msgspec.json.encode(answer)) == msgspec.json.decode(wire)


def test_every_message_is_covered_here() -> None:
    """Fails if a message was added whose spelling on the wire nothing compares with Docker's."""
    seen = {type(value) for _, value in REQUESTS} | {type(answer) for answer, _ in ANSWERS}
    shared = {
        m.Message,
        m.WithOptions,
        m.IpamData,
        m.EndpointInterface,
        m.InterfaceName,
        m.StaticRoute,
        m.NetworkRequest,
        m.EndpointRequest,
        m.ExternalConnectivityRequest,
    }
    found = {value for _, value in inspect.getmembers(m, inspect.isclass) if issubclass(value, m.Message)}
    assert found - seen - shared == set()


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (m.CreateNetworkRequest, f'{{"NetworkID":"{NETWORK}","Options":null,"IPv4Data":null,"IPv6Data":null}}'),
        (m.CreateEndpointRequest, f'{{{IDS},"Interface":null,"Options":null}}'),
        (m.ExternalConnectivityRequest, f'{{{IDS},"Options":null}}'),
        (m.ExternalConnectivityRequest, f"{{{IDS}}}"),
        (m.RequestPoolRequest, '{"AddressSpace":"s","Pool":"","SubPool":"","Options":null,"V6":false}'),
        (m.RequestAddressRequest, '{"PoolID":"p","Address":"","Options":null}'),
    ],
)
def test_go_writes_null_for_what_is_empty(message: type[m.Message], wire: str) -> None:
    """Fails if Go's null, where others write an empty list or object, is refused."""
    assert isinstance(msgspec.json.decode(wire, type=message), message)


@pytest.mark.parametrize(
    ("options", "generic"),
    [
        (None, {}),
        ({}, {}),
        ({m.GENERIC: None}, {}),
        ({m.GENERIC: "text"}, {}),
        ({m.GENERIC: {"a": "1", "b": True}}, {"a": "1", "b": True}),
    ],
)
def test_generic_options_are_always_a_mapping(options: dict[str, Any] | None, generic: dict[str, Any]) -> None:
    """Fails if a network without -o, or with options of another type, ends in an internal error."""
    assert m.CreateNetworkRequest(network_id=NETWORK, options=options).generic == generic


@pytest.mark.parametrize(
    ("message", "wire", "line"),
    [
        (m.NetworkRequest, '{"NetworkID":5}', "Expected `str`, got `int` - at `$.NetworkID`"),
        (m.NetworkRequest, "{}", "Object missing required field `NetworkID`"),
        (m.RequestPoolRequest, '{"V6":"yes"}', "Expected `bool`, got `str` - at `$.V6`"),
        (
            m.CreateNetworkRequest,
            '{"NetworkID":"n","IPv4Data":[{"Pool":5}]}',
            "Expected `str`, got `int` - at `$.IPv4Data[0].Pool`",
        ),
    ],
)
def test_an_error_is_one_line_with_the_place(message: type[m.Message], wire: str, line: str) -> None:
    """Fails if people get a schema instead of the member that is wrong."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(wire, type=message)
    assert str(caught.value) == line


def test_messages_cannot_be_changed() -> None:
    """Fails if a service could change a request that its undo is built from."""
    request = m.NetworkRequest(network_id=NETWORK)
    with pytest.raises(AttributeError):
        request.network_id = "other"  # type: ignore[misc]
