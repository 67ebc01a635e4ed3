# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Calls that do not depend on each other, by the threads that make them; the matrices have them in a fixed order."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from kuryr_libnetwork.errors import NeutronRefused
from kuryr_libnetwork.services.state.beside import SideBySide
from tests.conversation.faults.trials import V4, V6
from tests.world.dockerside import PluginError
from tests.world.rig import DirectDocker, Rig

PATIENCE = 20.0


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.beside = SideBySide()
    rig.revive()
    return rig


class Meeting:
    """Two calls of Neutron that wait for each other: only side by side do they both get through."""

    def __init__(self, rig: Rig, *methods: str) -> None:
        self._barrier = threading.Barrier(2)
        self._methods = [*methods]
        self._guard = threading.Lock()
        rig.neutron.hook = self._before

    def _before(self, method: str, arguments: tuple[Any, ...]) -> None:
        del arguments
        with self._guard:
            waits = method in self._methods
            if waits:
                self._methods.remove(method)
        if waits:
            self._barrier.wait(PATIENCE)


@pytest.mark.parametrize(
    ("methods", "v6"), [(("set_tags", "create_subnet"), None), (("add_tags", "create_subnet"), V6)], ids=["new", "dual"]
)
def test_a_network_is_created_with_calls_side_by_side(rig: Rig, methods: tuple[str, str], v6: str | None) -> None:
    """``docker network create`` would wait for one call after the other."""
    docker = DirectDocker(rig)
    if v6 is None:
        Meeting(rig, *methods)
        docker.network_create(V4)
        return
    first: list[str] = []

    def before(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "create_subnet" and not first:
            first.append(method)
            Meeting(rig, *methods)  # the first subnet's tag, and the second subnet

    rig.neutron.hook = before
    docker.network_create(V4, subnet_v6=v6)


def test_the_pools_of_a_network_go_side_by_side(rig: Rig) -> None:
    """``docker network rm`` of a dual-stack network would wait for one pool after the other."""
    docker = DirectDocker(rig)
    network = docker.network_create(V4, subnet_v6=V6)
    Meeting(rig, "delete_subnetpool", "delete_subnetpool")
    docker.network_rm(network)
    rig.nothing_left()


@pytest.mark.parametrize("method", ["set_tags", "create_subnet", "add_tags"])
def test_a_failure_is_undone_once_the_other_call_has_ended(rig: Rig, method: str) -> None:
    """A tag would arrive on a network that is being removed, or a network would stay."""
    before = rig.state()
    rig.neutron.fail_next(method, NeutronRefused("not so"))
    with pytest.raises(PluginError, match="not so"):
        DirectDocker(rig).network_create(V4)
    assert rig.state() == before
    docker = DirectDocker(rig)
    docker.network_rm(docker.network_create(V4))


def test_without_a_free_thread_a_step_is_done_in_its_turn() -> None:
    """Many networks at once would take any number of threads, or wait for one."""
    beside, seen = SideBySide(1), list[str]()
    leave = threading.Event()
    with beside.steps() as begin:
        begin(lambda: leave.wait(PATIENCE))
        begin(lambda: seen.append(threading.current_thread().name))
        assert seen == [threading.current_thread().name]
        leave.set()


def fail(text: str) -> None:
    raise NeutronRefused(text)


def fail_beside(beside: SideBySide, *, itself: bool) -> None:
    with beside.steps() as begin:
        begin(partial(fail, "beside"))
        if itself:
            fail("itself")


@pytest.mark.parametrize(("itself", "text"), [(True, "itself"), (False, "beside")])
def test_the_error_of_the_block_comes_first(itself: bool, text: str) -> None:
    """The user would read about what was done beside it."""
    with pytest.raises(NeutronRefused, match=text):
        fail_beside(SideBySide(), itself=itself)


def test_a_system_without_a_thread_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host that is full of processes networks could not be made, and each attempt would cost a place for ever."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    beside, done = SideBySide(threads=1), list[int]()
    for number in range(3):
        with beside.steps() as begin:
            begin(partial(done.append, number))
    assert done == [0, 1, 2]
    assert beside._free.acquire(blocking=False)
