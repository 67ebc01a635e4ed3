# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How Docker's ids and our ownership are written into Neutron: tags, names, descriptions.

Neutron limited a tag to 60 characters, so upstream cuts a Docker id (64 hex, or 25 in swarm) into a lower half, its
first 32 characters, and an upper half, the rest. Networks carry the halves of the Docker network id, ports those of the
endpoint id, under the same two keys. The values must match upstream's byte for byte (docs/notes/upstream.md, "Tags" and
"Names in Neutron").

Neutron also limits a resource to 50 tags, so a Neutron network has room for 16 Docker networks, and a subnet for 50
pools. But each Docker network has a subnetpool of its own for each of its subnets, and that one has room: where network
or subnet are taken already, or belong to another project, the pool carries the halves, and which Neutron network it is
on.

Anybody can write the same marks on his own things. So nothing here reads them but from resources of the service's own
project (:mod:`~.ownership`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnPort, OwnSubnet, OwnSubnetPool
from kuryr_libnetwork.rules.parsing import UUID

LOWER_HALF = "kuryr.net.uuid.lh:"
UPPER_HALF = "kuryr.net.uuid.uh:"
HALF = 32
EXISTING_NETWORK = "kuryr.net.existing:"
EXISTING_POOL = "kuryr.subnetpool.existing"
EXISTING_PORT = "kuryr.port.existing"
WAS = "kuryr.was:"
"""Begins tags by which earlier versions remembered what an adopted port was before; they are taken off, never
believed.
"""
OWN_PORT = "compute:kuryr"
DEVICE_OWNER = "compute:kuryr"
SUBPORT_OWNER = "trunk:subport"
"""What Neutron writes on a port that is put on a trunk."""
UNBOUND_PORT_NAME = "kuryr-unbound-port"
SUBNET_PREFIX = "kuryr-subnet-"
LEFT_BEHIND = "kuryr.net.left"
"""The tag of a network or subnet of which a Docker network that is gone had to leave something, for others used it."""
MORE_USERS = "kuryr.net.more"
"""The tag of a Neutron network that is full of tags: further Docker networks are recorded on their pools only."""
ON_NETWORK = "kuryr.net.on:"
IP_RANGE = "kuryr.range:"
AUX_PORT_NAME = "kuryr-aux-address"
AUX_OWNER = "kuryr:aux-address"
"""``device_owner`` of a port that keeps an auxiliary address; its device is the Docker network."""
_MADE_ON = "made by kuryr-libnetwork on "
_FOR = " for Docker network "
_LONGEST_DESCRIPTION = 255
_DOCKER_ID = re.compile(r"[0-9a-f]{64}|[0-9a-z]{25}")
MAX_TAGS = 50
"""Tags per resource (neutron/extensions/tagging.py)."""


def id_tags(docker_id: str) -> tuple[str, ...]:
    """The tags that stand for a Docker id; one tag when it is not longer than a half."""
    lower, upper = docker_id[:HALF], docker_id[HALF:]
    return (LOWER_HALF + lower, UPPER_HALF + upper) if upper else (LOWER_HALF + lower,)


def is_of_one_host(docker_id: str) -> bool:
    """Whether a Docker network with this id is on one host only. Those of a swarm, whose ids are shorter, may be on
    any.
    """
    return len(docker_id) == 64 and is_docker_id(docker_id)


def is_docker_id(text: str) -> bool:
    """Whether the text has the form of an id of Docker. Devices of others (Nova, Zun) are UUIDs with hyphens."""
    return _DOCKER_ID.fullmatch(text) is not None


def docker_id_of(resource: OwnNetwork | OwnSubnetPool | OwnPort) -> str | None:
    """The Docker id in the tags of one resource of ours; ``None`` when there is none, or more than one.

    A swarm id fills no half: an upper half beside it is what a crash left of another one. And a full lower half alone
    is half an id.
    """
    lower = [tag.removeprefix(LOWER_HALF) for tag in resource.tags if tag.startswith(LOWER_HALF)]
    upper = [tag.removeprefix(UPPER_HALF) for tag in resource.tags if tag.startswith(UPPER_HALF)]
    if len(lower) != 1:
        return None
    if len(lower[0]) < HALF:
        return lower[0] or None
    return lower[0] + upper[0] if len(upper) == 1 else None


def network_tags(docker_id: str, *, existing: bool) -> tuple[str, ...]:
    """All tags of a Docker network on its Neutron network."""
    mark = (EXISTING_NETWORK + docker_id[:12],) if existing else ()
    return id_tags(docker_id) + mark


def other_users(network: OwnNetwork, docker_id: str) -> int:
    """How many other Docker networks (of any host) use a Neutron network, by its tags.

    Upstream sets and takes its tags one by one, so any of the three may stand alone: each kind is counted.
    """
    others = set(network.tags) - set(network_tags(docker_id, existing=True))
    kinds = (LOWER_HALF, UPPER_HALF, EXISTING_NETWORK)
    return max(sum(tag.startswith(kind) for tag in others) for kind in kinds)


def room_for(network: OwnNetwork, new: Iterable[str]) -> bool:
    """Whether a Neutron network can take these tags, and still the one that says that it is full."""
    return len({*network.tags, *new, MORE_USERS}) <= MAX_TAGS


def pool_tags(docker_id: str, neutron_id: str, ip_range: str = "") -> tuple[str, ...]:
    """All tags of a pool that records its Docker network."""
    return (*id_tags(docker_id), on_network(neutron_id), *((IP_RANGE + ip_range,) if ip_range else ()))


def on_network(neutron_id: str) -> str:
    """The tag by which the pools on a Neutron network are found."""
    return ON_NETWORK + neutron_id


def network_of_pool(pool: OwnSubnetPool) -> str:
    """The id of the Neutron network that a pool is recorded on; "" when it is not."""
    return next((tag.removeprefix(ON_NETWORK) for tag in pool.tags if tag.startswith(ON_NETWORK)), "")


def range_of_pool(pool: OwnSubnetPool) -> str:
    return next((tag.removeprefix(IP_RANGE) for tag in pool.tags if tag.startswith(IP_RANGE)), "")


def pool_marks(subnet: OwnSubnet) -> tuple[str, ...]:
    """The tags of a subnet that may be ids of pools: bare UUIDs. (The user's own tags may look so as well.)"""
    return tuple(tag for tag in subnet.tags if UUID.fullmatch(tag))


def is_marked(port: Port) -> bool:
    """Whether a port has tags such as this service or upstream's put there. It proves nothing: they can only be taken
    off.
    """
    return len(owners_tags(port)) < len(port.tags)


def owners_tags(port: Port) -> tuple[str, ...]:
    """The tags of a port without those."""
    marks = (LOWER_HALF, UPPER_HALF, WAS)
    return tuple(tag for tag in port.tags if tag not in {OWN_PORT, EXISTING_PORT} and not tag.startswith(marks))


def network_name(docker_id: str) -> str:
    return f"kuryr-net-{docker_id[:8]}"


def subnet_name(cidr: str) -> str:
    return f"{SUBNET_PREFIX}{cidr}"


def pool_name(prefix: str, cidr: str, distinction: str = "") -> str:
    """Upstream looks for the plain name and expects at most one pool of it, so every further one is told apart."""
    return f"{prefix}-{cidr}-{distinction}" if distinction else f"{prefix}-{cidr}"


def port_name(endpoint_id: str) -> str:
    return f"{endpoint_id}-port"


def intent_description(host: str, token: str) -> str:
    """The ``description`` of what we make: readable for the cloud's operators, unique for our own search."""
    return f"{_MADE_ON}{host}, {token}"


def intent_token(host: str, random: str, docker_id: str) -> str:
    """The part of a description that tells one intent from all others; with the Docker network that it is for, where
    there is room.
    """
    whole = f"{random}{_FOR}{docker_id}"
    fits = len(intent_description(host, whole)) <= _LONGEST_DESCRIPTION
    return whole if is_docker_id(docker_id) and fits else random


def token_of(description: str | None) -> str:
    """The same of a resource; "" for one that this service did not make."""
    text = description or ""
    return text.rpartition(", ")[2] if text.startswith(_MADE_ON) and ", " in text else ""


def made_for(resource: OwnNetwork | OwnSubnet) -> str:
    """The Docker network for which this service made it; "" where its description does not tell."""
    docker_id = token_of(resource.description).partition(_FOR)[2]
    return docker_id if is_docker_id(docker_id) else ""


def made_on(resource: OwnNetwork | OwnSubnet | OwnSubnetPool | OwnPort) -> str:
    """The host whose service made a resource of our project; "" for one that this service did not make."""
    description = resource.description or ""
    if not description.startswith(_MADE_ON):
        return ""
    return description.removeprefix(_MADE_ON).rpartition(", ")[0]


def made_by_us(port: OwnPort) -> bool:
    """Whether kuryr (this service or upstream's) created the port, so that it may be deleted with its endpoint.

    1. Adopted ports of upstream's say so by a tag. 2. Another owner says that somebody else has taken the port. 3.
       Created ones
    have the tag ``compute:kuryr`` or, 4. without it (clouds that cannot tag in the create call), the name that the
    binding gave them. 5. Not yet bound: the name from the create.
    """
    if EXISTING_PORT in port.tags or port.device_owner not in {"", DEVICE_OWNER, SUBPORT_OWNER}:
        return False
    if OWN_PORT in port.tags:
        return True
    if port.device_id and port.name == port_name(port.device_id):
        return port.device_owner == DEVICE_OWNER
    return port.name == UNBOUND_PORT_NAME


def subnet_made_by_us(subnet: OwnSubnet) -> bool:
    """Whether kuryr (this service or upstream's) created the subnet: its name says so."""
    return subnet.name.startswith(SUBNET_PREFIX)


def pool_made_by_us(pool: OwnSubnetPool, prefix: str) -> bool:
    """Whether a subnetpool has the shape of those that kuryr makes for one CIDR."""
    if EXISTING_POOL in pool.tags or len(pool.prefixes) != 1:
        return False
    plain = pool_name(prefix, canonical_cidr(pool.prefixes[0]))
    return pool.name == plain or (pool.name.startswith(f"{plain}-") and made_on(pool) != "")
