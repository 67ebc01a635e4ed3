# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which Neutron network and which subnets a Docker network stands for.

Docker first asks the IPAM side for a pool (RequestPool), then for the gateway's address, and only then tells the
network side which options the user gave (CreateNetwork). So a pool is no more than a name for what CreateNetwork will
choose: a subnetpool of our own for each request, and Docker's later requests for addresses name exactly one Docker
network by it. On removal the order is the same: the pool goes before the network that uses it, which is why a pool in
use is only marked as released (docs/notes/docker-plugin.md, "Order of calls").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from kuryr_libnetwork.errors import Conflict, InvalidOption, UnknownObject
from kuryr_libnetwork.model.neutron import AUTOMATIC, Network, Subnet
from kuryr_libnetwork.model.records import NetworkRecord, PoolRecord, SubnetRecord
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.rules.addresses import (
    allocation_pools,
    canonical_cidr,
    canonical_ip,
    check_gateway,
    contains,
    first_address,
    no_gateway_answer,
    outside,
    size_of,
)
from kuryr_libnetwork.rules.choices import holds
from kuryr_libnetwork.rules.identity import (
    EXISTING_NETWORK,
    made_on,
    network_name,
    network_of_pool,
    network_tags,
    other_users,
    pool_marks,
    range_of_pool,
    subnet_made_by_us,
)
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnProject, OwnSubnet, OwnSubnetPool
from kuryr_libnetwork.rules.port_options import with_remembered

DEFAULT_MTU = 1500


def gateway_answer(cidr: str, version: IpVersion, asked: str, subnets: Sequence[Subnet]) -> str:
    """The gateway's address to tell Docker, which in every case wants one.

    1. The user gave one: that. (Whether it fits an existing subnet is known only in CreateNetwork.) 2. Exactly one
       subnet
    of that CIDR exists: its own, or the placeholder when it has none. 3. The first address, as Neutron would choose.
    """
    if asked:
        check_gateway(cidr, asked)
        return asked
    if len(subnets) == 1:
        return _gateway_of(subnets[0]) or no_gateway_answer(version).partition("/")[0]
    return first_address(cidr)


def match_subnet(network: Network, subnets: Sequence[Subnet], pool: PoolRecord) -> Subnet | None:
    """The network's existing subnet for a pool; ``None``: create one. Refuses a ``--gateway`` that is not the subnet's.

    With upstream the ``--ip-range`` is the subnet: where there is none of the pool's CIDR, but one of the
    range's, that one is meant. Neutron would take no other beside it.
    """
    same = [subnet for subnet in subnets if canonical_cidr(subnet.cidr) == pool.cidr]
    if not same and pool.ip_range:
        same = [subnet for subnet in subnets if canonical_cidr(subnet.cidr) == pool.ip_range]
    if not same:
        return None
    subnet = same[0]
    if pool.gateway and not pool.gateway_chosen and pool.gateway != _gateway_of(subnet):
        raise Conflict(
            f"--gateway {pool.gateway} contradicts subnet {subnet.id} of Neutron network {network.id}, whose gateway "
            f"is {subnet.gateway_ip or 'none'}"
        )
    return subnet


def why_no_subnet(network: Network, seen: Sequence[Subnet], cidr: str) -> str:
    """Why there is no subnet for a Docker network on a network of another project; ``seen``: what Neutron shows."""
    if len(seen) < len(network.subnets):
        return (
            f"Neutron network {network.id} belongs to another project, and Neutron shows the service's user "
            f"{len(seen)} of its {len(network.subnets)} subnets; "
            "give the user the role admin, which Neutron 24, for one, demands"
        )
    return (
        f"Neutron network {network.id} has no subnet {cidr}, and belongs to another project, where only the role admin "
        "may make one; give --subnet of a subnet that it has, or have its owner make this one"
    )


def refuse_chosen(subnet: Subnet, pool: PoolRecord) -> None:
    """Neither ``--ip-range`` nor ``--aux-address`` means anything where addresses follow from MACs.

    Nor does a range in which no address can be a container's.
    """
    cidr = canonical_cidr(subnet.cidr)
    if pool.ip_range and pool.ip_range != cidr:
        room = allocation_pools(cidr, {*pool.reserved, _gateway_of(subnet) or ""}, pool.ip_range)
        if not room:
            _refuse_small(pool, room, dhcp=False)
    if subnet.ipv6_address_mode not in AUTOMATIC:
        return
    options = (("--ip-range", pool.ip_range), ("--aux-address", ", ".join(pool.reserved)))
    for option, value in options:
        if value:
            raise InvalidOption(
                option,
                value,
                f"subnet {subnet.id} ({subnet.cidr}) has ipv6_address_mode {subnet.ipv6_address_mode}, so that each "
                "container's address follows from its MAC; leave it out",
            )


