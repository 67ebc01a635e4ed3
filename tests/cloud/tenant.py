# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A user of a project at Neutron's API, with only the rights that Neutron's default policies give his roles."""

from __future__ import annotations

import contextlib
from typing import Any

from lab.api import Lab
from lab.http import Refused
from lab.people import ADMIN, Person


class Tenant:
    """Makes whatever he may, as an ordinary user or as an attacker; all of it goes with `tidy`.

    ``kind`` is a resource in the singular, as in ``/v2.0/security-groups``: ``security-group``.
    """

    def __init__(self, lab: Lab, person: Person, made: list[str] | None = None) -> None:
        """``made``: a list that several keep together of what is to be removed, the last thing first."""
        self.person = person
        self._session = lab.session(person)
        self._admin = lab.session(ADMIN)
        self._made: list[str] = [] if made is None else made

    @property
    def project_id(self) -> str:
        return self._session.project_id

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """``path`` without the version. Raises :class:`lab.http.Refused`."""
        return self._session.neutron(method, f"/v2.0{path}", body)

    def refused(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        """The status of a call that must be refused; what it makes nevertheless is removed."""
        try:
            answer = self.call(method, path, body)
        except Refused as refused:
            return refused.status
        if method == "POST" and answer:
            self._made += [f"{path}/{made['id']}" for made in answer.values() if isinstance(made, dict)]
        raise AssertionError(f"{self.person.name} should not have been allowed {method} {path} {body}")

    def make(self, kind: str, *, tags: tuple[str, ...] = (), **attributes: Any) -> dict[str, Any]:
        """A resource of his project, with tags, names and descriptions of his choice.

        A port gets its tags as it is made: a reader, who may make one on a shared network, may not change it.
        """
        if kind == "port" and tags:
            attributes["tags"], tags = list(tags), ()
        made: dict[str, Any] = self.call("POST", _path(kind), {_member(kind): attributes})[_member(kind)]
        self._made.append(f"{_path(kind)}/{made['id']}")
        if tags:
            self.tag(kind, made["id"], *tags)
            made["tags"] = list(tags)
        return made

    def tag(self, kind: str, resource_id: str, *tags: str) -> None:
        """These tags in place of all that it has."""
        self.call("PUT", f"{_path(kind)}/{resource_id}/tags", {"tags": list(tags)})

    def change(self, kind: str, resource_id: str, **attributes: Any) -> None:
        self.call("PUT", f"{_path(kind)}/{resource_id}", {_member(kind): attributes})

    def get(self, kind: str, resource_id: str) -> dict[str, Any]:
        """As much of it as he is shown."""
        found: dict[str, Any] = self.call("GET", f"{_path(kind)}/{resource_id}")[_member(kind)]
        return found

    def find(self, kind: str, **query: str) -> list[dict[str, Any]]:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        found: list[dict[str, Any]] = self.call("GET", f"{_path(kind)}?{text}")[_path(_member(kind)).strip("/")]
        return found

    def delete(self, kind: str, resource_id: str) -> None:
        self.call("DELETE", f"{_path(kind)}/{resource_id}")

    def share(self, kind: str, resource_id: str, project_id: str) -> None:
        """Let another project use his network or pool (RBAC)."""
        whom = {"action": "access_as_shared", "target_tenant": project_id}
        wanted: dict[str, Any] = {"object_type": kind, "object_id": resource_id, **whom}
        self.make("rbac-policy", **wanted)

    def tidy(self) -> None:
        """Remove it as the admin: its creator may not be allowed to, and somebody else may have removed it."""
        for path in reversed(self._made):
            with contextlib.suppress(Refused):
                self._admin.neutron("DELETE", f"/v2.0{path}")
        self._made.clear()


def _path(kind: str) -> str:
    return f"/{kind.removesuffix('y')}ies" if kind.endswith("y") else f"/{kind}s"


def _member(kind: str) -> str:
    """The name of a resource in a body."""
    return kind.replace("-", "_")
