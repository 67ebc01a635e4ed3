# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Recovers Docker networks that nothing in Neutron proves, on Docker's own word.

Upstream's service, and earlier versions of this one, recorded a Docker network on another project's Neutron network by
tags on the latter, where its owner can write them as well. These tags are not believed. But Docker keeps the CIDRs and
the options by which its user chose the Neutron network. Only the background asks Docker for them, and finds by them
what the user named. Docker does not say which pool it will name for an address: that is the subnetpool of our own
project with the same CIDR.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.engine import NetworkWord
from kuryr_libnetwork.model.neutron import Network, Subnet
from kuryr_libnetwork.model.records import NetworkRecord
from kuryr_libnetwork.rules import networks as rules
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.choices import Choices, agreed, choices_of
from kuryr_libnetwork.rules.dockers_word import Named, pools_of_named
from kuryr_libnetwork.rules.identity import subnet_made_by_us
from kuryr_libnetwork.rules.options import parse_network_options
from kuryr_libnetwork.services.networks.chooser import Chooser
from kuryr_libnetwork.services.ports.port_options import PortOptions
from kuryr_libnetwork.services.state.dates import Dates
from kuryr_libnetwork.services.state.locks import KeyedLocks
from kuryr_libnetwork.services.state.own_things import OwnThings

LOG = logging.getLogger(__name__)


class _Meant(NamedTuple):
    """What the user of a Docker network named: the Neutron network and its subnets, with the pools named for them."""

    word: NetworkWord
    network: Network
    subnets: list[Named]


class DockersWord:
    def __init__(
        self,
        neutron: Neutron,
        journal: Journal,
        own: OwnThings,
        port_options: PortOptions,
        locks: KeyedLocks,
        dates: Dates,
    ) -> None:
        self._neutron = neutron
        self._journal = journal
        self._own = own
        self._port_options = port_options
        self._locks = locks
        self._dates = dates
        self._chooser = Chooser(neutron, own)

    def take_up(self, words: Mapping[str, NetworkWord]) -> set[str]:
        """Write those of these Docker networks into the journal whose Neutron network their users named; returns the
        ids that need not be looked at again.

        All are given together, because which pool is whose can depend on another Docker network with the same CIDR.
        """
        meant: dict[str, _Meant] = {}
        not_ours = set()
        for docker_id, word in words.items():
            try:
                found = self._meant(docker_id, word)
            except KuryrError as error:
                LOG.warning("Docker network %s is not recovered for now: %s", docker_id[:12], error)
                continue
            if found is None:
                not_ours.add(docker_id)
            else:
                meant[docker_id] = found
        if meant:
            named = [each for found in meant.values() for each in found.subnets]
            pools = pools_of_named(named, self._own.subnetpools(), self._own.subnets())
            for docker_id, found in meant.items():
                self._put(docker_id, found, pools)
        return not_ours | set(meant)

    def _meant(self, docker_id: str, word: NetworkWord) -> _Meant | None:
        """``None``: the user named nothing that exists in Neutron."""
        choices = choices_of(agreed(word.options, word.ipam_options))
        network = self._network(choices)
        if network is None:
            return None
        wanted = {canonical_cidr(cidr) for cidr in word.cidrs if cidr}
        there = self._neutron.find_subnets(network_id=network.id)
        subnets = [
            Named(docker_id=docker_id, subnet=subnet, pool_id=choices.pool(subnet.ip_version).uuid)
            for subnet in there
            if canonical_cidr(subnet.cidr) in wanted
        ]
        return _Meant(word, network, subnets)

    def _network(self, choices: Choices) -> Network | None:
        network = self._chooser.network(choices)
        for version in (4, 6):
            subnet = None if network else self._chooser.subnet(choices, version, None)
            if subnet is not None:
                network = next(iter(self._neutron.find_networks(id=subnet.network_id)), None)
        return network

    def _put(self, docker_id: str, found: _Meant, pools: Mapping[tuple[str, str], str]) -> None:
        record = self._record(docker_id, found, pools)
        with self._locks.hold("network", docker_id):
            if self._journal.networks.get(docker_id) is None:
                self._journal.networks.put(record)
        LOG.info("Docker network %s is Neutron network %s, on Docker's word", docker_id[:12], record.neutron_id)

    def _record(self, docker_id: str, found: _Meant, pools: Mapping[tuple[str, str], str]) -> NetworkRecord:
        options, network = parse_network_options(found.word.options), found.network
        subnets = [each.subnet for each in found.subnets]
        unknown = [subnet.cidr for subnet in subnets if (docker_id, subnet.id) not in pools]
        if unknown:
            LOG.warning(
                "Docker network %s: it is not known which subnetpool stands for %s, so it takes no new containers; "
                "remove the Docker network and create it again",
                docker_id[:12],
                " and ".join(unknown),
            )
        told = [(subnet, pools[docker_id, subnet.id]) for subnet in subnets if (docker_id, subnet.id) in pools]
        return NetworkRecord(
            docker_id=docker_id,
            neutron_id=network.id,
            made=False,
            mtu=network.mtu or rules.DEFAULT_MTU,
            internal=found.word.internal,
            physical_network=network.physical_network or "",
            vnic_type=options.vnic_type,
            pf=options.pf,
            asked_mtu=options.mtu,
            ports=self._port_options.of_network(found.word.options, network),
            project_id=network.project_id or "",
            subnets=tuple(rules.subnet_record(subnet, pool, made=self._is_made(subnet)) for subnet, pool in told),
            pools=tuple(sorted({pool for _, pool in told})),
            rebuilt=True,
            created_at=self._dates(),
        )

    def _is_made(self, subnet: Subnet) -> bool:
        own = self._own.project.subnet(subnet)
        return own is not None and subnet_made_by_us(own)
