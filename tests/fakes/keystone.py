# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Keystone's version 3, as far as a password, a token and a catalog go."""

from __future__ import annotations

from typing import Any

from tests.fakes.loopback import Answer, Loopback, Request, json_answer

PASSWORD = "correct horse"


def credentials(auth_url: str, password: str = PASSWORD) -> dict[str, str]:
    """The lines of ``[neutron]`` for its user."""
    user = {"username": "kuryr", "password": password, "user_domain_name": "Default"}
    project = {"project_name": "service", "project_domain_name": "Default"}
    return {"auth_type": "password", "auth_url": auth_url, **user, **project}


class FakeKeystone(Loopback):
    """Gives ``token-1``, ``token-2`` … to the user ``kuryr``, and adds them to ``tokens``.

    ``catalog``: URL of Neutron's endpoint by region and interface. ``down``: every answer is 503. ``answers``: answers
    for the next requests, instead of the real ones. ``roles``: of the user, with implied ones. ``token``: members of
    his next tokens that differ from the usual ones; ``None`` removes a member.
    """

    def __init__(self, catalog: dict[tuple[str, str], str]) -> None:
        super().__init__()
        self.catalog = catalog
        self.tokens: set[str] = set()
        self.down = False
        self.answers: list[Answer] = []
        self.roles: tuple[str, ...] = ("service", "member", "reader")
        self.token: dict[str, Any] = {}
        self._given = 0

    def revoke(self) -> None:
        self.tokens.clear()

    def answer(self, request: Request) -> Answer:
        if self.down:
            return Answer(503)
        if self.answers:
            return self.answers.pop(0)
        if request.path == "/v3/auth/tokens" and request.method == "POST":
            return self._log_in(request.body["auth"]["identity"]["password"]["user"])
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.url}/v3/"}]}
        if request.path.rstrip("/") == "/v3":
            return json_answer(200, {"version": version})
        if request.path == "/":
            return json_answer(300, {"versions": {"values": [version]}})
        return json_answer(404, {"error": {"code": 404, "title": "Not Found", "message": "Could not find it."}})

    def _log_in(self, user: dict[str, Any]) -> Answer:
        if (user["name"], user["password"]) != ("kuryr", PASSWORD):
            words = "The request you have made requires authentication."
            return json_answer(401, {"error": {"code": 401, "title": "Unauthorized", "message": words}})
        self._given += 1
        token = f"token-{self._given}"
        self.tokens.add(token)
        return json_answer(201, {"token": self._token(user)}, ("X-Subject-Token", token))

    def _token(self, user: dict[str, Any]) -> dict[str, Any]:
        endpoints = [
            {"id": f"{region}-{interface}", "interface": interface, "region": region, "region_id": region, "url": url}
            for (region, interface), url in self.catalog.items()
        ]
        domain = {"id": "default", "name": "Default"}
        usual = {
            "methods": ["password"],
            "user": {"id": "u", "name": user["name"], "domain": domain},
            "project": {"id": "p", "name": "service", "domain": domain},
            "roles": [{"id": f"id-{role}", "name": role} for role in self.roles],
            "issued_at": "2020-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "catalog": [{"id": "c", "type": "network", "name": "neutron", "endpoints": endpoints}],
        }
        return {name: value for name, value in {**usual, **self.token}.items() if value is not None}
