# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Every call that the service makes to the outside: counts the calls of an operation, and can make one of them fail.

A call is named ``party.method`` (``neutron.create_port``, ``journal.leases.put``). :class:`Outside` numbers the calls,
runs a hook before each, and can make one of them fail, or all of its party from there on; or let the service die there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.fakes.host import Failing, FakeJournal, FakeLinks, FakeOvs, FakeScripts
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov import FakeNetdevs, FakeNic, FakePci, FakeVfControl

READS = (
    "members",
    *("find_", "get", "owned", "extensions", "quota", "free_addresses", "unconnected", "all", "addresses", "aliases"),
    *("physical_function", "virtual_function", "read", "state", "in_use", "uses", "carries_", "wait_"),
)


NOTHING = nullcontext()


class Died(BaseException):
    """The process was killed. Not caught by any handler of the service."""


@cache
def is_read(name: str) -> bool:
    return name.rpartition(".")[2].startswith(READS)


@dataclass(frozen=True)
class Fault:
    """``at``: the number of the call. ``after``: with its effect. ``lasting``: all later calls of the party as well."""

    at: int
    error: Callable[[], BaseException]
    after: bool = False
    lasting: bool = False

    def hits(self, number: int, name: str, names: list[str]) -> bool:
        if number == self.at:
            return True
        if not self.lasting or number < self.at:
            return False
        party = names[self.at].partition(".")[0]
        return name.startswith(f"{party}.") and not (party == "journal" and is_read(name))


class Outside:
    """``names``: the calls since :meth:`arm`. ``changes``: how many of them do more than read. ``dead``: the process
    was killed, and its remaining threads can do nothing more.

    ``hook`` runs before each call, and with ``after NAME`` after it.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.changes = 0
        self.dead = False
        self.hook: Callable[[str, tuple[Any, ...]], None] | None = None
        self._fault: Fault | None = None
        self._armed = False
        self._lock = threading.Lock()

    def arm(self, fault: Fault | None) -> None:
        self.names, self._fault, self._armed = [], fault, True

    def disarm(self) -> None:
        self._fault, self._armed = None, False

    @property
    def calm(self) -> bool:
        """Whether the calls are neither counted nor waited for, and none is to fail."""
        return not self._armed and self.hook is None and not self.dead

    def around(
        self, name: str, arguments: tuple[Any, ...] = (), call: AbstractContextManager[object] = NOTHING
    ) -> AbstractContextManager[object]:
        """Wraps a call: counts it, and fails it if it is its turn."""
        self.changes += not is_read(name)
        return call if self.calm else self._watched(name, arguments, call)

    @contextmanager
    def _watched(self, name: str, arguments: tuple[Any, ...], call: AbstractContextManager[object]) -> Iterator[None]:
        if self.dead:
            raise Died
        error = self._error(name)
        if self.hook is not None:
            self.hook(name, arguments)
        if error is not None and not error[1]:
            raise self._raised(error[0])
        with call:
            yield
        if self.hook is not None:
            self.hook(f"after {name}", arguments)
        if error is not None:
            raise self._raised(error[0])

    def _error(self, name: str) -> tuple[BaseException, bool] | None:
        if not self._armed:
            return None
        with self._lock:
            number = len(self.names)
            self.names.append(name)
        fault = self._fault
        if fault is None or not fault.hits(number, name, self.names):
            return None
        return fault.error(), fault.after and number == fault.at

    def _raised(self, error: BaseException) -> BaseException:
        self.dead = self.dead or isinstance(error, Died)
        return error


class TappedNeutron(FakeNeutron):
    def __init__(self, outside: Outside, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._outside = outside

    def _call(self, method: str, arguments: tuple[Any, ...], *rest: Any) -> Any:
        with self._outside.around(f"neutron.{method}", arguments):
            return super()._call(method, arguments, *rest)


class TappedLinks(FakeLinks):
    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self._outside = outside

    def called(self, method: str) -> AbstractContextManager[object]:
        return self._outside.around(f"links.{method}", call=super().called(method))

    def come_back(self, name: str) -> None:
        """What Docker does with the container's end before it deletes the endpoint."""
        with self.lock:
            here = self._visible()
            self._away -= {link.index for link in self._links.values() if link.name == name and name not in here}


class TappedOvs(FakeOvs):
    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self._outside = outside

    def called(self, method: str) -> AbstractContextManager[object]:
        return self._outside.around(f"ovs.{method}", call=super().called(method))


class TappedScripts(FakeScripts):
    def __init__(self, outside: Outside) -> None:
        super().__init__("sdn")
        self._outside = outside

    def called(self, method: str) -> AbstractContextManager[object]:
        return self._outside.around(f"scripts.{method}", call=super().called(method))


class TappedJournal(FakeJournal):
    """A transaction counts as one call: what is put inside fails or succeeds with it."""

    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self._outside = outside
        self._local = threading.local()

    def called(self, method: str) -> AbstractContextManager[object]:
        if getattr(self._local, "inside", False):
            return super().called(method)
        call = self._outside.around(f"journal.{method}", call=super().called(method))
        return self._transaction(call) if method == "transaction" else call

    @contextmanager
    def _transaction(self, call: AbstractContextManager[object]) -> Iterator[None]:
        self._local.inside = True
        try:
            with call:
                yield
        finally:
            self._local.inside = False


class _Tapped(Failing):
    """One view of the cards; all three views are the party ``nic``."""

    outside: Outside

    def called(self, method: str) -> AbstractContextManager[object]:
        return self.outside.around(f"nic.{method}", call=super().called(method))


class _TappedPci(_Tapped, FakePci):
    pass


class _TappedControl(_Tapped, FakeVfControl):
    pass


class _TappedNetdevs(_Tapped, FakeNetdevs):
    pass


class TappedNic(FakeNic):
    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self.pci, self.control, self.netdevs = views = _TappedPci(self), _TappedControl(self), _TappedNetdevs(self)
        for view in views:
            view.outside = outside
