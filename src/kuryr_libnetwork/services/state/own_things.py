# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Look-ups of the service's own resources in Neutron: the only ones whose tags, names and descriptions are believed.

Neutron is asked for the service's own project alone; anything of another project in its answer is left out
(:mod:`~kuryr_libnetwork.rules.ownership`). Each look-up is one call.
"""

from __future__ import annotations

from collections.abc import Iterable

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.rules.ownership import OwnNetwork, OwnPort, OwnProject, OwnSecurityGroup, OwnSubnet, OwnSubnetPool

Query = str | Iterable[str]


class OwnThings:
    def __init__(self, neutron: Neutron) -> None:
        self._neutron = neutron

    @property
    def project(self) -> OwnProject:
        """Raises :class:`~kuryr_libnetwork.errors.NeutronError` until a login has succeeded."""
        return OwnProject(id=self._neutron.project_id())

    def networks(self, **query: Query) -> list[OwnNetwork]:
        project = self.project
        found = self._neutron.find_networks(**{**query, **project.query})
        return [own for own in map(project.network, found) if own is not None]

    def subnets(self, **query: Query) -> list[OwnSubnet]:
        project = self.project
        return project.subnets(self._neutron.find_subnets(**{**query, **project.query}))

    def subnetpools(self, **query: Query) -> list[OwnSubnetPool]:
        project = self.project
        found = self._neutron.find_subnetpools(**{**query, **project.query})
        return [own for own in map(project.subnetpool, found) if own is not None]

    def ports(self, **query: Query) -> list[OwnPort]:
        project = self.project
        found = self._neutron.find_ports(**{**query, **project.query})
        return [own for own in map(project.port, found) if own is not None]

    def security_groups(self, **query: Query) -> list[OwnSecurityGroup]:
        project = self.project
        found = self._neutron.find_security_groups(**{**query, **project.query})
        return [own for own in map(project.security_group, found) if own is not None]
