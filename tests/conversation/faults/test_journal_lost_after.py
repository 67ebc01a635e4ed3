# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Neutron did not let happen, and a journal that is lost before it could be done later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conversation.faults.machine_trials import OPERATIONS as MACHINE_OPERATIONS
from tests.conversation.faults.sriov_trials import OPERATIONS as SRIOV_OPERATIONS
from tests.conversation.faults.test_faults import CONFLICT, UNAVAILABLE
from tests.conversation.faults.trials import OPERATIONS, Operation, Trial, calls_of, conclude
from tests.conversation.faults.vif_trials import OPERATIONS as VIF_OPERATIONS
from tests.fakes.neutron import PROJECT
from tests.world.outside import Fault, is_read

pytestmark = pytest.mark.usefixtures("uncounted")


class OwnTrial(Trial):
    """The user's networks are in the service's own project, where its tags stand on them."""

    home = {"project_id": PROJECT}


OWN = {name: operation for name, operation in OPERATIONS.items() if "network-rm" in name or "create" in name}
ALL = (
    OPERATIONS
    | SRIOV_OPERATIONS
    | VIF_OPERATIONS
    | MACHINE_OPERATIONS
    | {f"own-{name}": replace(operation, trial=OwnTrial) for name, operation in OWN.items()}
)


def faults_of(name: str, at: int) -> Iterator[tuple[str, Fault]]:
    yield "down", Fault(at, UNAVAILABLE, lasting=True)
    if not is_read(name):
        yield "answer-lost-and-down", Fault(at, UNAVAILABLE, after=True, lasting=True)
        yield "conflict", Fault(at, CONFLICT)


def cases() -> Iterator[object]:
    for title, operation in ALL.items():
        for at, name in enumerate(calls_of(operation)):
            if name.startswith("neutron."):
                for kind, fault in faults_of(name, at):
                    yield pytest.param(operation, fault, id=f"{title}-{at}-{name}-{kind}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each operation is tried once to see its calls: only where the tests of the matrix are wanted."""
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize(("operation", "fault"), list(cases()))


def test_the_journal_is_lost_after_a_fault(operation: Operation, fault: Fault) -> None:
    """What could not be removed while Neutron was down would stay for ever if the host's disk dies then."""
    trial = operation.prepare(neighbour=True)
    trial.rig.outside.arm(fault)
    done = trial.attempt(operation.act)
    trial.rig.outside.disarm()
    trial.rig.revive(lose_journal=True)
    conclude(operation, trial, done=done, journal_lost=True)
