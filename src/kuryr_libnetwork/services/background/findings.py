# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the background saw last. Operators' questions are answered from it, without a look of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from kuryr_libnetwork.model.engine import EngineView
from kuryr_libnetwork.model.neutron import Agent, FreeAddresses
from kuryr_libnetwork.model.overview import RoundRow
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.leftovers import Suspect


class Findings:
    """Safe for many threads. ``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._suspects: dict[Suspect, tuple[float, Value | None]] = {}
        self._containers: dict[str, str] = {}
        self._networks: dict[str, str] = {}
        self._statuses: dict[str, str] = {}
        self._pfs: dict[str, str] = {}
        self._agents: tuple[Agent, ...] | None = None
        self._free: dict[str, int] = {}
        self._quota: dict[str, int] = {}
        self._addresses: tuple[FreeAddresses, ...] = ()
        self._begun = 0
        self._rounds = 0
        self._ended: float | None = None
        self._succeeded: float | None = None

    def note_suspects(self, since: Mapping[Suspect, float], look: Mapping[Suspect, Value | None]) -> None:
        """``since``: when each suspect was first seen, by ``clock``. ``look``: what each was in this look."""
        with self._lock:
            self._suspects = {suspect: (then, look.get(suspect)) for suspect, then in since.items()}

    def note_gone(self, suspects: Sequence[Suspect]) -> None:
        """Drop suspects that were removed."""
        with self._lock:
            for suspect in suspects:
                self._suspects.pop(suspect, None)

    def note_containers(self, names: Mapping[str, str]) -> None:
        """``names``: of containers, by endpoint id, as Docker reports them."""
        with self._lock:
            self._containers = dict(names)

    def note_engine(self, view: EngineView) -> None:
        """What Docker calls its networks and containers."""
        self.note_containers(view.containers)
        self.note_networks({docker_id: word.name for docker_id, word in view.words.items()})

    def note_networks(self, names: Mapping[str, str]) -> None:
        """``names``: of Docker networks, by id, as Docker reports them."""
        with self._lock:
            self._networks = dict(names)

    def note_statuses(self, statuses: Mapping[str, str]) -> None:
        """``statuses``: of the ports of this host in Neutron, by id."""
        with self._lock:
            self._statuses = dict(statuses)

    def note_pfs(self, names: Mapping[str, str]) -> None:
        """``names``: of the network devices of PFs, by PCI address."""
        with self._lock:
            self._pfs = dict(names)

    def note_agents(self, agents: Sequence[Agent] | None) -> None:
        """``agents``: those of this host; ``None``: Neutron does not show them."""
        with self._lock:
            self._agents = None if agents is None else tuple(agents)

    def note_free_devices(self, counts: Mapping[str, int]) -> None:
        """``counts``: VFs that a container could get, by physical network."""
        with self._lock:
            self._free = dict(counts)

    def note_quota(self, free: Mapping[str, int]) -> None:
        """``free``: how many more of each kind of resource the project may have; kinds without a limit are left out."""
        with self._lock:
            self._quota = dict(free)

    def note_addresses(self, free: Sequence[FreeAddresses]) -> None:
        """``free``: addresses in the subnets of Docker networks; none where Neutron does not show them."""
        with self._lock:
            self._addresses = tuple(free)

    def note_begin(self) -> None:
        """A look begins."""
        with self._lock:
            self._begun += 1

    def note_end(self, *, succeeded: bool) -> None:
        with self._lock:
            self._rounds += 1
            self._ended = self._clock()
            if succeeded:
                self._succeeded = self._ended

    def suspects(self) -> dict[Suspect, tuple[float, Value | None]]:
        """For each suspect: for how many seconds it has been one, and what it was in the last look."""
        now = self._clock()
        with self._lock:
            return {suspect: (now - since, seen) for suspect, (since, seen) in self._suspects.items()}

    def containers(self) -> dict[str, str]:
        with self._lock:
            return dict(self._containers)

    def container(self, endpoint_id: str) -> str:
        """The name of the container that has the endpoint; "" if Docker has not told it."""
        with self._lock:
            return self._containers.get(endpoint_id, "")

    def networks(self) -> dict[str, str]:
        with self._lock:
            return dict(self._networks)

    def statuses(self) -> dict[str, str]:
        with self._lock:
            return dict(self._statuses)

    def pfs(self) -> dict[str, str]:
        with self._lock:
            return dict(self._pfs)

    def quota(self) -> dict[str, int]:
        with self._lock:
            return dict(self._quota)

    def addresses(self) -> tuple[FreeAddresses, ...]:
        with self._lock:
            return self._addresses

    def free_devices(self) -> dict[str, int]:
        with self._lock:
            return dict(self._free)

    def agents(self) -> tuple[Agent, ...] | None:
        with self._lock:
            return self._agents

    def rounds(self) -> RoundRow:
        now = self._clock()
        with self._lock:
            return RoundRow(
                begun=self._begun,
                rounds=self._rounds,
                ended=None if self._ended is None else now - self._ended,
                succeeded=None if self._succeeded is None else now - self._succeeded,
            )
