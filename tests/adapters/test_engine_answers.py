# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What Docker's Engine API says counts only if all of it is as it should be; else it is as if Docker had not
answered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from kuryr_libnetwork.docker import engine
from kuryr_libnetwork.docker.engine import DockerEngine
from kuryr_libnetwork.errors import EngineUnavailable
from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from kuryr_libnetwork.text import LONGEST
from lab.process import wait_for

NET, BRIDGE, BOX, ENDPOINT = "a" * 64, "b" * 64, "c" * 64, "d" * 64
MAC = "fa:16:3e:00:00:01"
SUMMARIES = [{"Id": BRIDGE, "Driver": "bridge"}, {"Id": NET, "Driver": "kuryr"}]
SHOWN = {
    "Id": NET,
    "Name": "n",
    "Driver": "kuryr",
    "Internal": False,
    "IPAM": {"Driver": "kuryr", "Options": {"k": "v"}, "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]},
    "Containers": {BOX: {"Name": "box", "EndpointID": ENDPOINT, "MacAddress": MAC, "IPv4Address": "10.1.0.5/24"}},
    "Options": {"neutron.net.uuid": "x"},
}
VIEW = EngineView(
    network_ids=frozenset([NET]),
    endpoint_ids=frozenset([ENDPOINT]),
    engine_id="engine-1",
    containers={ENDPOINT: "box"},
    macs={ENDPOINT: MAC},
    words={
        NET: NetworkWord(name="n", options={"neutron.net.uuid": "x"}, ipam_options={"k": "v"}, cidrs=("10.1.0.0/24",))
    },
)
Said = tuple[int, bytes]


def told(value: Any, status: int = 200) -> Said:
    return status, json.dumps(value).encode()


class Engine:
    """Answers by the path's last part: ``version``, ``networks``, ``info``, or a network's id."""

    def __init__(self) -> None:
        self.says: dict[str, Said | None] = {
            "version": told({"ApiVersion": "1.44", "MinAPIVersion": "1.24"}),
            "networks": told(SUMMARIES),
            NET: told(SHOWN),
            "info": told({"ID": "engine-1"}),
        }
        self.asked: list[str] = []
        self.quick = threading.Event()
        """While it is not set, answers come a blank at a time, and do not end."""
        self.quick.set()


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Engine]:
    said = Engine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("?")[0].rpartition("/")[2]
            said.asked.append(name)
            answer = said.says.get(name, (404, b'{"message":"no such network"}'))
            if answer is None:
                return
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            if said.quick.is_set():
                self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            while not said.quick.wait(0.02):
                self.wfile.write(b" ")
            self.wfile.write(answer[1])

        def address_string(self) -> str:
            return "docker"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield said
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def view(tmp_path: Path) -> Callable[[], EngineView]:
    return DockerEngine(tmp_path / "docker.sock").view


def test_what_docker_says_is_understood(docker: Engine, view: Callable[[], EngineView]) -> None:
    """The tests below would prove nothing."""
    assert view() == VIEW


def test_what_go_writes_for_nothing(docker: Engine, view: Callable[[], EngineView]) -> None:
    """A network without containers or options would make everything that Docker says worthless."""
    docker.says[NET] = told(SHOWN | {"Containers": None, "Options": None, "IPAM": {"Options": None, "Config": None}})
    assert view() == EngineView(
        network_ids=frozenset([NET]), endpoint_ids=frozenset(), engine_id="engine-1", words={NET: NetworkWord(name="n")}
    )


def test_a_network_that_has_just_gone(docker: Engine, view: Callable[[], EngineView]) -> None:
    """One docker network rm at the wrong moment would keep the background from knowing anything."""
    del docker.says[NET]
    assert view().network_ids == frozenset()


