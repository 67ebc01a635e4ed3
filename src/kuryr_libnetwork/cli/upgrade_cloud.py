# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What ``kuryr-status upgrade check`` asks Keystone, Neutron and Docker: few questions, however many networks there
are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kuryr_libnetwork.cli.host.probes import connect_to_neutron
from kuryr_libnetwork.cli.upgrade_checks import CloudState
from kuryr_libnetwork.docker.engine import DockerEngine
from kuryr_libnetwork.errors import EngineUnavailable, KuryrError, NeutronForbidden
from kuryr_libnetwork.host.journal import JOURNAL_FILE
from kuryr_libnetwork.host.journal_view import JournalView, look
from kuryr_libnetwork.interfaces.engine import Engine
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import Network, Subnet
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.rules.choices import Ref
from kuryr_libnetwork.rules.foreign_networks import ForeignNetwork, foreign_networks, is_subnet, named_by
from kuryr_libnetwork.rules.identity import docker_id_of, network_name
from kuryr_libnetwork.rules.roles import judge_roles, reads_physical_networks
from kuryr_libnetwork.services.state.own_things import OwnThings


class Doors(NamedTuple):
    """Connections; tests pass others. ``neutron`` takes the arguments that name configuration files, others a path."""

    neutron: Callable[[Sequence[str]], Neutron] = connect_to_neutron
    engine: Callable[[Path], Engine] = DockerEngine
    journal: Callable[[Path], JournalView] = look


def ask_cloud(words: Sequence[str], settings: Settings, doors: Doors) -> CloudState:
    """Neutron calls: none; if Docker knows networks that the journal does not, 5, and 1 more for each 50 of them."""
    neutron = doors.neutron(words)
    try:
        account = neutron.account()
    except NeutronForbidden as error:
        return CloudState(refused=str(error), foreign_error=str(error))
    except KuryrError as error:
        return CloudState(account_error=str(error), foreign_error=str(error))
    found = judge_roles(account, physical_networks=reads_physical_networks(settings)) if account else []
    try:
        foreign, foreign_error = _unrecorded(neutron, settings, doors), ""
    except KuryrError as error:
        foreign, foreign_error = (), str(error)
    return CloudState(
        account=str(account or ""), roles=tuple(found), foreign=tuple(foreign), foreign_error=foreign_error
    )


def _unrecorded(neutron: Neutron, settings: Settings, doors: Doors) -> Sequence[ForeignNetwork]:
    own, socket = OwnThings(neutron), settings.plugin.docker_socket
    if not own.project.id:
        return ()
    if socket is None:
        raise EngineUnavailable("docker_socket is empty, so Docker is asked neither here nor by the service")
    words = doors.engine(socket).view().words
    journal = doors.journal(settings.plugin.state_path / JOURNAL_FILE)
    known = {network.docker_id for network in journal.networks}
    words = {docker_id: word for docker_id, word in words.items() if docker_id not in known}
    found = _foreign(neutron, own, words) if words else []
    if not found:
        return ()
    recorded = {docker_id_of(pool) for pool in own.subnetpools()}
    return [each for each in found if each.docker_id not in recorded]


def _foreign(neutron: Neutron, own: OwnThings, words: dict[str, NetworkWord]) -> list[ForeignNetwork]:
    named = named_by(words)
    unnamed = [docker_id for docker_id in words if docker_id not in named]
    subnets = _subnets(neutron, [ref for ref in named.values() if is_subnet(ref)])
    refs = [ref for ref in named.values() if not is_subnet(ref)]
    networks = _networks(
        neutron,
        {*(ref.uuid for ref in refs), *(subnet.network_id for subnet in subnets)},
        {*(ref.name for ref in refs if not ref.uuid), *map(network_name, unnamed)},
    )
    return foreign_networks(named, unnamed, networks, subnets, own.project)


def _subnets(neutron: Neutron, refs: Collection[Ref]) -> list[Subnet]:
    by_id, by_name = _some({ref.uuid for ref in refs}), _some({ref.name for ref in refs if not ref.uuid})
    return [*neutron.find_subnets(id=by_id), *neutron.find_subnets(name=by_name)]


def _networks(neutron: Neutron, ids: Iterable[str], names: Iterable[str]) -> Collection[Network]:
    found = [*neutron.find_networks(id=_some(ids)), *neutron.find_networks(name=_some(names))]
    return {network.id: network for network in found}.values()


def _some(texts: Iterable[str]) -> list[str]:
    """The values of a look-up; an empty one costs no call."""
    return sorted(set(texts) - {""})
