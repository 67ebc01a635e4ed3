# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr-server`` as a process: how it starts, answers without a cloud, ends, and refuses to start."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import tenacity

from tests.fakes.keystone import FakeKeystone, credentials
from tests.fakes.neutron import FakeNeutron
from tests.fakes.neutron_http import NeutronFront

PROGRAM = Path(sys.executable).with_name("kuryr-server")
LIMIT = 30.0


class UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("plugin.moby.localhost", timeout=LIMIT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(str(self.path))


class Server:
    """A server process that speaks to us as it would to systemd."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / f"notify-{len(list(folder.iterdir()))}"
        self.systemd.bind(str(address))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "CAPABILITY_"))}
        env = kept | {"NOTIFY_SOCKET": str(address), "HOME": str(folder)} | (environment or {})
        self.process = subprocess.Popen(words, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def told(self) -> str:
        """What systemd is told next, without the line for people; fails at once if the process ends instead."""
        return self.said()[0]

    def said(self) -> list[str]:
        """All lines of what systemd is told next."""
        end = os.pidfd_open(self.process.pid)
        ready, _, _ = select.select([self.systemd.fileno(), end], [], [], LIMIT)
        os.close(end)
        if self.systemd.fileno() not in ready:
            pytest.fail(f"systemd was told nothing: {self.end() if ready else 'the server hangs'}")
        return self.systemd.recv(4096).decode().split("\n")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.systemd.close()


Start = Callable[..., Server]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # a short path: socket names have 107 bytes


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def _start(*words: str, program: str = "", environment: dict[str, str] | None = None) -> Server:
        first = [sys.executable, "-c", program] if program else [str(PROGRAM)]
        servers.append(Server(folder, [*first, *words], environment))
        return servers[-1]

    yield _start
    for server in servers:
        server.close()


def configure(folder: Path, more: str = "", *, state: str = "state") -> tuple[str, str]:
    """A kuryr.conf whose cloud refuses connections (nobody listens on the port of a closed socket)."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    path = folder / "kuryr.conf"
    path.write_text(
        f"[DEFAULT]\nstate_path = {folder}/{state}\nsocket_path = {folder}/kuryr.sock\ndocker_socket =\n{more}\n"
        f"[neutron]\nauth_type = none\nendpoint = http://127.0.0.1:{port}\n"
        f"[ovs]\novsdb_connection = unix:{folder}/no.sock\n"
        f"[admin]\nsocket = {folder}/admin.sock\n"
    )
    return "--config-file", str(path)


def call(folder: Path, verb: str) -> tuple[int, Any]:
    """One call; like Docker, it tries again while nobody listens."""
    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((ConnectionRefusedError, FileNotFoundError)),
        stop=tenacity.stop_after_delay(LIMIT),
        wait=tenacity.wait_fixed(0.02),
        reraise=True,
    ):
        with attempt:
            return _call(folder, verb)
    raise AssertionError


def _call(folder: Path, verb: str) -> tuple[int, Any]:
    connection = UnixConnection(folder / "kuryr.sock")
    try:
        connection.request("POST", f"/{verb}", body=b"")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


# -- the real service --------------------------------------------------------------------------------------------


def test_answers_without_a_cloud(folder: Path, start: Start) -> None:
    """Fails if Docker cannot activate the plugin while Neutron is down, and then never again until it restarts."""
    server = start(*configure(folder))
    assert server.told() == "READY=1"
    assert call(folder, "Plugin.Activate") == (200, {"Implements": ["NetworkDriver", "IpamDriver"]})
    assert call(folder, "NetworkDriver.GetCapabilities")[0] == 200
    assert call(folder, "IpamDriver.GetCapabilities")[0] == 200


def test_scope_of_the_configuration(folder: Path, start: Start) -> None:
    """Fails if Docker is told another scope than kuryr.conf says: swarm would refuse networks, or wait for a
    manager.
    """
    server = start(*configure(folder, "capability_scope = global"))
    assert server.told() == "READY=1"
    _, told = call(folder, "NetworkDriver.GetCapabilities")
    assert (told["Scope"], told["ConnectivityScope"]) == ("global", "global")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_well_on_a_signal(folder: Path, start: Start, number: signal.Signals) -> None:
    """Fails if a stop is reported as a failure, prints a traceback or leaves the socket behind."""
    server = start(*configure(folder))
    assert server.told() == "READY=1"
    assert call(folder, "Plugin.Activate")[0] == 200
    server.process.send_signal(number)
    assert server.told() == "STOPPING=1"
    code, _, err = server.end()
    assert (code, err) == (0, "")
    assert not (folder / "kuryr.sock").exists()


