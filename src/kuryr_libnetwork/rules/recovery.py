# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What this host created in Neutron and its journal does not know, because it was lost, or its last step not written.

Neutron shows which Docker networks use a network, but not on which host each of them is. So a Docker network counts as
one of this host only if something that this host created says so: a pool that records it, or the description of the
network or a subnet that was created for it. Only Docker knows whether it still exists. Networks of a swarm, which may
be on any host, are left to the engines of those hosts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from kuryr_libnetwork.model.neutron import TagOwner
from kuryr_libnetwork.model.records import NetworkRecord
from kuryr_libnetwork.rules.identity import (
    docker_id_of,
    is_of_one_host,
    made_for,
    made_on,
    network_name,
    network_of_pool,
    network_tags,
)
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnPort, OwnSubnet, OwnSubnetPool

DAY = 86400.0
GRACES = 5.0


def first_look(*, known: bool, grace: float, chance: float) -> float:
    """The seconds from the start to the first look; ``known``: the journal was not empty. ``chance``: from 0 to 1.

    A look reads the networks, subnets and pools of the whole cloud. If all hosts that start together did so at once,
    Neutron would have nothing left for their containers: with a journal, that finds only what an older copy of it
    lacks, and there is time. Docker's own networks are recovered without it.
    """
    return chance * (DAY if known else GRACES * grace)


class There(NamedTuple):
    """The service's own resources, of all hosts. ``aux_ports``: the ports that keep auxiliary addresses."""

    networks: Sequence[OwnNetwork]
    subnets: Sequence[OwnSubnet]
    pools: Sequence[OwnSubnetPool]
    aux_ports: Sequence[OwnPort]

    def of(self, host: str) -> There:
        """The resources that this host created."""
        return There(
            [each for each in self.networks if made_on(each) == host],
            [each for each in self.subnets if made_on(each) == host],
            [each for each in self.pools if made_on(each) == host],
            [each for each in self.aux_ports if made_on(each) == host],
        )


def recorded_networks(host: str, there: There) -> Mapping[str, OwnNetwork | None]:
    """The ids of this host's Docker networks that Neutron records, each with its Neutron network if that is ours."""
    by_tag: defaultdict[str, dict[str, OwnNetwork]] = defaultdict(dict)
    for network in there.networks:
        for tag in network.tags:
            by_tag[tag][network.id] = network
    recorded = {docker_id_of(pool) for pool in there.pools if network_of_pool(pool)}
    found: dict[str, OwnNetwork | None] = {}
    for docker_id in sorted(set(filter(is_of_one_host, _of_host(there.of(host))))):
        tagged: dict[str, OwnNetwork] = {}
        for tag in network_tags(docker_id, existing=True):
            tagged |= by_tag.get(tag, {})
        if tagged or docker_id in recorded:
            found[docker_id] = next(iter(tagged.values())) if len(tagged) == 1 else None
    return found


def _of_host(made: There) -> Iterator[str]:
    for network in made.networks:
        docker_id = docker_id_of(network) or ""
        yield made_for(network) or (docker_id if network.name == network_name(docker_id) else "")
    yield from map(made_for, made.subnets)
    yield from (docker_id_of(pool) or "" for pool in made.pools)
    yield from (port.device_id for port in made.aux_ports)


def unused_pools(host: str, there: There, alive: Collection[str]) -> list[OwnSubnetPool]:
    """Pools of this host that no subnet names, and that record no Docker network or one that is not ``alive``."""
    named = {tag for subnet in there.subnets for tag in subnet.tags}
    pools = [pool for pool in there.pools if made_on(pool) == host and pool.id not in named]
    return [pool for pool in pools if not network_of_pool(pool) or _is_gone(docker_id_of(pool) or "", alive)]


def cut_off(
    host: str, there: There, known: Iterable[NetworkRecord], alive: Collection[str]
) -> list[tuple[TagOwner, str]]:
    """Kind and description of what this host created for Docker networks that are not ``alive``, and nothing records.

    What was left to others on purpose has a tag, and is not among them.
    """
    made, known = there.of(host), list(known)
    in_use = {subnet.subnet_id for network in known for subnet in network.subnets}
    in_use |= {network.neutron_id for network in known}
    in_use |= {network_of_pool(pool) for pool in there.pools}

    def is_unused(resource: OwnNetwork | OwnSubnet) -> bool:
        return not resource.tags and resource.id not in in_use and _is_gone(made_for(resource), alive)

    kinds: dict[TagOwner, list[str | None]] = {
        "networks": [network.description for network in made.networks if is_unused(network)],
        "subnets": [subnet.description for subnet in made.subnets if is_unused(subnet)],
        "ports": [port.description for port in made.aux_ports if _is_gone(port.device_id, alive)],
    }
    return [(kind, description or "") for kind, found in kinds.items() for description in found]


def _is_gone(docker_id: str, alive: Collection[str]) -> bool:
    return is_of_one_host(docker_id) and docker_id not in alive
