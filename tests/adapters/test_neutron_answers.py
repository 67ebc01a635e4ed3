# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Answers that do not match the request are neither believed nor acted upon."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronError, NeutronRefused, NeutronUnavailable
from kuryr_libnetwork.model.neutron import SubPort
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.errors import NoAnswer
from tests.fakes.loopback import json_answer
from tests.fakes.neutron_http import NeutronFront

PORT: dict[str, Any] = {
    "id": "p1",
    "network_id": "n1",
    "name": "one",
    "description": "made by us, 1",
    "device_id": "d1",
    "device_owner": "compute:kuryr",
    "mac_address": "fa:16:3e:00:00:01",
    "project_id": "ours",
    "binding:host_id": "h1",
    "tags": ["a", "b"],
    "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.5"}, {"subnet_id": "s6", "ip_address": "fd00::5"}],
}
SUBNET: dict[str, Any] = {"id": "s1", "network_id": "n1", "cidr": "fd00::/64", "ip_version": 6}
Change = Callable[[NeutronClient], object]


# -- filters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        *({"network_id": value} for value in ("n2", "n", "N1", "")),
        {"network_id": ["n2", "n3"]},
        *({"tags": value} for value in ("c", ["a", "c"], "a,c")),
        *({"tags-any": "c,d"}, {"not-tags": "a"}, {"not-tags-any": "a,c"}),
        *({"name": "two"}, {"description": ""}, {"device_id": ""}, {"device_id": "D1"}, {"device_owner": ""}),
        *({"project_id": "theirs"}, {"mac_address": "fa:16:3e:00:00:02"}, {"binding:host_id": "h2"}, {"bogus": "x"}),
        *({"fixed_ips": [value]} for value in ("subnet_id=s2", "ip_address=10.0.0.6", "ip_address=x")),
        {"fixed_ips": ["subnet_id=s1", "ip_address=fd00::5"]},
    ],
    ids=str,
)
def test_what_a_filter_leaves_out_is_left_out(
    front: NeutronFront, client: NeutronClient, query: dict[str, Any]
) -> None:
    """If Neutron ignores a filter, everything that it shows would be changed or removed."""
    front.answers.append(json_answer(200, {"ports": [PORT]}))
    assert client.find_ports(**query) == []


@pytest.mark.parametrize(
    "query",
    [
        *({name: PORT[name]} for name in PORT if isinstance(PORT[name], str)),
        *({"id": ["p0", "p1"]}, {"network_id": ["n0", "n1"]}, {"name": "ONE"}, {"mac_address": "FA:16:3E:00:00:01"}),
        *({"tags": "a"}, {"tags": ["b", "a"]}, {"tags": "a,b"}, {"tags": []}, {"tags-any": "c,a"}, {"not-tags": "c"}),
        *({"fixed_ips": [value]} for value in ("subnet_id=s1", "ip_address=10.0.0.5", "ip_address=fd00:0::5")),
        {"fixed_ips": ["subnet_id=s1", "ip_address=10.0.0.5"]},
        {"provider:physical_network": "physnet1"},
    ],
    ids=str,
)
def test_what_was_asked_for_is_there(front: NeutronFront, client: NeutronClient, query: dict[str, Any]) -> None:
    """Resources that Neutron spells differently, or finds by attributes that our role cannot see, would be missing."""
    front.answers.append(json_answer(200, {"ports": [PORT]}))
    assert [port.id for port in client.find_ports(**query)] == ["p1"]


def test_a_filter_is_among_the_fields(front: NeutronFront, client: NeutronClient) -> None:
    """Nothing would be found where only some fields are asked for, or what a filter leaves out be found with
    the rest.
    """
    few = [{name: PORT[name] for name in ("id", "network_id", "tags")}, {"id": "p2", "network_id": "n2", "tags": ["a"]}]
    front.answers.append(json_answer(200, {"ports": few}))
    found = client.find_ports(**{"tags-any": "a", "network_id": "n1", "fields": ["network_id"]})
    assert [port.id for port in found] == ["p1"]
    assert front.requests[0].query["fields"] == ["network_id", "id", "tags"]


