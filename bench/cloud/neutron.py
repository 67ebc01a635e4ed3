# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One Neutron for thousands of hosts: the tests' fake, with indexes, and with workers that take their time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from bench.cloud.clock import Actor, Clock
from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.neutron import answers
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron.store import Store
from tests.fakes.neutron.wire import Resource, select

T = TypeVar("T")

INDEXED = {"ports": ("network_id", "binding:host_id", "device_owner", "device_id"), "subnets": ("network_id",)}
REFUSED = 0.01
"""Seconds until a connection is refused while Neutron is away."""


@dataclass(frozen=True)
class Times:
    """Seconds for which one worker is busy with a call. ``row``: for each resource of an answer, in addition to
    ``read``. The defaults are medians of a quiet machine with two processors (docs/benchmarks.md).
    """

    writes: Mapping[str, float] = field(
        default_factory=lambda: {"create_port": 0.300, "update_port": 0.133, "delete_port": 0.100}
    )
    write: float = 0.120
    read: float = 0.025
    row: Mapping[str, float] = field(
        default_factory=lambda: {"networks": 0.003, "subnets": 0.0012, "subnetpools": 0.001, "ports": 0.003}
    )

    @classmethod
    def measured(cls, found: Mapping[str, Any]) -> Times:
        """``found``: the section of :mod:`bench.neutron_times`, as it is in the JSON file."""
        writes = {"create_port": "POST port", "update_port": "PUT port, labels", "delete_port": "DELETE port"}
        singles = [each["median"] for what, each in found.items() if what.endswith(", one")]
        return cls(
            writes={method: found[what]["median"] for method, what in writes.items()},
            write=found["PUT tags"]["median"],
            read=sum(singles) / len(singles),
            row=found["rows"],
        )

    def of(self, method: str, verb: str, rows: int) -> float:
        if verb != "GET":
            return self.writes.get(method, self.write)
        return self.read + rows * self.row.get(method.removeprefix("find_"), 0.001)


class Served(NamedTuple):
    """One call: ``waited`` for a worker, which was busy with it for ``took`` seconds. ``rows``: of the answer."""

    at: float
    method: str
    waited: float
    took: float
    rows: int
    refused: bool = False


class Workers:
    """``count`` workers, and one queue for them."""

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock = clock
        self._free = count
        self._queue: deque[Actor] = deque()

    def take(self) -> None:
        if self._free:
            self._free -= 1
            return
        self._queue.append(self._clock.me())
        self._clock.park()

    def give_back(self) -> None:
        if self._queue:
            self._clock.wake(self._queue.popleft())
        else:
            self._free += 1


class IndexedTable(dict[str, Resource]):
    """Resources by id, and the ids by the values of some fields."""

    def __init__(self, fields: Iterable[str], rows: Mapping[str, Resource]) -> None:
        super().__init__()
        self.by: dict[str, dict[str, dict[str, None]]] = {name: {} for name in fields}
        self._noted: dict[str, dict[str, str]] = {}
        self.version = 0
        for key, row in rows.items():
            self[key] = row

    def __setitem__(self, key: str, row: Resource) -> None:
        super().__setitem__(key, row)
        self.note(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.note(key)

    def note(self, key: str) -> None:
        """The resource has changed."""
        self.version += 1
        for name, value in self._noted.pop(key, {}).items():
            self.by[name][value].pop(key, None)
        row = self.get(key)
        if row is not None:
            self._noted[key] = {name: str(row[name] or "") for name in self.by}
            for name, value in self._noted[key].items():
                self.by[name].setdefault(value, {})[key] = None

    def near(self, query: Mapping[str, list[str]]) -> list[Resource]:
        """The resources that may match: by id, or by the index that has the fewest."""
        if "id" in query:
            return [self[key] for key in query["id"] if key in self]
        found = [
            [key for value in values for key in self.by[name].get(value, ())]
            for name, values in query.items()
            if name in self.by
        ]
        return [self[key] for key in min(found, key=len)] if found else list(self.values())


class IndexedStore(Store):
    def __init__(self, other: Store) -> None:
        vars(self).update(vars(other))
        self._macs = 1 << 20  # the copies of a host have MACs already
        self.tables: dict[str, dict[str, Resource]] = {
            what: IndexedTable(INDEXED.get(what, ()), rows) for what, rows in other.tables.items()
        }

    def table(self, what: str) -> IndexedTable:
        found = self.tables[what]
        assert isinstance(found, IndexedTable)
        return found

    def ports_of(self, network_id: str) -> list[Resource]:
        return self.table("ports").near({"network_id": [network_id]})

    def subnets_of(self, network_id: str) -> list[Resource]:
        return self.table("subnets").near({"network_id": [network_id]})


class _Nothing(list[tuple[Any, ...]]):
    """The fake's own record of its calls, which would grow without end."""

    def append(self, call: tuple[Any, ...]) -> None:
        del call


class Cloud(FakeNeutron):
    """``served``: all calls, in the order of their ends. ``away``: whether connections are refused."""

    def __init__(self, clock: Clock, workers: int, times: Times, hosts: Iterable[str]) -> None:
        super().__init__(hosts=hosts)
        self._times = times
        self.store: IndexedStore = IndexedStore(self.store)
        self.calls = _Nothing()
        self.served: list[Served] = []
        self.away = False
        self._clock = clock
        self._workers = Workers(clock, workers)
        self._answers: dict[tuple[str, str], tuple[int, list[Any]]] = {}

    def _selected(self, what: str, query: Mapping[str, list[str]]) -> list[Resource]:
        near = self.store.table(what).near(query)
        found = [each for each in select(what, near, query) if self.policy.sees(what, each)]
        shown = [self.policy.shown(self.store, what, each) for each in found]
        return [dict(each) for each in answers.select(shown, query)]

    def _call(self, method: str, arguments: tuple[Any, ...], verb: str, path: str, effect: Callable[[], T]) -> T:
        began = self._clock.now
        if self.away:
            self._clock.wait(REFUSED)
            self.served.append(Served(began, method, 0.0, 0.0, 0, refused=True))
            raise NeutronUnavailable(f"no answer to {verb} {path}: connection refused")
        self._workers.take()
        begins, rows = self._clock.now, 0
        try:
            answer: T = self._remembered(method, arguments, verb, path, effect)
            rows = len(answer) if isinstance(answer, list) else 0
            return answer
        finally:
            seconds = self._times.of(method, verb, rows)
            self._clock.wait(seconds)
            self._workers.give_back()
            self.served.append(Served(began, method, begins - began, seconds, rows))

    def _remembered(self, method: str, arguments: tuple[Any, ...], verb: str, path: str, effect: Callable[[], T]) -> T:
        """The large answers that all hosts get alike are made only once."""
        what = method.removeprefix("find_")
        if verb != "GET" or what == method or "id" in arguments[0]:
            answer = super()._call(method, arguments, verb, path, effect)
            self._note(answer, arguments)
            return answer
        key, version = (what, repr(arguments)), self.store.table(what).version
        known = self._answers.get(key)
        if known is not None and known[0] == version:
            return list(known[1])  # type: ignore[return-value]
        found = super()._call(method, arguments, verb, path, effect)
        if isinstance(found, list) and len(found) > 100:
            self._answers[key] = (version, list(found))
        return found

    def _note(self, answer: object, arguments: tuple[Any, ...]) -> None:
        ids = {getattr(answer, "id", ""), *(each for each in arguments[:2] if isinstance(each, str))}
        for table in map(self.store.table, ("networks", "subnets", "subnetpools", "ports")):
            for key in ids & table.keys():
                table.note(key)
