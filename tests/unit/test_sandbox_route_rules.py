# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which routes a container on several networks is given, and when."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, strategies as st
from msgspec.structs import replace

from kuryr_libnetwork.model.links import SandboxRoute, SandboxView
from kuryr_libnetwork.model.records import EndpointRecord, RouteRecord
from kuryr_libnetwork.protocol.messages import JoinResponse, StaticRoute
from kuryr_libnetwork.rules.addresses import is_default, may_overlap
from kuryr_libnetwork.rules.sandbox_routes import (
    BEHIND,
    described,
    fitted,
    in_the_way,
    installed,
    is_in_place,
    kept_back,
    may_come_to,
    neighbours,
    overlap,
    subnets_of_addresses,
    taken_by,
    to_add,
)
from tests.unit.values import DUAL, ENDPOINT, OTHER_ID, RECORD

SANDBOX = "/var/run/docker/netns/1"
HERE = replace(ENDPOINT, sandbox_key=SANDBOX)
OTHER = replace(HERE, endpoint_id="cd" * 32, docker_network_id=OTHER_ID, address="10.5.0.5/24", created_at=2.0)
METADATA = RouteRecord(destination="169.254.169.254/32", next_hop="10.0.0.2")
WIDE = RouteRecord(destination="10.0.0.0/8", next_hop="10.0.0.2")


def via(destination: str, next_hop: str) -> StaticRoute:
    return StaticRoute(destination=destination, route_type=0 if next_hop else 1, next_hop=next_hop)


def test_alone_a_container_gets_everything() -> None:
    """A container on one network would lack routes."""
    answer = JoinResponse(gateway="192.0.2.1", static_routes=[via("192.0.2.1/32", ""), via("10.9.7.1/16", "10.0.0.2")])
    fit = fitted(answer, set())
    assert fit.answer == answer
    assert fit.routes == (
        RouteRecord(destination="192.0.2.1/32"),
        RouteRecord(destination="10.9.0.0/16", next_hop="10.0.0.2"),
    )
    assert fit.kept_back == ()


def test_a_destination_that_is_taken_is_kept_back() -> None:
    """The kernel would refuse it ("file exists"), in whatever spelling Neutron has it."""
    answer = JoinResponse(
        gateway="10.0.0.1", static_routes=[via("2001:DB8:0::/48", "fe80::2"), via("10.9.0.0/16", "10.0.0.2")]
    )
    fit = fitted(answer, {"2001:db8::/48", "10.9.0.0/16"})
    assert (fit.answer, fit.routes) == (JoinResponse(gateway="10.0.0.1"), ())
    assert [route.destination for route in fit.kept_back] == ["2001:db8::/48", "10.9.0.0/16"]


def test_with_the_way_to_its_gateway_go_the_gateway_and_all_that_leads_there() -> None:
    """They would lead out of the other network's interface."""
    answer = JoinResponse(
        gateway="10.0.0.1",
        gateway_ipv6="fe80::1",
        static_routes=[via("2001:db8::/48", "fe80::1"), via("fe80::1/128", ""), via("10.9.0.0/16", "10.0.0.2")],
    )
    fit = fitted(answer, {"fe80::1/128"})
    assert fit.answer == JoinResponse(gateway="10.0.0.1", static_routes=[via("10.9.0.0/16", "10.0.0.2")])
    assert fit.kept_back == (
        RouteRecord(destination="fe80::1/128"),
        RouteRecord(destination="2001:db8::/48", next_hop="fe80::1"),
        RouteRecord(destination="::/0", next_hop="fe80::1"),
    )


def test_what_may_overlap_a_later_network_is_kept_back_but_for_the_way_to_a_gateway() -> None:
    """Engines before 28 set up all networks of a container at once, when nothing can be taken back any more."""
    answer = JoinResponse(
        gateway="10.5.0.1",
        static_routes=[via("10.5.0.1/32", ""), via("10.0.0.0/8", "10.0.0.2"), via("10.7.0.0/16", "10.0.0.2")],
    )
    fit = fitted(answer, set(), ["10.5.0.0/24"])
    assert fit.kept_back == (WIDE,)
    assert fit.answer.gateway == "10.5.0.1"