def test_cidrs_are_compared_as_such(front: NeutronFront, client: NeutronClient) -> None:
    """A subnet of IPv6 would not be found by what its user wrote."""
    front.answers += [json_answer(200, {"subnets": [SUBNET]})] * 3
    assert client.find_subnets(cidr="FD00:0::/64", ip_version="6")
    assert client.find_subnets(cidr="fd01::/64") == client.find_subnets(ip_version="4") == []


def test_another_object_than_the_one_asked_for_is_no_answer(front: NeutronFront, client: NeutronClient) -> None:
    """An existing port would be treated as deleted, or another one be changed instead."""
    front.answers.append(json_answer(200, {"ports": [PORT]}))
    with pytest.raises(NeutronUnavailable, match="it has p1 where p2 was asked for"):
        client.find_ports(id="p2")


@pytest.mark.parametrize("value", [[[]], {}, 10**400, "x" * 5000])
def test_an_id_of_any_form_is_told_in_one_line(front: NeutronFront, client: NeutronClient, value: object) -> None:
    """The error about an answer would itself end in a traceback."""
    front.answers.append(json_answer(200, {"ports": [PORT | {"id": value}]}))
    with pytest.raises(NeutronUnavailable, match="no usable answer") as caught:
        client.find_ports(id="p2")
    assert len(str(caught.value)) < 700


# -- pages ---------------------------------------------------------------------------------------------------------


def test_a_link_neither_leads_elsewhere_nor_changes_the_question(front: NeutronFront, client: NeutronClient) -> None:
    """The token would be sent to another server, or the second page would list somebody else's ports."""
    link = {"rel": "next", "href": "http://198.51.100.1:1/v2.0/networks?marker=p1&limit=1&project_id=theirs&tags=x"}
    front.answers += [
        json_answer(200, {"ports": [PORT], "ports_links": [link]}),
        json_answer(200, {"ports": [PORT | {"id": "p2"}, PORT]}),
    ]
    assert [port.id for port in client.find_ports(network_id="n1")] == ["p1", "p2"]
    assert [request.path for request in front.requests] == ["/v2.0/ports"] * 2
    assert front.requests[1].query == {"network_id": ["n1"], "marker": ["p1"], "limit": ["1"]}


@pytest.mark.parametrize("href", ["http://[::1", ""])
def test_a_link_that_is_none(front: NeutronFront, client: NeutronClient, href: str) -> None:
    """A page would be dropped silently, or a proxy's invalid link end in a traceback."""
    page = {"ports": [], "ports_links": [{"rel": "next", "href": href}]}
    front.answers.append(json_answer(200, page))
    with pytest.raises(NeutronUnavailable, match="no usable answer"):
        client.find_ports()


# -- what is written -----------------------------------------------------------------------------------------------

NEW = {"network_id": "n1", "name": "one", "description": "made by us, 1"}


@pytest.mark.parametrize(
    "ports",
    [
        *([], [PORT, PORT], {}, None, "x", [[]]),
        *([PORT | {"description": "made by us, 2"}], [PORT | {"network_id": "n2"}], [PORT | {"name": "two"}]),
        *([PORT | {"description": None}], [PORT | {"fixed_ips": []}], [PORT | {"fixed_ips": None}]),
        [PORT | {"fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.6"}]}],
        [PORT | {"fixed_ips": [{"subnet_id": "s2", "ip_address": "10.0.0.5"}]}],
    ],
    ids=lambda ports: json.dumps(ports)[-60:],
)
def test_another_port_than_was_to_be_made(front: NeutronFront, client: NeutronClient, ports: object) -> None:
    """Somebody's port would be taken for the new one, get a container, and be deleted with it."""
    front.answers.append(json_answer(201, {"ports": ports}))
    with pytest.raises(NeutronUnavailable, match="no usable answer"):
        client.create_port({**NEW, "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.5"}]})
    assert len(front.requests) == 1


