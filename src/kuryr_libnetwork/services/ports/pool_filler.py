# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the ports of port pools, and makes those ready again that containers have released. No container waits for it.

Each port goes through its states by records of the journal, and each step can be repeated, so a service that was killed
goes on where it was. Neutron calls: 1 to make a port, 1 to make a released one ready again, and 1 for all of them that
have cooled within seconds, 1 to delete one; 1 for all ports of this host in each round of the background
(:meth:`PoolFiller.look`).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from kuryr_libnetwork.errors import KuryrError, NeutronUnavailable
from kuryr_libnetwork.interfaces.drivers import Drivers, PortDriver
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import SPARES_BY_STATE
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import NetworkRecord, SpareRecord
from kuryr_libnetwork.patience import one_patience
from kuryr_libnetwork.rules import pool_size, port_pool
from kuryr_libnetwork.rules.plugging import ACTIVE
from kuryr_libnetwork.rules.pool_pauses import pause_after
from kuryr_libnetwork.services.ports.creation import NewPorts
from kuryr_libnetwork.services.ports.spare_removal import SpareRemoval
from kuryr_libnetwork.services.ports.spare_review import SpareReview
from kuryr_libnetwork.services.ports.spares import Spares
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.locks import KeyedLocks

LOG = logging.getLogger(__name__)
THREAD = "port-pools"
LONGEST_SLEEP = 30.0
"""Seconds between two looks at the pools, if nothing happens."""
LOOK_AGAIN = 0.2
"""Seconds between two looks whether an interface works."""
AFTER_FAILURE = 2.0
"""Seconds until a step that failed is tried again, at least."""
STATUS_AGAIN = 2.0
"""Seconds between two questions for the status of ports."""
TOGETHER = 5.0
"""Seconds between two looks at released ports, so that those that have cooled meanwhile cost one call together."""
UNPROVEN = 60.0
"""Seconds after which a port that does not work is replaced."""
QUIET = 10.0
"""The longest wait for containers that wait for Neutron, in seconds."""


