# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A :class:`FakeNeutron` behind Neutron's REST dialect, on loopback."""

from __future__ import annotations

import threading
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode

import msgspec

from kuryr_libnetwork.errors import (
    KuryrError,
    NeutronChanged,
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
)
from kuryr_libnetwork.model.neutron import SubPort, TagOwner
from tests.fakes.loopback import Answer, Loopback, Request, json_answer
from tests.fakes.neutron import FakeNeutron, Fault
from tests.fakes.neutron.wire import Resource

_STATUS: dict[type[KuryrError], int] = {
    NeutronNotFound: 404,
    NeutronConflict: 409,
    NeutronChanged: 412,
    NeutronRefused: 400,
    NeutronForbidden: 403,
    NeutronError: 500,
}
_KINDS = ("networks", "subnets", "subnetpools", "ports", "agents", "trunks", "security_groups", "security_group_rules")


class NeutronFront(Loopback):
    """Serves ``fake`` at :attr:`url` while the ``with`` block lasts.

    ``page_size`` limits lists as ``pagination_max_limit`` does. ``answers``: answers for the next requests, instead of
    the cloud's. ``tokens``: if set, any other token gets 401. ``open``: answers are held back until it is set.
    """

    def __init__(self, fake: FakeNeutron, page_size: int | None = None) -> None:
        super().__init__()
        self.fake = fake
        self.page_size = page_size
        self.answers: list[Answer] = []
        self.tokens: set[str] | None = None
        self.open = threading.Event()
        self.open.set()

    def answer(self, request: Request) -> Answer:
        self.open.wait()
        return self.answers.pop(0) if self.answers else self._answer(request)

    def _answer(self, request: Request) -> Answer:
        if self.tokens is not None and request.token not in self.tokens:
            return json_answer(401, {"error": {"code": 401, "title": "Unauthorized", "message": "bad token"}})
        root, _, rest = request.path.lstrip("/").partition("/")
        if root != "v2.0":
            return Answer(404, b"<html>The resource could not be found.</html>")
        try:
            return self._route(request, rest.split("/"))
        except KuryrError as error:
            return _told(error)
        except Fault as fault:
            return _fault(fault)

    def _route(self, request: Request, parts: list[str]) -> Answer:
        what, rest, body = parts[0].replace("-", "_"), [unquote(part) for part in parts[1:]], request.body
        if what in ("extensions", "quotas", "network_ip_availabilities"):
            return self._tell(what, rest, request)
        if what == "qos":
            return self._list("policies", request)
        if what not in _KINDS:
            return Answer(404, b"<html>The resource could not be found.</html>")
        if len(rest) > 1 and rest[1] == "tags":
            return self._tags(request.method, cast("TagOwner", what), rest[0], rest[2:], body)
        if request.method == "GET":
            return self._list(what, request) if not rest else self._show(what, rest[0])
        if request.method == "DELETE":
            getattr(self.fake, f"delete_{what[:-1]}")(rest[0])
            return Answer(204)
        if what == "trunks":
            return self._change_trunk(rest[0], rest[1], body["sub_ports"][0])
        if request.method == "PUT":
            revision = request.if_match.removeprefix("revision_number=")
            self.fake.update_port(rest[0], body["port"], int(revision) if revision else None)
            return self._show(what, rest[0])
        return self._create(what, body)

    def _tell(self, what: str, rest: list[str], request: Request) -> Answer:
        """What is no list of resources."""
        if what == "extensions":
            self.fake.extensions()
            return json_answer(200, {what: [{"alias": alias} for alias in sorted(self.fake.extension_aliases)]})
        if what == "quotas":
            return json_answer(200, {"quota": msgspec.to_builtins(self.fake.quota(rest[0]))})
        return json_answer(200, {what: [self._availability(each) for each in request.query["network_id"]]})

    def _availability(self, network_id: str) -> dict[str, Any]:
        found = self.fake.free_addresses([network_id])
        rows = [
            {"subnet_id": each.subnet_id, "subnet_name": each.subnet_name, "total_ips": each.free + 5, "used_ips": 5}
            for each in found
        ]
        return {"network_id": network_id, "subnet_ip_availability": rows}

    def _change_trunk(self, trunk_id: str, action: str, subport: dict[str, Any]) -> Answer:
        if action == "add_subports":
            self.fake.add_subport(trunk_id, msgspec.convert(subport, SubPort))
        else:
            self.fake.remove_subport(trunk_id, subport["port_id"])
        return json_answer(200, self.fake.store.get("trunks", trunk_id))

    def _create(self, what: str, body: dict[str, Any]) -> Answer:
        if what == "security_group_rules":
            self.fake.create_security_group_rules(body[what])
            return json_answer(201, {what: body[what]})
        if what in body:
            wanted = dict(body[what][0])
            made = self.fake.create_port(wanted, wanted.pop("tags", ()))
            return json_answer(201, {what: [self._seen(what, made.id)]})
        made = getattr(self.fake, f"create_{what[:-1]}")(body[what[:-1]])
        return json_answer(201, {what[:-1]: self._seen(what, made.id)})

    def _show(self, what: str, resource_id: str) -> Answer:
        return json_answer(200, {what[:-1]: self._seen(what, resource_id)})

    def _seen(self, what: str, resource_id: str) -> Resource:
        return self.fake.seen(what, self.fake.store.get(what, resource_id))

    def _list(self, what: str, request: Request) -> Answer:
        query = dict(request.query)
        marker = query.pop("marker", [""])[0]
        found = getattr(self.fake, "find_qos_policies" if what == "policies" else f"find_{what}")(**query)
        shown = [self._seen(what, each.id) for each in found]
        if marker:
            shown = shown[[each["id"] for each in shown].index(marker) + 1 :]
        answer: dict[str, Any] = {what: shown}
        if self.page_size and len(shown) > self.page_size:
            answer[what] = shown[: self.page_size]
            following = urlencode({**query, "marker": answer[what][-1]["id"]}, doseq=True)
            # As behind a proxy: Neutron does not know the URL that the client used.
            answer[f"{what}_links"] = [{"rel": "next", "href": f"http://inner.example/{quote(what)}?{following}"}]
        return json_answer(200, answer)

    def _tags(self, method: str, owner: TagOwner, resource_id: str, rest: list[str], body: Any) -> Answer:
        if resource_id not in self.fake.store.tables[owner]:
            # Release 29 fails in its own policy check here.
            return _fault(Fault(500, "HTTPInternalServerError", "Request Failed: internal server error."))
        if method == "GET":
            return json_answer(200, {"tags": self.fake.store.get(owner, resource_id)["tags"]})
        if method == "DELETE":
            self.fake.remove_tag(owner, resource_id, rest[0])
            return Answer(204)
        if rest:
            self.fake.add_one_tag(owner, resource_id, rest[0])
            return Answer(201, b"null")
        if method == "POST":
            self.fake.add_tags(owner, resource_id, body["tags"])
        else:
            self.fake.set_tags(owner, resource_id, body["tags"])
        return json_answer(200, body)


def _fault(fault: Fault) -> Answer:
    error = {"type": fault.kind, "message": fault.message, "detail": ""}
    return json_answer(fault.status, {"NeutronError": error})


def _told(error: KuryrError) -> Answer:
    if isinstance(error.__cause__, Fault):
        return _fault(error.__cause__)
    return _fault(Fault(_STATUS.get(type(error), 503), "Planned", str(error)))
