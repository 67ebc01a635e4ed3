# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The threads that the service starts, whatever happens in them."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kuryr_libnetwork import health
from kuryr_libnetwork.app import App
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.services.assembly import Services
from kuryr_libnetwork.services.background.onlooker import THREAD as ONLOOKER
from kuryr_libnetwork.services.endpoints.announcer import THREAD as ANNOUNCER
from kuryr_libnetwork.services.endpoints.labels import THREAD as LABELS
from kuryr_libnetwork.services.endpoints.sandbox_routes import THREAD as ROUTES
from kuryr_libnetwork.services.ports.pool_filler import THREAD as PORT_POOLS

TIMEOUT = 10
WORKERS = {
    "announcer": ANNOUNCER,
    "routes": ROUTES,
    "labels": LABELS,
    "pool_filler": PORT_POOLS,
    "onlooker": ONLOOKER,
}
"""The services that have a thread of their own, and its name."""


class Server:
    """Stands for the server: it is ready at once, and serves until it is stopped."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self._end = threading.Event()

    def serve(self) -> None:
        self.ready.set()
        self._end.wait(TIMEOUT)

    def stop(self) -> None:
        self._end.set()


class Thread:
    """The work of a thread; it stumbles as often as it is told."""

    def __init__(self, stumbles: int) -> None:
        self.begun = 0
        self.at_work = threading.Event()
        self._stumbles = stumbles

    def run(self, *_: Any) -> None:
        self.begun += 1
        if self.begun <= self._stumbles:
            raise PermissionError(1, "Operation not permitted")
        self.at_work.set()

    def stop(self) -> None:
        """Nothing waits."""


@pytest.mark.parametrize("error", [NeutronUnavailable("not yet"), AttributeError("password is a required attribute")])
def test_no_thread_of_the_background_ends_with_an_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one wrong answer at the start, nothing forgotten would ever be removed, while the service looks well."""
    monkeypatch.setattr(health, "PAUSE", 0.0)
    reconciler, workers = Thread(2), {name: Thread(1) for name in WORKERS}
    server, found = Server(), Health()
    warmed: list[str] = []

    def fail() -> None:
        raise error

    services = cast(
        "Services",
        SimpleNamespace(reconciler=reconciler, **workers),
    )
    warm_ups = {"reach Neutron": fail, "reach Open vSwitch": lambda: warmed.append("ovs")}
    app = App(cast("PluginServer", server), services, 60, warm_ups, found)
    serving = threading.Thread(target=app.serve)
    serving.start()
    assert reconciler.at_work.wait(TIMEOUT)
    for worker in workers.values():
        assert worker.at_work.wait(TIMEOUT)
    app.stop()
    serving.join(TIMEOUT)
    assert not serving.is_alive()
    assert reconciler.begun == 3
    assert {name: worker.begun for name, worker in workers.items()} == dict.fromkeys(WORKERS, 2)
    assert warmed == ["ovs"]
    report = found.report()
    expected = 2 if isinstance(error, NeutronUnavailable) else 4  # the third attempt is not due yet
    stumbled = {name: beat.unforeseen for name, beat in report.items()}
    assert stumbled == {"reconciler": expected, **dict.fromkeys(WORKERS.values(), 1)}


class Rounds(Thread):
    """A reconciler with so many further rounds."""

    def __init__(self, count: int) -> None:
        super().__init__(0)
        self._count = count

    def run(self, *arguments: Any) -> None:
        *_, beforehand = arguments
        for _ in range(self._count):
            beforehand()
        super().run()


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_what_could_not_be_done_at_the_start_is_done_later(failures: int) -> None:
    """With Neutron away at the start nobody would ever be told that the service's user lacks a role."""
    tried: list[int] = []

    def reach() -> None:
        tried.append(len(tried))
        if len(tried) <= failures:
            raise NeutronUnavailable("not yet")

    reconciler, other = Rounds(5), Thread(0)
    services = cast("Services", SimpleNamespace(reconciler=reconciler, **dict.fromkeys(WORKERS, other)))
    app = App(cast("PluginServer", Server()), services, 60, {"reach Neutron": reach}, Health())
    serving = threading.Thread(target=app.serve)
    serving.start()
    assert reconciler.at_work.wait(TIMEOUT)
    app.stop()
    serving.join(TIMEOUT)
    assert len(tried) == failures + 1
