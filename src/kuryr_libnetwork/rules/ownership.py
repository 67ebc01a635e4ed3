# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a tenant can write is a claim; this module alone turns a claim into a fact.

Tags, names and descriptions can be written by the owner of a Neutron resource, and by default also by everybody who may
create a port on a shared network. So they prove nothing: a port named and tagged as one of ours may be anybody's.
Neutron itself protects two things, with its default policies (docs/security.md has the measurements):

* **The project of a resource.** Nobody can create a resource in a project in which he has no role, or move one there.
  So the tags, names and descriptions of resources in the service's own project are the service's own:
  :class:`OwnProject` tells which these are, and the functions that read our marks (:mod:`~.identity`) accept only the
  types that it gives out.
* **A port's binding profile.** Only the role ``service`` can write it, on ports of any project; tenants cannot even see
  it. So what we have to remember about somebody else's port is stored there (:class:`PortMemory`).

What is proven neither by these, nor by the journal, nor by Docker, is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from kuryr_libnetwork.model.neutron import Network, Port, SecurityGroup, Subnet, SubnetPool
from kuryr_libnetwork.model.value import Value


class OwnNetwork(Network, frozen=True):
    """A network of the service's own project. Only :class:`OwnProject` creates values of these five types."""


class OwnSubnet(Subnet, frozen=True):
    pass


class OwnSubnetPool(SubnetPool, frozen=True):
    pass


class OwnPort(Port, frozen=True):
    pass


class OwnSecurityGroup(SecurityGroup, frozen=True):
    pass


R = TypeVar("R", OwnNetwork, OwnSubnet, OwnSubnetPool, OwnPort, OwnSecurityGroup)
PROFILE_KEY = "kuryr"
"""Our key in ``binding:profile``, next to Nova's keys and those of PCI devices."""
LARGEST_PROFILE = 4000
"""Characters of a profile as JSON; Neutron takes a little more (4,060 seen, 4,100 refused)."""


class OwnProject(Value, frozen=True):
    """The project of the service's credentials. ``id`` "": a cloud without Keystone, and so without tenants."""

    id: str

    def network(self, found: Network) -> OwnNetwork | None:
        return self._own(OwnNetwork, found, found.project_id)

    def subnet(self, found: Subnet) -> OwnSubnet | None:
        return self._own(OwnSubnet, found, found.project_id)

    def subnetpool(self, found: SubnetPool) -> OwnSubnetPool | None:
        return self._own(OwnSubnetPool, found, found.project_id)

    def port(self, found: Port) -> OwnPort | None:
        return self._own(OwnPort, found, found.project_id)

    def security_group(self, found: SecurityGroup) -> OwnSecurityGroup | None:
        return self._own(OwnSecurityGroup, found, found.project_id)

    def has(self, project_id: str | None) -> bool:
        """Whether a resource with this ``project_id`` is the service's own."""
        return not self.id or project_id == self.id

    def subnets(self, found: Iterable[Subnet]) -> list[OwnSubnet]:
        """Those of them that are the service's own."""
        return [own for own in map(self.subnet, found) if own is not None]

    @property
    def query(self) -> dict[str, str]:
        """The query parameters with which Neutron leaves out other projects' resources."""
        return {"project_id": self.id} if self.id else {}

    def _own(self, kind: type[R], found: Value, project_id: str | None) -> R | None:
        if not self.has(project_id):
            return None
        return kind(**msgspec.structs.asdict(found))


class PortMemory(Value, frozen=True):
    """The state of somebody else's port before a container got it.

    ``host``, ``endpoint``: who has it now. ``was``: the attributes (REST names) that the binding changed, with their
    former values. ``profile_was``: the same for single keys of ``binding:profile``, ``None`` for keys that were
    missing.
    """

    host: str
    endpoint: str
    was: dict[str, Any] = {}
    profile_was: dict[str, Any] = {}


def memory_of(port: Port) -> PortMemory | None:
    """What this service, on any host, has written into the port's profile; ``None`` if it is missing or not ours."""
    try:
        return msgspec.convert(port.profile.get(PROFILE_KEY), PortMemory)
    except msgspec.ValidationError:
        return None


def with_memory(profile: dict[str, Any], memory: PortMemory) -> dict[str, Any]:
    """The profile with the memory added, or unchanged if it would become larger than Neutron accepts."""
    whole = {**profile, PROFILE_KEY: msgspec.to_builtins(memory)}
    return whole if len(msgspec.json.encode(whole)) <= LARGEST_PROFILE else profile


def without_memory(profile: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in profile.items() if key != PROFILE_KEY}
