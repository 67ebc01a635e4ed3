# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which pool, which Neutron network, which subnet a Docker network stands for.

Docker first asks the IPAM side for a pool (RequestPool), then for the gateway's address, and only then tells the network
side which options the user gave (CreateNetwork). So the pool is chosen knowing the CIDR only, and is matched to a
subnet of the chosen network later. On removal the order is the same: the pool goes before the network that uses it
(docker-plugin-protocol §2.2), which is why a pool in use is only marked as released.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kuryr_libnetwork.errors import Conflict, InvalidOption, InvalidRequest, UnknownObject
from kuryr_libnetwork.model import IpVersion, Network, NetworkRecord, PoolRecord, Subnet, SubnetPool, SubnetRecord
from kuryr_libnetwork.rules.addresses import (
    canonical_cidr,
    canonical_ip,
    contains,
    first_address,
    no_gateway_answer,
)
from kuryr_libnetwork.rules.identity import (
    EXISTING_NETWORK,
    MAX_TAGS,
    SUBNET_PREFIX,
    network_name,
    network_tags,
    other_users,
)
from kuryr_libnetwork.rules.options import NET_NAME, NET_SHARED, NET_UUID, NetworkOptions

DEFAULT_MTU = 1500


def choose_pool(name: str, cidr: str, found: Sequence[SubnetPool]) -> SubnetPool | None:
    """The pool of that name to use; ``None``: make one.

    1. None found: make one. 2. Exactly one whose only prefix is the CIDR: use it. 3. Several, as parallel creates by
    upstream leave them: the one with the smallest id, so that every host chooses the same. 4. Another prefix under our
    name: somebody else's, refuse.
    """
    fitting = sorted(
        (pool for pool in found if tuple(map(canonical_cidr, pool.prefixes)) == (cidr,)), key=lambda p: p.id
    )
    if fitting:
        return fitting[0]
    if found:
        raise Conflict(
            f"Neutron's subnetpool {name!r} ({found[0].id}) does not hold exactly {cidr}; rename or remove it"
        )
    return None


def default_pool(name: str, option: str, found: Sequence[SubnetPool], held: Iterable[str]) -> SubnetPool:
    """The pool for a network without ``--subnet``: the one that the operator named in kuryr.conf.

    A second request while the first is held is refused: its prefix cannot be given twice, and engines before 27 ask
    again and again, for ever, while the answer overlaps a route of the host (docker-plugin-protocol §3).
    """
    if not found:
        raise InvalidRequest(
            f"no --subnet given, and Neutron has no subnetpool {name!r} ([neutron] {option}); give --subnet and --gateway"
        )
    if len(found) > 1:
        raise Conflict(f"Neutron has {len(found)} subnetpools named {name!r} ([neutron] {option}); give --subnet")
    pool = found[0]
    if not pool.prefixes:
        raise Conflict(f"Neutron's subnetpool {name!r} has no prefix; give --subnet")
    if pool.id in set(held):
        raise Conflict(
            f"Neutron's subnetpool {name!r} ({pool.prefixes[0]}) is taken by another Docker network or overlaps a route "
            "of this host; give --subnet"
        )
    return pool


def gateway_answer(cidr: str, version: IpVersion, asked: str, subnets: Sequence[Subnet]) -> str:
    """The gateway's address to tell Docker, which in every case wants one.

    1. The user gave one: that. (Whether it fits an existing subnet is known only in CreateNetwork.) 2. Exactly one subnet
    of that CIDR exists: its own, or the placeholder when it has none. 3. The first address, as Neutron would choose.
    """
    if asked:
        return canonical_ip(asked)
    if len(subnets) == 1:
        return _gateway_of(subnets[0]) or no_gateway_answer(version).partition("/")[0]
    return first_address(cidr)


def pick_network(options: NetworkOptions, found: Sequence[Network]) -> Network:
    """The existing network that the user named; refuses none, several, and a contradicting ``shared``."""
    key, value = (NET_UUID, options.network_uuid) if options.network_uuid else (NET_NAME, options.network_name)
    if not found:
        raise InvalidOption(key, value, "no such network in Neutron, or not visible to the service's project")
    if len(found) > 1:
        raise InvalidOption(key, value, f"{len(found)} networks have this name; use {NET_UUID}")
    network = found[0]
    if options.shared is not None and options.shared != network.shared:
        raise InvalidOption(NET_SHARED, options.shared, f"network {network.id} has shared={network.shared}")
    return network


