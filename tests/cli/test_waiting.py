# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's calls that wait in systemd's socket while the service cannot start are told why."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conversation.transport.test_server_process import LIMIT, configure, frame
from tests.world.edge import connect_unix, parsed, request

ACTIVATE = request("Plugin.Activate")
CREATE = request("NetworkDriver.CreateNetwork", b"{}" * 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kuryr.sock"


@pytest.fixture
def made(path: Path) -> Iterator[socket.socket]:
    """The socket that systemd has made."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(5)
        yield sock


def start(made: socket.socket, folder: Path, program: str, *more: str) -> tuple[int, str]:
    """A start that fails: its exit code, and what it says on stderr."""
    shell = f'export LISTEN_PID=$$; exec 3<&{made.fileno()}; exec "$0" "$@"'
    done = subprocess.run(
        ["/bin/bash", "-c", shell, sys.executable, "-c", program, *configure(folder), *more],
        env=os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "kuryr"},
        pass_fds=[made.fileno()],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stderr


def read(client: socket.socket) -> tuple[int, str]:
    """Status and error of an answer."""
    got = b""
    with client:
        while part := client.recv(65536):
            got += part
    status, _, body = parsed(got)
    answer = json.loads(body)
    assert answer["Err"] == answer["Error"]
    return status, answer["Err"]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("raise ConfigError('[DEFAULT] x = y: no')", "[DEFAULT] x = y: no"),
        ("raise HostError('the state is in use')", "the state is in use"),
        ("raise ValueError('x')", "internal error, --debug shows more: ValueError: x"),
    ],
)
def test_calls_that_wait_are_told(made: socket.socket, path: Path, tmp_path: Path, build: str, reason: str) -> None:
    """Fails if Docker waits for ever for a service that cannot start, or its user is not told why."""
    clients = [connect_unix(path) for _ in range(3)]
    for client, words in zip(clients, (ACTIVATE, CREATE, ACTIVATE), strict=True):
        client.sendall(words)
    _, err = start(made, tmp_path, frame(build=build))
    assert err == f"kuryr-server: {reason}\n"
    assert [read(client) for client in clients] == [(503, f"kuryr-server does not start: {reason}")] * 3


def test_a_wrong_command_line_is_told(made: socket.socket, path: Path, tmp_path: Path) -> None:
    """Fails if a slip in ExecStart hangs Docker."""
    client = connect_unix(path)
    client.sendall(ACTIVATE)
    code, _ = start(made, tmp_path, frame(), "--bogus")
    assert code == 2
    assert read(client) == (503, "kuryr-server does not start: its command line is wrong; its log says more")


def test_who_says_nothing_keeps_no_start(made: socket.socket, path: Path, tmp_path: Path) -> None:
    """Fails if a client that sends nothing, half a request or no HTTP, or that has gone, keeps a failed start from its
    end.
    """
    silent, half, other, gone = (connect_unix(path) for _ in range(4))
    half.sendall(ACTIVATE[:20])
    other.sendall(b"\0\1\2\r\n\r\n")
    gone.close()
    code, _ = start(made, tmp_path, frame(build="raise ConfigError('no')"))
    assert code == 2
    for client in (silent, half, other):
        client.close()


def test_a_service_that_serves_answers_itself(made: socket.socket, path: Path, tmp_path: Path) -> None:
    """Fails if a service that ends well tells the calls that come then that it does not start: they wait for its next
    start.
    """
    client = connect_unix(path)
    client.sendall(ACTIVATE)
    code, err = start(made, tmp_path, frame(serve="pass"))
    assert (code, err) == (0, "")
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.close()
