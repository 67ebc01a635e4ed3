# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which Docker networks of a host are on Neutron networks of another project, according to Docker.

Upstream's service recorded this in tags on those networks, where their owner can write, too, so this service does not
believe these tags. It adopts such a Docker network by what Docker's user named
(``services/background/dockers_word.py``), for which Docker has to be running.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import Network, Subnet
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.choices import Choices, Ref, agreed, choices_of
from kuryr_libnetwork.rules.identity import network_name
from kuryr_libnetwork.rules.ownership import OwnProject


class ForeignNetwork(Value, frozen=True):
    """``networks``: the Neutron network that is meant; several if they share a name. ``named``: the user chose it."""

    docker_id: str
    networks: tuple[Network, ...]
    named: bool


def named_by(words: Mapping[str, NetworkWord]) -> dict[str, Ref]:
    """What the user chose for each Docker network: a network, or a subnet of it. Leaves out those without a choice."""
    found = {docker_id: _ref(_choices(word)) for docker_id, word in words.items()}
    return {docker_id: ref for docker_id, ref in found.items() if ref}


def _choices(word: NetworkWord) -> Choices:
    try:
        return choices_of(agreed(word.options, word.ipam_options))
    except InvalidOption:
        return Choices()  # not our driver's network, or options that we cannot use


def _ref(choices: Choices) -> Ref:
    return choices.network or choices.subnet_v4 or choices.subnet_v6


def is_subnet(ref: Ref) -> bool:
    """Whether the user chose a subnet, not a network."""
    return any("subnet" in key for key in ref.keys)


def foreign_networks(
    named: Mapping[str, Ref],
    unnamed: Iterable[str],
    networks: Collection[Network],
    subnets: Sequence[Subnet],
    project: OwnProject,
) -> list[ForeignNetwork]:
    """The Docker networks that can only be on Neutron networks of another project.

    ``named``: Docker networks whose users chose a Neutron network. ``unnamed``: the others, for which upstream's
    service created one in the project that it logged in to; the Neutron network's name tells which. ``networks``,
    ``subnets``: all that may be meant.
    """
    found = []
    for docker_id, ref in named.items():
        ids = {subnet.network_id for subnet in subnets if _means(ref, subnet)} if is_subnet(ref) else set[str]()
        meant = [network for network in networks if network.id in ids or (not is_subnet(ref) and _means(ref, network))]
        found.append(ForeignNetwork(docker_id=docker_id, networks=tuple(meant), named=True))
    for docker_id in unnamed:
        meant = [network for network in networks if network.name == network_name(docker_id)]
        found.append(ForeignNetwork(docker_id=docker_id, networks=tuple(meant), named=False))
    return [each for each in found if each.networks and not any(map(project.network, each.networks))]


def _means(ref: Ref, resource: Network | Subnet) -> bool:
    return resource.id == ref.uuid if ref.uuid else resource.name == ref.name