JUNK: list[Said | None] = [
    None,
    *(
        (500, b'{"message":"no\\nway \\u001b[2J"}'),
        (200, b""),
        (200, b"null"),
        (200, b'"x"'),
        (200, b"5"),
        (200, b"{}"),
        (200, b"[null]"),
    ),
    *(
        (200, b"[[]]"),
        (200, b'[{"Id":5,"Driver":"kuryr"}]'),
        (200, b'[{"Id":"../info","Driver":"kuryr"}]'),
        (200, b'[{"Id":"x"}]'),
    ),
    *(
        (200, b"<html>"),
        (200, b"\xff\xfe"),
        (200, b"\0" * 100),
        (200, b'{"ID":""}'),
        (200, b'{"ID":["x"]}'),
        (200, b'{"ID":"\\ud800"}'),
    ),
    *(
        (200, b"[" * 100_000 + b"]" * 100_000),
        (200, b"9" * 5000),
        (200, b"1e999"),
        (200, b"NaN"),
        (301, b""),
        (204, b""),
    ),
    *((200, b'{"ApiVersion":5}'), (200, b'{"ApiVersion":"x"}'), (200, b'{"ApiVersion":"1.10"}')),
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize("place", ["version", "networks", NET, "info"])
def test_an_answer_that_is_none(docker: Engine, view: Callable[[], EngineView], place: str, junk: Said | None) -> None:
    """A traceback in the background, or containers that look forgotten and are removed."""
    docker.says[place] = junk
    with pytest.raises(EngineUnavailable) as caught:
        view()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= LONGEST


@pytest.mark.parametrize(
    "wrong",
    [
        {"Containers": []},
        {"Containers": {BOX: None}},
        {"Containers": {BOX: {"Name": "box"}}},
        {"Containers": {BOX: {"Name": "box", "EndpointID": "x"}}},
        {"Containers": {BOX: {"Name": 5, "EndpointID": ENDPOINT}}},
        {"Containers": "x"},
        {"Options": []},
        {"Options": {"neutron.net.uuid": 5}},
        {"IPAM": {"Config": {}}},
        {"IPAM": {"Config": [5]}},
        {"IPAM": {"Config": [{"Subnet": 5}]}},
        {"IPAM": []},
        {"Internal": "no"},
        {"Id": BRIDGE},
        {"Id": None},
    ],
    ids=str,
)
def test_a_network_that_is_told_wrongly(docker: Engine, view: Callable[[], EngineView], wrong: dict[str, Any]) -> None:
    """The network's containers would look forgotten, or it would be adopted as another network."""
    docker.says[NET] = told(SHOWN | wrong)
    with pytest.raises(EngineUnavailable, match="cannot be understood; it is ignored"):
        view()


def test_a_network_without_a_word_of_its_containers(docker: Engine, view: Callable[[], EngineView]) -> None:
    """All of them would be removed after the grace time."""
    docker.says[NET] = told({key: value for key, value in SHOWN.items() if key != "Containers"})
    with pytest.raises(EngineUnavailable, match="missing required field `Containers`"):
        view()


def test_an_engine_that_takes_too_long_for_all_of_them(
    docker: Engine, view: Callable[[], EngineView], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The background would do nothing else."""
    monkeypatch.setattr(engine, "LIMIT", -1.0)
    with pytest.raises(EngineUnavailable, match="has not listed all its networks within"):
        view()


def test_an_answer_that_does_not_end(
    docker: Engine, view: Callable[[], EngineView], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The background would wait for it for ever, or leave one more waiting thread behind in each round."""
    monkeypatch.setattr(engine, "LIMIT", 0.3)
    docker.quick.clear()
    with pytest.raises(EngineUnavailable, match=r"has not listed all its networks within 0\.3 s"):
        view()
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(EngineUnavailable, match="has not answered an earlier request yet"):
            view()
    assert threading.active_count() == before
    monkeypatch.setattr(engine, "LIMIT", 30.0)
    docker.quick.set()

    def answers() -> bool:
        try:
            return view() == VIEW
        except EngineUnavailable:
            return False

    assert wait_for(answers, 30)
