# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Runs in the SR-IOV machine and carries out the lab's commands there. Uses only the standard library.

Each request has its own TCP connection: one line of JSON to the guest, one line back. After the answer to `shell` and
`connect` the connection carries the bytes of a terminal, or of a Unix socket of the guest.
"""

import base64
import fcntl
import json
import os
import pty
import selectors
import signal
import socket
import socketserver
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PORT = 7000
Request = dict[str, Any]
Answer = dict[str, Any]

_services: dict[str, "subprocess.Popen[bytes]"] = {}
_lock = threading.Lock()


def run(request: Request) -> Answer:
    """Run a command to its end. On time-out its whole process group is killed; its output is answered in any case."""
    process = _popen(request, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    timed_out = False
    try:
        out, err = process.communicate(base64.b64decode(request.get("stdin", "")), request["timeout"])
    except subprocess.TimeoutExpired:
        timed_out = True
        _signal(process, signal.SIGKILL)
        out, err = process.communicate()
    return {
        "rc": process.returncode,
        "stdout": base64.b64encode(out).decode(),
        "stderr": base64.b64encode(err).decode(),
        "timed_out": timed_out,
    }


def start(request: Request) -> Answer:
    """Start a service, which runs until it is stopped, and writes to a log."""
    with _lock:
        running = _services.get(request["name"])
        if running is None or running.poll() is not None:
            with Path(request["log"]).open("ab") as log:
                running = _popen(request, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            _services[request["name"]] = running
    return {"pid": running.pid}


def stop(request: Request) -> Answer:
    """Signal a service and wait for its end; after the grace time it is killed with all that it started."""
    process = _services.get(request["name"])
    if process is None:
        return {"rc": None}
    if process.poll() is None:
        if request["signal"] == signal.SIGKILL:
            _signal(process, signal.SIGKILL)
        else:
            process.send_signal(request["signal"])
        try:
            process.wait(request["grace"])
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
    return {"rc": process.wait(10)}


def services(_request: Request) -> Answer:
    """Process ids of running services, and exit codes of the others."""
    return {name: {"pid": process.pid, "rc": process.poll()} for name, process in list(_services.items())}


def _popen(
    request: Request, *, stdin: int, stdout: int | BinaryIO, stderr: int | BinaryIO
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        request["argv"],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=request.get("cwd", "/"),
        env={**os.environ, **request.get("env", {})},
        start_new_session=True,
    )


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        process.poll()  # it ended by itself


def shell(request: Request, connection: socket.socket) -> None:
    """Run a command on a terminal of its own."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", request["rows"], request["columns"], 0, 0))
    environment = {**os.environ, **request.get("env", {})}
    command = ["setsid", "--ctty", *request["argv"]]
    try:
        process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, cwd="/root", env=environment)
        os.close(inner)
        connection.sendall(b"{}\n")
        _pump(connection, terminal)
    finally:
        os.close(terminal)  # hangs up: the shell ends
    process.wait()


def connect(request: Request, connection: socket.socket) -> None:
    """Connect to a Unix socket of the guest."""
    with socket.socket(socket.AF_UNIX) as target:
        target.connect(request["path"])
        connection.sendall(b"{}\n")
        _pump(connection, target.fileno())


def _pump(connection: socket.socket, other: int) -> None:
    """Copy bytes in both directions until either end closes."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, connection.fileno())
        while True:
            for key, _ in selector.select():
                try:
                    data = os.read(key.fd, 65536)
                except OSError:  # a terminal's answer once its last user has gone
                    return
                if not data:
                    return
                while data:
                    data = data[os.write(key.data, data) :]


_QUESTIONS: dict[str, Callable[[Request], Answer]] = {"run": run, "start": start, "stop": stop, "services": services}
_STREAMS: dict[str, Callable[[Request, socket.socket], None]] = {"shell": shell, "connect": connect}


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return
        request = json.loads(line)
        try:
            if request["do"] in _STREAMS:
                _STREAMS[request["do"]](request, self.connection)
            else:
                self._say(_QUESTIONS[request["do"]](request))
        except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            self._say({"error": f"{type(error).__name__}: {error}"})

    def _say(self, answer: Answer) -> None:
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    Server(("0.0.0.0", PORT), Handler).serve_forever()