@pytest.mark.parametrize(
    ("member", "create"),
    [
        ("network", lambda client: client.create_network({"name": "x", "description": "made by us, 1"})),
        ("subnet", lambda client: client.create_subnet({"network_id": "n1", "description": "made by us, 1"})),
        ("subnetpool", lambda client: client.create_subnetpool({"name": "x", "description": "made by us, 1"})),
        ("security_group", lambda client: client.create_security_group({"name": "x", "description": "made by us, 1"})),
    ],
)
def test_another_thing_than_was_to_be_made(
    front: NeutronFront, client: NeutronClient, member: str, create: Change
) -> None:
    """Somebody's network would be taken for the new one, and be deleted with it."""
    there = {
        "id": "1",
        "name": "x",
        "network_id": "n1",
        "cidr": "10.0.0.0/24",
        "ip_version": 4,
        "description": "theirs",
    }
    answers: tuple[object, ...] = ({member: there}, {member: [there]}, {f"{member}s": [there]}, {}, [], None)
    for answer in answers:
        front.answers.append(json_answer(201, answer))
        with pytest.raises(NeutronUnavailable, match="no usable answer"):
            create(client)


@pytest.mark.parametrize(
    ("answer", "change"),
    [
        ({"port": PORT}, lambda client: client.update_port("p2", {"name": "one"})),
        ({"port": PORT}, lambda client: client.update_port("p1", {"name": "two"})),
        ({"port": PORT}, lambda client: client.update_port("p1", {"fixed_ips": [{"subnet_id": "s9"}]})),
        ({"id": "t1", "port_id": "p1"}, lambda client: client.add_subport("t2", SubPort(port_id="p3"))),
        ({"id": "t1", "port_id": "p1"}, lambda client: client.remove_subport("t2", "p3")),
    ],
)
def test_another_thing_than_was_to_be_changed(
    front: NeutronFront, client: NeutronClient, answer: dict[str, Any], change: Change
) -> None:
    """The binding of another port would be plugged."""
    front.answers.append(json_answer(200, answer))
    with pytest.raises(NeutronUnavailable, match="no usable answer"):
        change(client)


@pytest.mark.parametrize("groups", [[], ["g1"], ["g1", "g2"], ["g1"] * 3])
def test_other_rules_than_were_to_be_made(front: NeutronFront, client: NeutronClient, groups: list[str]) -> None:
    """Exposed ports would be believed to be open although they are not."""
    front.answers.append(json_answer(201, {"security_group_rules": [{"security_group_id": each} for each in groups]}))
    with pytest.raises(NoAnswer, match="not the 2 rules that were sent"):
        client.create_security_group_rules([{"security_group_id": "g1"}] * 2)


@pytest.mark.parametrize("name", ["binding:profile", "binding:vif_details"])
@pytest.mark.parametrize(
    "value",
    [10**30, {"a": [{"b": -(10**30)}]}, json.loads('{"a":' * 40 + "1" + "}" * 40)],
    ids=["big", "within", "deep"],
)
def test_what_cannot_be_kept_is_no_answer(front: NeutronFront, client: NeutronClient, name: str, value: object) -> None:
    """The journal could not be written, in the middle of a change."""
    front.answers.append(json_answer(200, {"ports": [PORT | {name: {"x": value}}]}))
    with pytest.raises(NeutronUnavailable, match=name):
        client.find_ports()


# -- paths ---------------------------------------------------------------------------------------------------------

