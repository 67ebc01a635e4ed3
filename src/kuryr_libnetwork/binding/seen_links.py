# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The interfaces of this host: one by one in a call of Docker, all at once in a look of the background."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kuryr_libnetwork.interfaces.host import Links
from kuryr_libnetwork.looking import is_one_look, looked
from kuryr_libnetwork.model.links import Link


class SeenLinks(Protocol):
    """The part of :class:`~kuryr_libnetwork.interfaces.host.Links` that only looks."""

    def get(self, name: str) -> Link | None: ...
    def find_by_alias(self, alias: str) -> list[Link]: ...
    def all(self) -> list[Link]: ...


class _List:
    def __init__(self, links: Iterable[Link]) -> None:
        self._by_name: dict[str, Link] = {}
        self._by_alias: dict[str, list[Link]] = {}
        for link in links:
            self._by_name[link.name] = link
            self._by_alias.setdefault(link.alias, []).append(link)

    def get(self, name: str) -> Link | None:
        return self._by_name.get(name)

    def find_by_alias(self, alias: str) -> list[Link]:
        return self._by_alias.get(alias, [])

    def all(self) -> list[Link]:
        return list(self._by_name.values())


def seen(links: Links) -> SeenLinks:
    """What there is now, or was in this look."""
    return looked((id(links), "links"), lambda: _List(links.all())) if is_one_look() else links


def aliases_elsewhere(links: Links) -> frozenset[str]:
    return looked((id(links), "aliases"), links.aliases_elsewhere)
