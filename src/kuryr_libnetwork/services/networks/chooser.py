# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Looks up what the user chose among Neutron's networks, subnets and subnetpools, before anything is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kuryr_libnetwork.errors import UnknownObject
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Network, Subnet, SubnetPool
from kuryr_libnetwork.model.records import PoolRecord
from kuryr_libnetwork.model.value import IpVersion
from kuryr_libnetwork.rules import choices as rules
from kuryr_libnetwork.rules.choices import Choices, Ref
from kuryr_libnetwork.services.state.own_things import OwnThings


class Plan(NamedTuple):
    """``network``: the one to use; ``None``: create one, with this value of ``shared``. ``sources``: the subnetpools
    from which new subnets are taken.
    """

    network: Network | None
    shared: bool | None
    sources: Mapping[IpVersion, str]


class Chooser:
    """Neutron calls: one for each thing chosen; none if RequestPool has looked it up already."""

    def __init__(self, neutron: Neutron, own: OwnThings) -> None:
        self._neutron = neutron
        self._own = own

    def network(self, choices: Choices) -> Network | None:
        if not choices.network:
            return None
        network = rules.only(
            choices.network, self._neutron.find_networks(**choices.network.query), "network", self._own.project
        )
        rules.check_network(choices, network)
        return network

    def subnet(self, choices: Choices, version: IpVersion, network: Network | None) -> Subnet | None:
        """The chosen subnet; of several with that name the one in the chosen network."""
        ref = choices.subnet(version)
        if not ref:
            return None
        inside = {"network_id": network.id} if network is not None and not ref.uuid else {}
        subnet = rules.only(ref, self._neutron.find_subnets(**ref.query, **inside), "subnet", self._own.project)
        rules.check_subnet(ref, subnet, version, network)
        return subnet

    def pool(self, choices: Choices, version: IpVersion, cidrs: Sequence[str]) -> SubnetPool | None:
        ref = choices.pool(version)
        if not ref:
            return None
        pool = rules.only(ref, self._neutron.find_subnetpools(**ref.query), "subnetpool", self._own.project)
        rules.check_pool(choices, pool, version, cidrs)
        return pool

    def plan(self, choices: Choices, pools: Sequence[PoolRecord], home: str = "") -> Plan:
        """What CreateNetwork is to use; refuses choices that contradict each other.

        ``home``: the id of the Neutron network that all containers of this host have to be on; "": any.
        """
        if home and not choices.existing:
            choices = rules.at_home(choices, home)
        versions: list[IpVersion] = [version for version in (4, 6) if any(p.ip_version == version for p in pools)]
        rules.check_families(choices, versions)
        network = self.network(choices)
        sources: dict[IpVersion, str] = {}
        for version in versions:
            mine = [pool for pool in pools if pool.ip_version == version]
            network = self._with_subnet(choices, version, network, mine)
            source = self._source(choices, version, mine)
            if source:
                sources[version] = source
        rules.check_home(choices, network, home)
        if network is not None:
            rules.check_up(network)
        return Plan(network, choices.shared, sources)

    def _with_subnet(
        self, choices: Choices, version: IpVersion, network: Network | None, pools: Sequence[PoolRecord]
    ) -> Network | None:
        """The network, given or named by the chosen subnet."""
        ref = choices.subnet(version)
        subnet = _known(ref, pools) or self.subnet(choices, version, network)
        if subnet is None:
            return network
        rules.check_subnet(ref, subnet, version, network)
        rules.check_cidr(ref, subnet, [pool.cidr for pool in pools])
        if network is not None:
            return network
        found = self._neutron.find_networks(id=subnet.network_id)
        if not found:
            raise UnknownObject(f"Neutron network {subnet.network_id} of subnet {subnet.id} is gone")
        rules.check_network(choices, found[0])
        return found[0]

    def _source(self, choices: Choices, version: IpVersion, pools: Sequence[PoolRecord]) -> str:
        if all(pool.source and set(pool.options) & set(choices.pool(version).keys) for pool in pools):
            return pools[0].source
        pool = self.pool(choices, version, [pool.cidr for pool in pools])
        return "" if pool is None else pool.id


def _known(ref: Ref, pools: Sequence[PoolRecord]) -> Subnet | None:
    """The subnet as RequestPool saw it a moment ago, if it was given the same choice."""
    for pool in pools:
        subnet = pool.subnet
        if ref and subnet is not None and (subnet.id if ref.uuid else subnet.name) == ref.value:
            return subnet
    return None
