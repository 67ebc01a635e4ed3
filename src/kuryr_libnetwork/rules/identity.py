# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How Docker's ids and our ownership are written into Neutron: tags, names, descriptions.

Neutron used to limit a tag to 60 characters, so upstream cuts a Docker id (64 hex digits, or 25 characters in swarm)
into a lower half, its first 32 characters, and an upper half, the rest. Networks carry the halves of the Docker network
id, ports those of the endpoint id, under the same two keys. The values must match upstream's byte for byte
(docs/notes/upstream.md, "Tags" and "Names in Neutron").

Neutron also limits a resource to 50 tags, so a Neutron network has room for 16 Docker networks, and a subnet for 50
pools. But each Docker network has a subnetpool of its own for each of its subnets, and that has room: if network or
subnet are used already, or belong to another project, the pool carries the halves, and the id of the Neutron network.

Anybody can write the same marks on his own resources. So they are read only from resources of the service's own project
(:mod:`~.ownership`).
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
"""Prefix of the tags in which earlier versions stored an adopted port's former state; removed, never believed."""
OWN_PORT = "compute:kuryr"
DEVICE_OWNER = "compute:kuryr"
SUBPORT_OWNER = "trunk:subport"
"""The ``device_owner`` that Neutron writes on a port that is put on a trunk."""
UNBOUND_PORT_NAME = "kuryr-unbound-port"
SPARE_NAME = "kuryr-spare-port"
"""The name of a port of a port pool that no container has (:mod:`~.port_pool`)."""
SUBNET_PREFIX = "kuryr-subnet-"
LEFT_BEHIND = "kuryr.net.left"
"""The tag of a network or subnet that a removed Docker network had to leave behind, because others used it."""
MORE_USERS = "kuryr.net.more"
"""The tag of a Neutron network without room for more tags: other Docker networks are recorded on their pools only."""
ON_NETWORK = "kuryr.net.on:"
IP_RANGE = "kuryr.range:"
AUX_PORT_NAME = "kuryr-aux-address"
AUX_OWNER = "kuryr:aux-address"
"""``device_owner`` of a port that keeps an auxiliary address; its ``device_id`` is the Docker network's id."""
_MADE_ON = "made by kuryr-libnetwork on "
_FOR = " for Docker network "
_LONGEST_DESCRIPTION = 255
_DOCKER_ID = re.compile(r"[0-9a-f]{64}|[0-9a-z]{25}")
MAX_TAGS = 50
"""Most tags of a resource (neutron/extensions/tagging.py)."""


def id_tags(docker_id: str) -> tuple[str, ...]:
    """The tags for a Docker id; only one if the id is not longer than a half."""
    lower, upper = docker_id[:HALF], docker_id[HALF:]
    return (LOWER_HALF + lower, UPPER_HALF + upper) if upper else (LOWER_HALF + lower,)


def is_of_one_host(docker_id: str) -> bool:
    """Whether a Docker network with this id is on one host only. Swarm's networks, with shorter ids, may be on any."""
    return len(docker_id) == 64 and is_docker_id(docker_id)


def is_docker_id(text: str) -> bool:
    """Whether the text has the form of a Docker id. Other services' device ids (Nova, Zun) are UUIDs with hyphens."""
    return _DOCKER_ID.fullmatch(text) is not None


def docker_id_of(resource: OwnNetwork | OwnSubnetPool | OwnPort) -> str | None:
    """The Docker id in the tags of one resource of ours; ``None`` if there is none, or more than one.

    A swarm id does not fill a half: an upper half beside it was left from another id by a crash. A full lower half
    alone is only half an id, and does not count.
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

    Upstream sets and removes its tags one by one, so any of the three may be there alone: each kind is counted.
    """
    others = set(network.tags) - set(network_tags(docker_id, existing=True))
    kinds = (LOWER_HALF, UPPER_HALF, EXISTING_NETWORK)
    return max(sum(tag.startswith(kind) for tag in others) for kind in kinds)


def room_for(network: OwnNetwork, new: Iterable[str]) -> bool:
    """Whether a Neutron network has room for these tags, and for the one that says that it is full."""
    return len({*network.tags, *new, MORE_USERS}) <= MAX_TAGS


def pool_tags(docker_id: str, neutron_id: str, ip_range: str = "") -> tuple[str, ...]:
    """All tags of a pool that records its Docker network."""
    return (*id_tags(docker_id), on_network(neutron_id), *((IP_RANGE + ip_range,) if ip_range else ()))


def on_network(neutron_id: str) -> str:
    """The tag by which the pools on a Neutron network are found."""
    return ON_NETWORK + neutron_id


