# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which subnetpool stands for which subnet of a Docker network, if nothing in Neutron proves it.

Docker shows the options and CIDRs of its networks, but not the ids of their pools. Upstream creates one subnetpool per
CIDR, in the service's project, for all Docker networks with that CIDR; each Docker network of this service has its own
subnetpool, marked as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kuryr_libnetwork.model.neutron import Subnet
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.identity import docker_id_of, network_of_pool
from kuryr_libnetwork.rules.ownership import OwnSubnet, OwnSubnetPool


class Named(Value, frozen=True):
    """A subnet that the user named for a Docker network, with its network. ``pool_id``: the subnetpool he named."""

    docker_id: str
    subnet: Subnet
    pool_id: str = ""


def pools_of_named(
    named: Iterable[Named], pools: Sequence[OwnSubnetPool], used: Iterable[OwnSubnet]
) -> Mapping[tuple[str, str], str]:
    """The pool for each pair of Docker network and subnet (ids) for which it can be determined.

    ``used``: the subnets of our own project. 1. The pool that the user named: upstream's service gave Docker its id. 2.
    The only pool of the CIDR that records no Docker network, and that no subnet of ours names or comes from; but only
    if all Docker networks with that CIDR mean the same subnet, because the pool stands for all of them.
    """
    named = list(named)
    taken = {tag for subnet in used for tag in (*subnet.tags, subnet.subnetpool_id or "")}
    free = [pool for pool in pools if not network_of_pool(pool) and not docker_id_of(pool) and pool.id not in taken]
    by_cidr: dict[str, list[str]] = {}
    for pool in free:
        if len(pool.prefixes) == 1:
            by_cidr.setdefault(canonical_cidr(pool.prefixes[0]), []).append(pool.id)
    meant: dict[str, set[str]] = {}
    for each in named:
        meant.setdefault(canonical_cidr(each.subnet.cidr), set()).add(each.subnet.id)
    found: dict[tuple[str, str], str] = {}
    for each in named:
        cidr = canonical_cidr(each.subnet.cidr)
        candidates = by_cidr.get(cidr, [])
        if each.pool_id:
            found[each.docker_id, each.subnet.id] = each.pool_id
        elif len(candidates) == 1 and len(meant[cidr]) == 1:
            found[each.docker_id, each.subnet.id] = candidates[0]
    return found
