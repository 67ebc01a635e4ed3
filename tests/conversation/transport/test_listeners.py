# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Where the service listens, how it starts and how it stops."""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kuryr_libnetwork.docker.door import Limits
from kuryr_libnetwork.docker.listeners import Listener, handed_over, tcp_listener, unix_listener
from kuryr_libnetwork.docker.server import PluginServer
from kuryr_libnetwork.errors import AddressInUse, ConfigError
from kuryr_libnetwork.protocol import messages as m
from tests.world.edge import (
    ANSWERS,
    IDS,
    LIMIT,
    Verbs,
    boundary_of,
    connect_unix,
    exchange,
    parsed,
    request,
    serving,
    until,
)

ACTIVATE = request("Plugin.Activate")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plugins" / "kuryr.sock"


def end(listener: Listener) -> None:
    listener.remove()
    listener.socket.close()


# -- our own socket ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_can_ever_open_the_socket(path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if another user could connect between the birth of the socket's file and a chmod, or the mode ends
    wrong.
    """
    path.parent.mkdir()
    chmod = Path.chmod
    born: list[int] = []

    def watched(self: Path, mode: int) -> None:
        born.append(stat.S_IMODE(self.lstat().st_mode))
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", watched)
    before = os.umask(umask)
    try:
        listener = unix_listener(path)
    finally:
        os.umask(before)
    assert born == [0o600 & ~umask]
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    end(listener)


def test_a_missing_folder_is_made_for_the_owner_only(path: Path) -> None:
    """Fails if the service cannot start before Docker has made its folder, or makes it for everybody."""
    listener = unix_listener(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    end(listener)


def test_a_stale_socket_is_replaced(path: Path) -> None:
    """Fails if the service does not start again after a crash."""
    old = unix_listener(path)
    old.socket.close()
    assert path.exists()
    new = unix_listener(path)
    connect_unix(path).close()
    end(new)
    assert not path.exists()


def test_a_live_socket_is_refused_at_once(path: Path) -> None:
    """Fails if a second service takes the socket from one that has bound it but does not answer yet."""
    first = unix_listener(path)
    with pytest.raises(AddressInUse, match="another service answers there"):
        unix_listener(path)
    connect_unix(path).close()
    end(first)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_not_a_socket_is_left_alone(path: Path, kind: str) -> None:
    """Fails if a wrong socket_path destroys somebody's file."""
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/dev/null")
    else:
        path.write_text("precious")
    with pytest.raises(ConfigError, match="not a socket"):
        unix_listener(path)
    assert path.lstat()


def test_a_folder_that_others_may_write_to_is_refused(path: Path) -> None:
    """Fails if another user could put his own socket in the place of the service's, and get Docker's calls."""
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match=f"socket_path={path}: {path.parent} may be written to by others"):
        unix_listener(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("bad", ["x" * 200, "file/kuryr.sock"])
def test_an_impossible_path_is_one_line(tmp_path: Path, bad: str) -> None:
    """Fails if a path that is too long, or goes through a file, ends in a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="socket_path=") as caught:
        unix_listener(tmp_path / bad)
    assert "\n" not in str(caught.value)


def test_the_socket_of_a_successor_stays(path: Path) -> None:
    """Fails if a service that ends takes away the socket of the one that replaced it."""
    old = unix_listener(path)
    path.unlink()
    new = unix_listener(path)
    end(old)
    connect_unix(path).close()
    old.remove()
    assert path.exists()
    end(new)
    assert not path.exists()


def test_a_socket_that_is_gone_is_no_failure(path: Path) -> None:
    """Fails if the service cannot end after somebody removed its socket, with or without the folder."""
    listener = unix_listener(path)
    path.unlink()
    path.parent.rmdir()
    end(listener)
    listener = unix_listener(path)
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    end(listener)


# -- systemd -----------------------------------------------------------------------------------------------------

CHILD = """
import os, sys, threading
from kuryr_libnetwork.docker.listeners import handed_over
from kuryr_libnetwork.docker.server import PluginServer
from tests.world.edge import Verbs, boundary_of
os.environ["LISTEN_PID"] = str(os.getpid())
listeners = handed_over(os.environ)
assert not [name for name in os.environ if name.startswith("LISTEN_")]
assert not os.get_inheritable(3)
server = PluginServer(boundary_of(Verbs()), listeners, threads=2)
thread = threading.Thread(target=server.serve)
thread.start()
server.ready.wait()
print(*[each.name for each in listeners], flush=True)
sys.stdin.read()
server.stop()
thread.join()
"""


def test_the_socket_of_systemd_outlives_the_service(path: Path) -> None:
    """Fails if a socket that systemd made is not served, is removed at the end, or loses a call during a restart."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen(5)
        early = connect_unix(path)
        early.sendall(ACTIVATE)
        for _ in range(2):
            child = _child(made)
            assert child.stdout is not None
            assert child.stdout.readline().split() == ["systemd:3"]
            assert exchange(early, b"")[0] == 200
            assert exchange(connect_unix(path), ACTIVATE)[0] == 200
            child.communicate(timeout=LIMIT)
            assert child.returncode == 0
            assert path.exists()
            early = connect_unix(path)
            early.sendall(ACTIVATE)
        early.close()


def _child(made: socket.socket) -> subprocess.Popen[str]:
    """A process that has the socket as descriptor 3, as systemd gives it."""
    shell = f'exec "$0" -c "$1" 3<&{made.fileno()}'
    if made.fileno() != 3:
        shell += f" {made.fileno()}<&-"
    return subprocess.Popen(
        ["/bin/bash", "-c", shell, sys.executable, CHILD],
        env=os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "kuryr"},
        pass_fds=[made.fileno()],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )


