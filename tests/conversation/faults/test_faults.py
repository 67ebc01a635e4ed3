# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Every call of every operation fails once, or all of its party from there on: nothing may be left, lost or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from kuryr_libnetwork import errors
from tests.conversation.faults.machine_trials import OPERATIONS as MACHINE_OPERATIONS
from tests.conversation.faults.sriov_trials import OPERATIONS as SRIOV_OPERATIONS
from tests.conversation.faults.trials import OPERATIONS, Operation, calls_of, conclude, try_with
from tests.conversation.faults.vif_trials import OPERATIONS as VIF_OPERATIONS
from tests.world.outside import Fault, is_read

pytestmark = pytest.mark.usefixtures("uncounted")
ALL = {**OPERATIONS, **SRIOV_OPERATIONS, **VIF_OPERATIONS, **MACHINE_OPERATIONS}
Error = Callable[[], BaseException]
UNAVAILABLE: Error = partial(errors.NeutronUnavailable, "no answer")
CONFLICT: Error = partial(errors.NeutronConflict, "in use")
REFUSED: Error = partial(errors.NeutronRefused, "not so")
LINK: Error = partial(errors.LinkError, "no buffer space")
OVSDB: Error = partial(errors.OvsdbUnavailable, "no answer")
SCRIPT: Error = partial(errors.BindingScriptFailed, "ended with 1")
JOURNAL: Error = partial(errors.JournalError, "disk full")


ERRORS = {"neutron": UNAVAILABLE, "links": LINK, "nic": LINK, "ovs": OVSDB, "scripts": SCRIPT, "journal": JOURNAL}


def faults_of(name: str, at: int) -> Iterator[tuple[str, Fault]]:
    """The faults that one call can have, by its party and whether it changes something."""
    party = name.partition(".")[0]
    error = ERRORS[party]
    yield "fails", Fault(at, error)
    if party == "journal" and is_read(name):
        return
    yield "fails-from-here", Fault(at, error, lasting=True)
    if party in ("neutron", "ovs", "nic", "scripts") and not is_read(name):
        yield "answer-lost", Fault(at, error, after=True)
        yield "answer-lost-and-down", Fault(at, error, after=True, lasting=True)
    if party == "neutron" and not is_read(name):
        yield "conflict", Fault(at, CONFLICT)
        yield "refused", Fault(at, REFUSED)


def cases() -> Iterator[object]:
    for operation in ALL.values():
        for at, name in enumerate(calls_of(operation)):
            if name == "docker.answer":
                continue
            for kind, fault in faults_of(name, at):
                yield pytest.param(operation, fault, id=f"{operation.name}-{at}-{name}-{kind}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each operation is tried once to see its calls: only where the tests of the matrix are wanted."""
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize(("operation", "fault"), list(cases()))
    elif "number" in metafunc.fixturenames:
        metafunc.parametrize(("operation", "number"), list(answers()))


def test_one_call_goes_wrong(operation: Operation, fault: Fault) -> None:
    """One error of Neutron, the kernel, Open vSwitch or the disk would leave a port, a link or a network for ever."""
    try_with(operation, operation.prepare(), fault)


def answers() -> Iterator[object]:
    for operation in ALL.values():
        for number in range(calls_of(operation).count("docker.answer")):
            yield pytest.param(operation, number, id=f"{operation.name}-{number}")


def test_docker_does_not_get_an_answer(operation: Operation, number: int) -> None:
    """Docker believes that a call failed if it did not get the answer: what the call created would stay."""
    trial = operation.prepare()
    trial.docker.client.cut = trial.docker.client.calls + number
    done = trial.attempt(operation.act)
    conclude(operation, trial, done=done)
