# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The ports that a container exposes, as a security group of its Neutron port.

Docker sends them with the endpoint (docs/notes/docker-plugin.md, "Messages"): those of ``--expose``, ``-p`` and the
image's ``EXPOSE``. Neutron's default group admits only its own members, so each port gets an additional group that
opens them, with upstream's name and description (docs/notes/upstream.md, "Names in Neutron"). Upstream lacks IPv6 and
SCTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from kuryr_libnetwork.errors import InvalidRequest
from kuryr_libnetwork.protocol.messages import EXPOSED_PORTS, PORT_MAP, PublishedPort, TransportPort
from kuryr_libnetwork.rules.ownership import OwnSecurityGroup
from kuryr_libnetwork.rules.parsing import UUID

DESCRIPTION = "Docker exposed ports created by Kuryr."
SUFFIX = "-exposed_ports"
PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
"""IP protocol numbers, the only ones that Docker knows."""
ETHERTYPES = ("IPv4", "IPv6")
RULES_OF_THE_FIRST_CALL, RULES_OF_A_CALL = 100, 24
"""Rules per call, which must end within ``[neutron] timeout``: Neutron takes longer for each the more the group has
(docs/notes/neutron.md, "Rules of a security group").
"""
MOST_RULES = 1000
"""Rules for one container, whose start waits for all of them."""


class PortRange(NamedTuple):
    """Consecutive ports of one protocol, both ends included."""

    protocol: str
    first: int
    last: int


def exposed_ranges(options: Mapping[str, Any]) -> list[PortRange]:
    """The exposed ports in Docker's options of an endpoint or sandbox, in as few ranges as possible."""
    found = {(_protocol(each), each.port) for each in _ports(options, EXPOSED_PORTS, TransportPort)}
    ranges: list[PortRange] = []
    for protocol, port in sorted(found):
        if ranges and ranges[-1].protocol == protocol and ranges[-1].last == port - 1:
            ranges[-1] = ranges[-1]._replace(last=port)
        else:
            ranges.append(PortRange(protocol, port, port))
    return ranges


def published(options: Mapping[str, Any]) -> str:
    """The published ports (``-p``) as text: ``8080->80/tcp, 53/udp``; "" for none."""
    bindings = _ports(options, PORT_MAP, PublishedPort)
    return ", ".join(f"{_host_port(each)}{each.port}/{_protocol(each)}" for each in bindings)


def group_name(port_id: str) -> str:
    return port_id + SUFFIX


def port_of_group(group: OwnSecurityGroup) -> str:
    """The id of the port that a group was made for; "" if we did not make the group."""
    port_id = group.name.removesuffix(SUFFIX)
    ours = group.description == DESCRIPTION and group.name == group_name(port_id) and UUID.fullmatch(port_id)
    return port_id if ours else ""


def new_group(port_id: str) -> dict[str, Any]:
    return {"name": group_name(port_id), "description": DESCRIPTION}


def refuse_too_many(ranges: Sequence[PortRange]) -> None:
    """Refuse more ranges than a container may have; called before any group is created."""
    needed = len(ranges) * len(ETHERTYPES)
    if needed > MOST_RULES:
        raise InvalidRequest(
            f"the container exposes {sum(each.last - each.first + 1 for each in ranges)} ports in {len(ranges)} "
            f"ranges, which needs {needed} security group rules, and at most {MOST_RULES} are made; expose consecutive "
            f"ports, each range of which needs {len(ETHERTYPES)}, or open none (process_external_connectivity = false) "
            "and give the container a group (neutron.security_groups)"
        )


def new_rules(group_id: str, ranges: Iterable[PortRange]) -> list[list[dict[str, Any]]]:
    """The rules, grouped by call. They admit anyone, over both IP versions: the port may get addresses of either."""
    rules = [
        {
            "security_group_id": group_id,
            "direction": "ingress",
            "ethertype": ethertype,
            "protocol": each.protocol,
            "port_range_min": each.first,
            "port_range_max": each.last,
        }
        for each in ranges
        for ethertype in ETHERTYPES
    ]
    ends = [0, *range(RULES_OF_THE_FIRST_CALL, len(rules), RULES_OF_A_CALL), len(rules)]
    return [rules[start:end] for start, end in pairwise(ends) if start < end]


def without(groups: Sequence[str], ours: Iterable[str]) -> list[str]:
    """A port's groups without those that were made for it."""
    made = set(ours)
    return [group for group in groups if group not in made]


def _ports(options: Mapping[str, Any], key: str, kind: type[TransportPort]) -> list[Any]:
    try:
        return msgspec.convert(options.get(key) or [], list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{key}: {error}") from None


def _protocol(port: TransportPort) -> str:
    if port.proto not in PROTOCOLS:
        known = ", ".join(f"{number} ({name})" for number, name in PROTOCOLS.items())
        raise InvalidRequest(f"port {port.port} has IP protocol {port.proto}; known: {known}")
    return PROTOCOLS[port.proto]


def _host_port(binding: PublishedPort) -> str:
    if not binding.host_port:
        return ""
    first, last = str(binding.host_port), binding.host_port_end
    shown = first if last in (0, binding.host_port) else f"{first}-{last}"
    return f"{binding.host_ip}:{shown}->" if binding.host_ip else f"{shown}->"
