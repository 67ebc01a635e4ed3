# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Routes of containers on several networks: those given to Docker at Join, and those added once Docker is done.

The decisions are in :mod:`~kuryr_libnetwork.rules.sandbox_routes`. If a container's namespace cannot be entered, the
journal alone decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.host import Sandboxes
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.indexes import ENDPOINTS_BY_SANDBOX
from kuryr_libnetwork.model.links import SandboxView
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.protocol.messages import JoinResponse
from kuryr_libnetwork.rules import sandbox_routes as rules
from kuryr_libnetwork.services.endpoints.after_join import LIMIT, LOOK_AGAIN, AfterJoin, Task
from kuryr_libnetwork.services.state.locks import KeyedLocks

LOG = logging.getLogger(__name__)
THREAD = "routes"


QUIET = 2.0
"""If not all networks of a container are known: seconds without a new address after which Docker counts as done."""


@dataclass
class RouteTask(Task):
    """``unsure``: the container may still get a network of Docker's own. ``seen``: its addresses since ``since``."""

    unsure: bool = False
    seen: frozenset[str] = frozenset()
    since: float = 0.0


class SandboxRoutes(AfterJoin[RouteTask]):
    def __init__(
        self, journal: Journal, sandboxes: Sandboxes, locks: KeyedLocks, health: Health, now: Callable[[], float]
    ) -> None:
        super().__init__(THREAD, health, now)
        self._journal = journal
        self._sandboxes = sandboxes
        self._locks = locks
        self._unsure: set[str] = set()

    def run(self) -> None:
        self.resume()
        super().run()

    def resume(self) -> None:
        """Take over the tasks that an earlier process left."""
        for sandbox in {each.sandbox_key for each in self._journal.endpoints.all() if each.kept_back}:
            self._add(self._task(sandbox))

    def join(
        self, endpoint: EndpointRecord, answer: JoinResponse, advertised: Collection[str]
    ) -> tuple[EndpointRecord, JoinResponse]:
        """The endpoint, and the answer with only the routes that its container can take. Routes of its other networks
        that would be in the way of its addresses are removed for now.

        ``advertised``: gateways that a router advertises to the container.
        """
        others = rules.neighbours(endpoint, self._in(endpoint.sandbox_key))
        if not answer.static_routes and not advertised and not rules.in_the_way(endpoint, others):
            return endpoint, answer
        with self._locks.hold("sandbox", endpoint.sandbox_key):
            view = self._look(endpoint.sandbox_key)
            if view is not None:
                self._make_way(endpoint, others, view)
            taken = rules.taken_by(others, view or SandboxView())
            own = [] if view is not None else rules.may_come_to(endpoint, self._journal.networks.all())
            bridges = self._bridges()
            fit = rules.fitted(answer, taken, [*own, *bridges], advertised)
            if rules.overlap(fit.kept_back, bridges):
                self._unsure.add(endpoint.sandbox_key)
        if fit.kept_back:
            LOG.info(
                "endpoint %s: Docker is not told of the routes %s, which its container has already, gets from a "
                "router, or may get a network for; they are added behind the others",
                endpoint.endpoint_id[:12],
                rules.described(fit.kept_back),
            )
        return msgspec.structs.replace(endpoint, routes=fit.routes, kept_back=fit.kept_back), fit.answer

    def _bridges(self) -> list[str]:
        """The subnets of Docker's own networks; no engine says whether the container will be on one of them as well."""
        try:
            return self._sandboxes.subnets_of_bridges()
        except LinkError as error:
            LOG.warning("routes are told without a look at the bridges of this host: %s", error)
            return []

    def joined(self, endpoint: EndpointRecord) -> None:
        """Docker is about to move the interface; the routes that were kept back are added afterwards."""
        others = rules.neighbours(endpoint, self._in(endpoint.sandbox_key))
        if any(each.kept_back for each in (endpoint, *others)):
            self._add(self._task(endpoint.sandbox_key))

    def _in(self, sandbox: str) -> list[EndpointRecord]:
        return self._journal.endpoints.find(ENDPOINTS_BY_SANDBOX, sandbox)

    def _task(self, sandbox: str) -> RouteTask:
        now, unsure = self._now(), sandbox in self._unsure
        self._unsure.discard(sandbox)
        return RouteTask(sandbox, now, now + LIMIT, unsure)

    def _look(self, sandbox: str) -> SandboxView | None:
        """``None``: the namespace does not exist yet, as when engines before 28 start a container."""
        if not sandbox:
            return None
        try:
            return self._sandboxes.look(sandbox)
        except LinkNotFound:
            return None
        except LinkError as error:
            LOG.warning("the routes of a container are told without a look at those it has: %s", error)
            return None

    def _make_way(self, endpoint: EndpointRecord, others: list[EndpointRecord], view: SandboxView) -> None:
        """Remove routes that overlap the endpoint's subnets; they are added again once Docker has set its addresses."""
        for endpoint_id, routes in rules.in_the_way(endpoint, others).items():
            LOG.info("endpoint %s: routes %s make way for a network", endpoint_id[:12], rules.described(routes))
            with self._journal.transaction():  # another call may be ending it
                current = self._journal.endpoints.get(endpoint_id)
                if current is not None:
                    self._journal.endpoints.put(rules.kept_back(current, routes))
            for route in rules.installed(view, routes):
                self._sandboxes.remove_route(endpoint.sandbox_key, route)

    # -- when Docker is done ---------------------------------------------------------------------------------------

    def _described(self, task: RouteTask) -> str:
        return f"add routes to the container of {task.key}"

    def _is_finished(self, task: RouteTask) -> bool:
        with self._locks.hold("sandbox", task.key):
            endpoints = self._in(task.key)
            if not endpoints:
                return True
            late = self._now() >= task.deadline
            view = self._view(task.key, late=late)
            if view is not None and (late or self._is_done_with(task, endpoints, view)):
                self._complete(task.key, endpoints, view)
                return True
        task.due = self._now() + LOOK_AGAIN
        return late

    def _is_done_with(self, task: RouteTask, endpoints: list[EndpointRecord], view: SandboxView) -> bool:
        """Whether Docker is done with the container. A route added too early keeps one of Docker's own networks from
        setting its address.
        """
        if not all(rules.is_in_place(each, view) for each in endpoints):
            return False
        found = frozenset(view.addresses)
        if found != task.seen:
            task.seen, task.since = found, self._now()
        return not task.unsure or self._now() - task.since >= QUIET

    def _view(self, sandbox: str, *, late: bool) -> SandboxView | None:
        try:
            return self._sandboxes.look(sandbox)
        except LinkNotFound:
            if late:
                raise
            return None

    def _complete(self, sandbox: str, endpoints: list[EndpointRecord], view: SandboxView) -> None:
        for route in rules.to_add(sorted(endpoints, key=lambda each: each.created_at), view):
            with suppress(LinkExists):  # somebody else has added it
                self._sandboxes.add_route(sandbox, route)
