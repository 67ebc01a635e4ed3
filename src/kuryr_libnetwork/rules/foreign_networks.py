# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which Docker networks of a host are on Neutron networks of another project, by Docker's own word.

Upstream's service recorded them by tags on those networks, where their owner can write tags as well, so this service
does not believe them. It takes such a Docker network up as Docker's user named it
(``services/background/dockers_word.py``), which needs a Docker that runs.
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
    """``networks``: the Neutron network that is meant; several where they have one name. ``named``: Docker's user chose
    it.
    """

    docker_id: str
    networks: tuple[Network, ...]
    named: bool


def named_by(words: Mapping[str, NetworkWord]) -> dict[str, Ref]:
    """What each Docker network's user chose: a network, or a subnet whose network it is. Without those who chose
    neither.
    """
    found = {docker_id: _ref(_choices(word)) for docker_id, word in words.items()}
    return {docker_id: ref for docker_id, ref in found.items() if ref}


def _choices(word: NetworkWord) -> Choices:
    try:
        return choices_of(agreed(word.options, word.ipam_options))
    except InvalidOption:
        return Choices()  # of another driver, or of no use to the service either


def _ref(choices: Choices) -> Ref:
    return choices.network or choices.subnet_v4 or choices.subnet_v6


def is_subnet(ref: Ref) -> bool:
    """Whether it is a subnet that was chosen."""
    return any("subnet" in key for key in ref.keys)


def foreign_networks(
    named: Mapping[str, Ref],
    unnamed: Iterable[str],
    networks: Collection[Network],
    subnets: Sequence[Subnet],
    project: OwnProject,
) -> list[ForeignNetwork]:
    """Those Docker networks that are on Neutron networks of another project alone.

    ``named``, ``unnamed``: those whose users chose a Neutron network, and the others, which upstream's service made in
    the project that it logged in to; they are known by the names of their Neutron networks. ``networks``, ``subnets``:
    all that may be meant.
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
