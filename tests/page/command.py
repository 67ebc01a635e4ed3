# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr page`` as an operator runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

LIMIT = 20
KURYR = Path(sys.executable).with_name("kuryr")


class Running(NamedTuple):
    process: subprocess.Popen[str]
    address: str
    port: int
    start: str
    """The path with the token."""
    hint: str
    """How to look from elsewhere."""


def words(conf: Path) -> list[str]:
    return [str(KURYR), "--config-file", str(conf), "page"]


@contextmanager
def running(conf: Path) -> Iterator[Running]:
    process = subprocess.Popen(words(conf), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line, hint, _ = (process.stdout.readline().strip() for _ in range(3))
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/[\w-]{32,}/)", line)
        assert found, line or process.communicate(timeout=LIMIT)[1]
        yield Running(process, line, int(found[1]), found[2], hint)
    finally:
        process.kill()
        process.communicate(timeout=LIMIT)
