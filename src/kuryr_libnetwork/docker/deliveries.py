# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Answers on their way to Docker, and what is undone when it gets none of them.

Docker takes a call for failed whose answer it does not get, so what the call made is undone. But it may have repeated
the call meanwhile, and the answer to that tells it of the very same thing. So all calls for one thing count together:
the first answer that arrives keeps it, and only the last one that is lost ends it. A call that comes while it is being
undone waits until that is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from kuryr_libnetwork.errors import Busy

WAIT = 60.0
"""Seconds for which a call waits for an undo; that asks Neutron, which has its own limit."""
Step = Callable[[], object]


@dataclass
class _Thing:
    """``under_way``: calls for it, and answers that tell of it. ``undo``: what ends it, while Docker does not know of
    it.
    """

    under_way: int = 0
    undo: Step | None = None
    ending: bool = False


class Deliveries:
    """Safe for many threads. ``waiting``: how many calls wait for the end of an undo."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._things: dict[Hashable, _Thing] = {}
        self.waiting = 0

    def begin(self, key: Hashable) -> Delivery:
        """A call for the thing of this ``key`` begins. :class:`~kuryr_libnetwork.errors.Busy` while it is being
        undone.
        """
        with self._changed:
            self.waiting += 1
            free = self._changed.wait_for(lambda: not self._is_ending(key), WAIT)
            self.waiting -= 1
            if not free:
                raise Busy("an earlier call for it, whose answer was lost, is still being undone; try again")
            thing = self._things.setdefault(key, _Thing())
            thing.under_way += 1
        return Delivery(self, key, thing)

    def _is_ending(self, key: Hashable) -> bool:
        thing = self._things.get(key)
        return thing is not None and thing.ending

    def end(self, key: Hashable, thing: _Thing, *, arrived: bool) -> None:
        with self._changed:
            thing.under_way -= 1
            if arrived:
                thing.undo = None
            if thing.under_way:
                return
            undo, thing.ending = thing.undo, True
        try:
            if undo is not None:
                undo()
        finally:
            with self._changed:
                del self._things[key]
                self._changed.notify_all()

    def change(self, thing: _Thing, undo: Step) -> None:
        with self._changed:
            thing.undo = undo

    def is_open(self, thing: _Thing) -> bool:
        with self._changed:
            return thing.undo is not None


class Delivery:
    """One call, from its beginning until its answer has arrived or is lost."""

    def __init__(self, deliveries: Deliveries, key: Hashable, thing: _Thing) -> None:
        self._deliveries = deliveries
        self._key = key
        self._thing = thing
        self._ended = False

    @property
    def is_open(self) -> bool:
        """Whether the thing is there, and Docker does not know it yet."""
        return self._deliveries.is_open(self._thing)

    def made(self, undo: Step) -> None:
        """The call made the thing."""
        self._deliveries.change(self._thing, undo)

    def arrived(self) -> None:
        self._end(arrived=True)

    def lost(self) -> None:
        """Also for an answer that says nothing of the thing, as an error."""
        self._end(arrived=False)

    def _end(self, *, arrived: bool) -> None:
        if not self._ended:
            self._ended = True
            self._deliveries.end(self._key, self._thing, arrived=arrived)
