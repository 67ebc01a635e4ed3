# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which rules stand for the ports that Docker names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import InvalidRequest
from kuryr_libnetwork.rules import exposure
from kuryr_libnetwork.rules.exposure import PortRange
from tests.unit.values import PORT_ID, own_group

EXPOSED = "com.docker.network.endpoint.exposedports"
PORT_MAP = "com.docker.network.portmap"


def exposed(*ports: tuple[int, int]) -> dict[str, Any]:
    return {EXPOSED: [{"Proto": proto, "Port": port} for proto, port in ports]}


@pytest.mark.parametrize("options", [{}, {EXPOSED: []}, {EXPOSED: None}, {PORT_MAP: [{"Proto": 6, "Port": 80}]}])
def test_nothing_exposed(options: dict[str, Any]) -> None:
    """A container that exposes nothing would cost calls."""
    assert exposure.exposed_ranges(options) == []


def test_consecutive_ports_of_one_protocol_are_one_range() -> None:
    """A range of a thousand ports would take a thousand rules, more than any quota."""
    options = exposed((6, 81), (6, 80), (6, 80), (17, 82), (6, 83), (132, 65535), (6, 1))
    assert exposure.exposed_ranges(options) == [
        PortRange("sctp", 65535, 65535),
        PortRange("tcp", 1, 1),
        PortRange("tcp", 80, 81),
        PortRange("tcp", 83, 83),
        PortRange("udp", 82, 82),
    ]


@given(st.sets(st.tuples(st.sampled_from([6, 17, 132]), st.integers(1, 65535)), max_size=50))
def test_exactly_the_ports_named_are_opened(ports: set[tuple[int, int]]) -> None:
    """A port that nobody exposed would be open, or an exposed one closed."""
    ranges = exposure.exposed_ranges(exposed(*ports))
    opened = [(each.protocol, port) for each in ranges for port in range(each.first, each.last + 1)]
    assert sorted(opened) == sorted((exposure.PROTOCOLS[proto], port) for proto, port in ports)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"Proto": 1, "Port": 80}, "port 80 has IP protocol 1; known: 6 (tcp), 17 (udp), 132 (sctp)"),
        ({"Proto": 6, "Port": "80"}, "Expected `int`, got `str` - at `$[0].Port`"),
        ({"Proto": 6, "Port": 0}, "Expected `int` >= 1"),
        ({"Port": 80}, "missing required field `Proto`"),
    ],
)
def test_what_docker_cannot_mean_is_refused(entry: dict[str, Any], words: str) -> None:
    """An entry that is not understood would open nothing, or everything."""
    with pytest.raises(InvalidRequest) as refused:
        exposure.exposed_ranges({EXPOSED: [entry]})
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("binding", "shown"),
    [
        ({"Proto": 6, "Port": 80}, "80/tcp"),
        ({"Proto": 6, "Port": 80, "HostPort": 8080, "HostPortEnd": 8080}, "8080->80/tcp"),
        ({"Proto": 17, "Port": 53, "HostPort": 5300, "HostPortEnd": 0, "HostIP": "10.0.0.1"}, "10.0.0.1:5300->53/udp"),
        ({"Proto": 6, "Port": 80, "HostPort": 8080, "HostPortEnd": 8090}, "8080-8090->80/tcp"),
    ],
)
def test_published_ports_are_shown_as_they_were_typed(binding: dict[str, Any], shown: str) -> None:
    """The line in the log would not tell which -p it is about."""
    assert exposure.published({PORT_MAP: [binding]}) == shown


def test_several_published_ports_are_one_line() -> None:
    """A line for each would fill the log."""
    ports = [{"Proto": 6, "Port": 80}, {"Proto": 6, "Port": 81}]
    assert exposure.published({PORT_MAP: ports}) == "80/tcp, 81/tcp"
    assert exposure.published({}) == ""


def test_rules_are_for_both_ip_versions_and_from_anywhere() -> None:
    """IPv6 clients would be shut out, as with upstream."""
    (rules,) = exposure.new_rules("g", [PortRange("tcp", 80, 81)])
    same = {
        "security_group_id": "g",
        "direction": "ingress",
        "protocol": "tcp",
        "port_range_min": 80,
        "port_range_max": 81,
    }
    assert rules == [{**same, "ethertype": "IPv4"}, {**same, "ethertype": "IPv6"}]


def test_a_group_of_ours_is_known_by_name_and_description() -> None:
    """A group that the operator made in the service's project would be removed, or ours never."""
    wanted = exposure.new_group(PORT_ID)
    assert wanted == {"name": f"{PORT_ID}-exposed_ports", "description": "Docker exposed ports created by Kuryr."}
    assert exposure.port_of_group(own_group(**wanted)) == PORT_ID
    for description in ("", None, exposure.DESCRIPTION.lower()):
        assert exposure.port_of_group(own_group(name=wanted["name"], description=description)) == ""
    for name in ("", "web-exposed_ports", PORT_ID, f"x{PORT_ID}-exposed_ports", f"{PORT_ID}\n-exposed_ports"):
        assert exposure.port_of_group(own_group(name=name, description=exposure.DESCRIPTION)) == ""


def test_the_ports_own_groups_stay_in_their_order() -> None:
    """An adopted port would get other groups back than it had."""
    assert exposure.without(["b", "x", "a"], ["x", "y"]) == ["b", "a"]


def test_rules_come_in_calls_that_neutron_has_time_for() -> None:
    """600 rules in one call, or their fourth hundred, took longer than a call may: the container did not start."""
    ranges = [PortRange("tcp", port, port) for port in range(1, 600, 2)]
    parts = exposure.new_rules("g", ranges)
    assert [len(part) for part in parts] == [100, *[24] * 20, 20]
    rules = [rule for part in parts for rule in part]
    assert [(rule["ethertype"], rule["port_range_min"]) for rule in rules] == [
        (ethertype, each.first) for each in ranges for ethertype in ("IPv4", "IPv6")
    ]
    assert [len(part) for part in exposure.new_rules("g", ranges[:51])] == [100, 2]
    assert exposure.new_rules("g", []) == []


def test_an_absurd_number_of_ports_is_refused() -> None:
    """Docker would wait for minutes, and the quota of the project be gone."""
    exposure.refuse_too_many([PortRange("tcp", 1, 65535)])
    ranges = [PortRange("tcp", port, port) for port in range(1, 60001, 2)]
    exposure.refuse_too_many(ranges[:500])
    with pytest.raises(
        InvalidRequest, match="exposes 501 ports in 501 ranges, which needs 1002 security group rules, and at most"
    ):
        exposure.refuse_too_many(ranges[:501])
    with pytest.raises(InvalidRequest) as refused:
        exposure.refuse_too_many(ranges)
    for part in ("30000 ports", "60000 security group rules", "at most 1000", "process_external_connectivity = false"):
        assert part in str(refused.value)
