# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The commands that ask the running service, against its real admin socket over a host of fakes."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.activity import Activity
from kuryr_libnetwork.admin.assembly import lists
from kuryr_libnetwork.admin.commands import commands
from kuryr_libnetwork.admin.pages import Pages, Slow
from kuryr_libnetwork.admin.server import AdminServer, Place
from kuryr_libnetwork.bell import Bell
from kuryr_libnetwork.cli import kuryr
from kuryr_libnetwork.cli.service_client import AdminClient
from kuryr_libnetwork.docker.listeners import unix_listener
from kuryr_libnetwork.errors import HostError, NeutronUnavailable
from kuryr_libnetwork.health import Health
from kuryr_libnetwork.model.overview import RoundRow, Wellbeing
from tests.cli.operator_bench import Bench
from tests.world.dockerside import Container, DockerNetwork
from tests.world.rig import DirectDocker, Rig

WELL = Wellbeing(live=True, ready=True)


class Service:
    """A running service with one container, and an operator on its host."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)
        self.activity = Activity()
        self.rig = Rig(role="admin")
        self.docker = DirectDocker(self.rig)
        self.net: DockerNetwork = self.docker.network_create()
        self.box: Container = self.docker.run(self.net)
        self.wellbeing = WELL
        self.bell = Bell()
        self.bench.neutron = lambda: self.rig.neutron
        listener = unix_listener(folder / "admin.sock", "[admin] socket")
        pages = Pages(
            lambda: self.wellbeing,
            lists(self.rig.services.overview),
            slow=Slow(),
            commands=commands(self.look_now, self.rig.services.drain),
            at_once={"activity": self.activity.report},
        )
        self.server = AdminServer([Place(listener.socket, listener.name, pages, listener.remove)], Health())
        self.server.start()

    def look_now(self) -> RoundRow:
        found = self.rig.services.overview.rounds()
        self.rig.services.reconciler.ask()
        self.bell.ring()
        return found


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("s"))
    yield service
    service.bell.set()
    service.server.stop()


def test_status_is_one_line_when_all_is_well(service: Service) -> None:
    """An operator would have to read what is no trouble."""
    assert service.bench.run("status") == (0, "ready: 1 network, 1 endpoint\n", "")
    code, out, _ = service.bench.run("status", "-f", "json")
    assert (code, json.loads(out)["troubles"]) == (0, [])


def test_status_says_what_is_not_well(service: Service) -> None:
    """A program would take a sick host for a healthy one, or a person not learn what is missing."""
    service.wellbeing = Wellbeing(live=True, ready=False, reasons=("no Neutron", "no agent"))
    assert service.bench.run("status") == (1, "not ready: no Neutron\nno agent\n", "")
    service.wellbeing = Wellbeing(live=False, ready=False, reasons=("the journal hangs",))
    assert service.bench.run("status")[1] == "hangs: the journal hangs\n"
    code, out, _ = service.bench.run("status", "-f", "json")
    assert (code, json.loads(out)["live"]) == (1, False)


def test_networks(service: Service) -> None:
    """Nobody would find the Neutron network of a Docker network."""
    [row] = service.bench.listed("network", "list")
    network = service.rig.services.overview.networks()[0]
    assert (row["Docker network"], row["Neutron network"], row["Endpoints"]) == (
        service.net.network_id,
        network.network_id,
        1,
    )
    assert service.net.network_id[:12] in service.bench.run("network", "list")[1]
    assert service.net.network_id not in service.bench.run("network", "list")[1]
    for name in (service.net.network_id, service.net.network_id[:12], network.network_id, network.network_id[:8]):
        code, out, _ = service.bench.run("network", "show", name, "-f", "json")
        assert (code, json.loads(out)["docker_id"]) == (0, service.net.network_id)
    assert "there is no network 'zz' on this host; kuryr network list" in service.bench.refused("network", "show", "zz")
    assert "there is no network" in service.bench.refused("network", "show", "")


def test_endpoints(service: Service) -> None:
    """At night nobody would find the port of a container, or the container of an interface."""
    service.rig.services.findings.note_containers({service.box.endpoint_id: "web"})
    [row] = service.bench.listed("endpoint", "list")
    assert (row["Container"], row["Addresses"], row["MAC"]) == ("web", [service.box.ip], service.box.mac)
    assert service.bench.listed("endpoint", "list", "--network", service.net.network_id[:12]) == [row]
    assert service.bench.listed("endpoint", "list", "--network", "zz") == []
    for name in ("web", service.box.endpoint_id[:12], row["Port"], service.box.ip, service.box.mac):
        code, out, _ = service.bench.run("endpoint", "show", name, "-f", "json")
        told = json.loads(out)
        assert (code, told["endpoint_id"], told["interface"]) == (0, service.box.endpoint_id, row["Interface"])
    assert told["status_in_neutron"] == service.rig.neutron.find_ports(id=row["Port"])[0].status


def test_what_neutron_says_of_a_port_is_told_as_far_as_it_is_known(service: Service) -> None:
    """Where Neutron is away the command would show nothing at all."""

    def status() -> str:
        code, out, _ = service.bench.run("endpoint", "show", service.box.mac, "-f", "json")
        assert code == 0
        text: str = json.loads(out)["status_in_neutron"]
        return text

    service.rig.neutron.fail_next("find_ports", NeutronUnavailable("no route"))
    assert status() == "not known: no route"
    port_id = service.rig.services.overview.endpoints()[0].port_id
    service.rig.neutron.store.tables["ports"].pop(port_id)
    assert status() == "Neutron has no such port"


def test_one_of_several_is_not_guessed(service: Service) -> None:
    """Another container than the one that was meant would be shown; a whole name is no beginning of another."""
    other = service.docker.run(service.net)
    service.rig.services.findings.note_containers({service.box.endpoint_id: "web", other.endpoint_id: "web2"})
    assert "may be any of 2 endpoints" in service.bench.refused("endpoint", "show", "we")
    assert service.bench.run("endpoint", "show", "web")[0] == 0


def test_a_dry_run_shows_what_would_be_removed_and_does_nothing(service: Service) -> None:
    """An operator would learn it only when it is gone."""
    service.docker.rm(service.box, delete_endpoint=False)
    service.rig.services.reconciler.round()
    service.rig.now += 75
    calls = len(service.rig.neutron.calls)
    rows = service.bench.listed("reconcile", "--dry-run")
    [row] = [row for row in rows if row["Kind"] == "endpoint"]
    assert (row["Id"], row["Suspected for"], row["Removed in"], row["Trouble"]) == (
        service.box.endpoint_id,
        75.0,
        45.0,
        "",
    )
    assert row["Why"] == "no container has its interface, or Docker does not know it"
    assert "1 min 15 s" in service.bench.run("reconcile", "--dry-run")[1]
    assert len(service.rig.neutron.calls) == calls


def test_a_look_now_is_waited_for(service: Service) -> None:
    """The list would show what the look before has seen."""
    service.docker.rm(service.box, delete_endpoint=False)
    thread = threading.Thread(target=service.rig.services.reconciler.run, args=(service.bell, 3600))
    thread.start()
    code, out, err = service.bench.run("reconcile", "-f", "json")
    service.bell.set()
    thread.join(10)
    assert code == 0
    assert [row["Kind"] for row in json.loads(out) if row["Id"] == service.box.endpoint_id] == ["endpoint"]
    assert err.startswith("kuryr: looked; 0 gone, ")


def test_log_level(service: Service) -> None:
    """An operator would restart the service to see more."""
    root = logging.getLogger()
    before = root.level
    try:
        code, out, _ = service.bench.run("log", "level", "debug")
        assert (code, root.level) == (0, logging.DEBUG)
        assert out.startswith("the log level is debug until the next start")
    finally:
        root.setLevel(before)


WORDS = [
    ("status",),
    ("network", "list"),
    ("network", "show", "x"),
    ("endpoint", "list"),
    ("endpoint", "show", "x"),
    ("reconcile",),
    ("reconcile", "--dry-run"),
    ("log", "level", "info"),
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_service_that_is_not_there(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Whoever asks would get a traceback, or an empty list that looks like an answer."""
    bench = Bench(tmp_path)
    assert bench.refused(*words) == (
        f"kuryr: the service does not answer at {tmp_path}/admin.sock: No such file or directory; is it running?\n"
    )
    bench.admin = AdminClient(None)
    assert "[admin] socket is empty" in bench.refused(*words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"hello", "is not a kuryr-server: hello"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "is not a kuryr-server: b'[]'"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"networks": 7}', "it may be of another release: Expected `array`, got `int`"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"networks": [{}]}', "it may be of another release: "),
        (b'HTTP/1.1 503 No\r\n\r\n{"error": "the journal has not answered within 5 s"}', "within 5 s"),
    ],
)
def test_another_answer(tmp_path: Path, answer: bytes, words: str) -> None:
    """Another program or release would be misunderstood in silence."""
    bench = Bench(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "admin.sock"))
        server.listen()

        def serve() -> None:
            channel, _ = server.accept()
            with channel:
                channel.recv(65536)
                channel.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        told = bench.refused("network", "list")
        thread.join()
    assert words in told


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_is_not_root_is_told_so(service: Service) -> None:
    """A user would look for a fault of the service."""
    os.seteuid(65534)
    try:
        with pytest.raises(HostError, match=r"no permission to ask the service at .*: run this as root"):
            service.bench.admin.get("/healthz")
    finally:
        os.seteuid(0)


