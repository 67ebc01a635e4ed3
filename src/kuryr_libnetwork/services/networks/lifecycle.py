# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker networks: CreateNetwork and DeleteNetwork.

Docker never repeats ``CreateNetwork``, and sends no ``DeleteNetwork`` after a failed one (docs/notes/docker-plugin.md,
"What is undone after failures"): it has to create everything or nothing. So the record is in the journal from the first
step on, with what exists in Neutron so far; the reconciler finishes what is half made or half removed
(:mod:`~.teardown`). Neutron calls: new 4 (with the pool's 3: 7), existing 4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from kuryr_libnetwork.errors import Conflict, InvalidOption, InvalidRequest, JournalError, UnsupportedVif
from kuryr_libnetwork.interfaces.drivers import Drivers
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import ENDPOINTS_BY_NETWORK, LEASES_BY_NETWORK
from kuryr_libnetwork.model.neutron import Network
from kuryr_libnetwork.model.records import NetworkRecord, PoolRecord, PoolSize
from kuryr_libnetwork.protocol.messages import INTERNAL, CreateNetworkRequest
from kuryr_libnetwork.rules import identity, networks as rules
from kuryr_libnetwork.rules.addresses import canonical_cidr, canonical_ip
from kuryr_libnetwork.rules.choices import agreed, choices_of
from kuryr_libnetwork.rules.options import (
    PORT_POOL,
    NetworkOptions,
    check_mtu,
    fingerprint,
    parse_network_options,
    without_effect,
)
from kuryr_libnetwork.rules.parsing import truthy
from kuryr_libnetwork.rules.refusals import network_subject
from kuryr_libnetwork.services.endpoints.release import Releaser
from kuryr_libnetwork.services.networks.chooser import Chooser, Plan
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.networks.subnets import SubnetKeeper
from kuryr_libnetwork.services.networks.teardown import Teardown
from kuryr_libnetwork.services.ports.creation import NewPorts
from kuryr_libnetwork.services.ports.port_options import PortOptions
from kuryr_libnetwork.services.ports.spare_removal import SpareRemoval
from kuryr_libnetwork.services.state.beside import Begin, Beside
from kuryr_libnetwork.services.state.dates import Dates
from kuryr_libnetwork.services.state.explaining import explaining
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.lookup import Lookup
from kuryr_libnetwork.services.state.network_users import NetworkUsers
from kuryr_libnetwork.services.state.own_things import OwnThings
from kuryr_libnetwork.text import shown
from kuryr_libnetwork.undo import Undo

LOG = logging.getLogger(__name__)
NORMAL = "normal"


class Networks:
    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        drivers: Drivers,
        own: OwnThings,
        intents: Intents,
        lookup: Lookup,
        pools: PoolKeeper,
        subnets: SubnetKeeper,
        network_users: NetworkUsers,
        port_options: PortOptions,
        releaser: Releaser,
        new_ports: NewPorts,
        removal: SpareRemoval,
        default_pool: Callable[[], PoolSize],
        teardown: Teardown,
        beside: Beside,
        dates: Dates,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._drivers = drivers
        self._own = own
        self._intents = intents
        self._lookup = lookup
        self._pools = pools
        self._subnets = subnets
        self._network_users = network_users
        self._chooser = Chooser(neutron, own)
        self._port_options = port_options
        self._releaser = releaser
        self._new_ports = new_ports
        self._removal = removal
        self._default_pool = default_pool
        self._teardown = teardown
        self._beside = beside
        self._dates = dates

    # -- create ----------------------------------------------------------------------------------------------------

    def create(self, request: CreateNetworkRequest) -> bool:
        """Create a Docker network; ``False``: the very same one exists already."""
        mark = fingerprint(msgspec.to_builtins(request))
        if self._exists(request.network_id, mark):
            return False
        record, plan, pools = self._decide(request, mark)
        with Undo() as undo, explaining(lambda: network_subject(request.network_id, record)):
            undo.add("take the network down", lambda: self._take_back(request.network_id))
            self._journal.networks.put(record)
            self._pools.network_came(pool.cidr for pool in pools)
            with self._beside.steps() as begin:
                on_tags = on_pools = False
                if plan.network is None:
                    record, network = self._new(record, plan.shared, begin)
                else:
                    record, network, on_tags = self._existing(record, plan.network, pools)
                    on_pools = not on_tags
                check_mtu(record.asked_mtu, record.mtu, {pool.ip_version for pool in pools})
                record = self._subnets.attach(record, network, pools, plan.sources, begin, on_pools=on_pools)
                if not on_tags:  # the pools' tags have been replaced before
                    self._network_users.remember(record)
            self._journal.networks.put(msgspec.structs.replace(record, state="ready"))
        LOG.info("Docker network %s is Neutron network %s", request.network_id[:12], network.id)
        return True

    def _decide(self, request: CreateNetworkRequest, mark: str) -> tuple[NetworkRecord, Plan, list[PoolRecord]]:
        """What is to be made of a request; changes nothing, and refuses what is impossible."""
        options = parse_network_options(request.generic)
        self._refuse_vnic_type(options.vnic_type)
        size = self._pool_size(options)
        if idle := without_effect(request.generic):
            LOG.warning(
                "Docker network %s: without effect with kuryr: %s", request.network_id[:12], shown(", ".join(idle))
            )
        pools = self._pools_of(request)
        plan = self._plan(request, pools, self._home(options))
        ports = self._port_options.of_network(request.generic, plan.network)
        record = NetworkRecord(
            docker_id=request.network_id,
            neutron_id="",
            made=plan.network is None,
            mtu=rules.DEFAULT_MTU,
            subnets=(),
            state="creating",
            internal=truthy((request.options or {}).get(INTERNAL)),
            vnic_type=options.vnic_type,
            pf=options.pf,
            asked_mtu=options.mtu,
            port_pool=size,
            ports=ports,
            fingerprint=mark,
            pools=tuple(pool.pool_id for pool in pools),
            created_at=self._dates(),
        )
        return record, plan, pools

    def _exists(self, docker_id: str, mark: str) -> bool:
        """Whether the very same network exists; what an earlier attempt left of it is removed first. Raises
        :class:`~kuryr_libnetwork.errors.Conflict` if it differs, or is still being removed.
        """
        known = self._journal.networks.get(docker_id)
        if known is not None and known.state != "ready":
            self.delete(docker_id)
            known = self._journal.networks.get(docker_id)
        if known is None:
            return False
        if known.state != "ready":
            raise Conflict(f"Docker network {docker_id[:12]} is still being removed; try again")
        if known.fingerprint not in {"", mark}:
            raise Conflict(f"Docker network {docker_id[:12]} exists already with other parameters")
        self._renew_pools(known)
        return True

    def _renew_pools(self, record: NetworkRecord) -> None:
        """Record the new pools of a Swarm network: at each start of the engine Swarm requests pools anew, and creates
        its networks again under the same ids.
        """
        waiting = [pool for pool in self._journal.pools.all() if pool.requests and not self._pools.in_use(pool.pool_id)]
        for subnet in record.subnets:
            new = max((pool for pool in waiting if pool.cidr == subnet.cidr), key=_age, default=None)
            if new is not None:
                fresh = msgspec.structs.replace(subnet, pool_id=new.pool_id, recorded=True)
                subnets = tuple(fresh if each == subnet else each for each in record.subnets)
                pools = tuple(sorted({*rules.pools_of(record), new.pool_id}))
                record = msgspec.structs.replace(record, subnets=subnets, pools=pools)
                self._journal.networks.put(record)
                self._pools.network_came([new.cidr])
                self._pools.forgotten(subnet.pool_id)
                self._network_users.record(record.docker_id, record.neutron_id, new)

    def _take_back(self, docker_id: str) -> None:
        record = self._journal.networks.get(docker_id)
        if record is not None:
            self._teardown.end(record)

    def _pools_of(self, request: CreateNetworkRequest) -> list[PoolRecord]:
        """The pools that Docker has requested for the network, in Docker's order."""
        data = [*(request.ipv4_data or []), *(request.ipv6_data or [])]
        if not data:
            raise InvalidRequest("the network has no pool; create it with --ipam-driver=kuryr and a --subnet")
        networks, known = self._journal.networks.all(), self._journal.pools.all()
        return [
            rules.match_pool(
                canonical_cidr(each.pool), canonical_ip(each.gateway) if each.gateway else "", known, networks
            )
            for each in data
        ]

    def _plan(self, request: CreateNetworkRequest, pools: list[PoolRecord], home: str) -> Plan:
        choices = choices_of(agreed(request.generic, *(pool.options for pool in pools)))
        return self._chooser.plan(choices, pools, home)

    def _new(self, record: NetworkRecord, shared: bool | None, begin: Begin) -> tuple[NetworkRecord, Network]:
        attributes: dict[str, Any] = {"name": identity.network_name(record.docker_id), "admin_state_up": True}
        if shared is not None:
            attributes["shared"] = shared
        network = self._intents.create(
            "networks",
            lambda description: self._neutron.create_network(attributes | {"description": description}),
            lambda made: self._journal.networks.put(_on(record, made)),
            docker_network=record.docker_id,
        )
        tags = identity.network_tags(record.docker_id, existing=False)
        begin(lambda: self._neutron.set_tags("networks", network.id, tags))
        return _on(record, network), network

    def _refuse_vnic_type(self, vnic_type: str) -> None:
        """Refuse a ``vnic_type`` without a port driver now, instead of in each container."""
        drivers = self._drivers.all()
        if vnic_type and not any(vnic_type in driver.vnic_types for driver in drivers):
            names = ", ".join(driver.name for driver in drivers)
            raise UnsupportedVif(
                f"kuryr.vnic_type={vnic_type}: no enabled port driver makes such ports; enabled: {names} "
                "([DEFAULT] enabled_port_drivers)"
            )

    def _pool_size(self, options: NetworkOptions) -> PoolSize:
        """Of the network's port pool: as the user says, else as the operator does where that is possible."""
        possible = self._new_ports.may_be_pooled(options.vnic_type)
        if options.port_pool and not possible:
            raise InvalidOption(
                PORT_POOL,
                options.port_pool,
                f"a pool is for ports that this host binds and that need no device, not for vnic_type "
                f"{options.vnic_type or NORMAL} here; leave the option out",
            )
        if options.port_pool is not None:
            return options.port_pool
        return self._default_pool() if possible else 0

    def _home(self, options: NetworkOptions) -> str:
        """The id of the Neutron network that all containers of this host have to be on; "": any."""
        if options.vnic_type not in {"", NORMAL}:
            return ""
        ordinary = [driver for driver in self._drivers.all() if NORMAL in driver.vnic_types]
        return ordinary[0].home_network() if ordinary else ""

    def _existing(
        self, record: NetworkRecord, network: Network, pools: list[PoolRecord]
    ) -> tuple[NetworkRecord, Network, bool]:
        """Use an existing network. If kuryr made it for another Docker network, it is deleted with its last user."""
        own = self._own.project.network(network)
        made = own is not None and identity.made_on(own) != ""
        record = _on(msgspec.structs.replace(record, made=made), network)
        self._journal.networks.put(record)
        return record, network, self._network_users.enter(record, network, pools)

    # -- delete ----------------------------------------------------------------------------------------------------

    def delete(self, docker_id: str, *, last_try: bool = False) -> list[str]:
        """Remove a Docker network, with endpoints of it that Docker forgot; Docker forgets it whatever we answer.

        Returns the ids of Docker networks removed earlier whose removal can be finished now that this one is gone.
        """
        record = self._lookup.network(docker_id)
        if record is None:
            LOG.info("Docker network %s is unknown here and in Neutron: nothing to remove", docker_id[:12])
            return []
        record = msgspec.structs.replace(record, state="deleting")
        try:
            self._journal.networks.put(record)
        except JournalError as error:  # a full disk is no reason to keep anything
            LOG.warning("removing Docker network %s all the same: %s", docker_id[:12], error)
        self._end_all(docker_id)
        self._removal.drain(record)
        self._teardown.end(record, last_try=last_try)
        return self._teardown.unfinished_beside(record)

    def _end_all(self, docker_id: str) -> None:
        """End the network's endpoints: after a crash dockerd removes networks whose endpoints it no longer knows."""
        for endpoint in self._journal.endpoints.find(ENDPOINTS_BY_NETWORK, docker_id):
            self._releaser.end_endpoint(endpoint)
        for lease in self._journal.leases.find(LEASES_BY_NETWORK, docker_id):
            self._releaser.end_leftover(lease)


def _on(record: NetworkRecord, network: Network) -> NetworkRecord:
    return msgspec.structs.replace(
        record,
        neutron_id=network.id,
        mtu=network.mtu or rules.DEFAULT_MTU,
        physical_network=network.physical_network or "",
        project_id=network.project_id or "",
    )


def _age(pool: PoolRecord) -> float:
    return pool.created_at
