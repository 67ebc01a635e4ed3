# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Throw-away network namespaces and an Open vSwitch inside of one; the machine's own are never touched."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

P = ParamSpec("P")
T = TypeVar("T")
CLONE_NEWNET = 0x40000000
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


class Namespace:
    """A network namespace that exists as long as its one thread and the programs started in it."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.submit(function, *args, **kwargs).result()

    def command(self, *words: str) -> str:
        return self.run(_output, words)


def _output(words: tuple[str, ...]) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


@contextmanager
def namespace() -> Iterator[Namespace]:
    if os.geteuid():
        pytest.skip("a network namespace needs root")
    with ThreadPoolExecutor(1, initializer=_unshare) as thread:
        yield Namespace(thread)


class Switch:
    """A running ovsdb-server and user-space ovs-vswitchd, with everything of theirs below ``folder``."""

    def __init__(self, folder: Path, inside: Namespace) -> None:
        self._folder = folder
        self._inside = inside
        self._environment = os.environ | {"OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder)}
        self.address = f"unix:{folder}/db.sock"
        self.server: subprocess.Popen[bytes] | None = None
        self._vswitchd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._inside.command("ovsdb-tool", "create", str(self._folder / "conf.db"), str(SCHEMA))
        self.start_server()
        self.vsctl("--no-wait", "init")
        self._vswitchd = self._program("ovs-vswitchd", self.address)

    def start_server(self) -> None:
        self.server = self._program("ovsdb-server", str(self._folder / "conf.db"), f"--remote=p{self.address}")

    def stop_server(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
            self.server = None

    def freeze(self) -> None:
        """ovs-vswitchd does not move, while its database answers."""
        assert self._vswitchd is not None
        self._vswitchd.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._vswitchd is not None
        self._vswitchd.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._vswitchd is not None:
            self._vswitchd.terminate()
            self._vswitchd.wait()
        self.stop_server()

    def add_bridge(self, name: str) -> None:
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")

    def vsctl(self, *words: str) -> str:
        return self._inside.command("ovs-vsctl", "--retry", "--timeout=30", f"--db={self.address}", *words).strip()

    def _program(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        control = f"--unixctl={self._folder / name}.ctl"
        log = f"--log-file={self._folder / name}.log"
        return self._inside.run(self._start, [name, *words, "--no-chdir", control, log, "-vconsole:off"])

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(words, env=self._environment)


@contextmanager
def switch(folder: Path, inside: Namespace, *bridges: str) -> Iterator[Switch]:
    if shutil.which("ovs-vswitchd") is None or not SCHEMA.exists():
        pytest.skip("Open vSwitch is not installed")
    started = Switch(folder, inside)
    try:
        started.start()
        for bridge in bridges:
            started.add_bridge(bridge)
        yield started
    finally:
        started.stop()