class Terminal(io.StringIO):
    """``frames``: after so many the user presses Ctrl-C."""

    def __init__(self, frames: int = 0) -> None:
        super().__init__()
        self._frames = frames

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self._frames -= 1
        if not self._frames:
            raise KeyboardInterrupt


def top(service: Service, out: io.StringIO, *words: str) -> tuple[int, str]:
    err = io.StringIO()
    code = kuryr.main(("top", *words), service.bench.make_host, out, err)
    return code, err.getvalue()


def test_top_is_one_frame_where_there_is_no_terminal(service: Service) -> None:
    """A script would never end, or get what only a terminal understands."""
    with service.activity.call("NetworkDriver.Join", "req-1") as call:
        call.whom = "web"
        code, out, err = service.bench.run("top")
    assert (code, err) == (0, "")
    assert "1 network, 1 endpoint, 1 call under way" in out
    assert re.search(r"^Join  +\d+ ms  web$", out, re.MULTILINE)
    assert "10.1.0." in out
    assert "\033" not in out


def test_top_for_programs(service: Service) -> None:
    """A program would have to read tables."""
    code, out, _ = service.bench.run("top", "-f", "json", "--count", "2", "--interval", "0.2")
    first, second = (json.loads(line) for line in out.splitlines())
    assert (code, first["networks"], len(second["endpoints"])) == (0, 1, 1)


