# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The lab's own calls of Keystone and Neutron, each as one of the lab's people."""

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from lab import http
from lab.errors import LabError
from lab.http import Connect, Refused
from lab.paths import CLOUD_ADDRESS, KEYSTONE_PORT, NEUTRON_PORT
from lab.people import DOMAIN, Person

UNAUTHORIZED = 401


class Session:
    """One person's calls. Logs in before the first one, and again when the token is no longer accepted."""

    def __init__(self, person: Person, *, keystone: Connect, neutron: Connect | None = None) -> None:
        """`neutron`: needed for Neutron's calls only."""
        self.person = person
        self._to_keystone = keystone
        self._to_neutron = neutron or keystone
        self._token = ""
        self._project_id = ""

    @property
    def project_id(self) -> str:
        if not self._project_id:
            self._log_in()
        return self._project_id

    def neutron(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON, None if it has none. Raises `http.Refused` for any answer other than 2xx."""
        return self._call(self._to_neutron, method, path, body)

    def keystone(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Like `neutron`."""
        return self._call(self._to_keystone, method, path, body)

    def answers(self, path: str) -> bool:
        """Whether Keystone and Neutron answer this request successfully."""
        try:
            self.neutron("GET", path)
        except (OSError, HTTPException, LabError):
            return False
        return True

    def _call(self, connect: Connect, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        again = bool(self._token)
        if not again:
            self._log_in()
        try:
            data = self._send(connect, method, path, body)
        except Refused as refused:
            # A token may have expired; a fresh one was refused for another reason.
            if refused.status != UNAUTHORIZED or not again:
                raise
            self._log_in()
            data = self._send(connect, method, path, body)
        return json.loads(data) if data else None

    def _send(self, connect: Connect, method: str, path: str, body: Mapping[str, Any] | None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        return http.call(connect, method, path, data, headers={"X-Auth-Token": self._token})

    def _log_in(self) -> None:
        user = {"name": self.person.name, "domain": {"name": DOMAIN}, "password": self.person.password}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": self.person.project, "domain": {"name": DOMAIN}}}
        body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
        answer = http.ask(self._to_keystone, "POST", "/v3/auth/tokens", body)
        self._project_id = json.loads(answer.data)["token"]["project"]["id"]
        self._token = answer.headers["X-Subject-Token"]


def session(netns: str, person: Person) -> Session:
    """For a lab whose cloud is in this network namespace."""
    keystone, neutron = (http.inside(netns, (CLOUD_ADDRESS, port)) for port in (KEYSTONE_PORT, NEUTRON_PORT))
    return Session(person, keystone=keystone, neutron=neutron)
