# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The service is killed before each step that changes something, or has lost its journal when it comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conversation.faults.machine_trials import OPERATIONS as MACHINE_OPERATIONS
from tests.conversation.faults.sriov_trials import OPERATIONS as SRIOV_OPERATIONS
from tests.conversation.faults.trials import OPERATIONS, Operation, Trial, calls_of, conclude
from tests.conversation.faults.vif_trials import OPERATIONS as VIF_OPERATIONS
from tests.world.outside import Died, Fault, is_read

pytestmark = pytest.mark.usefixtures("uncounted")
ALL = {**OPERATIONS, **SRIOV_OPERATIONS, **VIF_OPERATIONS, **MACHINE_OPERATIONS}


def deaths() -> Iterator[object]:
    """Dying before a step is dying after the one before it; ``docker.answer`` is the last step of each call."""
    for operation in ALL.values():
        for at, name in enumerate(calls_of(operation)):
            if not is_read(name):
                yield pytest.param(operation, at, id=f"{operation.name}-{at}-{name}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each operation is tried once to see its calls: only where the tests of the matrix are wanted."""
    if "at" in metafunc.fixturenames:
        metafunc.parametrize(("operation", "at"), list(deaths()))
    elif "number" in metafunc.fixturenames:
        metafunc.parametrize(("operation", "number"), list(losses()))


def die(operation: Operation, at: int, *, stay_down: bool) -> tuple[Trial, bool]:
    first = operation.undo == Trial.network_rm  # of the first network ever, Docker cannot be believed to know nothing
    trial = operation.prepare(neighbour=stay_down and first)
    trial.docker.client.stay_down = stay_down
    trial.rig.outside.arm(Fault(at, Died))
    done = trial.attempt(operation.act)
    trial.rig.outside.disarm()
    trial.docker.client.stay_down = False
    return trial, done


@pytest.mark.parametrize("stay_down", [False, True], ids=["up-at-once", "down-for-a-while"])
def test_the_service_is_killed(operation: Operation, at: int, stay_down: bool) -> None:
    """A kill -9 or a power cut at the wrong moment would leave a port, an interface or half a network for ever."""
    trial, done = die(operation, at, stay_down=stay_down)
    trial.rig.revive()
    trial.rig.services.reconciler.finish_interrupted()
    conclude(operation, trial, done=done)


def losses() -> Iterator[object]:
    for operation in ALL.values():
        for number in range(1, calls_of(operation).count("docker.answer")):
            yield pytest.param(operation, number, id=f"{operation.name}-{number}")


def test_the_journal_is_lost_between_two_calls(operation: Operation, number: int) -> None:
    """If a new disk or a tidy operator removes the journal, what Docker was just creating or removing would leak."""
    trial = operation.prepare()
    trial.docker.client.lose_before = trial.docker.client.calls + number
    done = trial.attempt(operation.act)
    trial.docker.client.lose_before = -1
    conclude(operation, trial, done=done, journal_lost=True)
