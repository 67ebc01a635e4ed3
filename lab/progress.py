# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One line per step, with its seconds."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_begin = time.monotonic()


def say(text: str) -> None:
    with _lock:
        print(text, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show the step when it is done: steps run in parallel, so lines printed at their start would mix."""
    begin = time.monotonic()
    yield
    now = time.monotonic()
    say(f"{now - _begin:6.1f} s  {what} ({now - begin:.1f} s)")
