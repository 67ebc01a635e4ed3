# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operator's executables in ``bindir``, run as upstream ran them (kuryr-compat §4.3), but never for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from kuryr_libnetwork.errors import BindingScriptFailed
from kuryr_libnetwork.rules.vifs import BUILT_IN, NAME

LOG = logging.getLogger(__name__)
TIMEOUT = 30.0
"""Seconds for one run; Docker waits meanwhile."""
LONGEST = 400
"""Characters of a script's last words on stderr that are shown."""


class BindingScripts:
    """Implements :class:`~kuryr_libnetwork.interfaces.Scripts`: ``<folder>/<binding:vif_type>``."""

    def __init__(self, folder: Path, timeout: float = TIMEOUT) -> None:
        self._folder = folder
        self._timeout = timeout

    def get(self, vif_type: str) -> str:
        path = self._folder / vif_type
        there = NAME.fullmatch(vif_type) and path.is_file() and os.access(path, os.X_OK)
        return str(path) if there else ""

    def unused(self, preferred: Collection[str]) -> list[str]:
        """Those that are there and are not run, for the service does their work itself."""
        return [name for name in BUILT_IN if name not in preferred and self.get(name)]

    def run(self, vif_type: str, arguments: Sequence[str]) -> None:
        path = self.get(vif_type)
        if not path:
            raise BindingScriptFailed(f"there is no executable {self._folder / vif_type}")
        if os.stat(path).st_mode & stat.S_IWOTH:
            raise BindingScriptFailed(f"{path} is not run: anybody may change it (chmod o-w)")
        shown = f"{path} {arguments[0]} {arguments[1]}"
        with tempfile.TemporaryFile() as said:  # no pipe: a program that it leaves running would hold it open
            code = self._run([path, *arguments], said.fileno(), shown)
            said.seek(0)
            words = " ".join(said.read().decode(errors="replace").split())[-LONGEST:]
        if code:
            raise BindingScriptFailed(f"{shown} ended with {code}: {words or 'nothing on stderr'}")
        if words:
            LOG.warning("%s: %s", shown, words)

    def _run(self, command: list[str], stderr: int, shown: str) -> int:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise BindingScriptFailed(f"{shown} cannot be run: {error.strerror}") from error
        try:
            return process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):  # it has ended at this very moment
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise BindingScriptFailed(f"{shown} did not end within {self._timeout:g} s and was killed") from None