def test_hangup_is_no_end(folder: Path, start: Start) -> None:
    """Fails if log rotation (SIGHUP) kills the service."""
    server = start(*configure(folder))
    assert server.told() == "READY=1"
    server.process.send_signal(signal.SIGHUP)
    assert call(folder, "Plugin.Activate")[0] == 200


def test_second_server_on_the_same_socket(folder: Path, start: Start) -> None:
    """Fails if a second server takes the socket away from a running one, or does not say in one line why it ends."""
    first = start(*configure(folder))
    assert first.told() == "READY=1"
    assert call(folder, "Plugin.Activate")[0] == 200
    code, _, err = start(*configure(folder, state="other")).end()
    assert code != 0
    assert err.startswith("kuryr-server: ")
    assert err.count("\n") == 1
    assert "kuryr.sock" in err
    assert call(folder, "Plugin.Activate")[0] == 200


def test_second_server_on_the_same_state(folder: Path, start: Start) -> None:
    """Fails if two services write one journal, or the second does not say in one line why it ends."""
    first = start(*configure(folder))
    assert first.told() == "READY=1"
    code, _, err = start(*configure(folder), "--socket-path", str(folder / "second.sock")).end()
    assert (code, err.count("\n")) == (1, 1)
    assert f"{folder}/state" in err


def test_unknown_port_driver(folder: Path, start: Start) -> None:
    """Fails if a driver that does not exist is found out at the first container only."""
    code, _, err = start(*configure(folder, "enabled_port_drivers = veth, warp")).end()
    assert (code, err.count("\n")) == (2, 1)
    assert "warp" in err


@pytest.mark.parametrize("roles", [("member", "reader"), ("service", "member", "reader")])
def test_the_start_tells_what_the_user_has_no_role_for(folder: Path, start: Start, roles: tuple[str, ...]) -> None:
    """Fails if a role that is missing is found out by the first container, or if the right ones are warned of."""
    with NeutronFront(FakeNeutron()) as front, FakeKeystone({("one", "public"): front.url}) as keystone:
        keystone.roles = roles
        words = configure(folder)
        login = "\n".join(f"{name} = {value}" for name, value in credentials(keystone.url).items())
        path = Path(words[1])
        path.write_text(re.sub(r"(?ms)^auth_type.*?^endpoint[^\n]*", lambda _: login, path.read_text()))
        server = start(*words)
        assert server.told() == "READY=1"
        _until_asked(front, "/v2.0/ports")  # the first round of the background comes after the warm-ups
        server.process.send_signal(signal.SIGTERM)
        _, out, _ = server.end()
    warnings = [line for line in out.splitlines() if "roles of the service's user" in line]
    assert len(warnings) == ("service" not in roles)
    for line in warnings:
        assert "WARNING" in line
        assert "openstack role add --project service --user kuryr service" in line


def _until_asked(front: NeutronFront, path: str) -> None:
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(LIMIT), wait=tenacity.wait_fixed(0.02)):
        with attempt:
            assert path in {request.path for request in front.requests}


# -- refusing to start -------------------------------------------------------------------------------------------


def test_wrong_configuration(folder: Path, start: Start) -> None:
    """Fails if a wrong value does not end the start with one line and exit code 2."""
    code, out, err = start(*configure(folder, "worker_threads = many")).end()
    assert (code, out) == (2, "")
    assert err == (
        f"kuryr-server: {folder}/kuryr.conf: [DEFAULT] worker_threads = many: must be a whole number from 2 to 512\n"
    )


def test_log_file_that_cannot_be_written(folder: Path, start: Start) -> None:
    """Fails if a wrong log_file gives a traceback."""
    code, _, err = start(*configure(folder, f"log_file = {folder}/none/kuryr.log")).end()
    assert (code, err.count("\n")) == (2, 1)
    assert f"{folder}/none/kuryr.log" in err


@pytest.mark.parametrize("option", ["log_file = {}/kuryr.log", "log_dir = {}"])
def test_log_that_others_could_have_prepared(folder: Path, start: Start, option: str) -> None:
    """Fails if the log is written through a link that another user has put in its place."""
    (folder / "logs").mkdir()
    (folder / "logs" / "kuryr.log").symlink_to(folder / "target")
    (folder / "logs").chmod(0o777)
    code, _, err = start(*configure(folder, option.format(folder / "logs"))).end()
    assert (code, err.count("\n")) == (2, 1)
    assert f"{folder}/logs may be written to by others" in err
    assert not (folder / "target").exists()


