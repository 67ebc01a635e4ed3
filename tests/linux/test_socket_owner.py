# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which user's process is at the other end of a socket, according to the kernel."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kuryr_libnetwork.host.socket_owner import tcp_owner, unix_owner

NOBODY = 65534
LIMIT = 20.0
CLIENT = """
import os, socket, sys
family, address, what = int(sys.argv[1]), eval(sys.argv[2]), sys.argv[3]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sock = socket.socket(family)
sock.connect(address)
if what == "close":
    sock.close()
elif what == "shutdown":
    sock.shutdown(socket.SHUT_WR)
print("done", flush=True)
sys.stdin.read()
"""


def listening(family: int, address: object) -> socket.socket:
    sock = socket.socket(family)
    sock.bind(address)  # type: ignore[arg-type]
    sock.listen()
    sock.settimeout(LIMIT)
    return sock


@contextmanager
def nobody(family: int, address: object, what: str = "") -> Iterator[None]:
    """A client of another user."""
    words = [sys.executable, "-c", CLIENT, str(int(family)), repr(address), what]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "done\n"
        yield
        process.stdin.close()


LOOPBACK = pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.5.5.5"), (socket.AF_INET6, "::1")]
)


@LOOPBACK
def test_the_owner_of_a_tcp_client(family: int, host: str) -> None:
    """Any local user would be taken for root, or root for a stranger."""
    with listening(family, (host, 0)) as server:
        with nobody(family, server.getsockname()):
            accepted, _ = server.accept()
            with accepted:
                assert tcp_owner(accepted) == NOBODY
        with socket.create_connection(server.getsockname()[:2]):
            accepted, _ = server.accept()
            with accepted:
                assert tcp_owner(accepted) == 0


def test_an_ipv6_socket_that_speaks_ipv4() -> None:
    """Go programs such as dockerd may call 127.0.0.1 through a socket of IPv6: they would be refused."""
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        address = (f"::ffff:{server.getsockname()[0]}", server.getsockname()[1])
        with nobody(socket.AF_INET6, address):
            accepted, _ = server.accept()
            with accepted:
                assert tcp_owner(accepted) == NOBODY
        with socket.socket(socket.AF_INET6) as client:
            client.connect(address)
            accepted, _ = server.accept()
            with accepted:
                assert tcp_owner(accepted) == 0


@LOOPBACK
def test_one_that_has_closed_is_nobody(family: int, host: str) -> None:
    """A user who sends a request and closes at once would be taken for root, to whom the kernel gives orphaned
    sockets.
    """
    with listening(family, (host, 0)) as server, nobody(family, server.getsockname(), "close"):
        accepted, _ = server.accept()
        with accepted:
            assert tcp_owner(accepted) is None


def test_one_that_has_closed_its_side_is_itself() -> None:
    """A client that has closed its sending side and waits for the answer would have no owner."""
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as server,
        nobody(socket.AF_INET, server.getsockname(), "shutdown"),
    ):
        accepted, _ = server.accept()
        with accepted:
            assert tcp_owner(accepted) == NOBODY


def test_where_the_kernel_is_not_asked() -> None:
    """A socket that has no other end would end in a traceback."""
    with socket.socket() as alone:
        assert tcp_owner(alone) is None


def test_the_owner_of_a_unix_client() -> None:
    """Anybody who can open the socket's file could control the network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kuryr.sock")
        with listening(socket.AF_UNIX, str(path)) as server:
            for each, mode in ((Path(folder), 0o755), (path, 0o777)):
                each.chmod(mode)
            with nobody(socket.AF_UNIX, str(path), "close"):
                accepted, _ = server.accept()
                with accepted:
                    assert unix_owner(accepted) == NOBODY
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                accepted, _ = server.accept()
                with accepted:
                    assert unix_owner(accepted) == 0
