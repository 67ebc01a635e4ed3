# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The port pools as calls of Docker see them: a container gets a ready port, and gives it back, by the journal alone.

Whatever needs Neutron, or time, is the filler's (:mod:`~.pool_filler`). Both change a record only if it still is as
they saw it, in a transaction, so no port is handed out twice or while it is being removed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from kuryr_libnetwork.errors import UnknownObject, UnsupportedVif
from kuryr_libnetwork.interfaces.drivers import Drivers, Preparing
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.indexes import (
    IDLE_SPARES_BY_NETWORK,
    SPARES_BY_ADDRESS,
    SPARES_BY_NETWORK,
    SPARES_BY_STATE,
    address_key,
)
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.overview import PoolState
from kuryr_libnetwork.model.records import LeaseRecord, NetworkRecord, PlugRecord, SpareRecord, SpareState, SubnetRecord
from kuryr_libnetwork.model.settings import PortPoolSettings
from kuryr_libnetwork.rules import pool_size, port_pool, ports as rules
from kuryr_libnetwork.rules.addresses import canonical_ip
from kuryr_libnetwork.rules.ownership import OwnPort
from kuryr_libnetwork.rules.plugging import ACTIVE
from kuryr_libnetwork.rules.pool_pauses import FULL
from kuryr_libnetwork.rules.pool_size import PoolCount
from kuryr_libnetwork.services.state.dates import Ages, Dates
from kuryr_libnetwork.text import shown

LOG = logging.getLogger(__name__)
IDLE: tuple[SpareState, ...] = ("ready", "cooling", "making")
"""The states of the ports that no container has, in the order in which they are given up."""
MOST_STARTS = 1000
"""Starts of containers that are remembered of a network."""
AGE: Literal["spare"] = "spare"


