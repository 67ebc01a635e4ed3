# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps what the page shows fresh while somebody looks at it: names in Docker and of PFs, and the status of ports in
Neutron.

Nobody who asks for the page waits for this. While nobody does, nothing is asked: two calls of Neutron at most, and one
view of Docker, in each :data:`PERIOD` in which the page was asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.patience import one_patience
from kuryr_libnetwork.rules.wiring import GONE
from kuryr_libnetwork.services.background.findings import Findings

LOG = logging.getLogger(__name__)
THREAD = "onlooker"
PERIOD = 5.0
"""Least seconds between two looks."""
IDLE = 60.0
"""Seconds between two beats of the thread while nobody looks."""
MOST_IDS = 100
"""Ports that are asked for by id in one look: those that Neutron does not list for this host."""


class Onlooker:
    """``engine``: a client of Docker of its own, so that a look does not keep the background from having one.
    ``pfs``: the names of PFs' network devices, by PCI address.
    """

    def __init__(
        self,
        neutron: Neutron,
        engine: Engine | None,
        journal: Journal,
        findings: Findings,
        health: Health,
        host: str,
        pfs: Callable[[], Mapping[str, str]],
    ) -> None:
        self._neutron = neutron
        self._engine = engine
        self._journal = journal
        self._findings = findings
        self._health = health
        self._host = host
        self._pfs = pfs
        self._turn = threading.Condition()
        self._asked = False
        self._stopped = False

    def asked(self) -> None:
        """Somebody looks at the page; does not wait."""
        with self._turn:
            self._asked = True
            self._turn.notify()

    def run(self) -> None:
        """Until :meth:`stop`."""
        while not self._is_stopped():
            with self._turn:
                self._turn.wait_for(lambda: self._stopped or self._asked, timeout=IDLE)
                asked, self._asked = self._asked, False
            self._health.beat(THREAD)
            if asked and not self._is_stopped():
                self.look()
                with self._turn:
                    self._turn.wait_for(lambda: self._stopped, timeout=PERIOD)

    def stop(self) -> None:
        with self._turn:
            self._stopped = True
            self._turn.notify()

    def _is_stopped(self) -> bool:
        with self._turn:
            return self._stopped

    @one_patience(spare=0)
    def look(self) -> None:
        """One look; what does not answer stays as it was seen last."""
        for what, part in (("the kernel", self._cards), ("Docker", self._names), ("Neutron", self._statuses)):
            try:
                part()
            except KuryrError as error:
                LOG.debug("the page shows what was seen of %s before: %s", what, error)
            except Exception as error:  # noqa: BLE001  # a thread's boundary
                self._health.unforeseen(THREAD, f"ask {what}", error)

    def _cards(self) -> None:
        if self._journal.devices.all():
            self._findings.note_pfs(self._pfs())

    def _names(self) -> None:
        if self._engine is not None:
            self._findings.note_engine(self._engine.view())

    def _statuses(self) -> None:
        leased = {lease.port_id for lease in self._journal.leases.all()}
        if not leased:
            return
        ports = self._neutron.find_ports(**{"binding:host_id": self._host})
        statuses = {port.id: port.status for port in ports if port.id in leased}
        others = sorted(leased - statuses.keys())[:MOST_IDS]
        if others:
            found = {port.id: port.status for port in self._neutron.find_ports(id=others)}
            statuses |= {port_id: found.get(port_id, GONE) for port_id in others}
        self._findings.note_statuses(statuses)