class PoolFiller:
    """``clock``: monotonic seconds. ``chance``: a random number from 0 to 1."""

    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        new_ports: NewPorts,
        spares: Spares,
        removal: SpareRemoval,
        review: SpareReview,
        drivers: Drivers,
        locks: KeyedLocks,
        attempts: Attempts,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._new_ports = new_ports
        self._spares = spares
        self._removal = removal
        self._review = review
        self._drivers = drivers
        self._locks = locks
        self._clock = clock
        self._chance = chance
        self._attempts = attempts
        self._stopped = threading.Event()
        self._failures = 0
        self._asked = self._reviewed = float("-inf")
        self._looked: set[str] = set()
        self._silent_until = float("-inf")
        self._waits = False
        self._later: dict[str, float] = {}

    # -- the thread ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until :meth:`stop`."""
        while not self._stopped.is_set():
            self._spares.news.clear()
            self._attempts.run("look after the port pools", self.work)
            self._attempts.beat()
            self._spares.news.wait(self._sleep())

    def stop(self) -> None:
        self._stopped.set()
        self._spares.news.set()

    def _sleep(self) -> float:
        """Seconds until there is something to do."""
        if self._failed_lately():
            return AFTER_FAILURE
        if self._in("making") or self._waits:
            return LOOK_AGAIN
        left = [self._spares.settings.cooling - self._spares.age(spare) for spare in self._in("cooling")]
        soonest = max(LOOK_AGAIN, self._reviewed + TOGETHER - self._clock())
        return min(max(min(left, default=LONGEST_SLEEP), soonest), LONGEST_SLEEP)

    def _failed_lately(self) -> bool:
        now = self._clock()
        self._later = {what: until for what, until in self._later.items() if until > now}
        return bool(self._later)

    def work(self) -> None:
        """One look at all pools; creates at most one port for each."""
        self._waits = False
        with one_patience(spare=0):
            if not self._spares.is_open:
                self._open()
            self._finish()
            self._mistrust()
            for spare in self._in("making"):
                self._attempt(f"prepare port {spare.port_id}", partial(self._prepare, spare.port_id), here=True)
            for network in self._spares.pools():
                for spare in filter(self._is_outdated, self._spares.ready(network.docker_id)):
                    self._spares.move(spare, "making")
                if not self._stopped.is_set():
                    self._fit(network)

    def _finish(self) -> None:
        """What Neutron is asked for besides new ports; not while it gives no answer."""
        for spare in self._in("leaving"):
            if not self._is_silent():
                self._attempt(f"delete port {spare.port_id} of a port pool", partial(self._removal.end, spare.port_id))
        cooled = [spare for spare in self._in("cooling") if self._has_cooled(spare) and self._may_try(_using(spare))]
        if cooled and not self._is_silent() and self._clock() - self._reviewed >= TOGETHER:
            self._attempt("look at released ports of port pools", partial(self._use_again, cooled))

    def _has_cooled(self, spare: SpareRecord) -> bool:
        return self._spares.age(spare) >= self._spares.settings.cooling

    def _mistrust(self) -> None:
        """Look anew at ports that do not work any more: they are ready again, or replaced."""
        for spare in self._in("ready"):
            if not self._spares.is_proven(spare):
                LOG.info("port %s of a port pool does not work any more", spare.port_id)
                self._spares.move(spare, "making")

    def _attempt(self, what: str, work: Callable[[], object], *, here: bool = False) -> None:
        """One step of one port. After a failure it waits a little, and longer each time if nobody answers.

        ``here``: the step is one of this host, and is repeated soon however often it has failed.
        """
        if not self._may_try(what, here=here):
            return
        try:
            if not self._attempts.run(what, partial(self._step, work)):
                self._later[what] = self._clock() + AFTER_FAILURE
        finally:
            self._attempts.beat()

    def _may_try(self, what: str, *, here: bool = False) -> bool:
        due = (here or self._attempts.is_due(what)) and self._later.get(what, 0.0) <= self._clock()
        return due and not self._stopped.is_set()

    def _step(self, work: Callable[[], object]) -> None:
        try:
            work()
        except NeutronUnavailable as error:
            self._wait_after(error, None)
            raise

    def _wait_after(self, error: KuryrError, docker_network_id: str | None) -> None:
        self._failures += 1
        pause = pause_after(error, self._failures, self._chance())
        self._spares.pause(None if pause.everywhere else docker_network_id, pause.seconds)
        if isinstance(error, NeutronUnavailable):
            self._silent_until = self._clock() + pause.seconds

    def _is_silent(self) -> bool:
        """Whether Neutron has given no answer lately."""
        return self._clock() < self._silent_until

    def _in(self, state: str) -> list[SpareRecord]:
        return self._journal.spares.find(SPARES_BY_STATE, state)

    def _open(self) -> None:
        """Look at what an earlier process left, before anything of it is handed out. No Neutron call."""
        for spare in self._in("ready"):
            where = self._driver(spare).where(spare.plug) if spare.plug is not None else "gone"
            if where == "container":
                LOG.warning("port %s of a port pool is in a container that the journal does not know", spare.port_id)
                self._journal.spares.drop(spare.port_id)
            elif where == "gone":
                self._spares.move(spare, "making")
        for spare in self._in("used"):
            if self._journal.leases.get(spare.port_id) is None:
                self._spares.move(spare, "cooling")
        self._spares.remember_starts()
        self._spares.is_open = True

    # -- one port --------------------------------------------------------------------------------------------------

    def _prepare(self, port_id: str) -> None:
        """Make the interface of a port, and see whether it works."""
        with self._locks.hold("port", port_id):
            spare = self._journal.spares.get(port_id)
            if spare is None or spare.state != "making":
                return
            driver = self._driver(spare)
            if spare.plug is None or self._is_outdated(spare) or driver.where(spare.plug) == "gone":
                spare = self._plug(spare, driver)
        if spare is None:
            return
        spare = self._with_status(spare)
        if self._spares.is_proven(spare):
            self._spares.move(spare, "ready")
        elif self._spares.age(spare) > UNPROVEN:
            LOG.warning("port %s of a port pool does not work after %.0f s: it is replaced", port_id, UNPROVEN)
            self._spares.pause(spare.docker_network_id)
            self._spares.move(spare, "leaving")

    def _plug(self, spare: SpareRecord, driver: PortDriver) -> SpareRecord | None:
        network = self._journal.networks.get(spare.docker_network_id)
        if network is None:
            self._spares.move(spare, "leaving")
            return None
        if spare.plug is not None:
            driver.unplug(spare.plug)
        device = str(port_pool.labels_of_spare(spare.docker_network_id)["device_id"])
        mtu = network.container_mtu
        planned = self._spares.move(spare, "making", plug=driver.plan(spare.port, device), mtu=mtu)
        if planned is not None and planned.plug is not None:
            driver.plug(planned.plug, planned.port, device, mtu)
        return planned

    def _is_outdated(self, spare: SpareRecord) -> bool:
        """Whether the network's MTU is another one than when the interface was made."""
        network = self._journal.networks.get(spare.docker_network_id)
        return network is not None and spare.mtu != network.container_mtu

    def _with_status(self, spare: SpareRecord) -> SpareRecord:
        """The record with the port's status, where that has to be asked for; one call for all, now and then."""
        if not port_pool.needs_status(spare.port) or self._is_silent() or self._clock() - self._asked < STATUS_AGAIN:
            return spare
        self._asked = self._clock()
        waiting = {each.port_id: each for each in self._in("making") if port_pool.needs_status(each.port)}
        for port in self._neutron.find_ports(id=sorted(waiting)):
            known = waiting.get(port.id)
            if known is not None and port.status == ACTIVE:
                self._put(known, msgspec.structs.replace(known.port, status=port.status))
        return self._journal.spares.get(spare.port_id) or spare

    def _put(self, spare: SpareRecord, port: Port) -> None:
        with self._journal.transaction():
            if self._journal.spares.get(spare.port_id) == spare:
                self._journal.spares.put(msgspec.structs.replace(spare, port=port))

    def _use_again(self, cooled: Sequence[SpareRecord]) -> None:
        """Make released ports ready again. Neutron calls: 1 for all, and 1 for each."""
        self._reviewed = self._clock()
        found = self._review.seen(cooled)
        self._failures = 0
        for spare in cooled:
            if not self._is_silent():
                self._attempt(_using(spare), partial(self._review.use_again, spare.port_id, found.get(spare.port_id)))

    def _driver(self, spare: SpareRecord) -> PortDriver:
        return self._drivers.named(spare.plug.driver) if spare.plug else self._drivers.for_port(spare.port)

    # -- one pool --------------------------------------------------------------------------------------------------

    def _fit(self, network: NetworkRecord) -> None:
        wanted, count = self._spares.target(network), self._spares.count(network.docker_id)
        surplus = pool_size.to_remove(wanted, count, self._spares.idle_seconds(network.docker_id))
        missing = pool_size.to_make(wanted, count, self._spares.on_host(), self._spares.settings)
        if surplus:
            for spare in self._spares.ready(network.docker_id)[:surplus]:
                self._spares.move(spare, "leaving")
        elif missing and self._may_make(network):
            if pool_size.may_wait(wanted, count, self._spares.idle_seconds(network.docker_id)):
                self._waits = True
                return
            self._attempts.run(f"make a port for Docker network {network.docker_id}", partial(self._make, network))

    def _may_make(self, network: NetworkRecord) -> bool:
        """Not before the ports of a network that the journal had lost have been looked for."""
        known = not network.rebuilt or network.docker_id in self._looked
        return known and not self._spares.is_paused(network.docker_id)

    def _make(self, network: NetworkRecord) -> None:
        if not self._spares.wait_for_quiet(QUIET):
            return
        try:
            with self._locks.hold("spares", network.docker_id):
                if self._journal.networks.get(network.docker_id) == network:
                    self._new_ports.for_pool(network)
        except KuryrError as error:
            self._wait_after(error, network.docker_id)
            raise
        self._failures = 0
        self._spares.news.set()

    def look(self) -> None:
        """Compare the ports that no container has with Neutron, and take up those that the journal does not know."""
        self._looked = self._review.look()
        self._spares.news.set()


def _using(spare: SpareRecord) -> str:
    return f"use port {spare.port_id} again"