class Spares:
    """``clock``: monotonic seconds."""

    def __init__(
        self,
        journal: Journal,
        drivers: Drivers,
        settings: PortPoolSettings,
        dates: Dates,
        ages: Ages,
        clock: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._drivers = drivers
        self.settings = settings
        """As kuryr.conf has it now: it may be read again."""
        self._dates = dates
        self._ages = ages
        self._clock = clock
        self._guard = threading.Lock()
        self._starts: dict[str, deque[float]] = {}
        self._known: set[str] = set()
        self._paused: dict[str | None, float] = {}
        self._foreground = 0
        self._quiet = threading.Condition()
        self.is_open = False
        """Whether what an earlier process left has been looked at; before that nothing is handed out."""
        self.news = threading.Event()
        """Set whenever there may be work for the filler."""

    def resize(self, settings: PortPoolSettings) -> None:
        """Take over what an operator has changed; existing networks keep the size that they were created with."""
        self.settings = settings
        self.news.set()

    # -- for calls of Docker ---------------------------------------------------------------------------------------

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """Around Neutron calls that a container waits for: the filler begins none of its own meanwhile."""
        with self._quiet:
            self._foreground += 1
        try:
            yield
        finally:
            with self._quiet:
                self._foreground -= 1
                self._quiet.notify_all()

    def note_start(self, network: NetworkRecord) -> None:
        """A container is about to start on the network."""
        if network.port_pool:
            with self._guard:
                self._starts.setdefault(network.docker_id, deque(maxlen=MOST_STARTS)).append(self._clock())
                self._known.add(network.docker_id)
            self.news.set()

    def take(self, network: NetworkRecord, subnet: SubnetRecord, address: str = "") -> FixedIp | None:
        """Lease the port that has been ready for longest, and has ``address`` if one is given; ``None``: there is none.

        No Neutron call. That the port still works is seen in Open vSwitch's database.
        """
        if not self.is_open:
            return None
        for spare in self.ready(network.docker_id):
            found = [ip for ip in spare.port.fixed_ips if ip.subnet_id == subnet.subnet_id]
            found = [ip for ip in found if address in ("", canonical_ip(ip.ip_address))]
            if found and self.is_proven(spare) and self._lease(spare, network, subnet, found[0]):
                return found[0]
        return None

    def take_named(self, spare: SpareRecord, network: NetworkRecord, subnet: SubnetRecord, ip: FixedIp) -> bool:
        """Lease an idle port whose address Docker holds, which the journal had lost."""
        return spare.state in IDLE and self._lease(spare, network, subnet, ip)

    def _lease(self, spare: SpareRecord, network: NetworkRecord, subnet: SubnetRecord, ip: FixedIp) -> bool:
        made = rules.Unknown(made=True)
        port = msgspec.structs.replace(spare.port, status=ACTIVE)
        lease = rules.lease_of(
            port,
            network.docker_id,
            network.subnets,
            subnet.subnet_id,
            self._dates(),
            canonical_ip(ip.ip_address),
            unknown=made,
        )
        with self._journal.transaction():
            if self.move(spare, "used") is None:
                return False
            self._journal.leases.put(msgspec.structs.replace(lease, as_made=port))
        return True

    def take_back(self, lease: LeaseRecord) -> bool:
        """Take a container's port back into its pool, for the filler to make it ready again; ``False``: it is not a
        pool's, or not as it was made: whoever asks has to delete it.
        """
        spare = self._journal.spares.get(lease.port_id)
        if spare is None:
            return False
        network = self._journal.networks.get(spare.docker_network_id)
        if lease.exposed_groups is not None or network is None or network.state != "ready":
            self.leave_with_interface(lease.port_id)
            return False
        wanted, count = self.target(network), self.count(network.docker_id)
        cools = pool_size.may_cool(wanted, count, self._planned_on_host(), self.settings)
        with self._journal.transaction():
            if self.move(spare, "cooling" if cools else "leaving") is None:
                return False
            self._journal.leases.drop(lease.port_id)
        return True

    def leave_with_interface(self, port_id: str) -> None:
        """As :meth:`leave`, where no endpoint has the interface, or might not have it."""
        plug = self.plug_of(port_id)
        if plug is not None:
            self._drivers.named(plug.driver).unplug(plug)
        self.leave(port_id)

    def leave(self, port_id: str) -> None:
        """A container's port is changed: from now on it is an ordinary port, and is deleted after use.

        The caller knows what becomes of its interface.
        """
        if self._journal.spares.get(port_id) is not None:
            LOG.debug("port %s leaves its port pool", port_id)
            self._journal.spares.drop(port_id)
            self._ages.end(AGE, port_id)

    def plug_of(self, port_id: str) -> PlugRecord | None:
        """The interface that was made for a port of a pool."""
        spare = self._journal.spares.get(port_id)
        return spare.plug if spare is not None else None

    def knows(self, port_id: str) -> bool:
        """Whether the port is one of a pool; then it is the filler's to remove what is left of it."""
        return self._journal.spares.get(port_id) is not None

    def holding(self, subnet_id: str, address: str) -> SpareRecord | None:
        """The port of a pool that has an address, in whatever state."""
        return next(iter(self._journal.spares.find(SPARES_BY_ADDRESS, address_key(subnet_id, address))), None)

    # -- for both ----------------------------------------------------------------------------------------------------

    def is_proven(self, spare: SpareRecord) -> bool:
        """Whether a container's first packet would pass, by what Open vSwitch says now."""
        if spare.plug is None:
            return False
        try:
            driver = self._drivers.named(spare.plug.driver)
        except UnsupportedVif:
            return False
        return isinstance(driver, Preparing) and port_pool.is_installed(spare.port, driver.seen(spare.plug))

    def move(self, spare: SpareRecord, state: SpareState, **changes: object) -> SpareRecord | None:
        """Change a record if it is still as it was seen; ``None``: it is not."""
        with self._journal.transaction():
            if self._journal.spares.get(spare.port_id) != spare:
                return None
            moved = msgspec.structs.replace(spare, state=state, since=self._dates(), **changes)
            self._journal.spares.put(moved)
        self._ages.begin(AGE, spare.port_id)
        self.news.set()
        return moved

    def age(self, spare: SpareRecord) -> float:
        """For how many seconds the port has been in its state; what an earlier process left is as old as this one."""
        return self._ages.of(AGE, spare.port_id)

    def take_up(self, port: OwnPort, state: SpareState) -> None:
        """Record a port that this host made for a pool before the journal was lost; nothing for any other port."""
        mark = port_pool.idle_spare(port)
        if mark is None:
            return
        date = self._dates()
        spare = SpareRecord(
            port_id=port.id,
            docker_network_id=mark.network,
            state=state,
            port=Port(**msgspec.structs.asdict(port)),
            plug=self._drivers.for_port(port).recover(port),
            created_at=date,
            since=date,
        )
        self._journal.spares.put(spare)
        self._ages.begin(AGE, port.id)
        with self._guard:
            self._known.add(mark.network)

    def pause(self, docker_network_id: str | None, seconds: float = FULL) -> None:
        """Make no ports for a pool, or, with ``None``, for any. A longer pause that has begun goes on."""
        with self._guard:
            until = self._paused.get(docker_network_id, float("-inf"))
            self._paused[docker_network_id] = max(until, self._clock() + seconds)

    def is_paused(self, docker_network_id: str) -> bool:
        return self._paused_for(docker_network_id) > 0

    def _paused_for(self, docker_network_id: str) -> float:
        """For how many seconds no ports are made for a pool."""
        with self._guard:
            now = self._clock()
            return max(self._paused.get(key, now) - now for key in (None, docker_network_id))

    # -- for operators -----------------------------------------------------------------------------------------------

    def empty(self, network: str) -> int:
        """Have the filler delete the idle ports of the Docker networks whose id, or whose Neutron network's, begins so,
        and make none for a while. Returns their number.
        """
        chosen = [each for each in self.pools() if each.docker_id.startswith(network) or each.neutron_id == network]
        if network and not chosen:
            raise UnknownObject(f"no Docker network of this host with a port pool has the id {shown(network)}")
        found = 0
        for each in chosen:
            self.pause(each.docker_id)
            for spare in self._journal.spares.find(SPARES_BY_NETWORK, each.docker_id):
                found += spare.state in IDLE and self.move(spare, "leaving") is not None
        return found

    def states(self) -> dict[str, PoolState]:
        """The pools, by the ids of their Docker networks."""
        return {
            each.docker_id: PoolState(
                wanted=self.target(each),
                ready=len(self._in(each.docker_id, "ready")),
                paused=max(0.0, self._paused_for(each.docker_id)),
            )
            for each in self.pools()
        }

    def ready(self, docker_network_id: str) -> list[SpareRecord]:
        """Those first that have been ready for longest."""
        return sorted(self._in(docker_network_id, "ready"), key=lambda each: each.since)

    def _in(self, docker_network_id: str, state: SpareState) -> list[SpareRecord]:
        return self._journal.spares.find(IDLE_SPARES_BY_NETWORK, f"{state}/{docker_network_id}")

    # -- for the filler ----------------------------------------------------------------------------------------------

    def wait_for_quiet(self, seconds: float) -> bool:
        """Wait until no container waits for Neutron; ``False``: one still does."""
        with self._quiet:
            return self._quiet.wait_for(lambda: not self._foreground, timeout=seconds)

    def pools(self) -> list[NetworkRecord]:
        """The Docker networks that have a port pool."""
        networks = self._journal.networks.all()
        return [each for each in networks if each.port_pool and each.state == "ready" and each.subnets]

    def target(self, network: NetworkRecord) -> int:
        """How many ports are to be ready for containers of the network."""
        known = network.docker_id in self._known
        return pool_size.target(network.port_pool, self._start_ages(network.docker_id), self.settings, known=known)

    def wanted(self) -> int:
        """How many ports are to be ready in all pools together; no more than the host may have."""
        return min(sum(map(self.target, self.pools())), self.settings.max_per_host)

    def idle_seconds(self, docker_network_id: str) -> float:
        """Since the last start on the network; since the start of the service, if there was none."""
        return min(self._start_ages(docker_network_id), default=self._ages.of("process", ""))

    def _start_ages(self, docker_network_id: str) -> list[float]:
        now = self._clock()
        with self._guard:
            return [now - then for then in self._starts.get(docker_network_id, ())]

    def remember_starts(self) -> None:
        """After a start of the service: the ports that a pool kept ready stand for the starts that it was made for, and
        for one at least. Those that containers have say nothing: they may have been started weeks ago.
        """
        now, spares = self._clock(), self._journal.spares.all()
        kept = Counter(spare.docker_network_id for spare in spares if spare.state in ("ready", "making"))
        found = {spare.docker_network_id for spare in spares}
        with self._guard:
            for docker_id in found:
                self._starts.setdefault(docker_id, deque([now] * max(kept[docker_id], 1), maxlen=MOST_STARTS))
            self._known |= {lease.docker_network_id for lease in self._journal.leases.all()} | found

    def forget(self, docker_network_id: str) -> None:
        """The Docker network is gone."""
        with self._guard:
            self._starts.pop(docker_network_id, None)
            self._known.discard(docker_network_id)
            self._paused.pop(docker_network_id, None)

    def count(self, docker_network_id: str) -> PoolCount:
        ready, cooling, making = (self._in(docker_network_id, state) for state in IDLE)
        return PoolCount(making=len(making), ready=len(ready), cooling=len(cooling))

    def on_host(self) -> int:
        """The idle ports of all pools."""
        return sum(len(self._journal.spares.find(SPARES_BY_STATE, state)) for state in IDLE)

    def _planned_on_host(self) -> int:
        return sum(pool_size.planned(self.target(each), self.count(each.docker_id)) for each in self.pools())
