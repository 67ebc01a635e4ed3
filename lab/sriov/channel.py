# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The lab's side of the command channel to `sriov_agent` in the SR-IOV machine."""

import base64
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import termios
import tty
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab import http
from lab.errors import LabError

# In addition to the time-out in the guest itself.
_PATIENCE = 30.0
_QUICK = 10.0


@dataclass(frozen=True)
class Channel:
    """Allows any number of concurrent calls: each has its own connection."""

    name: str
    netns: str
    address: tuple[str, int]

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
    ) -> "subprocess.CompletedProcess[bytes]":
        request = {
            "argv": list(argv),
            "timeout": timeout,
            "stdin": base64.b64encode(stdin).decode(),
            "env": dict(env or {}),
            "cwd": cwd,
        }
        answer = self._ask("run", request, timeout + _PATIENCE)
        out, err = base64.b64decode(answer["stdout"]), base64.b64decode(answer["stderr"])
        if answer["timed_out"]:
            raise subprocess.TimeoutExpired(list(argv), timeout, out, err)
        return subprocess.CompletedProcess(list(argv), answer["rc"], out, err)

    def answers(self) -> bool:
        # QEMU accepts connections before the guest does, so only an answer proves that it is ready.
        try:
            self.services(timeout=2)
        except (OSError, ValueError, LabError):
            return False
        return True

    def services(self, timeout: float = _QUICK) -> dict[str, dict[str, int | None]]:
        """By service ever started: process id, and exit code (None while it runs)."""
        found: dict[str, dict[str, int | None]] = self._ask("services", {}, timeout)
        return found

    def start(self, name: str, argv: Sequence[str], log: str, env: Mapping[str, str] | None = None) -> int:
        """Start a service if it does not run, and return its process id in the guest."""
        request = {"name": name, "argv": list(argv), "log": log, "env": dict(env or {})}
        pid: int = self._ask("start", request, _PATIENCE)["pid"]
        return pid

    def stop(self, name: str, number: int = signal.SIGTERM, grace: float = 10.0) -> int | None:
        """Stop a service and return its exit code; None if it was never started."""
        request = {"name": name, "signal": int(number), "grace": grace}
        code: int | None = self._ask("stop", request, grace + _PATIENCE)["rc"]
        return code

    def unix(self, path: str, timeout: float = 60) -> http.Connect:
        """A unix socket of the guest, for `lab.http`."""

        def connect() -> socket.socket:
            sock = self._open("connect", {"path": path}, timeout)
            self._first_line(sock)
            return sock

        return connect

    def shell(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Give the caller's terminal to a command in the guest until it ends."""
        size = shutil.get_terminal_size()
        request = {"argv": list(argv), "env": dict(env), "rows": size.lines, "columns": size.columns}
        with self._open("shell", request, _PATIENCE) as sock:
            self._first_line(sock)
            sock.settimeout(None)
            _with_raw_terminal(lambda: _carry(sock))

    def _ask(self, what: str, request: Mapping[str, Any], timeout: float) -> Any:
        with self._open(what, request, timeout) as sock, sock.makefile("rb") as file:
            line = file.readline()
        return self._understood(line)

    def _open(self, what: str, request: Mapping[str, Any], timeout: float) -> socket.socket:
        sock = http.inside(self.netns, self.address, timeout)()
        try:
            sock.sendall(json.dumps({"do": what, **request}).encode() + b"\n")
        except OSError:
            sock.close()
            raise
        return sock

    def _first_line(self, sock: socket.socket) -> None:
        """Reads byte by byte, because what follows the line belongs to the caller."""
        line = b""
        while not line.endswith(b"\n"):
            byte = sock.recv(1)
            if not byte:
                break
            line += byte
        try:
            self._understood(line)
        except (LabError, ValueError):
            sock.close()
            raise

    def _understood(self, line: bytes) -> Any:
        if not line:
            msg = f"{self.name} closed the connection without an answer"
            raise LabError(msg)
        answer = json.loads(line)
        if "error" in answer:
            msg = f"{self.name}: {answer['error']}"
            raise LabError(msg)
        return answer


def write(channel: Channel, target: str, data: bytes) -> None:
    result = channel.run(["sh", "-c", 'cat >"$1"', "sh", target], stdin=data, timeout=60)
    if result.returncode != 0:
        msg = f"{channel.name}: {target} cannot be written: {result.stderr.decode(errors='replace').strip()}"
        raise LabError(msg)


def read(channel: Channel, source: str) -> bytes:
    result = channel.run(["cat", source], timeout=60)
    if result.returncode != 0:
        msg = f"{channel.name}: {source} cannot be read: {result.stderr.decode(errors='replace').strip()}"
        raise LabError(msg)
    return result.stdout


def _with_raw_terminal(work: Callable[[], None]) -> None:
    if not sys.stdin.isatty():
        work()
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        work()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _carry(sock: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sock:
                    data = sock.recv(65536)
                    if not data:
                        return
                    os.write(sys.stdout.fileno(), data)
                else:
                    typed = os.read(key.fd, 65536)
                    if typed:
                        sock.sendall(typed)
                    else:
                        selector.unregister(key.fd)
                        sock.sendall(b"\x04")
