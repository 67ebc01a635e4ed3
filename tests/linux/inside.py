# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's interfaces, for the contract tests that the fake has to pass as well."""

from __future__ import annotations

from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.model.links import ChildSpec, Link, VethSpec
from tests.linux.namespace import Namespace


class Inside:
    """Implements ``Links`` with the kernel's interfaces of a throw-away namespace."""

    def __init__(self, inside: Namespace) -> None:
        self._inside = inside
        self._links = KernelLinks()

    def get(self, name: str) -> Link | None:
        return self._inside.run(self._links.get, name)

    def find_by_alias(self, alias: str) -> list[Link]:
        return self._inside.run(self._links.find_by_alias, alias)

    def create_veth(self, spec: VethSpec) -> None:
        self._inside.run(self._links.create_veth, spec)

    def create_child(self, spec: ChildSpec) -> None:
        self._inside.run(self._links.create_child, spec)

    def silence(self, name: str) -> None:
        self._inside.run(self._links.silence, name)

    def all(self) -> list[Link]:
        return self._inside.run(self._links.all)

    def addresses(self, name: str) -> list[str]:
        return self._inside.run(self._links.addresses, name)

    def aliases_elsewhere(self) -> frozenset[str]:
        return self._inside.run(self._links.aliases_elsewhere)

    def create_bridge(self, name: str, alias: str) -> None:
        self._inside.run(self._links.create_bridge, name, alias)

    def add_to_bridge(self, name: str, bridge: str) -> None:
        self._inside.run(self._links.add_to_bridge, name, bridge)

    def members(self, bridge: str) -> list[str]:
        return self._inside.run(self._links.members, bridge)

    def delete(self, name: str) -> bool:
        return self._inside.run(self._links.delete, name)

    def rename(self, old: str, new: str) -> None:
        self._inside.command("ip", "link", "set", old, "down", "name", new)

    def names(self) -> list[str]:
        lines = self._inside.command("ip", "-brief", "link").splitlines()
        return sorted(line.split()[0].partition("@")[0] for line in lines if not line.startswith("lo "))