def check_home(options: NetworkOptions, network: Network, home: str) -> None:
    """``home``: the network of the virtual machine, where all its containers have to be; "": any network will do."""
    if home and network.id != home:
        option, value = (NET_UUID, options.network_uuid) if options.network_uuid else (NET_NAME, options.network_name)
        allowed = f"the containers of this virtual machine can only be on its own network, {home}; leave the option out"
        raise InvalidOption(option, value, allowed)


def check_tag_room(network: Network, tags: Sequence[str]) -> None:
    if len(set(network.tags) | set(tags)) > MAX_TAGS:
        raise Conflict(
            f"Neutron network {network.id} has {len(network.tags)} tags, {MAX_TAGS} is Neutron's limit; it carries too "
            "many Docker networks"
        )


def match_subnet(network: Network, subnets: Sequence[Subnet], pool: PoolRecord) -> Subnet | None:
    """The network's own subnet for a pool; ``None``: make one. Refuses a gateway that the user gave differently."""
    same = [subnet for subnet in subnets if canonical_cidr(subnet.cidr) == pool.cidr]
    if not same:
        return None
    subnet = same[0]
    if pool.gateway and not pool.gateway_chosen and pool.gateway != _gateway_of(subnet):
        raise Conflict(
            f"--gateway {pool.gateway} contradicts subnet {subnet.id} of Neutron network {network.id}, whose gateway is "
            f"{subnet.gateway_ip or 'none'}"
        )
    return subnet


def match_pool(cidr: str, pools: Iterable[PoolRecord], networks: Iterable[NetworkRecord]) -> PoolRecord:
    """The pool that Docker requested from us for this CIDR just before.

    Pools that no network uses yet come first: that is what a RequestPool just made.
    """
    used = {subnet.pool_id for network in networks for subnet in network.subnets}
    fitting = [pool for pool in pools if pool.cidr == cidr and pool.requests > 0]
    fitting.sort(key=lambda pool: (pool.pool_id in used, -pool.created_at))
    if not fitting:
        raise UnknownObject(
            f"pool {cidr} was not requested from this service; create the network with --ipam-driver=kuryr as well"
        )
    return fitting[0]


def subnet_record(subnet: Subnet, pool_id: str, *, made: bool) -> SubnetRecord:
    return SubnetRecord(
        subnet_id=subnet.id,
        pool_id=pool_id,
        cidr=canonical_cidr(subnet.cidr),
        ip_version=subnet.ip_version,
        made=made,
        gateway_ip=_gateway_of(subnet),
        host_routes=subnet.host_routes,
    )


def rebuild(docker_id: str, network: Network, subnets: Sequence[Subnet]) -> NetworkRecord:
    """The journal's record from what stands in Neutron, for networks of upstream or after a lost journal.

    A subnet belongs to the Docker network when a tag names its pool (a bare UUID), or when kuryr made it from a pool.
    """
    records = []
    for subnet in subnets:
        pool_id = _pool_of(subnet)
        if pool_id:
            records.append(subnet_record(subnet, pool_id, made=subnet.name.startswith(SUBNET_PREFIX)))
    existing = any(
        tag in network.tags for tag in network_tags(docker_id, existing=True) if tag.startswith(EXISTING_NETWORK)
    )
    return NetworkRecord(
        docker_id=docker_id,
        neutron_id=network.id,
        made=not existing and network.name == network_name(docker_id),
        mtu=network.mtu or DEFAULT_MTU,
        physical_network=network.physical_network or "",
        subnets=tuple(sorted(records, key=lambda record: (record.ip_version, record.subnet_id))),
    )


def may_delete(record: NetworkRecord, network: Network) -> bool:
    """Whether the Neutron network goes with the Docker network: we made it, and no other Docker network uses it."""
    return record.made and other_users(network.tags, record.docker_id) == 0


def subnet_for(record: NetworkRecord, ip: str) -> SubnetRecord | None:
    """The subnet of the Docker network that ``ip`` is in."""
    return next((subnet for subnet in record.subnets if contains(subnet.cidr, ip)), None)


def _gateway_of(subnet: Subnet) -> str | None:
    return canonical_ip(subnet.gateway_ip) if subnet.gateway_ip else None


def _pool_of(subnet: Subnet) -> str:
    """Of several UUIDs (the user's own tags may look so) the pool that the subnet comes from, if it is among them."""
    bare = [tag for tag in subnet.tags if _is_uuid(tag)]
    own = subnet.subnetpool_id or ""
    if bare:
        return own if own in bare else bare[0]
    return own if subnet.name.startswith(SUBNET_PREFIX) else ""


def _is_uuid(text: str) -> bool:
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(c in "0123456789abcdef" for c in "".join(parts))