def test_routes_that_overlap_a_bridge_are_told_from_others() -> None:
    """A container would wait for its routes in vain, or its start fail on a bridge that has the subnet."""
    routes = [RouteRecord(destination="0.0.0.0/0"), RouteRecord(destination="172.18.0.0/16")]
    assert overlap(routes, ["172.18.4.0/24"])
    assert not overlap(routes, ["10.9.0.0/16"])
    assert not overlap(routes[:1], ["10.9.0.0/16"])
    assert not overlap(routes, [])


def test_the_gateway_of_a_router_that_advertises_itself_is_ours_to_add() -> None:
    """The network could not be connected again when the router was faster than Docker; without one, there would be no
    way out.
    """
    answer = JoinResponse(
        gateway="10.0.0.1", gateway_ipv6="2001:db8::1", static_routes=[via("2001:db8:9::/48", "2001:db8::1")]
    )
    fit = fitted(answer, set(), (), {"2001:db8::1"})
    assert fit.answer == replace(answer, gateway_ipv6="")
    assert fit.kept_back == (RouteRecord(destination="::/0", next_hop="2001:db8::1"),)


def test_taken_is_what_others_were_told_and_what_is_there() -> None:
    """A default route would count, and none be added behind it."""
    told = replace(OTHER, routes=(METADATA,), kept_back=(WIDE,), address_ipv6="2001:db8::5/64")
    view = SandboxView(
        routes=(
            SandboxRoute(destination="172.18.0.0/16", next_hop="", interface=2),
            SandboxRoute(destination="0.0.0.0/0", next_hop="172.18.0.1", interface=2),
        )
    )
    assert taken_by([told], view) == {"169.254.169.254/32", "10.5.0.0/24", "2001:db8::/64", "172.18.0.0/16"}


def test_the_other_endpoints_of_a_container() -> None:
    """Routes would be compared with those of other containers, or of none."""
    elsewhere = replace(OTHER, endpoint_id="e", sandbox_key=SANDBOX + "2")
    ended = replace(OTHER, endpoint_id="f", state="deleting")
    earlier = replace(OTHER, endpoint_id="a", created_at=1.0)
    assert neighbours(HERE, [OTHER, HERE, elsewhere, ended, earlier]) == [earlier, OTHER]
    assert neighbours(replace(HERE, sandbox_key=""), [replace(OTHER, sandbox_key="")]) == []


def test_subnets_that_may_come() -> None:
    """Its own network, which it is on already, would count."""
    other = replace(RECORD, docker_id=OTHER_ID, subnets=DUAL.subnets)
    assert may_come_to(HERE, [RECORD, other]) == ["10.0.0.0/24", "2001:db8::/64"]


def test_routes_make_way_for_addresses() -> None:
    """Docker would refuse to connect the network; a default route keeps it from nothing."""
    default = RouteRecord(destination="0.0.0.0/0", next_hop="192.0.2.1")
    told = replace(HERE, routes=(METADATA, WIDE, default), kept_back=(RouteRecord(destination="10.5.0.0/25"),))
    assert in_the_way(OTHER, [told]) == {HERE.endpoint_id: (WIDE, RouteRecord(destination="10.5.0.0/25"))}
    assert in_the_way(OTHER, [HERE]) == {}
    after = kept_back(told, in_the_way(OTHER, [told])[HERE.endpoint_id])
    assert after.routes == (METADATA, default)
    assert after.kept_back == (RouteRecord(destination="10.5.0.0/25"), WIDE)
    there = SandboxRoute(destination="10.0.0.0/8", next_hop="10.0.0.2", interface=2)
    other = replace(there, next_hop="10.0.0.3")
    assert installed(SandboxView(routes=(there, other)), [WIDE]) == [there]


def test_what_was_kept_back_comes_behind_the_rest() -> None:
    """It would take the place of what is there, be refused by the kernel, or be added again and again."""
    view = SandboxView(
        addresses={"10.0.0.5": 2, "10.5.0.5": 3},
        routes=(
            SandboxRoute(destination=METADATA.destination, next_hop="10.5.0.2", interface=3),
            SandboxRoute(destination="10.7.0.0/16", next_hop="10.5.0.2", interface=3, metric=BEHIND),
        ),
    )
    seven = RouteRecord(destination="10.7.0.0/16", next_hop="10.0.0.2")
    mine, absent = replace(HERE, kept_back=(METADATA, seven)), replace(OTHER, address="10.6.0.5/24", kept_back=(WIDE,))
    added = to_add([mine, absent, OTHER], view)
    assert added == [
        SandboxRoute(destination=METADATA.destination, next_hop="10.0.0.2", interface=2, metric=BEHIND),
        SandboxRoute(destination="10.7.0.0/16", next_hop="10.0.0.2", interface=2, metric=BEHIND + 1),
    ]
    assert to_add([mine], replace(view, routes=(*view.routes, *added))) == []


