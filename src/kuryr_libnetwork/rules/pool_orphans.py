# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Ports of port pools whose host is gone: nobody else may touch them while it might come back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kuryr_libnetwork.model.neutron import Agent
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.ownership import OwnPort
from kuryr_libnetwork.rules.port_pool import idle_spare


class Orphan(Value, frozen=True):
    """A port of a host's pool that no container has."""

    port: OwnPort
    host: str
    docker_network_id: str


def of_host(ports: Iterable[OwnPort], host: str) -> list[Orphan]:
    """The idle ports of the pools of a host that an operator has named."""
    return [each for each in _idle(ports) if each.host == host]


def of_dead_hosts(ports: Iterable[OwnPort], agents: Sequence[Agent], here: str) -> list[Orphan]:
    """The idle ports of the pools of hosts that have no agent that is alive; never of this host, ``here``.

    ``agents``: all of the cloud.
    """
    alive = {agent.host for agent in agents if agent.alive}
    return [each for each in _idle(ports) if each.host not in alive and each.host != here]


def _idle(ports: Iterable[OwnPort]) -> Iterable[Orphan]:
    for port in ports:
        mark = idle_spare(port)
        if mark is not None and port.host_id in {"", mark.host}:
            yield Orphan(port=port, host=mark.host, docker_network_id=mark.network)
