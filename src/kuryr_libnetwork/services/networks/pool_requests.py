# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""RequestPool: each request of Docker creates a subnetpool of its own in Neutron, whose id is Docker's id for the pool.

So an id means one Docker network, on every host, even after the journal was lost. The subnetpool is a name only: which
of the user's networks, subnets or subnetpools it stands for is decided in CreateNetwork, where all options are known.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from kuryr_libnetwork.errors import Conflict, InvalidOption, InvalidRequest, UnknownObject
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Subnet, SubnetPool
from kuryr_libnetwork.model.records import PoolRecord
from kuryr_libnetwork.model.settings import ServiceSettings
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.protocol.messages import RequestPoolRequest
from kuryr_libnetwork.rules import addresses, choices, prefixes
from kuryr_libnetwork.rules.choices import Choices, choices_of
from kuryr_libnetwork.rules.identity import pool_name
from kuryr_libnetwork.rules.options import parse_pool_options
from kuryr_libnetwork.rules.port_options import is_id
from kuryr_libnetwork.services.networks.chooser import Chooser
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.state.dates import Ages, Dates
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)
SKIPPED = 4
"""After hosts have taken the same prefix, one is chosen at random among this many free ones."""


class PoolWish(NamedTuple):
    """What a pool is to stand for. ``source``: the id of the user's subnetpool that the CIDR comes from; "": none."""

    cidr: str
    source: str = ""
    subnet: Subnet | None = None


