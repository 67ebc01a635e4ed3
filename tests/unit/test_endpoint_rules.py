# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker is answered about an endpoint."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.errors import InvalidOption, InvalidRequest
from kuryr_libnetwork.model.neutron import HostRoute
from kuryr_libnetwork.protocol.messages import InterfaceName, JoinResponse, StaticRoute
from kuryr_libnetwork.rules.endpoints import (
    LONGEST_PATH,
    advertised_gateways,
    join_answer,
    refuse_no_mac,
    refuse_no_path,
    subnets_of,
    unnamed,
)
from tests.unit.values import DUAL, ENDPOINT, PLUG, RECORD, USED, USED6

ENDPOINT_DUAL = replace(ENDPOINT, address_ipv6="2001:db8::5/64")
HOP = HostRoute(destination="10.9.0.0/16", nexthop="10.0.0.254")
HOP6 = HostRoute(destination="2001:db8:9::/48", nexthop="2001:db8::fe")
DEFAULT = HostRoute(destination="0.0.0.0/0", nexthop="10.0.0.254")


def via(route: HostRoute) -> StaticRoute:
    return StaticRoute(destination=route.destination, route_type=0, next_hop=route.nexthop)


def test_only_the_subnets_of_the_endpoint_count() -> None:
    """An IPv4 container on a dual-stack network would get an IPv6 gateway that it cannot reach."""
    assert subnets_of(DUAL, ENDPOINT) == [USED]
    assert subnets_of(DUAL, ENDPOINT_DUAL) == [USED, USED6]
    assert subnets_of(DUAL, replace(ENDPOINT_DUAL, address="")) == [USED6]
    assert subnets_of(RECORD, ENDPOINT_DUAL) == [USED]


def test_a_second_subnet_of_the_family_does_not_count() -> None:
    """A record rebuilt from a Neutron network with several Docker networks would lead to the gateway of another."""
    other = replace(USED, subnet_id="other", cidr="10.5.0.0/24", gateway_ip="10.5.0.1", host_routes=(HOP,))
    for subnets in ((USED, other), (other, USED)):
        answer = join_answer(replace(RECORD, subnets=subnets), ENDPOINT, "eth", "")
        assert (answer.gateway, answer.static_routes) == ("10.0.0.1", [])


def test_join_names_interface_gateways_and_routes() -> None:
    """A container would start without network, or with the network of Docker's gateway bridge instead."""
    record = replace(DUAL, subnets=(replace(USED, host_routes=(HOP,)), replace(USED6, host_routes=(HOP6,))))
    assert join_answer(record, ENDPOINT_DUAL, "eth", "web0") == JoinResponse(
        interface_name=InterfaceName(src_name="t_c0f9e3a55-7c", dst_prefix="eth", dst_name="web0"),
        gateway="10.0.0.1",
        gateway_ipv6="2001:db8::1",
        static_routes=[via(HOP), via(HOP6)],
        disable_gateway_service=True,
    )


def test_a_container_that_is_the_router_has_no_route_to_itself() -> None:
    """It would not start: Docker cannot set a gateway that is the container itself ("network is unreachable")."""
    record = replace(DUAL, subnets=(replace(USED, host_routes=(HOP,)), replace(USED6, host_routes=(HOP6,))))
    router = replace(ENDPOINT, address="10.0.0.1/24", address_ipv6="2001:db8::1/64")
    answer = join_answer(record, router, "eth", "")
    assert (answer.gateway, answer.gateway_ipv6, answer.disable_gateway_service) == ("", "", True)
    assert answer.static_routes == [via(HOP), via(HOP6)]
    hop = replace(ENDPOINT, address="10.0.0.254/24", address_ipv6="2001:db8::fe/64")
    answer = join_answer(record, hop, "eth", "")
    assert (answer.gateway, answer.gateway_ipv6, answer.static_routes) == ("10.0.0.1", "2001:db8::1", [])


