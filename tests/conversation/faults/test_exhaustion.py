# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that use up file descriptors, or send impossible lengths."""

from __future__ import annotations

import itertools
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.world.edge import IDS, LIMIT, Edge, exchange, request, serving, until

SPARE = 40
CLIENT = """
import socket, sys
sys.stdin.readline()
opened = []
for _ in range({connections}):
    opened.append(socket.socket(socket.AF_UNIX))
    opened[-1].connect({path!r})
sys.stdin.read()
"""


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with serving(tmp_path) as edge:
        yield edge


@contextmanager
def few_descriptors() -> Iterator[None]:
    """Let this process open only a few more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir("/proc/self/fd")}
    free = (number for number in itertools.count() if number not in taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, SPARE, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def another_process(path: Path, connections: int) -> Iterator[IO[str]]:
    """A client process with its own limit; it connects when it reads a line, and stays until its input ends."""
    program = CLIENT.format(path=str(path), connections=connections)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True)
    assert process.stdin
    try:
        yield process.stdin
    finally:
        process.stdin.close()
        process.wait(LIMIT)


def test_silent_connections_cannot_use_up_all_descriptors(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    """Fails if clients that only connect shut out Docker for as long as they like, or fill the disk with log lines."""
    mine = socket.socket(socket.AF_UNIX)
    mine.settimeout(LIMIT)
    with (
        caplog.at_level(logging.INFO, logger="kuryr_libnetwork"),
        another_process(edge.path, SPARE + 30) as client,
        few_descriptors(),
    ):
        client.write("go\n")
        client.flush()
        until(lambda: "cannot accept" in caplog.text, "running out of descriptors")
        mine.connect(str(edge.path))
        assert exchange(mine, request("Plugin.Activate"))[0] == 200
    assert [record for record in caplog.records if record.exc_info] == []
    assert edge.post("NetworkDriver.Leave", IDS) == (200, {})


@pytest.mark.parametrize("length", ["-1", "-5", "+2", "5_0", "abc", ""])
def test_a_length_that_is_no_number_is_refused(edge: Edge, length: str) -> None:
    """Fails if a negative length makes the service read for ever, without a limit to the memory it takes."""
    data = request("NetworkDriver.Leave", b"{}", f"Content-Length: {length}", length=-1)
    status, _, body = exchange(edge.connect(), data)
    assert (status, b"Content-Length" in body) == (400, True)
    assert edge.verbs.calls == []
