# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A user's port is given back as it was, although one answer of Neutron's about it is wrong: every answer after it was
bound, every attribute in turn.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes.loopback import Answer, Request
from tests.fakes.neutron.store import copied
from tests.world.dockerside import Container, PluginError
from tests.world.rig import DirectDocker
from tests.world.spoiled_answers import SpoiledRig

CIDR, MINE = "10.66.0.0/24", "10.66.0.20"
PLAIN: dict[str, Any] = {}
FURNISHED: dict[str, Any] = {
    "admin_state_up": False,
    "device_id": "a-device",
    "binding:profile": {"theirs": "yes"},
    "tags": ["his"],
}
OTHERS: dict[str, list[Any]] = {
    "admin_state_up": [False],
    "binding:host_id": ["", "elsewhere"],
    "binding:profile": [{"x": 1}, {"kuryr": {"host": "h1", "endpoint": "", "was": {"device_owner": "caf\xe9"}}}],
    "device_id": ["", "x"],
    "device_owner": ["", "caf\xe9"],
    "mac_address": ["fa:16:3e:99:99:99"],
    "name": ["x"],
    "security_groups": [[]],
    "tags": [[]],
}
"""What an answer says wrongly, besides leaving the attribute out."""

Lie = Callable[[dict[str, Any]], None]


class Story:
    """A container with a port of the user's, and an answer of Neutron's that is wrong once: the one with the number
    ``at`` of those about the port, counted from the container's start.
    """

    def __init__(self, furnished: dict[str, Any], *, exposes: bool) -> None:
        self.rig = SpoiledRig(role="service")
        self.docker = DirectDocker(self.rig)
        neutron = self.rig.neutron
        network = neutron.seed_network(name="of-the-tenant", shared=True)
        fixed = {"subnet_id": neutron.seed_subnet(network.id, CIDR).id, "ip_address": MINE}
        self.port_id = neutron.seed_port(network.id, name="mine", fixed_ips=[fixed], **copied(furnished)).id
        self.before = self.port()
        self.home = self.docker.network_create(CIDR, options={"neutron.net.uuid": network.id})
        self.box = self.run(expose=[(6, 80)] if exposes else [])
        self.seen, self.at = 0, -1
        self.lie: Lie = _nothing
        self.rig.wrong = self.answer

    def run(self, **options: Any) -> Container:
        return self.docker.run(self.home, ip=MINE, **options)

    def port(self) -> dict[str, Any]:
        return copied(self.rig.neutron.store.tables["ports"][self.port_id]) | {"revision_number": 0}

    def answer(self, _: Request, answer: Answer) -> Answer:
        body = json.loads(answer.body or b"{}")
        found = [*(body.get("ports") or []), *([body["port"]] if "port" in body else [])]
        mine = [port for port in found if port.get("id") == self.port_id]
        if not mine:
            return answer
        self.seen += 1
        if self.seen - 1 != self.at:
            return answer
        self.lie(mine[0])
        return Answer(answer.status, json.dumps(body).encode(), answer.headers)

    def vanish(self) -> None:
        """The container goes while the service is down."""
        self.rig.engine.endpoints.discard(self.box.endpoint_id)
        for name in self.rig.links.names():
            self.rig.links.delete(name)

    def end(self, way: str) -> None:
        if way.startswith("vanishes"):
            self.vanish()
        if way.endswith("without the journal"):
            self.rig.revive(lose_journal=True)
        if way.startswith("removed"):
            with contextlib.suppress(PluginError):
                self.docker.rm(self.box)
        self.rig.settle()
        self.rig.settle()  # what a wrong answer has stopped is tried again


def _nothing(_: dict[str, Any]) -> None:
    pass


def _lies(port: dict[str, Any]) -> Iterator[tuple[str, Lie]]:
    """Each attribute left out or another, and each value of what is remembered in the profile."""
    for name in port:
        if name in OTHERS:
            yield f"no {name}", lambda port, name=name: port.pop(name, None)  # type: ignore[misc]
    for name, values in OTHERS.items():
        for value in values:
            yield f"{name} = {value}", lambda port, name=name, value=value: port.update({name: value})  # type: ignore[misc]
    memory = port["binding:profile"].get("kuryr", {})
    for path in [(key,) for key in memory] + [("was", key) for key in memory.get("was", {})]:
        yield f"remembered {'.'.join(path)}", lambda port, path=path: _spoil(port, path)  # type: ignore[misc]


def _spoil(port: dict[str, Any], path: tuple[str, ...]) -> None:
    place = port["binding:profile"].get("kuryr", {})
    for key in path[:-1]:
        place = place.get(key, {})
    if path[-1] in place:
        place[path[-1]] = not place[path[-1]] if isinstance(place[path[-1]], bool) else "caf\xe9"


@pytest.mark.usefixtures("uncounted")
@pytest.mark.timeout(400)  # many stories, on a busy machine
@pytest.mark.parametrize("way", ["removed", "removed without the journal", "vanishes", "vanishes without the journal"])
@pytest.mark.parametrize(("furnished", "exposes"), [(PLAIN, False), (FURNISHED, True)], ids=["plain", "furnished"])
def test_one_wrong_answer_changes_no_port(furnished: dict[str, Any], exposes: bool, way: str) -> None:
    """A user's port would come back with an owner, groups or a profile that it never had, or stay bound for ever."""
    story = Story(furnished, exposes=exposes)
    lies = list(_lies(story.port()))
    story.end(way)
    assert story.port() == story.before
    wrong = {}
    for at in range(story.seen):
        for what, lie in lies:
            story = Story(furnished, exposes=exposes)
            story.at, story.lie = at, lie
            story.end(way)
            if (after := story.port()) != story.before:
                wrong[at, what] = [name for name, value in after.items() if value != story.before[name]]
    assert wrong == {}
