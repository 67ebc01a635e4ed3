# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Finds and removes leftovers in the background: of Docker's failures, of lost answers, of a service that was killed.

It never delays a call: it takes the same locks, asks Docker only from its own thread, and gives up for this round if
something does not answer. It removes only what has been unused and unchanged in every look for the grace time, and
still is once its lock is held.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import msgspec

from kuryr_libnetwork.errors import EngineUnavailable
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.looking import one_look
from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from kuryr_libnetwork.model.neutron import Port, SecurityGroup
from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, NetworkRecord, PlugRecord, PoolRecord
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.patience import one_patience
from kuryr_libnetwork.rules import leftovers
from kuryr_libnetwork.rules.leftovers import Suspect
from kuryr_libnetwork.services.background.dockers_word import DockersWord
from kuryr_libnetwork.services.background.findings import Findings
from kuryr_libnetwork.services.background.host_survey import HostSurvey
from kuryr_libnetwork.services.background.network_refresh import NetworkRefresher
from kuryr_libnetwork.services.background.recovery import Recovery
from kuryr_libnetwork.services.endpoints.release import Releaser
from kuryr_libnetwork.services.networks.lifecycle import Networks
from kuryr_libnetwork.services.networks.pools import PoolKeeper
from kuryr_libnetwork.services.ports.exposed_ports import ExposedPorts
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.intents import Intents
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.lookup import Lookup
from kuryr_libnetwork.services.state.unfinished_removals import UnfinishedRemovals

LOG = logging.getLogger(__name__)
IDLE = 60.0
"""Seconds between two beats of a thread that waits for its next round."""
JITTER = 0.1
"""The part of the interval by which a round may come later, so that hosts that boot together do not stay in step."""
UPKEEP = 60.0
"""Seconds between two rounds of upkeep, if looking for leftovers is disabled."""
_ROUND = "look for what nobody uses"
Look = dict[Suspect, Value | None]
"""The suspects of one look, each with its record at that moment."""


class Stop(Protocol):
    """A ``threading.Event``, or a :class:`~kuryr_libnetwork.bell.Bell`, which can end a pause early."""

    def wait(self, timeout: float) -> bool: ...
    def is_set(self) -> bool: ...


