# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the journal holds that nobody uses any more.

Docker forgets things without telling us: it crashes, its DeleteEndpoint never comes, a release is skipped after a
failure (docs/notes/docker-plugin.md, "What Docker forgets"). Being unused for a moment proves nothing, because a call
may be under way. So what looks unused is a suspect first, and :func:`overdue` answers those that have been suspects
without a break for the whole grace time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, PoolRecord
from kuryr_libnetwork.rules.addresses import may_overlap
from kuryr_libnetwork.rules.networks import pools_of

Suspect = tuple[str, str]
"""Kind and key: ``endpoint``, ``lease``, ``network``, ``pool`` of the journal; a ``plug`` on this host or a ``port`` in
Neutron of which the journal knows nothing (keys: the port's id); a security ``group`` in Neutron whose port is gone."""


def trusted(view: EngineView | None, networks: Sequence[NetworkRecord]) -> bool:
    """Whether this Docker is the one that our networks belong to: it knows at least one of them, or did before.

    Otherwise a ``docker_socket`` of another engine would make everything here look forgotten.
    """
    return view is not None and any(
        network.docker_id in view.network_ids or (view.engine_id and network.engine_id == view.engine_id)
        for network in networks
    )


def suspects(
    *,
    networks: Sequence[NetworkRecord],
    endpoints: Sequence[EndpointRecord],
    leases: Sequence[LeaseRecord],
    pools: Sequence[PoolRecord],
    view: EngineView | None,
    idle: Collection[str] = (),
) -> set[Suspect]:
    """Everything that nobody uses at this moment.

    1. Leases without an endpoint, or with one that is gone. 2. Pools that no network uses. 3. Endpoints and networks
    whose creation or removal never ended. 4. Endpoints and networks that Docker does not know, if it is trusted. 5.
    Endpoints whose interface is in no container (``idle``), unless Docker lists them. 6. Empty networks that Docker
    does not know, and whose pools it has all released: for these any engine's answer is enough.
    """
    believed = view if trusted(view, networks) else None
    used = {pool_id for network in networks for pool_id in pools_of(network)}
    known = {endpoint.endpoint_id for endpoint in endpoints}
    found: set[Suspect] = {("lease", lease.port_id) for lease in leases if lease.endpoint_id not in known}
    found |= {("pool", pool.pool_id) for pool in pools if pool.pool_id not in used}
    found |= {("endpoint", endpoint.endpoint_id) for endpoint in endpoints if endpoint.state != "ready"}
    found |= {("network", network.docker_id) for network in networks if network.state != "ready"}
    if view is not None:
        held = {pool.pool_id for pool in pools if pool.requests}
        empty = [n for n in networks if n.docker_id not in {lease.docker_network_id for lease in leases}]
        gone = [n for n in empty if n.docker_id not in view.network_ids and n.subnets]
        known_pools = {pool.pool_id for pool in pools} - held
        found |= {("network", n.docker_id) for n in gone if pools_of(n) <= known_pools}
    if believed is None:
        return found | {("endpoint", endpoint_id) for endpoint_id in idle}
    found |= {("endpoint", e.endpoint_id) for e in endpoints if e.endpoint_id not in believed.endpoint_ids}
    found |= {("network", n.docker_id) for n in networks if n.docker_id not in believed.network_ids}
    return found


def kept_for(unfound: Iterable[NetworkWord], pools: Iterable[PoolRecord]) -> set[Suspect]:
    """The pools that may belong to Docker networks that were not found again: those of their CIDRs, or of parts of
    them.

    Parts, because upstream took ``--ip-range`` for the CIDR. All pools, for a network without a valid CIDR in Docker.
    """
    cidrs = [cidr for word in unfound for cidr in word.cidrs or ("",)]
    return {("pool", pool.pool_id) for pool in pools if any(may_overlap(cidr, pool.cidr) for cidr in cidrs)}


def remember(seen: Mapping[Suspect, float], now_suspect: Iterable[Suspect], now: float) -> dict[Suspect, float]:
    """Since when each suspect has been one; those that no longer are get dropped."""
    return {suspect: seen.get(suspect, now) for suspect in now_suspect}


def overdue(seen: Mapping[Suspect, float], now: float, grace: float) -> list[Suspect]:
    """Those that have been suspects for the grace time, in the order of removal: interfaces, ports, networks, pools."""
    order = {"plug": 0, "endpoint": 0, "lease": 1, "port": 1, "group": 2, "network": 2, "pool": 3}
    late = [suspect for suspect, since in seen.items() if now - since >= grace]
    return sorted(late, key=lambda suspect: (order[suspect[0]], suspect[1]))