def test_state_folder_that_others_may_write_to(folder: Path, start: Start) -> None:
    """Fails if the service keeps its journal where any user could replace it, or does not say so in one line."""
    (folder / "state").mkdir()
    (folder / "state").chmod(0o777)
    code, _, err = start(*configure(folder)).end()
    assert (code, err.count("\n")) == (1, 1)
    assert f"chmod go-w {folder}/state" in err


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_needs_no_configuration(folder: Path, start: Start, words: list[str]) -> None:
    """Fails if --help or --version depend on a configuration that is right."""
    (folder / ".kuryr").mkdir()
    (folder / ".kuryr" / "kuryr.conf").write_text("broken")
    code, out, err = start(*words).end()
    assert (code, err) == (0, "")
    assert "kuryr" in out or out[0].isdigit()


# -- the frame around the service: with a service made for the test ----------------------------------------------

FRAME = """
import threading
from kuryr_libnetwork.cli.server import program
from kuryr_libnetwork.cli.systemd import notify
from kuryr_libnetwork.errors import ConfigError, HostError

class Service:
    def __init__(self):
        self.over = threading.Event()
    def serve(self):
        {serve}
    def stop(self):
        {stop}
    def hangs(self):
        return {hangs}
    def status(self):
        return {status}
    def reload(self, settings):
        return {reload}

def build(settings, conf):
    {build}
    return Service()

program(build)
"""


def frame(
    serve: str = "self.over.wait()",
    stop: str = "self.over.set()",
    build: str = "pass",
    hangs: str = "[]",
    status: str = "''",
    reload: str = "[]",
) -> str:
    return FRAME.format(serve=serve, stop=stop, build=build, hangs=hangs, status=status, reload=reload)


WATCHED = {"WATCHDOG_USEC": "300000"}


def test_the_watchdog_is_fed(folder: Path, start: Start) -> None:
    """Fails if systemd ends a service that is well, or if a signal is lost between two looks."""
    server = start(*configure(folder), environment=WATCHED)
    assert [server.told() for _ in range(4)] == ["READY=1", *["WATCHDOG=1"] * 3]
    server.process.send_signal(signal.SIGTERM)
    while (word := server.told()) == "WATCHDOG=1":
        pass
    assert word == "STOPPING=1"
    assert server.end()[0] == 0


def test_systemctl_status_says_how_the_service_is(folder: Path, start: Start) -> None:
    """Fails if an operator has to look for the log to learn that no container can start, or if a fault in that line
    ends the service.
    """
    server = start(*configure(folder), program=frame(status="'not ready:\\n no agent'"), environment=WATCHED)
    assert server.said() == ["READY=1"]
    assert server.said() == ["WATCHDOG=1", "STATUS=not ready: no agent"]
    server.close()
    server = start(*configure(folder), program=frame(status="[].pop()"), environment=WATCHED)
    assert [server.said() for _ in range(3)] == [["READY=1"], *[["WATCHDOG=1"]] * 2]


def test_the_watchdog_of_another_process_is_left_alone(folder: Path, start: Start) -> None:
    """Fails if a service that was started by a supervisor speaks for it."""
    server = start(*configure(folder), program=frame(), environment=WATCHED | {"WATCHDOG_PID": "1"})
    assert server.told() == "READY=1"
    server.process.send_signal(signal.SIGTERM)
    assert server.told() == "STOPPING=1"


def test_a_fault_of_the_watchdogs_question_ends_nothing(folder: Path, start: Start) -> None:
    """Fails if the main thread, which every signal and the end need, dies of an error that nobody foresaw."""
    server = start(*configure(folder), program=frame(hangs="[].pop()"), environment=WATCHED)
    assert [server.told() for _ in range(3)] == ["READY=1", *["WATCHDOG=1"] * 2]
    server.process.send_signal(signal.SIGTERM)
    code, out, err = server.end()
    assert (code, err) == (0, "")
    assert "whether the service hangs: unexpected error" in out