def test_no_gateway_is_no_way_out() -> None:
    """Docker would add a NATed second way out."""
    record = replace(RECORD, subnets=(replace(USED, gateway_ip=None, host_routes=(HOP,)),))
    answer = join_answer(record, ENDPOINT, "eth", "")
    assert (answer.gateway, answer.gateway_ipv6, answer.disable_gateway_service) == ("", "", True)
    assert answer.static_routes == [via(HOP)]


def test_the_default_route_of_a_subnet_without_gateway_is_its_gateway() -> None:
    """With Docker 28 no container would start ("no default route"), with 20.10 none on a second such network."""
    six = replace(USED6, gateway_ip=None, host_routes=(HostRoute(destination="::/0", nexthop="2001:DB8::fe"), HOP6))
    record = replace(DUAL, subnets=(replace(USED, gateway_ip=None, host_routes=(DEFAULT, HOP)), six))
    answer = join_answer(record, ENDPOINT_DUAL, "eth", "")
    assert (answer.gateway, answer.gateway_ipv6) == ("10.0.0.254", "2001:db8::fe")
    assert answer.static_routes == [via(HOP), via(HOP6)]
    link_local = replace(six, host_routes=(HostRoute(destination="::/0", nexthop="fe80::1"),))
    answer = join_answer(replace(DUAL, subnets=(USED, link_local)), ENDPOINT_DUAL, "eth", "")
    assert answer.gateway_ipv6 == "fe80::1"
    assert answer.static_routes == [StaticRoute(destination="fe80::1/128", route_type=1)]


def test_a_default_route_that_leads_nowhere_is_no_gateway() -> None:
    """The container would not start: Docker finds no route for the gateway, or it is the container itself."""
    far = HostRoute(destination="0.0.0.0/0", nexthop="198.51.100.1")
    record = replace(RECORD, subnets=(replace(USED, gateway_ip=None, host_routes=(far,)),))
    assert join_answer(record, ENDPOINT, "eth", "").gateway == ""
    itself = HostRoute(destination="0.0.0.0/0", nexthop="10.0.0.5")
    record = replace(RECORD, subnets=(replace(USED, gateway_ip=None, host_routes=(itself,)),))
    answer = join_answer(record, ENDPOINT, "eth", "")
    assert (answer.gateway, answer.static_routes) == ("", [])


def test_a_default_route_beside_the_gateway_is_left_out() -> None:
    """The start of the container would fail with "file exists"."""
    record = replace(RECORD, subnets=(replace(USED, host_routes=(DEFAULT, HOP)),))
    assert join_answer(record, ENDPOINT, "eth", "").static_routes == [via(HOP)]


@pytest.mark.parametrize(
    ("gateway", "gateway6"), [("192.0.2.1", "fe80::1"), ("10.0.1.1", "2001:db8:1::1")], ids=["far", "next door"]
)
def test_a_gateway_outside_of_its_subnet_gets_a_route(gateway: str, gateway6: str) -> None:
    """The start of the container would fail: Docker finds no route for the gateway."""
    through = HostRoute(destination="10.9.0.0/16", nexthop=gateway)
    far = HostRoute(destination="10.8.0.0/16", nexthop="198.51.100.1")
    subnets = (replace(USED, gateway_ip=gateway, host_routes=(through, far)), replace(USED6, gateway_ip=gateway6))
    answer = join_answer(replace(DUAL, subnets=subnets), ENDPOINT_DUAL, "eth", "")
    assert (answer.gateway, answer.gateway_ipv6) == (gateway, gateway6)
    assert answer.static_routes == [
        StaticRoute(destination=f"{gateway}/32", route_type=1),
        via(through),
        StaticRoute(destination=f"{gateway6}/128", route_type=1),
    ]