def test_an_endpoint_is_in_place_by_any_of_its_addresses() -> None:
    """A container with IPv6 turned off would be waited for in vain."""
    dual = replace(HERE, address_ipv6="2001:DB8::5/64")
    assert not is_in_place(dual, SandboxView(addresses={"10.0.0.6": 2}))
    assert is_in_place(dual, SandboxView(addresses={"10.0.0.5": 2}))
    assert is_in_place(dual, SandboxView(addresses={"2001:db8::5": 2}))


def test_routes_in_words() -> None:
    """The log would not tell which routes are meant."""
    assert described([WIDE, RouteRecord(destination="192.0.2.1/32")]) == (
        "10.0.0.0/8 via 10.0.0.2, 192.0.2.1/32 via the link"
    )


hops = st.sampled_from(["192.0.2.1", "192.0.2.2"])
destinations = st.sampled_from(["169.254.169.254/32", "10.0.0.0/8", "10.1.0.0/24", "10.2.0.0/24", "10.2.0.0/25"])


@st.composite
def joins(draw: st.DrawFn, number: int) -> tuple[EndpointRecord, JoinResponse]:
    """An endpoint on 10.<number>.0.0/24, and what its subnet says."""
    near = f"10.{number}.0.1"
    gateway = draw(st.one_of(st.just(""), st.just(near), hops))
    on_link = [via(f"{gateway}/32", "")] if gateway not in {"", near} else []
    others = draw(st.lists(destinations, unique=True, max_size=4))
    routes = [
        via(where, draw(st.sampled_from([near, gateway or near]))) for where in others if where != f"10.{number}.0.0/24"
    ]
    endpoint = replace(OTHER, endpoint_id=str(number), address=f"10.{number}.0.5/24", created_at=float(number))
    return endpoint, JoinResponse(gateway=gateway, static_routes=[*on_link, *routes])


@given(st.tuples(joins(1), joins(2), joins(3)), st.booleans())
def test_no_destination_twice_and_no_way_out_lost(
    asked: tuple[tuple[EndpointRecord, JoinResponse], ...], known: bool
) -> None:
    """A container on these networks would not start, or have no default route."""
    told: list[EndpointRecord] = []
    answers: list[JoinResponse] = []
    coming = [f"10.{number}.0.0/24" for number in (1, 2, 3)]
    for endpoint, answer in asked:
        may_come = [cidr for cidr in coming if cidr not in subnets_of_addresses(endpoint)] if known else []
        fit = fitted(answer, taken_by(told, SandboxView()), may_come)
        for each in in_the_way(endpoint, told) if not known else {}:
            (there,) = [other for other in told if other.endpoint_id == each]
            told[told.index(there)] = kept_back(there, in_the_way(endpoint, told)[each])
        told.append(replace(endpoint, routes=fit.routes, kept_back=fit.kept_back))
        answers.append(fit.answer)
        wanted = {route.destination for route in answer.static_routes}
        assert wanted == {
            route.destination for route in (*fit.routes, *fit.kept_back) if not is_default(route.destination)
        }
    where = [[route.destination for route in each.routes] + subnets_of_addresses(each) for each in told]
    for some, others in combinations(where, 2):
        assert not set(some) & set(others)
    for endpoint in told:
        for other in told:
            if other.created_at > endpoint.created_at:
                for route in (each for each in endpoint.routes if each.next_hop):
                    assert not any(may_overlap(route.destination, cidr) for cidr in subnets_of_addresses(other))
    if any(answer.gateway for _, answer in asked):
        assert any(answer.gateway for answer in answers)
    for (_, answer), got, endpoint in zip(asked, answers, told, strict=True):
        kept = {route.next_hop for route in endpoint.kept_back if is_default(route.destination)}
        assert answer.gateway in {got.gateway, *kept}
