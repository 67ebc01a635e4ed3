# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Work inside of a container's network namespace, in a thread of its own that ends with the work."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from kuryr_libnetwork.errors import LinkError, LinkNotFound

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ESRCH, errno.ENXIO)
"""``EINVAL``: the file is there, but no namespace is mounted on it any more."""


def run_inside(sandbox: str, work: Callable[[], T]) -> T:
    """:class:`~kuryr_libnetwork.errors.LinkNotFound` when ``sandbox`` is no network namespace (any more)."""
    with opened(sandbox) as handle, ThreadPoolExecutor(1, thread_name_prefix="sandbox") as thread:
        return thread.submit(_enter_and_work, sandbox, handle, work).result()


@contextmanager
def opened(path: str) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _translated(path, error.errno or 0) from error
    except ValueError as error:  # a zero byte
        raise _translated(path, errno.ENOENT) from error
    try:
        yield handle
    finally:
        os.close(handle)


def is_own(sandbox: str) -> bool:
    try:
        return os.path.samefile(sandbox, OWN)
    except (OSError, ValueError):
        return False


def _enter_and_work(sandbox: str, handle: int, work: Callable[[], T]) -> T:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET):
        raise _translated(sandbox, ctypes.get_errno())
    return work()


def _translated(sandbox: str, code: int) -> LinkError:
    kind = LinkNotFound if code in _GONE else LinkError
    return kind(f"cannot enter the network namespace {sandbox}: {os.strerror(code)}")