@pytest.mark.parametrize(
    ("pid", "count"), [("", "1"), ("1", "1"), ("self", ""), ("self", "0"), ("self", "x"), ("self", "²")]
)
def test_what_is_not_meant_for_us_is_not_taken(pid: str, count: str) -> None:
    """Fails if descriptors are taken that systemd gave to another process, or none at all."""
    environment = {"LISTEN_PID": str(os.getpid()) if pid == "self" else pid, "LISTEN_FDS": count, "LISTEN_FDNAMES": "x"}
    assert handed_over(environment) == []
    assert environment == {}


@pytest.mark.parametrize("kind", ["tcp", "datagram", "file", "none"])
def test_other_descriptors_than_unix_streams_are_refused(kind: str) -> None:
    """Fails if a TCP socket gets in without TLS by way of systemd, or a wrong unit ends in a traceback."""
    openers = {
        "tcp": "s = socket.socket()",
        "datagram": "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "file": "s = open(os.devnull)",
        "none": "s = None",
    }
    program = (
        "import os, socket\n"
        "from kuryr_libnetwork.docker.listeners import handed_over\n"
        "from kuryr_libnetwork.errors import ConfigError\n"
        f"{openers[kind]}\n"
        "os.closerange(3, 10) if s is None else os.dup2(s.fileno(), 3)\n"
        "try:\n"
        "    handed_over({'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'})\n"
        "except ConfigError as error:\n"
        "    print('refused:', error, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout.startswith("refused: systemd's descriptor 3")


# -- TCP ---------------------------------------------------------------------------------------------------------


CLIENT = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"POST /IpamDriver.RequestPool HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
if len(sys.argv) > 3:
    sys.exit()
answer = b""
while part := sock.recv(65536):
    answer += part
sys.stdout.write(answer.decode())
"""
POOL = request("IpamDriver.RequestPool", b"{}")


def by_nobody(listener: Listener, *more: str) -> tuple[int, str]:
    """A call by another user of the host; status and body of the answer."""
    host, port = listener.socket.getsockname()[:2]
    words = [sys.executable, "-c", CLIENT, host, str(port), *more]
    done = subprocess.run(words, capture_output=True, timeout=LIMIT, check=True)
    status, _, body = parsed(done.stdout)
    return status, body.decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "localhost", "::1"])
def test_loopback_needs_no_tls(tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if upstream's default, TCP on loopback, is not served, or the log does not tell who is served there."""
    with caplog.at_level(logging.WARNING):
        listener = tcp_listener(host, 0, encrypted=False)
    assert "only processes of root on this host are served" in caplog.text
    with serving(tmp_path, [listener]):
        sock = socket.create_connection(listener.socket.getsockname()[:2], LIMIT)
        assert exchange(sock, ACTIVATE)[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_plain_http_is_not_every_users(tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture) -> None:
    """Any user of the host could make pools and networks in the cloud with the service's rights."""
    listener = tcp_listener(host, 0, encrypted=False)
    with serving(tmp_path, [listener]) as edge, caplog.at_level(logging.INFO):
        for _ in range(3):
            status, body = by_nobody(listener)
            assert status == 403
            assert "runs as user 65534; [DEFAULT] kuryr_uri_users lists who may call" in json.loads(body)["Err"]
        assert edge.verbs.calls == []
        assert exchange(socket.create_connection(listener.socket.getsockname()[:2], LIMIT), POOL)[0] == 200
    (notice,) = [each for each in caplog.records if "not served at" in each.getMessage()]
    assert notice.levelno == logging.WARNING
    assert "user 65534" in notice.getMessage()


def test_who_closes_at_once_is_not_served(tmp_path: Path) -> None:
    """A user who closes right after his request would be taken for root, whom the kernel names for orphaned sockets."""
    listener = tcp_listener("127.0.0.1", 0, encrypted=False)
    by_nobody_and_gone = [by_nobody(listener, "close") for _ in range(3)]  # before anybody accepts
    assert by_nobody_and_gone == [(0, "")] * 3
    with serving(tmp_path, [listener]) as edge:
        assert exchange(socket.create_connection(listener.socket.getsockname(), LIMIT), ACTIVATE)[0] == 200
        assert edge.verbs.calls == []


def test_other_users_can_be_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An operator who relied on other users' access could not keep it, or would admit more users than he means to."""
    with caplog.at_level(logging.WARNING):
        one, all_of_them = (
            tcp_listener("127.0.0.1", 0, encrypted=False, users=users) for users in (frozenset({65534}), None)
        )
    assert "only processes of root, user 65534 on this host" in caplog.text
    assert "every user of this host can control" in caplog.text
    with serving(tmp_path, [one, all_of_them]):
        assert by_nobody(one)[0] == by_nobody(all_of_them)[0] == 200


def test_the_unix_socket_is_for_root_alone() -> None:
    """A unit of systemd, or a chmod, that opens the socket to a group would give that group the service's rights."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listener = unix_listener(folder / "edge.sock")
        with serving(folder, [listener]) as edge:
            folder.chmod(0o755)
            (folder / "edge.sock").chmod(0o666)
            client = CLIENT.replace("socket.create_connection((sys.argv[1], int(sys.argv[2])))", "socket.socket(1)")
            client = client.replace("sock.sendall", "sock.connect(sys.argv[1]); sock.sendall")
            words = [sys.executable, "-c", client, str(folder / "edge.sock"), "0"]
            done = subprocess.run(words, capture_output=True, timeout=LIMIT, check=True)
            status, _, body = parsed(done.stdout)
            assert (status, b"user 65534; this socket is only for root" in body) == (403, True)
            assert edge.verbs.calls == []
            assert edge.post("Plugin.Activate")[0] == 200


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "0", "192.0.2.1", "example.invalid", "127.0.0.1.example.invalid"]
)
def test_other_addresses_need_tls(host: str) -> None:
    """Fails if whoever reaches the port from outside can control the network."""
    with pytest.raises(ConfigError, match="without TLS"):
        tcp_listener(host, 0, encrypted=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_tls_for_everybody_stays_on_this_host(host: str) -> None:
    """Fails if TLS without client certificates, which keeps nobody out, counts as protection."""
    with pytest.raises(ConfigError, match="without ssl_ca_file; set it to the authority of Docker's certificate"):
        tcp_listener(host, 0, encrypted=True)


def test_a_port_in_use_is_one_line() -> None:
    """Fails if the start does not say which address is taken, or takes it from somebody who only bound it."""
    first = tcp_listener("127.0.0.1", 0, encrypted=False)
    port = first.socket.getsockname()[1]
    with pytest.raises(AddressInUse, match=f"127.0.0.1:{port}: Address already in use"):
        tcp_listener("127.0.0.1", port, encrypted=False)
    first.socket.close()
    for wrong in (("127.0.0.1", 70_000), ("192.0.2.1", 0), ("nowhere.invalid", 0)):
        with pytest.raises(AddressInUse, match="cannot listen on"):
            tcp_listener(*wrong, encrypted=True, certified=True)


# -- begin and end -----------------------------------------------------------------------------------------------


def test_a_call_under_way_is_finished(tmp_path: Path) -> None:
    """Fails if a stop cuts off a call, takes new ones, or leaves the socket."""
    with serving(tmp_path, stop_timeout=20) as edge, ThreadPoolExecutor(10) as pool:
        go = threading.Event()

        def slow(_: object) -> m.Message:
            go.wait(LIMIT)
            return ANSWERS["join"]

        edge.verbs.does["join"] = slow
        calls = [pool.submit(edge.post, "NetworkDriver.Join", IDS) for _ in range(9)]
        until(lambda: len(edge.verbs.calls) == 4, "all four workers are busy, five calls wait")
        until(lambda: edge.server.waiting == 5, "five calls wait")
        stop = threading.Thread(target=edge.server.stop)
        stop.start()
        until(lambda: not edge.path.exists(), "the socket is removed")
        with pytest.raises(FileNotFoundError):
            edge.connect()
        assert stop.is_alive()
        go.set()
        assert [each.result(LIMIT) for each in calls] == [(200, {})] * 9
        stop.join(LIMIT)
        assert not stop.is_alive()


def test_a_client_that_has_just_connected_is_still_served(tmp_path: Path) -> None:
    """Fails if a restart loses a call of Docker, which sends its request right after it has connected: Docker would
    repeat it with an empty body.
    """
    with serving(tmp_path, stop_timeout=4 * LIMIT, limits=Limits(linger=LIMIT)) as edge:
        sock = edge.connect()
        for _ in range(2):  # it is accepted
            edge.server.wait_for_turn()
        stop = threading.Thread(target=edge.server.stop)
        stop.start()
        until(lambda: not edge.path.exists(), "the socket is removed")
        for _ in range(2):  # the stop has been noticed
            edge.server.wait_for_turn()
        assert exchange(sock, request("Plugin.Activate", b""))[0] == 200
        stop.join(LIMIT)
        assert not stop.is_alive()


def test_half_a_request_does_not_hold_the_stop(tmp_path: Path) -> None:
    """Fails if clients that stop in the middle of their requests keep the service from ending."""
    with serving(tmp_path, stop_timeout=1) as edge:
        socks = [edge.connect() for _ in range(10)]
        for sock in socks:
            sock.sendall(request("NetworkDriver.Join", b"{", length=99))
        edge.server.stop()
        edge.thread.join(LIMIT)
        assert not edge.thread.is_alive()
        assert edge.verbs.calls == []


def test_verbs_that_hang_do_not_hold_the_stop(tmp_path: Path) -> None:
    """Fails if the service waits for a verb for ever, or does not close the connections of waiting calls."""
    go = threading.Event()
    with serving(tmp_path, stop_timeout=1) as edge, ThreadPoolExecutor(10) as pool:

        def hang(_: object) -> m.Message:
            go.wait(LIMIT)
            return ANSWERS["join"]

        edge.verbs.does["join"] = hang
        body = request("NetworkDriver.Join", b'{"NetworkID":"%s","EndpointID":"%s"}' % ((b"a" * 64,) * 2))
        calls = [pool.submit(exchange, edge.connect(), body) for _ in range(10)]
        until(lambda: len(edge.verbs.calls) == 4, "all workers are busy")
        edge.server.stop()
        until(lambda: sum(each.done() for each in calls) == 6, "waiting calls are cut off")
        assert {each.result()[0] for each in calls if each.done()} == {0}
        go.set()


def test_a_stop_right_after_the_start(tmp_path: Path) -> None:
    """Fails if a stop that comes before or during the start is lost, and the service then serves for ever."""
    for _ in range(10):
        path = tmp_path / "edge.sock"
        server = PluginServer(boundary_of(Verbs()), [unix_listener(path)], threads=2, stop_timeout=1)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        server.stop()
        server.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()
        assert not path.exists()


def test_a_stop_before_the_start(tmp_path: Path) -> None:
    """Fails if a service that was stopped before it served does not return, or keeps its socket."""
    path = tmp_path / "edge.sock"
    server = PluginServer(boundary_of(Verbs()), [unix_listener(path)], threads=2)
    server.stop()
    server.serve()
    assert not path.exists()


def test_idle_connections_end_with_the_service(tmp_path: Path) -> None:
    """Fails if a client that waits on an open connection is not told that the service has ended."""
    with serving(tmp_path) as edge:
        idle = [edge.connect() for _ in range(20)]
        assert edge.post("Plugin.Activate")[0] == 200
        edge.server.stop()
        for sock in idle:
            assert exchange(sock, b"")[0] == 0


def test_each_listener_is_served(tmp_path: Path) -> None:
    """Fails if a second listener is not served, or one that is busy keeps the other waiting."""
    tcp = tcp_listener("127.0.0.1", 0, encrypted=False)
    with serving(tmp_path, [unix_listener(tmp_path / "edge.sock"), tcp]) as edge:
        assert edge.post("Plugin.Activate")[0] == 200
        assert exchange(socket.create_connection(tcp.socket.getsockname(), LIMIT), ACTIVATE)[0] == 200