WRITES: list[Callable[[NeutronClient, str], object]] = [
    lambda client, text: client.delete_port(text),
    lambda client, text: client.delete_network(text),
    lambda client, text: client.delete_subnet(text),
    lambda client, text: client.delete_subnetpool(text),
    lambda client, text: client.delete_security_group(text),
    lambda client, text: client.update_port(text, {}),
    lambda client, text: client.add_subport(text, SubPort(port_id="p1")),
    lambda client, text: client.remove_subport(text, "p1"),
    lambda client, text: client.set_tags("ports", text, ["a"]),
    lambda client, text: client.add_tags("ports", text, ["a"]),
    lambda client, text: client.remove_tag("ports", text, "a"),
]


@pytest.mark.parametrize(
    "text", ["", ".", "..", "../networks/n1", "p1?force=1", "p1#x", "p1/tags", "p1%2f..", "p 1", "p1\n", "p1\0"]
)
@pytest.mark.parametrize("write", WRITES)
def test_what_is_no_id_leads_nowhere(
    front: NeutronFront, client: NeutronClient, write: Callable[[NeutronClient, str], object], text: str
) -> None:
    """A crafted id would change or delete something else."""
    client.extensions()
    with pytest.raises(NeutronRefused, match="is no id in Neutron"):
        write(client, text)
    assert len(front.requests) == 1


@pytest.mark.parametrize("tag", ["", ".", ".."])
def test_a_dot_is_no_tag(front: NeutronFront, client: NeutronClient, tag: str) -> None:
    """Removing the tag ".." from a port would delete the port."""
    with pytest.raises(NeutronRefused, match="cannot be named"):
        client.remove_tag("ports", "p1", tag)
    assert front.requests == []


@pytest.mark.parametrize("tag", ["a?b", "a#b", "a b", "%2e%2e", "a%2fb", "caf\u00e9"])
def test_a_tag_leads_to_itself(front: NeutronFront, client: NeutronClient, tag: str) -> None:
    """A tag chosen by a user would turn the request into another one."""
    with pytest.raises(NeutronError):
        client.remove_tag("ports", "p1", tag)
    assert front.requests[0].path.encode("latin-1").decode() == f"/v2.0/ports/p1/tags/{tag}"
    assert front.requests[0].query == {}


# -- free addresses ------------------------------------------------------------------------------------------------


def availability(network_id: str, **subnet: Any) -> dict[str, Any]:
    row = {"subnet_id": "s1", "subnet_name": None, "total_ips": 253, "used_ips": 3, **subnet}
    return {"network_id": network_id, "subnet_ip_availability": [row]}


def free_of(front: NeutronFront, client: NeutronClient, *told: Any) -> list[tuple[str, float]]:
    client.extensions()
    front.answers.append(json_answer(200, {"network_ip_availabilities": list(told)}))
    return [(each.subnet_id, each.free) for each in client.free_addresses(["n1"])]


def test_free_addresses_are_those_of_the_networks_asked_about(front: NeutronFront, client: NeutronClient) -> None:
    """If Neutron ignores a filter, Prometheus would get a series for each subnet of the cloud."""
    assert free_of(front, client, availability("n1"), availability("n2", subnet_id="s2")) == [("s1", 250.0)]


def test_free_addresses_of_ipv6_are_many(front: NeutronFront, client: NeutronClient) -> None:
    """With one IPv6 subnet the others would not be shown either."""
    assert free_of(front, client, availability("n1", total_ips=2**80)) == [("s1", float(2**80))]
    assert free_of(front, client, availability("n1", used_ips=300)) == [("s1", 0.0)]


@pytest.mark.parametrize("wrong", [{"subnet_id": "../x"}, {"total_ips": "many"}, {"used_ips": None}])
def test_free_addresses_of_the_wrong_form(front: NeutronFront, client: NeutronClient, wrong: dict[str, Any]) -> None:
    """The background would end its round with an error that nobody foresaw."""
    with pytest.raises(NeutronUnavailable, match="network_ip_availabilities"):
        free_of(front, client, availability("n1", **wrong))