def spans_of_new(pool: PoolRecord, *, gateway: bool, dhcp: bool) -> list[dict[str, str]] | None:
    """Where Neutron may choose addresses in a new subnet; ``None``: it may do as it always does.

    With ``--ip-range`` that is the rest of the subnet, if there is one: then we choose in the range, and neither
    Neutron's own port nor anybody else's takes an address of it. ``gateway``: whether the subnet gets the pool's
    gateway. Docker has that address and the auxiliary ones in any case, and releases them with the network. ``dhcp``:
    the subnet's ``enable_dhcp``. Refuses a subnet in which no container could have an address, for to Neutron an empty
    list means all of them.
    """
    taken = {*pool.reserved, pool.gateway}
    room = allocation_pools(pool.cidr, taken, pool.ip_range)
    rest = outside(allocation_pools(pool.cidr, taken), pool.ip_range) if pool.ip_range else []
    for_neutron = 1 if dhcp and pool.ip_version == 4 and not rest else 0
    if size_of(room) <= for_neutron:
        _refuse_small(pool, room, dhcp=dhcp)
    if rest or pool.ip_range:
        return rest or room
    return None if not pool.reserved and (gateway or not pool.gateway) else room


def _refuse_small(pool: PoolRecord, room: Sequence[dict[str, str]], *, dhcp: bool) -> None:
    """``room``: what Neutron's own port would take, which serves DHCP and metadata."""
    taken = ", ".join(sorted({*pool.reserved, pool.gateway} - {""}))
    option, value = ("--ip-range", pool.ip_range) if pool.ip_range else ("--subnet", pool.cidr)
    own = f", and Neutron's own port needs {room[0]['start']}" if room and dhcp else ""
    way_out = ", or have the operator set [neutron] enable_dhcp = false" if own else ""
    raise InvalidOption(
        option, value, f"has no address for a container: {taken or 'nothing'} is taken{own}; give a larger one{way_out}"
    )


def source_of(network: Network, subnets: Sequence[Subnet], pool: PoolRecord, chosen: str, *, own: bool) -> str:
    """The id of the subnetpool from which a new subnet is taken; "": none.

    1. Neutron wants all subnets of a network and family from one pool, or all from none: the others decide. 2. The pool
       that
    the user or the operator chose. 3. ``own``: the subnet is alone, as upstream makes it, so its own pool. 4. None, so
    that other Docker networks can add theirs.
    """
    wanted = chosen or pool.source
    beside = [subnet for subnet in subnets if subnet.ip_version == pool.ip_version]
    if beside:
        theirs = beside[0].subnetpool_id or ""
        if wanted not in ("", theirs):
            raise Conflict(
                f"Neutron network {network.id} has IPv{pool.ip_version} subnets of {theirs or 'no'} subnetpool, and "
                f"Neutron takes no {pool.cidr} of subnetpool {wanted} beside them; give --subnet={beside[0].cidr}"
            )
        return theirs
    return wanted or (pool.pool_id if own else "")


def match_pool(cidr: str, gateway: str, pools: Iterable[PoolRecord], networks: Iterable[NetworkRecord]) -> PoolRecord:
    """The pool that Docker has just requested from us for this CIDR.

    Pools that no network uses yet come first, those with the same gateway before others: that is what a RequestPool
    just made.
    """
    used = {pool_id for network in networks for pool_id in pools_of(network)}
    fitting = [pool for pool in pools if pool.cidr == cidr and pool.requests > 0]
    fitting.sort(key=lambda pool: (pool.pool_id in used, pool.gateway != gateway, -pool.created_at))
    if not fitting:
        raise UnknownObject(
            f"pool {cidr} was not requested from this service; create the network with --ipam-driver=kuryr as well"
        )
    return fitting[0]


def pools_of(record: NetworkRecord) -> set[str]:
    """The ids of all pools of a Docker network."""
    return {*record.pools, *(subnet.pool_id for subnet in record.subnets)}


def kept_by_ports(pool: PoolRecord, *, made: bool) -> list[str]:
    """The auxiliary addresses that Neutron, or we, would give to a container otherwise. ``made``: of a subnet
    of ours.
    """
    return [address for address in pool.reserved if not made or (pool.ip_range and contains(pool.ip_range, address))]


def subnet_record(
    subnet: Subnet, pool_id: str, *, made: bool, ip_range: str = "", recorded: bool = False
) -> SubnetRecord:
    return SubnetRecord(
        subnet_id=subnet.id,
        pool_id=pool_id,
        cidr=canonical_cidr(subnet.cidr),
        ip_version=subnet.ip_version,
        made=made,
        gateway_ip=_gateway_of(subnet),
        host_routes=subnet.host_routes,
        ip_range=ip_range,
        recorded=recorded,
        advertised=subnet.ipv6_ra_mode is not None,
        automatic=subnet.ipv6_address_mode in AUTOMATIC,
    )