class Reconciler:
    """``uses``: the upkeep of what is in use, done in each look, by its name in the log. ``grace``: seconds for which
    something must have been unused before it is removed. ``clock``: monotonic seconds. ``chance``: a random number
    from 0 to 1.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        engine: Engine | None,
        lookup: Lookup,
        dockers_word: DockersWord,
        intents: Intents,
        networks: Networks,
        pools: PoolKeeper,
        releaser: Releaser,
        host_survey: HostSurvey,
        recovery: Recovery,
        refresher: NetworkRefresher,
        uses: Mapping[str, Callable[[], object]],
        findings: Findings,
        exposed_ports: ExposedPorts,
        locks: KeyedLocks,
        unfinished: UnfinishedRemovals,
        attempts: Attempts,
        grace: float,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._lookup = lookup
        self._dockers_word = dockers_word
        self._intents = intents
        self._networks = networks
        self._pools = pools
        self._releaser = releaser
        self._host_survey = host_survey
        self._recovery = recovery
        self._refresher = refresher
        self._uses = uses
        self._findings = findings
        self._exposed_ports = exposed_ports
        self._locks = locks
        self._unfinished = unfinished
        self._attempts = attempts
        self._grace = grace
        self._clock = clock
        self._chance = chance
        self._interrupted = [network for network in journal.networks.all() if network.state != "ready"]
        self._asked = threading.Event()
        self._seen: dict[Suspect, float] = {}
        self._looked: Look = {}
        self._not_ours: set[str] = set()
        self._strange = False
        self._unfound: list[NetworkWord] = []

    def run(self, stop: Stop, interval: float, beforehand: Callable[[], object] = lambda: None) -> None:
        """Look for leftovers at the start, and then every ``interval`` seconds; with 0 only once more, after the grace
        time, while the upkeep of what is in use goes on. ``beforehand`` is called before each further look.
        """
        self._attempts.run("finish what was interrupted", self.finish_interrupted)
        self._attempts.run(_ROUND, self.round)
        while not self._pause(stop, (interval or self._grace) * (1 + JITTER * self._chance())):
            beforehand()
            self._attempts.run(_ROUND, self.round)
            if not interval:
                break
        while not self._pause(stop, UPKEEP):
            beforehand()
            self._attempts.run("look after what is in use", self.upkeep)

    def _pause(self, stop: Stop, seconds: float) -> bool:
        """Wait, with a beat at least each :data:`IDLE`, and look early if an operator asks; returns whether the service
        ends.
        """
        while seconds > 0:
            self._attempts.beat()
            if stop.wait(min(seconds, IDLE)):
                return True
            if self._asked.is_set():
                self._asked.clear()
                self._recovery.hurry()
                self._attempts.run(_ROUND, self.round)
            else:
                seconds -= IDLE
        return stop.is_set()

    def ask(self) -> None:
        """Request a look before the next one is due; the caller has to end the pause as well."""
        self._asked.set()

    @one_patience(spare=0)
    def finish_interrupted(self) -> None:
        """Undo what an earlier process was doing when it died. Docker saw these calls fail, or will release them."""
        self._end_broken_endpoints()
        for network in self._interrupted:
            if self._journal.networks.get(network.docker_id) == network:
                LOG.warning("Docker network %s was %s when the service ended", network.docker_id[:12], network.state)
                what = f"remove Docker network {network.docker_id}"
                self._attempts.run(what, partial(self._end_network, network.docker_id, network, last_try=False))

    def _end_broken_endpoints(self) -> None:
        """End endpoints that are half made or half removed; nobody holds their locks, so there is no grace time."""
        for endpoint in self._journal.endpoints.all():
            what = f"remove endpoint {endpoint.endpoint_id}, which is {endpoint.state}"
            if endpoint.state != "ready" and self._attempts.is_due(what):
                self._attempts.run(what, partial(self._end_broken, endpoint))

    def _end_broken(self, endpoint: EndpointRecord) -> None:
        with self._locks.hold("endpoint", endpoint.endpoint_id, wait=False):
            self._end_endpoint(endpoint.endpoint_id, endpoint)

    def round(self) -> list[Suspect]:
        """One look; returns what was removed."""
        failures, removed = self._attempts.failures, None
        self._findings.note_begin()
        try:
            removed = self._round()
        finally:
            self._findings.note_end(succeeded=removed is not None and self._attempts.failures == failures)
        return removed

    @one_patience(spare=0)
    def _round(self) -> list[Suspect]:
        run = self._attempts.run
        self._attempts.beat()
        run("look for creations that were cut off", partial(self._intents.sweep, self._grace))
        run("end broken endpoints", self._end_broken_endpoints)
        with one_look():
            self._look_after_uses()
            look = self._look()
        return self._remove_overdue(look)

    @one_patience(spare=0)
    def upkeep(self) -> list[Suspect]:
        """What is done even if looking for leftovers is disabled: reapply settings that others changed, give devices
        back.
        """
        with one_look():
            self._look_after_uses()
        return self._remove_overdue({("plug", plug.port_id): plug for plug in self._host_survey.stray_devices()})

    def _look_after_uses(self) -> None:
        run = self._attempts.run
        run("read our networks and their subnets", self._refresher.round)
        for what, look_after in self._uses.items():
            run(what, look_after)
        self._host_survey.repair()

    def _remove_overdue(self, look: Look) -> list[Suspect]:
        """Remove the suspects that have been the same in every look for the grace time."""
        same = {
            suspect: since for suspect, since in self._seen.items() if self._looked.get(suspect) == look.get(suspect)
        }
        for suspect in self._looked.keys() - look.keys():
            self._attempts.forget(_removal(suspect))
        self._seen, self._looked = leftovers.remember(same, look, self._clock()), look
        self._findings.note_suspects(self._seen, look)
        late = leftovers.overdue(self._seen, self._clock(), self._grace)
        removed = [suspect for suspect in late if self._attempt(suspect, look[suspect])]
        self._findings.note_gone(removed)
        return removed

    def trouble(self, suspect: Suspect) -> str:
        """Why a suspect could not be removed; "" if it was not tried, or is not a suspect."""
        return self._attempts.trouble(_removal(suspect))

    def _attempt(self, suspect: Suspect, seen: Value | None) -> bool:
        """Remove a suspect if it is due; returns whether it is gone. A failure does not stop the others."""
        what = _removal(suspect)
        if not self._attempts.is_due(what):
            return False
        self._attempts.beat()
        if not self._attempts.has_failed(what):
            if isinstance(seen, EndpointRecord | NetworkRecord) and seen.state == "deleting":  # Docker asked for it
                LOG.info("finishing the removal of %s %s", suspect[0], suspect[1][:12])
            else:
                LOG.warning("removing %s %s: unused for %.0f s", suspect[0], suspect[1][:12], self._grace)
        return self._attempts.run(what, partial(self._remove, *suspect, seen))

    # -- looking ---------------------------------------------------------------------------------------------------

    def _look(self) -> Look:
        endpoints = self._journal.endpoints.all()
        view = self._attempts.result("ask Docker", partial(self._view, endpoints), None)
        self._recovery.round(view)
        networks, leases, pools = self._journal.networks.all(), self._journal.leases.all(), self._journal.pools.all()
        known: Look = {("endpoint", endpoint.endpoint_id): endpoint for endpoint in endpoints}
        known |= {("network", network.docker_id): network for network in networks}
        known |= {("lease", lease.port_id): lease for lease in leases}
        known |= {("pool", pool.pool_id): pool for pool in pools}
        found = leftovers.suspects(
            networks=networks,
            endpoints=endpoints,
            leases=leases,
            pools=pools,
            view=view,
            idle=self._host_survey.idle(endpoints),
        )
        found -= leftovers.kept_for(self._unfound, pools)  # the pools of a network that was not found look unused
        look = {suspect: known.get(suspect) for suspect in found | self._unfinished.all()}
        look |= {("plug", plug.port_id): plug for plug in self._host_survey.stray_plugs()}
        look |= {("group", group.id): group for group in self._exposed_ports.strays()}
        believed = view if leftovers.trusted(view, networks) else None
        return look | {("port", port.id): port for port in self._host_survey.orphan_ports(believed)}

    def _view(self, endpoints: list[EndpointRecord]) -> EngineView | None:
        """What Docker knows; ``None`` if it could not be asked. While containers run that it does not know, the
        engine's id proves nothing and is left out.
        """
        if self._engine is None:
            return None
        try:
            view = self._engine.view()
        except EngineUnavailable as error:
            LOG.debug("Docker was not asked: %s", error)
            return None
        self._findings.note_engine(view)
        self._recover_networks(view)
        networks = self._journal.networks.all()
        if any(network.docker_id in view.network_ids for network in networks):
            self._note_engine(view, networks)
        elif self._host_survey.in_container(each for each in endpoints if each.endpoint_id not in view.endpoint_ids):
            view = msgspec.structs.replace(view, engine_id="")
        self._tell_if_strange(view, networks)
        return view

    def _tell_if_strange(self, view: EngineView, networks: list[NetworkRecord]) -> None:
        """Warn once if Docker knows none of our networks; those that it has removed do not count."""
        expected = [network for network in networks if network.state != "deleting"]
        strange = bool(expected) and not leftovers.trusted(view, networks)
        if strange and not self._strange:
            LOG.warning(
                "Docker at docker_socket knows none of our %d networks: what it says is not in use stays", len(expected)
            )
        self._strange = strange

    def _note_engine(self, view: EngineView, networks: list[NetworkRecord]) -> None:
        """Record which engine a network belongs to, so that this engine is believed even once it has none of ours."""
        for network in networks:
            if network.docker_id in view.network_ids and network.engine_id != view.engine_id:
                with self._locks.hold("network", network.docker_id):
                    if self._journal.networks.get(network.docker_id) == network:
                        self._journal.networks.put(msgspec.structs.replace(network, engine_id=view.engine_id))

    def _recover_networks(self, view: EngineView) -> None:
        """After the journal was lost: write Docker's networks into it again, if Neutron knows them as ours, or their
        users named them.
        """
        known = {docker_id: self._is_known(docker_id) for docker_id in sorted(view.network_ids - self._not_ours)}
        unsure = {
            docker_id: view.words.get(docker_id, NetworkWord()) for docker_id, found in known.items() if not found
        }
        words = {docker_id: word for docker_id, word in unsure.items() if known[docker_id] is False}
        if words:
            self._attempts.run("take up Docker's networks", partial(self._take_up, words))
            self._attempts.run("release what was released early", self._releaser.release_unplaced)
        self._unfound = [word for docker_id, word in unsure.items() if docker_id not in self._not_ours]

    def _is_known(self, docker_id: str) -> bool | None:
        """``None``: not known, as when two networks claim to be it; Docker's word cannot help then."""
        return self._attempts.result(f"look for Docker network {docker_id}", partial(self._is_found, docker_id), None)

    def _is_found(self, docker_id: str) -> bool:
        with self._locks.hold("network", docker_id):
            return self._lookup.network(docker_id) is not None

    def _take_up(self, words: dict[str, NetworkWord]) -> None:
        self._not_ours |= self._dockers_word.take_up(words)

    # -- removing --------------------------------------------------------------------------------------------------

    def _remove(self, kind: str, key: str, seen: Value | None) -> None:
        """``seen``: its record in the look. If that has changed since, it is in use again, or left to another look."""
        if kind == "endpoint":
            self._end_endpoint(key, seen)
        elif kind == "network":
            self._end_network(key, seen, last_try=True)
        elif isinstance(seen, LeaseRecord):
            self._end_lease(seen)
        elif isinstance(seen, PoolRecord):
            self._pools.forget(key, seen)
        elif isinstance(seen, PlugRecord):
            self._host_survey.end_plug(seen)
        elif isinstance(seen, Port):
            self._releaser.end_orphan(seen)
        elif isinstance(seen, SecurityGroup):
            self._exposed_ports.end_stray(seen)

    def _end_endpoint(self, endpoint_id: str, seen: Value | None) -> None:
        with self._locks.hold("endpoint", endpoint_id):
            current = self._journal.endpoints.get(endpoint_id)
            if current != seen:
                return
            with self._unfinished.kept("endpoint", endpoint_id):
                if current is None:
                    self._releaser.end_unknown_endpoint(endpoint_id)
                else:
                    self._releaser.end_endpoint(current)

    def _end_network(self, docker_id: str, seen: Value | None, *, last_try: bool) -> None:
        with self._locks.hold("network", docker_id):
            if self._journal.networks.get(docker_id) == seen:
                with self._unfinished.kept("network", docker_id):
                    self._networks.delete(docker_id, last_try=last_try)

    def _end_lease(self, seen: LeaseRecord) -> None:
        with self._locks.hold("port", seen.port_id):
            if self._journal.leases.get(seen.port_id) == seen:
                self._releaser.end_leftover(seen)


def _removal(suspect: Suspect) -> str:
    kind, key = suspect
    return f"remove {kind} {key}"
