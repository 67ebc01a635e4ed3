# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Telling Neutron which endpoint has a port, while the container starts.

A port is created bound before Docker names the endpoint (:mod:`~kuryr_libnetwork.rules.ports`). From before the
interface is made until Neutron has the labels, the lease says that they are missing: a thread writes them at once, and
the background repeats what has failed. Neutron calls: 1 for each container.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import msgspec

from kuryr_libnetwork.errors import NeutronNotFound
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.indexes import UNLABELLED_LEASES
from kuryr_libnetwork.model.records import LeaseRecord
from kuryr_libnetwork.patience import one_patience
from kuryr_libnetwork.rules.ports import labels
from kuryr_libnetwork.services.endpoints.after_join import AfterJoin, Task
from kuryr_libnetwork.services.state.attempts import Attempts
from kuryr_libnetwork.services.state.locks import KeyedLocks

LOG = logging.getLogger(__name__)
THREAD = "labels"


class Labels(AfterJoin[Task]):
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        locks: KeyedLocks,
        attempts: Attempts,
        health: Health,
        now: Callable[[], float],
    ) -> None:
        super().__init__(THREAD, health, now)
        self._neutron = neutron
        self._journal = journal
        self._locks = locks
        self._attempts = attempts

    def wanted(self, port_id: str) -> None:
        """An endpoint has got the port; Docker is being told so."""
        now = self._now()
        self._add(Task(port_id, now, now))

    def work(self) -> None:
        """While Neutron does not answer, only one label waits for it, not each of them."""
        with one_patience(spare=0):
            super().work()

    def repeat(self) -> None:
        """Label the ports that this thread, or an earlier process, could not label."""
        for lease in self._journal.leases.find(UNLABELLED_LEASES, ""):
            what = f"label port {lease.port_id} in Neutron"
            if self._attempts.is_due(what):
                self._attempts.run(what, partial(self._label, lease.port_id))

    def _described(self, task: Task) -> str:
        return f"label port {task.key} in Neutron yet"

    def _is_finished(self, task: Task) -> bool:
        self._health.beat(THREAD)
        self._label(task.key)
        return True

    def _label(self, port_id: str) -> None:
        """The port's lock is not held during the request, so no call of Docker waits for it: a removal goes on."""
        with self._locks.hold("labels", port_id):
            lease = self._waiting(port_id)
            if lease is None:
                return
            try:
                self._neutron.update_port(port_id, labels(lease.endpoint_id))
            except NeutronNotFound:
                if self._waiting(port_id) == lease:  # else the container has just been removed
                    LOG.warning("port %s of endpoint %s is gone in Neutron", port_id, lease.endpoint_id[:12])
            with self._locks.hold("port", port_id):
                now = self._journal.leases.get(port_id)
                if now is not None:  # if another endpoint has it by now, these labels may have overwritten its own
                    other = now.endpoint_id not in ("", lease.endpoint_id)
                    self._journal.leases.put(msgspec.structs.replace(now, unlabelled=other))

    def _waiting(self, port_id: str) -> LeaseRecord | None:
        """The lease, if a container has the port and Neutron has not been told so yet."""
        lease = self._journal.leases.get(port_id)
        if lease is None or not lease.unlabelled or not lease.endpoint_id:
            return None
        endpoint = self._journal.endpoints.get(lease.endpoint_id)
        return lease if endpoint is not None and endpoint.state == "ready" else None