def test_gateways_that_a_router_tells_itself() -> None:
    """A gateway of another subnet of the network would be left to advertisements that nobody sends."""
    advertised = replace(DUAL, subnets=(USED, replace(USED6, advertised=True)))
    assert advertised_gateways(advertised, ENDPOINT_DUAL) == {"2001:db8::1"}
    assert advertised_gateways(advertised, ENDPOINT) == set()
    assert (
        advertised_gateways(replace(DUAL, subnets=(replace(USED6, advertised=True, gateway_ip=None),)), ENDPOINT_DUAL)
        == set()
    )
    assert advertised_gateways(DUAL, ENDPOINT_DUAL) == set()


def test_an_internal_network_has_neither_gateway_nor_routes() -> None:
    """``--internal`` would be no barrier: Docker does not enforce it for remote drivers."""
    record = replace(DUAL, internal=True, subnets=(replace(USED, host_routes=(HOP,)), USED6))
    answer = join_answer(record, ENDPOINT_DUAL, "eth", "")
    assert (answer.gateway, answer.gateway_ipv6, answer.static_routes) == ("", "", [])
    assert answer.disable_gateway_service
    assert answer.interface_name is not None


def test_a_vf_for_a_program_has_nothing_to_move_or_route() -> None:
    """Docker would look for an interface that is not there, and end the container's start."""
    answer = join_answer(DUAL, replace(ENDPOINT_DUAL, plug=replace(PLUG, container_ifname="")), "eth", "")
    assert (answer.interface_name, answer.gateway, answer.gateway_ipv6, answer.static_routes) == (None, "", "", [])
    assert answer.disable_gateway_service


def test_an_endpoint_without_interface_is_refused() -> None:
    """Docker would start the container without any interface, and nobody would notice."""
    with pytest.raises(InvalidRequest, match="endpoint abababababab has no interface"):
        join_answer(RECORD, replace(ENDPOINT, plug=None), "eth", "")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/var/run/docker/netns/0123456789ab",
        "/run/user/1000/docker/netns/default",
        "/srv/..a/ö",
        "/" + "x" * (LONGEST_PATH - 1),
    ],
)
def test_a_sandbox_may_be_anywhere(path: str) -> None:
    """An engine without root, or in a container, could join nothing."""
    refuse_no_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "netns/1",
        "../../proc/1/ns/net",
        "/var/run/docker/netns/../../../proc/1/ns/net",
        "/./x",
        "/a\0",
        "/" + "ö" * LONGEST_PATH,
    ],
)
def test_a_sandbox_that_names_no_place_is_refused(path: str) -> None:
    """It would depend on the folder in which the service runs, or be found wrong when the container has gone."""
    with pytest.raises(InvalidRequest, match=r"SandboxKey .* is not the path of a network namespace") as caught:
        refuse_no_path(path)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("mac", ["fa:16:3e:00:00:01", "02-42-AC-11-00-02"])
def test_a_mac_that_can_be(mac: str) -> None:
    """A container with a MAC of its user's would not start."""
    refuse_no_mac(mac)


@pytest.mark.parametrize(
    ("mac", "why"),
    [
        ("01:00:5e:00:00:01", "is a multicast address"),
        ("ff:ff:ff:ff:ff:ff", "is a multicast address"),
        ("00:00:00:00:00:00", "is no address of an interface"),
        ("02:00:5e:10:00:00:00:01", "must be six bytes"),
        ("fa:16:3e:0:0:1", "must be six bytes"),
        ("", "must be six bytes"),
    ],
)
def test_a_mac_that_cannot_be_is_refused(mac: str, why: str) -> None:
    """The container would fail late, with the kernel's own words, when its port is bound already."""
    with pytest.raises(InvalidOption, match=f"--mac-address={mac}: {why}"):
        refuse_no_mac(mac)


def test_a_name_that_no_engine_gives_is_explained() -> None:
    """A program would look for an interface that is not there, and nobody would know why."""
    said = unnamed("lan\n0", "eth")
    assert "eth0, eth1" in said
    assert "\n" not in said
