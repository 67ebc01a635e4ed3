# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What is noted of each question to Neutron, Open vSwitch and Docker, and of each call of Docker."""

from __future__ import annotations

from collections.abc import Callable

from kuryr_libnetwork.model.value import Value

NEUTRON, OVS, DOCKER = "neutron", "openvswitch", "docker"
"""The parties that are asked."""


class Question(Value, frozen=True):
    """``outcome``: "ok", or the code of the error. ``answered``: the party is there, whatever its answer was.

    ``verb``, ``resource``: of a few words each, for they become labels of metrics.
    """

    party: str
    verb: str
    resource: str
    seconds: float
    outcome: str = "ok"
    answered: bool = True
    error: str = ""


class CallDone(Value, frozen=True):
    """A call of Docker. ``method``: as ``NetworkDriver.Join``. ``outcome``: as of a :class:`Question`."""

    method: str
    seconds: float
    outcome: str = "ok"


Observe = Callable[[Question], None]
Repaired = Callable[[str], None]
"""Told of each thing that others had changed on an interface in use, and that is right again: what kind it is."""
ObserveCall = Callable[[CallDone], None]


def ignore(_: object) -> None:
    """Where nobody wants to know."""
