# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What operators are shown, from the journal's memory and what the background saw last; they wait for nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.overview import (
    Counts,
    DeviceRow,
    EndpointRow,
    NetworkRow,
    PoolState,
    PortRow,
    RoundRow,
    SpareRow,
    SuspectRow,
)
from kuryr_libnetwork.model.records import SpareRecord
from kuryr_libnetwork.model.wiring import Seen, Wiring
from kuryr_libnetwork.rules import overview as rules
from kuryr_libnetwork.rules.leftovers import Suspect
from kuryr_libnetwork.rules.wiring import wiring
from kuryr_libnetwork.services.background.findings import Findings


class PortPools(Protocol):
    def age(self, spare: SpareRecord) -> float:
        """For how many seconds the port has been in its state."""

    def wanted(self) -> int:
        """How many ports are to be ready in all pools together."""

    def states(self) -> Mapping[str, PoolState]:
        """The pools, by the ids of their Docker networks."""


class Overview:
    """``grace``: seconds until a suspect is removed. ``trouble``: why it could not be removed; "" if not tried.

    ``host``: as Neutron calls it. ``looked_at``: told whenever somebody looks at the wiring.
    """

    def __init__(
        self,
        journal: Journal,
        findings: Findings,
        port_pools: PortPools,
        grace: float,
        trouble: Callable[[Suspect], str],
        host: str,
        looked_at: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._port_pools = port_pools
        self._findings = findings
        self._grace = grace
        self._trouble = trouble
        self._host = host
        self._looked_at = looked_at

    def networks(self) -> list[NetworkRow]:
        networks, endpoints = self._journal.networks.all(), self._journal.endpoints.all()
        return rules.network_rows(networks, endpoints, self._port_pools.states())

    def endpoints(self) -> list[EndpointRow]:
        networks = self._journal.networks.all()
        return rules.endpoint_rows(self._journal.endpoints.all(), networks, self._findings.containers())

    def ports(self) -> list[PortRow]:
        return rules.port_rows(self._journal.leases.all())

    def port_pools(self) -> list[SpareRow]:
        """The ports of all port pools, of each network those first that are ready for longest."""
        found = sorted(self._journal.spares.all(), key=lambda each: (each.docker_network_id, each.since))
        return [rules.spare_row(spare, self._port_pools.age(spare)) for spare in found]

    def devices(self) -> list[DeviceRow]:
        return rules.device_rows(self._journal.devices.all())

    def suspects(self) -> list[SuspectRow]:
        """Oldest first."""
        rows = [
            rules.suspect_row(suspect, seen, seconds, self._grace, self._trouble(suspect))
            for suspect, (seconds, seen) in self._findings.suspects().items()
        ]
        return sorted(rows, key=lambda row: (-row.seconds, row.kind, row.key))

    def wiring(self) -> Wiring:
        journal, findings = self._journal, self._findings
        self._looked_at()
        return wiring(
            self._host,
            journal.networks.all(),
            journal.endpoints.all(),
            journal.leases.all(),
            journal.devices.all(),
            Seen(
                containers=findings.containers(),
                networks=findings.networks(),
                statuses=findings.statuses(),
                pfs=findings.pfs(),
                suspects={(row.kind, row.key): self._why(row) for row in self.suspects()},
            ),
            journal.spares.all(),
        )

    def _why(self, row: SuspectRow) -> str:
        return f"{row.reason}; it could not be removed: {row.trouble}" if row.trouble else row.reason

    def counts(self) -> Counts:
        journal, suspects = self._journal, self._findings.suspects()
        leases = journal.leases.all()
        return Counts(
            networks=dict(Counter(each.state for each in journal.networks.all())),
            endpoints=dict(Counter(each.state for each in journal.endpoints.all())),
            ports=len(leases),
            adopted_ports=sum(lease.original is not None for lease in leases),
            pools=len(journal.pools.all()),
            intents=len(journal.intents.all()),
            devices=dict(Counter((each.state, each.physical_network) for each in journal.devices.all())),
            free_devices=self._findings.free_devices(),
            free_quota=self._findings.quota(),
            addresses=self._findings.addresses(),
            spares=dict(Counter(spare.state for spare in journal.spares.all())),
            spares_wanted=self._port_pools.wanted(),
            suspects=dict(Counter(kind for kind, _ in suspects)),
            stuck=dict(Counter(suspect[0] for suspect in suspects if self._trouble(suspect))),
        )

    def rounds(self) -> RoundRow:
        return self._findings.rounds()
