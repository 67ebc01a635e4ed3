# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever Open vSwitch's database says, or does not, is one of our errors; and once it speaks sense again, so does the
service.

The server here speaks OVSDB's protocol (RFC 7047) as far as the library asks, with rows and answers of the test's
choice.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.errors import BridgeNotFound, OvsdbError, SwitchSilent
from kuryr_libnetwork.host.ovs_schema import SCHEMA
from kuryr_libnetwork.host.ovsdb import OvsDatabase
from kuryr_libnetwork.model.links import OvsInterface
from kuryr_libnetwork.patience import one_patience
from kuryr_libnetwork.text import LONGEST

TIMEOUT = 1.0
LIMIT = 30.0
TAP = OvsInterface(name="tap1", bridge="br-int", port_id="port1", endpoint_id="e1", mac="fa:16:3e:00:00:01")
THERE = OvsInterface(name="tap9", bridge="br-int", port_id="port9", endpoint_id="e9", mac="fa:16:3e:00:00:09")
Message = dict[str, Any]
Answer = Callable[[Message], Message | bytes]


def uuid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012}"


def rows(**changed: Any) -> Message:
    """A bridge with one interface of ours; ``changed``: columns of its port (``port_…``), interface or bridge."""
    found: dict[str, dict[str, Any]] = {
        "open_vswitch": {"bridges": ["uuid", uuid(1)]},
        "bridge": {"name": "br-int", "ports": ["uuid", uuid(2)]},
        "port": {
            "name": "tap9",
            "interfaces": ["uuid", uuid(3)],
            "tag": ["set", []],
            "trunks": ["set", []],
            "vlan_mode": ["set", []],
        },
        "interface": {
            "name": "tap9",
            "external_ids": [
                "map",
                [["owner", "kuryr"], ["iface-id", "port9"], ["vm-uuid", "e9"], ["attached-mac", THERE.mac]],
            ],
        },
    }
    for place, value in changed.items():
        table, _, column = place.partition("_")
        found[table][column] = value
    names = {"open_vswitch": "Open_vSwitch", "bridge": "Bridge", "port": "Port", "interface": "Interface"}
    return {names[table]: {uuid(number): {"new": row}} for number, (table, row) in enumerate(found.items())}


def done(asked: Message) -> Message:
    """A valid answer of a server that has done nothing; enough for reading."""
    return {"result": [{} for _ in asked["params"][1:]]}


class Server:
    def __init__(self, path: Path) -> None:
        self.rows: Any = rows()
        self.answer: Answer = done
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        waiting = ""
        with client:
            while data := _received(client):
                waiting += data.decode()
                while waiting:
                    try:
                        asked, end = json.JSONDecoder().raw_decode(waiting)
                    except ValueError:
                        break
                    waiting = waiting[end:]
                    if "method" in asked:
                        said = self._said(asked)
                        if said == b"":
                            return
                        whole = {"id": asked["id"], "error": None, "result": None}
                        client.sendall(said if isinstance(said, bytes) else json.dumps(whole | said).encode())

    def _said(self, asked: Message) -> Message | bytes:
        if asked["method"] == "get_schema":
            known = asked["params"] == ["Open_vSwitch"]
            return {"result": SCHEMA} if known else {"error": "unknown database"}
        if asked["method"].startswith("monitor"):
            return {"result": self.rows}
        return self.answer(asked) if asked["method"] == "transact" else {"result": asked["params"]}


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "db.sock")
    yield made
    made.close()


@pytest.fixture
def database(server: Server, tmp_path: Path) -> Iterator[OvsDatabase]:
    made = OvsDatabase(f"unix:{tmp_path}/db.sock", TIMEOUT)
    before = set(threading.enumerate())
    yield made
    closing = threading.Thread(target=made.close)
    closing.start()
    closing.join(LIMIT)
    assert not closing.is_alive()
    for thread in set(threading.enumerate()) - before:
        if thread.name.endswith("(run)"):  # of the library
            thread.join(LIMIT)
            assert not thread.is_alive()


def calls(database: OvsDatabase) -> list[Callable[[], object]]:
    return [database.owned, lambda: database.unplug("port9"), lambda: database.plug(TAP), database.owned]


def attempt(work: Callable[[], object]) -> str:
    """The error, which is one of ours and one line; "" where there is none."""
    try:
        work()
    except OvsdbError as error:
        text = str(error)
    else:
        return ""
    assert text.isprintable()
    assert len(text) <= LONGEST
    return text


def recovers(server: Server, database: OvsDatabase) -> bool:
    """With a new connection, because the old one keeps the rows that it received."""
    server.rows, server.answer = rows(), done
    database.close()
    return database.owned() == [THERE]


def test_the_server_is_understood(server: Server, database: OvsDatabase) -> None:
    """The tests below would show nothing."""
    assert database.owned() == [THERE]
    assert database.unplug("port9") == ["tap9"]
    with pytest.raises(BridgeNotFound):
        database.plug(OvsInterface(name="tap1", bridge="br-no", port_id="p", endpoint_id="e", mac=""))