def network_of_pool(pool: OwnSubnetPool) -> str:
    """The id of the Neutron network that a pool records; "" if it records none."""
    return next((tag.removeprefix(ON_NETWORK) for tag in pool.tags if tag.startswith(ON_NETWORK)), "")


def range_of_pool(pool: OwnSubnetPool) -> str:
    return next((tag.removeprefix(IP_RANGE) for tag in pool.tags if tag.startswith(IP_RANGE)), "")


def pool_marks(subnet: OwnSubnet) -> tuple[str, ...]:
    """The tags of a subnet that may be ids of pools: bare UUIDs. (The user's own tags may look like one.)"""
    return tuple(tag for tag in subnet.tags if UUID.fullmatch(tag))


def is_marked(port: Port) -> bool:
    """Whether a port has tags like those of this service or upstream's. That proves nothing, and only allows us to
    remove them.
    """
    return len(owners_tags(port)) < len(port.tags)


def owners_tags(port: Port) -> tuple[str, ...]:
    """The tags of a port, without those of this service or upstream's."""
    marks = (LOWER_HALF, UPPER_HALF, WAS)
    return tuple(tag for tag in port.tags if tag not in {OWN_PORT, EXISTING_PORT} and not tag.startswith(marks))


def network_name(docker_id: str) -> str:
    return f"kuryr-net-{docker_id[:8]}"


def subnet_name(cidr: str) -> str:
    return f"{SUBNET_PREFIX}{cidr}"


def pool_name(prefix: str, cidr: str, distinction: str = "") -> str:
    """Upstream looks up the plain name and expects at most one pool with it, so others end in a ``distinction``."""
    return f"{prefix}-{cidr}-{distinction}" if distinction else f"{prefix}-{cidr}"


def port_name(endpoint_id: str) -> str:
    return f"{endpoint_id}-port"


def intent_description(host: str, token: str) -> str:
    """The ``description`` of what we create: readable for the cloud's operators, unique for our own search."""
    return f"{_MADE_ON}{host}, {token}"


def intent_token(host: str, random: str, docker_id: str) -> str:
    """The unique part of a description; it names the Docker network as well, if there is room."""
    whole = f"{random}{_FOR}{docker_id}"
    fits = len(intent_description(host, whole)) <= _LONGEST_DESCRIPTION
    return whole if is_docker_id(docker_id) and fits else random


def token_of(description: str | None) -> str:
    """The token in a resource's description; "" if this service did not create the resource."""
    text = description or ""
    return text.rpartition(", ")[2] if text.startswith(_MADE_ON) and ", " in text else ""


def made_for(resource: OwnNetwork | OwnSubnet) -> str:
    """The id of the Docker network for which this service created it; "" if its description does not say."""
    docker_id = token_of(resource.description).partition(_FOR)[2]
    return docker_id if is_docker_id(docker_id) else ""


def made_on(resource: OwnNetwork | OwnSubnet | OwnSubnetPool | OwnPort) -> str:
    """The host whose service created a resource of our project; "" if this service did not create it."""
    description = resource.description or ""
    if not description.startswith(_MADE_ON):
        return ""
    return description.removeprefix(_MADE_ON).rpartition(", ")[0]


def made_by_us(port: OwnPort) -> bool:
    """Whether kuryr (this service or upstream's) created the port, so that it may be deleted with its endpoint.

    1. No, if a tag of upstream's says that it was adopted.
    2. No, if it has another owner: somebody else has taken it.
    3. Yes, with the tag ``compute:kuryr``.
    4. Without it (some clouds cannot tag in the create call): if it has the name that the binding gave it, or
    5. if it is not bound yet, or in a port pool, the name from its creation.
    """
    if EXISTING_PORT in port.tags or port.device_owner not in {"", DEVICE_OWNER, SUBPORT_OWNER}:
        return False
    if OWN_PORT in port.tags:
        return True
    if port.device_id and port.name == port_name(port.device_id):
        return port.device_owner == DEVICE_OWNER
    return port.name in {UNBOUND_PORT_NAME, SPARE_NAME}


def subnet_made_by_us(subnet: OwnSubnet) -> bool:
    """Whether kuryr (this service or upstream's) created the subnet: its name says so."""
    return subnet.name.startswith(SUBNET_PREFIX)


def pool_made_by_us(pool: OwnSubnetPool, prefix: str) -> bool:
    """Whether a subnetpool has the form of those that kuryr creates for one CIDR."""
    if EXISTING_POOL in pool.tags or len(pool.prefixes) != 1:
        return False
    plain = pool_name(prefix, canonical_cidr(pool.prefixes[0]))
    return pool.name == plain or (pool.name.startswith(f"{plain}-") and made_on(pool) != "")
