# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The programs of a run, each with its children in its own process group, so that all can be ended."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab.paths import REPO
from lab.process import wait_for

GRACE = 30.0
"""Seconds that pytest, or a lab that is being started, gets to clear up."""


class Children:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path | None = None) -> int:
        """Run it to its end, with its output shown or in `log`; answers its exit code, 130 after `end`."""
        output = log.open("wb") if log else None
        try:
            with self._lock:
                if self._closed:
                    return 130
                child = subprocess.Popen(
                    argv,
                    cwd=REPO,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if output else None,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                )
                self._running.add(child)
            try:
                code = child.wait()
            except BaseException:  # Ctrl-C, which this child did not get
                self.end()
                raise
            with self._lock:
                self._running.discard(child)
            return code
        finally:
            if output:
                output.close()

    def end(self) -> None:
        """End all, as with Ctrl-C; what is still running after `GRACE` is killed. Nothing more is started."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            _send(child, signal.SIGINT)
        if not wait_for(lambda: all(child.poll() is not None for child in running), GRACE):
            for child in running:
                _send(child, signal.SIGKILL)


def _send(child: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
