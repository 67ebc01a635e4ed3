# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The background look at what was forgotten: by Docker, by Neutron's lost answers, by our own death.

Never in the way of a call: it takes the same locks, asks Docker only from its own thread, and gives up for this round where
something does not answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from kuryr_libnetwork.errors import EngineUnavailable, KuryrError
from kuryr_libnetwork.interfaces import Engine, Journal, Neutron
from kuryr_libnetwork.model import EngineView, NetworkRecord, Subnet
from kuryr_libnetwork.rules import leftovers
from kuryr_libnetwork.rules.leftovers import Suspect
from kuryr_libnetwork.services.intents import Intents
from kuryr_libnetwork.services.locks import KeyedLocks
from kuryr_libnetwork.services.networks import Networks
from kuryr_libnetwork.services.pools import PoolKeeper
from kuryr_libnetwork.services.release import Releaser

LOG = logging.getLogger(__name__)


class Reconciler:
    """``grace``: seconds for which something must have been unused before it is removed."""

    def __init__(
        self,
        *,
        neutron: Neutron,
        journal: Journal,
        engine: Engine | None,
        intents: Intents,
        networks: Networks,
        pools: PoolKeeper,
        releaser: Releaser,
        locks: KeyedLocks,
        grace: float,
        now: Callable[[], float],
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._engine = engine
        self._intents = intents
        self._networks = networks
        self._pools = pools
        self._releaser = releaser
        self._locks = locks
        self._grace = grace
        self._now = now
        self._started = now()
        self._seen: dict[Suspect, float] = {}

    def run(self, stop: threading.Event, interval: float) -> None:
        """Once at the start; then every ``interval`` seconds, or, at 0, once more after the grace time."""
        self._attempt(self.finish_interrupted)
        self._attempt(self.round)
        while not stop.wait(interval or self._grace):
            self._attempt(self.round)
            if not interval:
                return

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except KuryrError as error:
            LOG.warning("reconciler: %s; next try in the next round", error)

    def finish_interrupted(self) -> None:
        """Undo what a former process was doing when it died. Docker saw these calls fail, or will release them."""
        for endpoint in self._journal.endpoints.all():
            if endpoint.state != "ready" and endpoint.created_at < self._started:
                LOG.warning(
                    "endpoint %s was %s when the service ended; undone", endpoint.endpoint_id[:12], endpoint.state
                )
                self._end_endpoint(endpoint.endpoint_id)

    def round(self) -> list[Suspect]:
        """One look; answers what was removed."""
        self._intents.sweep(self._now() - self._grace)
        self._refresh()
        current = leftovers.suspects(
            networks=self._journal.networks.all(),
            endpoints=self._journal.endpoints.all(),
            leases=self._journal.leases.all(),
            pools=self._journal.pools.all(),
            view=self._view(),
        )
        self._seen = leftovers.remember(self._seen, current, self._now())
        late = leftovers.overdue(self._seen, self._now(), self._grace)
        for kind, key in late:
            LOG.warning("removing %s %s: unused for %.0f s", kind, key[:12], self._grace)
            self._remove(kind, key)
        return late

    def _view(self) -> EngineView | None:
        if self._engine is None:
            return None
        try:
            view = self._engine.view()
        except EngineUnavailable as error:
            LOG.debug("Docker was not asked: %s", error)
            return None
        networks = self._journal.networks.all()
        if networks and not leftovers.trusted(view, networks):
            LOG.warning("Docker at docker_socket knows none of our %d networks; its word is not taken", len(networks))
        return view

    def _remove(self, kind: str, key: str) -> None:
        if kind == "endpoint":
            self._end_endpoint(key)
        elif kind == "lease":
            with self._locks.hold("port", key):
                lease = self._journal.leases.get(key)
                if lease is not None and not lease.endpoint_id:
                    self._releaser.end_lease(lease)
        elif kind == "network":
            with self._locks.hold("network", key):
                self._networks.delete(key)
        else:
            self._pools.forget(key)

    def _end_endpoint(self, endpoint_id: str) -> None:
        with self._locks.hold("endpoint", endpoint_id):
            endpoint = self._journal.endpoints.get(endpoint_id)
            if endpoint is not None:
                self._releaser.end_endpoint(endpoint)

    def _refresh(self) -> None:
        """Gateways and host routes as they are in Neutron now, for the next Join; one call for all networks."""
        networks = self._journal.networks.all()
        ids = sorted({subnet.subnet_id for network in networks for subnet in network.subnets})
        if not ids:
            return
        found = {subnet.id: subnet for subnet in self._neutron.find_subnets(id=ids)}
        for network in networks:
            with self._locks.hold("network", network.docker_id):
                current = self._journal.networks.get(network.docker_id)
                if current is not None and (fresh := _refreshed(current, found)) != current:
                    LOG.info("routes of Docker network %s changed in Neutron", network.docker_id[:12])
                    self._journal.networks.put(fresh)


def _refreshed(network: NetworkRecord, found: dict[str, Subnet]) -> NetworkRecord:
    subnets = tuple(
        msgspec.structs.replace(
            record, gateway_ip=found[record.subnet_id].gateway_ip, host_routes=found[record.subnet_id].host_routes
        )
        if record.subnet_id in found
        else record
        for record in network.subnets
    )
    return msgspec.structs.replace(network, subnets=subnets)