def test_top_goes_on_until_ctrl_c(service: Service) -> None:
    """The terminal would be left in disorder, or show a traceback."""
    out = Terminal(3)
    assert top(service, out, "--interval", "0.2") == (0, "")
    assert out.getvalue().count("\033[H") == 3
    assert out.getvalue().endswith("\n")


def test_top_goes_on_while_the_service_is_restarted(service: Service) -> None:
    """An operator would have to start it again each time, or take an old frame for the present."""
    told = service.bench.admin

    class Restarting(AdminClient):
        asked = 0

        def get(self, page: str) -> dict[str, Any]:
            self.asked += page == "/healthz"
            if self.asked == 2:
                raise HostError("the service does not answer")
            return told.get(page)

    service.bench.admin = Restarting(None)
    code, out, _ = service.bench.run("top", "--count", "3", "--interval", "0.2")
    assert code == 0
    assert [line for line in out.splitlines() if ": ready, " in line or "answer" in line][
        1
    ] == "the service does not answer"
    service.bench.admin = Restarting(None)
    assert service.bench.run("top", "--count", "2", "--interval", "0.2")[0] == 1


def test_top_without_a_service(service: Service) -> None:
    """An operator would see an empty frame, and believe that nothing is wrong."""
    service.server.stop()
    assert "is it running?" in service.bench.refused("top")


@pytest.mark.parametrize("words", [("--interval", "0"), ("--interval", "x"), ("--count", "-1"), ("-f", "csv")])
def test_top_with_wrong_arguments(service: Service, words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """It would load the service with questions, or end without a word."""
    with pytest.raises(SystemExit, match="2"):
        service.bench.run("top", *words)
    said = capsys.readouterr().err
    assert words[0] in said
    assert " _" not in said


@pytest.mark.parametrize("columns", [80, 300])
def test_a_list_at_a_terminal_can_be_copied_from(
    service: Service, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids and addresses would be broken into pieces on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    assert kuryr.main(("endpoint", "list"), service.bench.make_host, out, io.StringIO()) == 0
    (endpoint,) = service.rig.services.overview.endpoints()
    for text in (endpoint.port_id, endpoint.mac_address, endpoint.addresses[0]):
        assert text in out.getvalue()
    assert (f"Port            {endpoint.port_id}\n" in out.getvalue()) is (columns == 80)
    assert ("VF" in out.getvalue()) is (columns == 300)  # it has none
    chosen = Terminal()
    assert kuryr.main(("endpoint", "list", "-c", "MAC"), service.bench.make_host, chosen, io.StringIO()) == 0
    assert chosen.getvalue().startswith("+-")
