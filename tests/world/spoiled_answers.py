# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The whole service with the real Neutron client, whose answers are spoiled on their way."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from keystoneauth1.adapter import Adapter
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.session import build_adapter
from kuryr_libnetwork.rules.roles import Account
from tests.adapters.neutron_client import configured
from tests.fakes.loopback import Answer, Request
from tests.fakes.neutron import PROJECT
from tests.fakes.neutron_http import NeutronFront
from tests.fakes.spoiled import Spoil, spoiled
from tests.world.rig import Rig

CONF = configured({"auth_type": "none", "endpoint": "http://neutron.example"})


class InProcess(BaseAdapter):
    """A transport for the requests library without sockets, so that thousands of stories take only minutes."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        super().__init__()
        self._answer = answer

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        headers = request.headers
        body = json.loads(request.body) if request.body else None
        query = parse_qs(str(parts.query), keep_blank_values=True)
        token, if_match = headers.get("X-Auth-Token", ""), headers.get("If-Match", "")
        asked = Request(request.method or "", unquote(str(parts.path)), query, token, body, if_match)
        return self._response(request, self._answer(asked))

    def _response(self, request: requests.PreparedRequest, answer: Answer) -> requests.Response:
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(dict(answer.headers))
        response.url = request.url or ""
        response.request = request
        response.raw = HTTPResponse(
            io.BytesIO(answer.body), headers=dict(answer.headers), status=answer.status, preload_content=False
        )
        return response

    def close(self) -> None:
        """Nothing to close."""


class _OwnProject(NeutronClient):
    """A login that always succeeds: the stories are about Neutron's answers."""

    def project_id(self) -> str:
        return PROJECT

    def account(self) -> Account | None:
        return None


class SpoiledRig(Rig):
    """``spoils``: how to spoil which answer, by its number since :meth:`spoil`. ``others``: ids to put into them.

    ``wrong`` changes any answer before that. ``log``: the questions whose answers were spoiled, with the right answer
    and the one that was given.
    """

    def __init__(self, **cloud: Any) -> None:
        self.spoils: Mapping[int, Spoil] = {}
        self.asked = 0
        self.others: list[str] = []
        self.log: list[tuple[Request, Answer, Answer]] = []
        self.wrong: Callable[[Request, Answer], Answer] = lambda _, answer: answer
        super().__init__(**cloud)

    def spoil(self, spoils: Mapping[int, Spoil]) -> None:
        self.spoils, self.asked = spoils, 0

    def seen_neutron(self) -> Neutron:
        self._front = NeutronFront(self.neutron)
        return _OwnProject(self._adapter, timeout=20, sleep=lambda _: None)

    def _adapter(self) -> Adapter:
        adapter = build_adapter(CONF, timeout=20)
        adapter.session.session.mount("http://", InProcess(self._answer))
        return adapter

    def _answer(self, request: Request) -> Answer:
        answer = self.wrong(request, self._front.answer(request))
        spoil = self.spoils.get(self.asked)
        self.asked += 1
        if spoil is not None:
            right = answer
            answer = spoiled(right, spoil, self.others, made=request.method == "POST")
            self.log.append((request, right, answer))
        return answer
