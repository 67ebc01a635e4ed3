# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operator's executables in ``bindir``, run as upstream ran them, but with a time limit.

Their arguments: docs/notes/upstream.md, "Binding scripts".
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

from kuryr_libnetwork.errors import BindingScriptFailed, UnsafePath
from kuryr_libnetwork.host.files import check_program
from kuryr_libnetwork.rules.vifs import BUILT_IN, NAME
from kuryr_libnetwork.text import printable

LOG = logging.getLogger(__name__)
TIMEOUT = 30.0
"""Seconds for one run; Docker waits meanwhile."""
LONGEST = 400
"""Characters from the end of a script's stderr that are shown."""
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "OVS_RUNDIR")
"""The only variables of the service's environment that a script gets; others may hold the cloud's password."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 1 << 16


class BindingScripts:
    """Implements :class:`~kuryr_libnetwork.interfaces.host.Scripts`: ``<folder>/<binding:vif_type>``."""

    def __init__(self, folder: Path, timeout: float = TIMEOUT) -> None:
        self._folder = folder
        self._timeout = timeout

    def get(self, vif_type: str) -> str:
        path = self._folder / vif_type
        there = NAME.fullmatch(vif_type) and path.is_file() and os.access(path, os.X_OK)
        return str(path) if there else ""

    def unused(self, preferred: Collection[str]) -> list[str]:
        """The names of existing scripts that are not run, because the service does their work itself."""
        return [name for name in BUILT_IN if name not in preferred and self.get(name)]

    def run(self, vif_type: str, arguments: Sequence[str]) -> None:
        path = self.get(vif_type)
        if not path:
            raise BindingScriptFailed(f"there is no executable {self._folder / vif_type}")
        try:
            check_program(Path(path))
        except UnsafePath as error:
            raise BindingScriptFailed(f"{path} is not run: {error}") from error
        shown = f"{path} {arguments[0]} {arguments[1]}"
        code, said = self._run([path, *arguments], shown)
        words = printable(" ".join(said.decode(errors="replace").split()))[-LONGEST:]
        if code:
            raise BindingScriptFailed(f"{shown} ended with {code}: {words or 'nothing on stderr'}")
        if words:
            LOG.warning("%s: %s", shown, words)

    def _run(self, command: list[str], shown: str) -> tuple[int, bytes]:
        """The exit code, and the end of what the script wrote to stderr."""
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise BindingScriptFailed(f"{shown} cannot be run: {error.strerror}") from error
        assert process.stderr is not None
        said = _Said(process.stderr)
        try:
            ended = said.listen(process.pid, self._timeout)
            if not ended:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            said.take_what_is_there()
        finally:
            said.close()
        if not ended:
            raise BindingScriptFailed(f"{shown} did not end within {self._timeout:g} s and was killed")
        return code, bytes(said.end)


class _Said:
    """Keeps the end of what comes through a pipe."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.end = bytearray()
        self._pipe = pipe
        self._open = True
        os.set_blocking(pipe.fileno(), False)

    def listen(self, pid: int, timeout: float) -> bool:
        """Read until the process ends; ``False`` if it does not end in time."""
        deadline = time.monotonic() + timeout
        process = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(self._pipe, select.POLLIN)
        try:
            while True:
                ready = {number for number, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
                if not ready or process in ready:
                    return process in ready
                if not self._take() and not self._open:
                    poll.unregister(self._pipe)
        finally:
            os.close(process)

    def take_what_is_there(self) -> None:
        while self._open and self._take():
            pass

    def close(self) -> None:
        """Close the pipe. If a program that the script started still writes, its output is read and discarded."""
        if self._open:
            threading.Thread(target=_drain, args=(self._pipe,), name="script-stderr", daemon=True).start()
        else:
            self._pipe.close()

    def _take(self) -> bool:
        """Read once; whether there was anything."""
        try:
            part = os.read(self._pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        self._open = bool(part)
        self.end = (self.end + part)[-4 * LONGEST :]
        return self._open


def _drain(pipe: IO[bytes]) -> None:
    with pipe:
        os.set_blocking(pipe.fileno(), True)
        while os.read(pipe.fileno(), _CHUNK):
            pass


def _environment() -> dict[str, str]:
    return {"PATH": DEFAULT_PATH} | {name: os.environ[name] for name in INHERITED if name in os.environ}