def test_a_service_that_hangs_says_what_and_is_not_fed(folder: Path, start: Start) -> None:
    """Fails if systemd believes that a service lives that serves nobody, or if nobody learns what hung.

    It hangs for the first two looks; what its threads are at is written once.
    """
    program = frame(build="Service.looks = [['the journal hangs']] * 2", hangs="self.looks.pop() if self.looks else []")
    server = start(*configure(folder), program=program, environment=WATCHED)
    assert [server.told() for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
    server.process.send_signal(signal.SIGTERM)
    code, out, err = server.end()
    assert code == 0
    lines = [line for line in out.splitlines() if "is going to restart the service" in line]
    assert len(lines) == 1
    assert "the journal hangs: systemd is going to restart the service; what each thread is doing:" in lines[0]
    assert err.count("Guru Meditation") == 1


def test_second_signal_ends_at_once(folder: Path, start: Start) -> None:
    """Fails if an impatient operator has to wait for a call that hangs."""
    server = start(*configure(folder), program=frame(stop="notify('HANGS'); threading.Event().wait()"))
    assert server.told() == "READY=1"
    server.process.send_signal(signal.SIGTERM)
    assert server.told() == "STOPPING=1"
    assert server.told() == "HANGS"
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[0] == 1


@pytest.mark.parametrize(
    ("build", "code", "line"),
    [
        ("raise HostError('the socket is in use')", 1, "the socket is in use"),
        ("raise ConfigError('no such driver')", 2, "no such driver"),
        ("raise OSError(13, 'Permission denied', '/x')", 1, "[Errno 13] Permission denied: '/x'"),
        ("raise ValueError('two\\nlines')", 1, "internal error, --debug shows more: ValueError: two lines"),
    ],
)
def test_failure_at_the_start_is_one_line(folder: Path, start: Start, build: str, code: int, line: str) -> None:
    """Fails if an error at the start is a traceback, is cut off, or has the wrong exit code."""
    found, _, err = start(*configure(folder), program=frame(build=build)).end()
    assert (found, err) == (code, f"kuryr-server: {line}\n")


def test_failure_while_serving_ends_the_process(folder: Path, start: Start) -> None:
    """Fails if a server that has died leaves a process that looks alive to systemd."""
    code, _, err = start(*configure(folder), program=frame(serve="raise HostError('listener lost')")).end()
    assert (code, err) == (1, "kuryr-server: listener lost\n")


def test_debug_shows_the_traceback(folder: Path, start: Start) -> None:
    """Fails if --debug does not show where an error at the start comes from."""
    program = frame(build="raise ValueError('x')")
    code, _, err = start(*configure(folder), "--debug", program=program).end()
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("kuryr-server: internal error, --debug shows more: ValueError: x\n")


def test_log_lines_are_single_lines(folder: Path, start: Start) -> None:
    """Fails if the notices about the configuration do not reach the log as one line each."""
    server = start(*configure(folder, "port_driver = x\nwhatever = 1"), program=frame())
    assert server.told() == "READY=1"
    server.process.send_signal(signal.SIGTERM)
    code, out, _ = server.end()
    assert code == 0
    assert [line.split()[3] for line in out.splitlines()][:2] == ["WARNING", "INFO"]
    assert "[DEFAULT] whatever: unknown option, ignored" in out


def test_no_name_makes_a_line_of_the_log(folder: Path, start: Start) -> None:
    """Fails if whoever names a network can write lines into the log, also in the traceback of an error, or fill it."""
    forged = "a\\n2020-01-01 00:00:00.000 1 INFO forged\\x1b[2J"
    serve = f"""import logging
        log = logging.getLogger("kuryr_libnetwork.x")
        log.warning("network %s", "{forged}")
        log.warning("network %s", "x" * 1_000_000)
        log.warning("%d", "wrong", "more")
        try:
            raise ValueError("{forged}")
        except ValueError:
            log.exception("failed")
        notify("SAID")
        self.over.wait()"""
    server = start(*configure(folder), program=frame(serve=serve))
    assert {server.told(), server.told()} == {"READY=1", "SAID"}
    server.process.send_signal(signal.SIGTERM)
    code, out, _ = server.end()
    assert code == 0
    assert "network a\\n2020-01-01 00:00:00.000 1 INFO forged\\x1b[2J\n" in out
    assert [line for line in out.splitlines() if line.startswith("2020-01-01")] == []
    assert max(map(len, out.splitlines())) < 21_000


def test_python_systemd_is_not_needed(folder: Path, start: Start) -> None:
    """Fails if use_journal, which openstack-ansible writes, stops the start where systemd's bindings are missing."""
    server = start(*configure(folder, "use_journal = true"), program=frame())
    assert server.told() == "READY=1"