ROWS: list[Any] = [
    rows(interface_external_ids="x"),
    rows(interface_external_ids=["map", [[1, 2]]]),
    rows(interface_external_ids=["map", [["owner", "kuryr"], ["iface-id", {}]]]),
    rows(interface_external_ids=None),
    rows(interface_name=5),
    rows(interface_name=["set", []]),
    rows(port_name=None),
    rows(port_interfaces=["uuid", uuid(77)]),
    rows(port_interfaces="x"),
    rows(port_interfaces=["set", [["uuid", "zzz"]]]),
    rows(port_tag=99999),
    rows(port_tag=["set", [1, 2]]),
    rows(bridge_name={}),
    rows(bridge_ports=["map", []]),
    *(None, [], "x", 5, {"Bridge": []}, {"Bridge": {uuid(1): []}}, {"Bridge": {"zzz": {"new": {}}}}, {"No": {}}),
    *({"Bridge": {uuid(1): {"new": None}}}, {"Bridge": {uuid(1): {"new": "x"}}}, {"Bridge": {uuid(1): {"old": {}}}}),
]


@pytest.mark.parametrize("there", ROWS, ids=range(len(ROWS)))
def test_rows_that_are_none(server: Server, database: OvsDatabase, there: Any) -> None:
    """An interface that is no row of ours, or an internal error for each container."""
    server.rows = there
    for work in calls(database):
        attempt(work)
    assert all(isinstance(row.name, str) for row in (database.owned() if attempt(database.owned) == "" else []))
    assert recovers(server, database)


def said(what: bytes) -> Answer:
    return lambda asked: what % {b"id": json.dumps(asked["id"]).encode()} if b"%(id)" in what else what


ANSWERS: dict[str, Answer] = {
    "refused": lambda _: {"result": [{"error": "constraint violation", "details": "no\nway \x1b[2J" * 300}]},
    "refused, oddly": lambda _: {"result": [{"error": 5}]},
    "an error": lambda _: {"error": {"a": ["b"]}},
    "nothing": lambda _: {"result": None},
    "a text": lambda _: {"result": "x"},
    "a number": lambda _: {"result": 5},
    "an object": lambda _: {"result": {"x": 1}},
    "numbers": lambda _: {"result": [1, 2, 3, 4, 5, 6]},
    "nested": lambda asked: {"result": [[[[]]]] * len(asked["params"])},
    "too few": lambda _: {"result": []},
    "inserted nowhere": lambda asked: {"result": [{"uuid": "x"} for _ in asked["params"][1:]]},
    "inserted oddly": lambda asked: {"result": [{"uuid": ["uuid", 5]} for _ in asked["params"][1:]]},
    "closed": lambda _: b"",
    "no JSON": said(b"\xff\xfe{{{"),
    "no message": said(b'{"x":1}'),
    "HTML": said(b"HTTP/1.1 200 OK\r\n\r\n<html>"),
    "NUL": said(b"\0" * 1000),
    "deep": said(b'{"id":%(id)s,"error":null,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no number": said(b'{"id":%(id)s,"error":null,"result":[1e999]}'),
    "a long number": said(b'{"id":%(id)s,"error":null,"result":[' + b"9" * 5000 + b"]}"),
    "an update": said(b'{"id":null,"method":"update","params":[1]}'),
    "another update": said(b'{"id":null,"method":"update","params":["x",{"Port":5}]}'),
    "half of a surrogate": said(b'{"id":%(id)s,"error":null,"result":[{"error":"\\ud800","details":"x"}]}'),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answers_that_are_none(server: Server, database: OvsDatabase, answer: Answer) -> None:
    """A call that ends with an internal error or never, or a library that takes no further call until the service is
    restarted.
    """
    server.answer = answer
    for work in calls(database)[:2]:
        attempt(work)
    server.answer = done
    assert any(attempt(database.owned) == "" for _ in range(5))
    assert database.owned() == [THERE]


def test_who_waits_for_an_interface_outlives_the_connection(server: Server, tmp_path: Path) -> None:
    """One wrong answer to another call would fail the container that is just being connected."""
    database = OvsDatabase(f"unix:{tmp_path}/db.sock", LIMIT)
    assert database.owned() == [THERE]  # with no number yet
    waiting = threading.Thread(target=lambda: ended.append(attempt(lambda: database.wait_connected("tap9"))))
    ended: list[str] = []
    waiting.start()
    server.answer = ANSWERS["a long number"]
    assert attempt(database.owned)
    server.rows, server.answer = rows(interface_ofport=7), done
    assert database.owned() == [THERE]
    waiting.join(LIMIT)
    assert ended == [""]
    database.close()


def test_a_number_of_an_earlier_connection_does_not_count(server: Server, tmp_path: Path) -> None:
    """Open vSwitch may have been set up anew meanwhile: a container would start before it is connected."""
    database = OvsDatabase(f"unix:{tmp_path}/db.sock", TIMEOUT)
    server.rows = rows(interface_ofport=7)
    assert database.owned() == [THERE]
    database.wait_connected("tap9")
    database.close()
    server.rows = rows()
    assert database.owned() == [THERE]
    with pytest.raises(SwitchSilent):
        database.wait_connected("tap9")
    database.close()


def test_one_piece_of_work_waits_once(tmp_path: Path) -> None:
    """With Open vSwitch away, the background would wait ten seconds for each of many ports, and a call for its way back
    again.
    """
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/silent.sock")
        silent.listen(64)
        database = OvsDatabase(f"unix:{tmp_path}/silent.sock", 0.3)
        with one_patience(spare=0):
            told = [attempt(lambda: database.unplug("port9")) for _ in range(20)]
        assert "no answer" in told[0]
        assert all("not asked" in each for each in told[1:])
        assert "no answer" in attempt(database.owned)  # another piece of work
