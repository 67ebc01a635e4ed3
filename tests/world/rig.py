# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One host without a socket: Docker's calls go straight to the boundary, so that hundreds of stories take seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kuryr_libnetwork.docker.boundary import Boundary
from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.protocol.routes import Constants, build_routes
from kuryr_libnetwork.services.assembly import Services
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron.store import copied
from tests.world.dockerside import Container, Docker, DockerNetwork, PluginClient
from tests.world.outside import Died, Outside, TappedJournal, TappedLinks, TappedNeutron, TappedOvs, TappedScripts
from tests.world.plugin import HOST, Plugin

GRACE = 120.0
ROUNDS = 6
QUIET_ROUNDS = 2
MOST_FILLS = 50
NOWHERE = Path("no-socket")


class Rig(Plugin):
    """A :class:`Plugin` whose calls to the outside can be counted and made to fail."""

    def __init__(self, neutron: FakeNeutron | None = None, host: str = HOST, **cloud: Any) -> None:
        self.outside = Outside()
        super().__init__(NOWHERE, neutron or TappedNeutron(self.outside, **cloud), host)
        self.links: TappedLinks = TappedLinks(self.outside)
        self.ovs = TappedOvs(self.outside)
        self.scripts = TappedScripts(self.outside)
        self.journal = TappedJournal(self.outside)
        self.down = False
        self.revive()

    def revive(self, *, lose_journal: bool = False) -> None:
        """A new process on whatever the old one left, five seconds later."""
        self.now += 5
        self.outside.dead = False
        self.down = False
        if lose_journal:
            self.journal = TappedJournal(self.outside)
        self.services: Services = self._assemble()
        self.boundary = Boundary(
            build_routes(self.services.network_driver, self.services.ipam_driver, self.services.operator, Constants()),
            whom=self.services.whom,
        )

    def call(self, method: str, body: bytes, *, deliver: bool = True) -> tuple[int, bytes]:
        """One call; an empty answer with status 200 is a connection that was closed."""
        if self.down:
            return 200, b""
        self.now += 0.001
        answer = self.boundary.handle("POST", f"/{method}", body)
        if not deliver and answer.status == 200:
            if answer.undo is not None:
                answer.undo()
            return 200, b""
        with self.outside.around("docker.answer"):
            if answer.arrived is not None:
                answer.arrived()
            return answer.status, answer.body

    def move_in(self, box: Container) -> None:
        """What Docker does with the interface after Join."""
        self.links.move_away(box.interface["SrcName"])

    def move_out(self, box: Container) -> None:
        """What Docker does with it between Leave and DeleteEndpoint."""
        self.links.come_back(box.interface["SrcName"])

    def settle(self) -> None:
        """Run the reconciler until everything that it may remove is overdue and gone.

        What a round sees for the first time is overdue in the next one, so two rounds without a change are enough.
        """
        quiet = 0
        for _ in range(ROUNDS):
            before = self.outside.changes
            self.services.reconciler.round()
            self.now += GRACE + 1
            quiet = quiet + 1 if self.outside.changes == before else 0
            if quiet == QUIET_ROUNDS:
                return

    def fill(self) -> None:
        """Let the filler of the port pools work until there is nothing to do now."""
        self.now += 1
        for _ in range(MOST_FILLS):
            before = self.outside.changes
            self.services.pool_filler.work()
            if self.outside.changes == before:
                return

    def state(self) -> dict[str, Any]:
        """Everything in Neutron and on the host, without times and revisions."""
        journal = self.journal
        tables = (
            journal.pools,
            journal.networks,
            journal.leases,
            journal.endpoints,
            journal.intents,
            journal.devices,
            journal.spares,
        )
        return {
            **_plain(self.neutron.store.tables),
            "links": self.links.names(),
            "ovs": sorted(row.name for row in self.ovs.owned()),
            "bound by scripts": sorted(self.scripts.bound),
            "journal": [
                {key: _timeless(msgspec.json.decode(row)) for key, row in table.rows.items()} for table in tables
            ],
        }


def _plain(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = copied(dict(tables))
    for rows in found.values():
        for row in rows.values():
            row.pop("revision_number", None)
    return found


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("created_at", "since")}


class DirectClient(PluginClient):
    """``cut``: the number of the call whose answer does not reach Docker; ``lose_before``: the number of the call
    before which the journal is lost. A dead service is restarted at once, unless ``stay_down``.
    """

    def __init__(self, rig: Rig) -> None:
        super().__init__(NOWHERE)
        self._rig = rig
        self.calls = 0
        self.cut = -1
        self.lose_before = -1
        self.stay_down = False

    def raw(self, method: str, body: bytes, verb: str = "POST") -> tuple[int, dict[str, str], bytes]:
        if self.calls == self.lose_before:
            self._rig.revive(lose_journal=True)
        self.calls += 1
        try:
            status, answer = self._rig.call(method, body, deliver=self.calls - 1 != self.cut)
        except Died:
            self.died()
            return 200, {}, b""
        return status, {}, answer

    def died(self) -> None:
        if self.stay_down:
            self._rig.down = True
        else:
            self._rig.revive()


class DirectDocker(Docker):
    """An engine whose Engine API (:attr:`Plugin.engine`) is always up to date."""

    def __init__(self, rig: Rig, version: int = 28) -> None:
        super().__init__(NOWHERE, version)
        self.client: DirectClient = DirectClient(rig)
        self.sandboxes = rig.sandboxes
        self.beside = self._work_beside
        self._rig = rig
        self._engine = rig.engine

    def _work_beside(self) -> None:
        if not self._rig.down:
            try:
                self._rig.services.labels.work()
            except Died:
                self.client.died()

    def network_create(self, *arguments: Any, **options: Any) -> DockerNetwork:
        network = super().network_create(*arguments, **options)
        self._engine.networks.add(network.network_id)
        self._engine.words[network.network_id] = NetworkWord(
            options=dict(options.get("options") or {}),
            ipam_options=dict(options.get("ipam_options") or {}),
            cidrs=tuple(pool.cidr for pool in network.pools),
            internal=bool(options.get("internal")),
        )
        return network

    def network_rm(self, network: DockerNetwork) -> None:
        self._engine.networks.discard(network.network_id)
        super().network_rm(network)

    def _moved(self, box: Container) -> None:
        self._engine.endpoints.add(box.endpoint_id)
        self._engine.macs[box.endpoint_id] = box.mac
        self._rig.move_in(box)

    def rm(self, container: Container, *, delete_endpoint: bool = True, leaves: int = 1) -> None:
        self._engine.endpoints.discard(container.endpoint_id)
        self._rig.move_out(container)
        super().rm(container, delete_endpoint=delete_endpoint, leaves=leaves)
