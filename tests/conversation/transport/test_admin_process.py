# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The admin socket of a real kuryr-server process, whose cloud is not there."""

from __future__ import annotations

import signal
from pathlib import Path

from kuryr_libnetwork.cli.service_client import get
from lab.process import wait_for
from tests.conversation.transport.test_server_process import LIMIT, Start, call, configure, folder, start

__all__ = ["folder", "start"]


def test_a_service_without_a_cloud_says_so(folder: Path, start: Start) -> None:
    """Fails if an operator learns from nothing why no container starts, or if the socket is left behind."""
    server = start(*configure(folder))
    assert server.told() == "READY=1"
    socket = folder / "admin.sock"
    assert call(folder, "Plugin.Activate")[0] == 200
    assert wait_for(lambda: "Neutron has not answered since the start" in str(get(socket, "/healthz")), LIMIT)
    told = get(socket, "/healthz")
    assert (told["live"], told["ready"]) == (True, False)
    assert get(socket, "/v1/networks") == {"networks": []}
    server.process.send_signal(signal.SIGTERM)
    assert server.end()[0] == 0
    assert not socket.exists()


def test_operators_are_answered_while_all_of_dockers_calls_wait(folder: Path, start: Start) -> None:
    """Fails if the one who is to mend it is shut out by what is broken."""
    server = start(*configure(folder, "worker_threads = 2"), "--config-file", str(folder / "kuryr.conf"))
    assert server.told() == "READY=1"
    assert call(folder, "Plugin.Activate")[0] == 200
    assert get(folder / "admin.sock", "/v1/suspects") == {"suspects": []}


def test_a_socket_that_cannot_be_had_is_told(folder: Path, start: Start) -> None:
    """Fails if containers are not served because operators cannot be, or if nobody learns why."""
    words = configure(folder)
    (folder / "admin.sock").write_text("somebody's file")
    server = start(*words)
    assert server.told() == "READY=1"
    assert call(folder, "Plugin.Activate")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    code, out, _ = server.end()
    assert code == 0
    assert f"[admin] socket={folder}/admin.sock: exists and is not a socket" in out
    assert (folder / "admin.sock").read_text() == "somebody's file"