def refreshed(record: NetworkRecord, network: Network | None, subnets: Mapping[str, Subnet]) -> NetworkRecord:
    """The record with all that Neutron's users can change of a network and its subnets; ``None``, or no entry: not
    found.
    """
    fresh = tuple(
        replace(
            each,
            gateway_ip=_gateway_of(subnets[each.subnet_id]),
            host_routes=subnets[each.subnet_id].host_routes,
            advertised=subnets[each.subnet_id].ipv6_ra_mode is not None,
            automatic=subnets[each.subnet_id].ipv6_address_mode in AUTOMATIC,
        )
        if each.subnet_id in subnets
        else each
        for each in record.subnets
    )
    if network is None:
        return replace(record, subnets=fresh)
    seen = network.physical_network or record.physical_network  # shown only to some roles
    project = network.project_id or record.project_id
    return replace(record, subnets=fresh, mtu=network.mtu or DEFAULT_MTU, physical_network=seen, project_id=project)


def rebuild(
    project: OwnProject,
    docker_id: str,
    network: Network,
    subnets: Sequence[Subnet],
    pools: Sequence[OwnSubnetPool] = (),
) -> NetworkRecord:
    """The journal's record, rebuilt from Neutron, for networks of upstream or after the journal was lost.

    A subnet belongs to the Docker network when a pool of the network's own (``pools``) is recorded on it; or, where the
    subnet is in our own project, when a tag names its pool (a bare UUID), or when kuryr made it from a pool. The latter
    two may also be another Docker network's.
    """
    records = []
    recorded = {subnet.id: pool for pool in pools for subnet in subnets_of_pool(pool, network.id, subnets)}
    for subnet in subnets:
        pool, own = recorded.get(subnet.id), project.subnet(subnet)
        made = own is not None and subnet_made_by_us(own)
        if pool is not None:
            ip_range = range_of_pool(pool)
            records.append(subnet_record(subnet, pool.id, made=made, ip_range=ip_range, recorded=True))
        elif own is not None and (pool_id := _pool_of(own)):
            records.append(subnet_record(subnet, pool_id, made=made))
    record = NetworkRecord(
        docker_id=docker_id,
        neutron_id=network.id,
        made=_is_made(project.network(network), docker_id),
        mtu=network.mtu or DEFAULT_MTU,
        physical_network=network.physical_network or "",
        project_id=network.project_id or "",
        subnets=tuple(sorted(records, key=lambda record: (record.ip_version, record.subnet_id))),
        pools=tuple(sorted(pool.id for pool in pools)),
        rebuilt=True,
    )
    return with_remembered(record, pools)


def _is_made(network: OwnNetwork | None, docker_id: str) -> bool:
    """Whether kuryr made the Neutron network; what upstream made has the name, and no mark that it was there before."""
    if network is None:
        return False
    marks = [tag for tag in network_tags(docker_id, existing=True) if tag.startswith(EXISTING_NETWORK)]
    existing = any(tag in network.tags for tag in marks)
    return made_on(network) != "" or (not existing and network.name == network_name(docker_id))


def subnets_of_pool(pool: OwnSubnetPool, neutron_id: str, subnets: Iterable[Subnet]) -> list[Subnet]:
    """The subnet that a pool is recorded on, where it says so itself."""
    if network_of_pool(pool) != neutron_id:
        return []
    return [subnet for subnet in subnets if subnet.network_id == neutron_id and holds(pool, subnet.cidr)]


def may_delete(record: NetworkRecord, network: OwnNetwork) -> bool:
    """Whether to delete the Neutron network with the Docker network: we created it, and no other Docker network uses
    it.
    """
    return record.made and other_users(network, record.docker_id) == 0


def subnet_for(record: NetworkRecord, ip: str) -> SubnetRecord | None:
    """The subnet of the Docker network that ``ip`` is in."""
    return next((subnet for subnet in record.subnets if contains(subnet.cidr, ip)), None)


def _gateway_of(subnet: Subnet) -> str | None:
    return canonical_ip(subnet.gateway_ip) if subnet.gateway_ip else None


def _pool_of(subnet: OwnSubnet) -> str:
    """Of several UUIDs (the user's own tags may look like one) the pool that the subnet comes from, if it is among
    them.
    """
    bare = pool_marks(subnet)
    own = subnet.subnetpool_id or ""
    if bare:
        return own if own in bare else bare[0]
    return own if subnet_made_by_us(subnet) else ""
