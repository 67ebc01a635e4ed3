# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Chooses a prefix of a subnetpool for a Docker network without ``--subnet``, and an address of an ``--ip-range``.

Upstream gives out the whole first prefix of the default pool, so there can be only one such Docker network. Here each
gets a prefix of the pool's default length, as Neutron itself would choose, or the pool's whole prefix if that is not
shorter.

As long as the answer overlaps a route of the host, Docker asks again and keeps what it got
(docs/notes/docker-plugin.md, "Addresses"). So no prefix is given out twice, and after several unused ones the answer is
an error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence

from kuryr_libnetwork.errors import Conflict, InvalidRequest, NoFreeAddress
from kuryr_libnetwork.model.neutron import SubnetPool
from kuryr_libnetwork.model.records import SubnetRecord
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.rules.addresses import allocation_pools, size_of

MOST_UNUSED = 16
"""How many prefixes Docker may hold for which it has not created a network."""


def default_pool(name: str, option: str, version: IpVersion, found: Sequence[SubnetPool]) -> SubnetPool:
    """The pool for a network without ``--subnet``: the one that the operator named in kuryr.conf.

    A name is looked up only in the service's own project, because anybody can use that name; an id in any project.
    """
    if not found:
        raise InvalidRequest(
            f"no --subnet given, and the service's project has no subnetpool {name!r} ([neutron] {option}); give "
            "--subnet and --gateway, or have the operator make the pool, or name one of another project there by its "
            "id"
        )
    if len(found) > 1:
        ids = " and ".join(sorted(pool.id for pool in found))
        raise Conflict(
            f"the service's project has {len(found)} subnetpools named {name!r}: {ids}; give --subnet, or have the "
            f"operator set [neutron] {option} to the id of one"
        )
    if found[0].ip_version != version:
        raise InvalidRequest(
            f"Neutron's subnetpool {name!r} ([neutron] {option}) has no IPv{version} addresses; give --subnet"
        )
    return found[0]


def allocate(pool: SubnetPool, taken: Iterable[str], unused: int, skip: int = 0) -> str:
    """The prefix for the next Docker network. ``unused``: how many Docker holds without a network.

    ``skip``: how many free prefixes to pass over, as long as there are more.
    """
    what = f"Neutron's subnetpool {pool.name or pool.id!r} ({', '.join(pool.prefixes) or 'no prefix'})"
    if unused >= MOST_UNUSED:
        raise Conflict(f"Docker refused {unused} prefixes of {what}: each overlaps a route of this host; give --subnet")
    others, found = list(taken), ""
    for _ in range(skip + 1):
        free = free_prefix(pool.prefixes, int(pool.default_prefixlen), others)
        if free is None:
            break
        found = free
        others.append(free)
    if not found:
        raise Conflict(f"{what} has no free prefix left; give --subnet")
    return found


def free_prefix(prefixes: Iterable[str], length: int, taken: Iterable[str]) -> str | None:
    """The first prefix of that length (or a whole, longer prefix of the pool) that overlaps nothing taken."""
    others = [ipaddress.ip_network(text) for text in taken]
    for text in prefixes:
        whole = ipaddress.ip_network(text)
        length_here = max(length, whole.prefixlen)
        size = 1 << (whole.max_prefixlen - length_here)
        low, end = int(whole.network_address), int(whole.broadcast_address)
        spans = sorted(
            (int(other.network_address), int(other.broadcast_address))
            for other in others
            if other.version == whole.version
        )
        for first, last in spans:
            if first < low + size and last >= low:
                low = -(-(last + 1) // size) * size
        if low + size - 1 <= end:
            return f"{type(whole.network_address)(low)}/{length_here}"
    return None


def free_address(subnet: SubnetRecord, taken: Iterable[str], choose: Callable[[int], int]) -> str:
    """A free address of the subnet's ``--ip-range``. ``choose(n)`` picks a number from 0 to n-1."""
    spans = allocation_pools(subnet.cidr, [*taken, subnet.gateway_ip or ""], within=subnet.ip_range)
    if not spans:
        raise NoFreeAddress(f"--ip-range {subnet.ip_range} has no free address left")
    number = choose(size_of(spans))
    for span in spans[:-1]:
        if number < size_of([span]):
            break
        number -= size_of([span])
    else:
        span = spans[-1]
    return str(ipaddress.ip_address(span["start"]) + number)