class PoolRequests:
    """Neutron calls: 2, and one for each thing that the user chose by ``--ipam-opt``; for a default pool 4."""

    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        settings: ServiceSettings,
        locks: KeyedLocks,
        intents: Intents,
        pools: PoolKeeper,
        dates: Dates,
        ages: Ages,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._settings = settings
        self._locks = locks
        self._intents = intents
        self._pools = pools
        self._dates = dates
        self._ages = ages
        self._chooser = Chooser(neutron, own)

    def request(self, request: RequestPoolRequest) -> PoolRecord:
        options = parse_pool_options(request.options or {})
        version: IpVersion = 6 if request.v6 else 4
        cidr = addresses.canonical_cidr(request.pool) if request.pool else ""
        if cidr and addresses.version_of(cidr) != version:
            raise InvalidRequest(f"pool {cidr} is not an IPv{version} CIDR")
        if request.sub_pool and not cidr:
            raise InvalidOption("--ip-range", request.sub_pool, "needs a --subnet that it is within")
        record = PoolRecord(
            pool_id="",
            cidr=cidr,
            ip_version=version,
            made=True,
            options=options,
            ip_range=addresses.range_in(cidr, request.sub_pool) if request.sub_pool else "",
            unasked=not cidr,
        )
        if cidr:
            return self._take_turn(record, self._wish(choices_of(options), version, cidr))
        with self._locks.hold("unasked", str(version)):
            return self._alone(record, choices_of(options), version)

    # -- what it stands for ----------------------------------------------------------------------------------------

    def _wish(self, chosen: Choices, version: IpVersion, cidr: str) -> PoolWish:
        network = self._chooser.network(chosen)
        subnet = self._chooser.subnet(chosen, version, network)
        if subnet is not None:
            choices.check_cidr(chosen.subnet(version), subnet, [cidr])
        elif network is not None:
            found = self._neutron.find_subnets(network_id=network.id, cidr=cidr)
            subnet = found[0] if found else None
        pool = self._chooser.pool(chosen, version, [cidr])
        return PoolWish(cidr, "" if pool is None else pool.id, subnet)

    def _unasked(self, chosen: Choices, version: IpVersion, others: Collection[str]) -> PoolWish:
        """The wish without ``--subnet``: the CIDR of the chosen subnet or network, else a free prefix of the chosen or
        the default subnetpool.

        ``others``: prefixes that other hosts have taken meanwhile.
        """
        network = self._chooser.network(chosen)
        subnet = self._chooser.subnet(chosen, version, network)
        if subnet is None and network is not None and network.subnets and not chosen.pool(version):
            there = self._neutron.find_subnets(network_id=network.id, ip_version=str(version))
            if len(there) > 1:
                shown = ", ".join(sorted(each.cidr for each in there))
                raise InvalidRequest(f"Neutron network {network.id} has {len(there)} subnets ({shown}); give --subnet")
            subnet = there[0] if there else None
        if subnet is not None:
            self._refuse_second(subnet)
            return PoolWish(addresses.canonical_cidr(subnet.cidr), subnet=subnet)
        pool = self._chooser.pool(chosen, version, []) or self._default(version)
        taken = [each.cidr for each in self._neutron.find_subnets(subnetpool_id=pool.id)]
        held = [record for record in self._journal.pools.all() if record.source == pool.id and record.requests]
        unused = [record for record in held if not self._pools.in_use(record.pool_id)]
        taken += [*(record.cidr for record in held), *others]
        skip = secrets.randbelow(SKIPPED) if others else 0
        return PoolWish(prefixes.allocate(pool, taken, len(unused), skip), pool.id)

    def _alone(self, record: PoolRecord, chosen: Choices, version: IpVersion) -> PoolRecord:
        """The pool, with a prefix that no other host's pool has.

        Docker keeps to the prefix, and Neutron gives it to one network only. A host that sees another one's pool with
        its prefix removes its own and chooses at random, because the other may be doing the same. Neutron calls: 1, and
        3 for each further prefix.
        """
        taken: set[str] = set()
        for _ in range(prefixes.MOST_UNUSED):
            wish = self._unasked(chosen, version, taken)
            made = self._take_turn(record, wish)
            theirs = {} if wish.subnet is not None else self._others(made)
            if not any(addresses.may_overlap(made.cidr, cidr) for cidr in theirs.values()):
                return made
            LOG.info("prefix %s was taken by another host in the same moment", made.cidr)
            self._pools.release(made.pool_id)
            taken |= set(theirs.values())
        raise Conflict(
            f"other hosts took {prefixes.MOST_UNUSED} prefixes in the same moment; try again, or give --subnet"
        )

    def _others(self, made: PoolRecord) -> dict[str, str]:
        """The prefixes of all pools that kuryr made, except this one, by pool id."""
        ours = [pool for pool in self._own.subnetpools() if self._pools.ours(pool) and pool.id != made.pool_id]
        return {pool.id: prefix for pool in ours for prefix in pool.prefixes}

    def _default(self, version: IpVersion) -> SubnetPool:
        name, option = self._settings.default_subnetpool(version)
        if is_id(name):  # whose it is does not matter: the operator has named this one
            return prefixes.default_pool(name, option, version, self._neutron.find_subnetpools(id=name))
        return prefixes.default_pool(name, option, version, self._own.subnetpools(name=name))

    def _refuse_second(self, subnet: Subnet) -> None:
        """Docker asks again if the answer overlaps a route of the host; a chosen subnet has no other answer to give."""
        for record in self._journal.pools.all():
            same = record.unasked and record.subnet is not None and record.subnet.id == subnet.id
            if same and record.requests and not self._pools.in_use(record.pool_id):
                raise Conflict(
                    f"subnet {subnet.id} ({subnet.cidr}) overlaps a route of this host, or another docker network "
                    f"create is at work on it; give --subnet={subnet.cidr}"
                )

    # -- making it -------------------------------------------------------------------------------------------------

    def _take_turn(self, record: PoolRecord, wish: PoolWish) -> PoolRecord:
        record = msgspec.structs.replace(record, cidr=wish.cidr, source=wish.source, subnet=wish.subnet)
        with self._pools.turn(record.cidr):
            return self._make(record)

    def _make(self, record: PoolRecord) -> PoolRecord:
        cidr, prefix = record.cidr, self._settings.subnetpool_name_prefix
        name = pool_name(prefix, cidr)
        if record.source or record.subnet or self._own.subnetpools(name=name):
            name = pool_name(prefix, cidr, secrets.token_hex(4))
        length = ipaddress.ip_network(cidr).prefixlen
        attributes: dict[str, Any] = {
            "name": name,
            "prefixes": [cidr],
            "default_prefixlen": length,
            "min_prefixlen": length,
        }

        def save(pool: SubnetPool) -> None:
            self._ages.begin("pool", pool.id)
            self._journal.pools.put(msgspec.structs.replace(record, pool_id=pool.id, created_at=self._dates()))

        made = self._intents.create(
            "subnetpools",
            lambda description: self._neutron.create_subnetpool(attributes | {"description": description}),
            save,
        )
        held = self._journal.pools.get(made.id)
        if held is None:
            raise UnknownObject(f"pool {cidr} was removed while it was made")
        return held
